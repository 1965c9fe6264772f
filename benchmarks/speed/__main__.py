"""How quick everything is beside the peers' own code, in one table.

    python -m benchmarks.speed [--short] [--only loading training ...] [--keep]

`make bench` runs the short form. Peers that are missing are told and left out: the extra ``bench``
brings them (``pip install -e .[bench]``).
"""

import argparse
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from benchmarks.answers.surroundings import described, today
from benchmarks.speed import embedding, graph, loading, training
from benchmarks.speed.table import HEAD, line_of

SECTIONS = {
    "loading": loading.rows,
    "training": training.rows,
    "busy": training.busy_rows,
    "embedding": embedding.rows,
    "graph": graph.rows,
}
RESULTS = Path(__file__).resolve().parents[1] / "results"


def main() -> None:
    """Measure, print, and keep the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="minutes: few images, few repeats")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results, dated")
    given = parser.parse_args()
    lines = [HEAD]
    print(HEAD)
    for name in given.only:
        scratch = Path(tempfile.mkdtemp(prefix=f"likewise-{name}-"))
        try:
            for row in SECTIONS[name](scratch, given.short):
                lines.append(line_of(row))
                print(lines[-1], flush=True)
        except ImportError as missing:
            print(f"{name}: {missing}; pip install -e .[bench]", file=sys.stderr)
        except Exception:  # the other sections are worth as much
            traceback.print_exc()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    surroundings = described("", "benchmarks.speed")
    print(f"\n{surroundings}")
    if given.keep:
        file = RESULTS / f"{today()}-speed.md"
        text = f"# Speed, {today()}\n\n{surroundings}\n" + "\n".join(lines) + "\n"
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
