"""Break everything that can be broken here, in full, and write down what was reached.

    python -m benchmarks.reliability [--only WORDS] [--keep]

Runs the tests marked ``breaking`` in their full form (hours) and makes a table of the figures that
they record. ``--only`` goes to pytest as ``-k``: the tests may be run in pieces, the figures of
each stand in ``data/reliability.jsonl`` until it runs again.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.answers.surroundings import described, today

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "data" / "reliability.jsonl"


def main() -> None:
    """Run, print, and keep the table if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="as pytest's -k")
    parser.add_argument("--reduced", action="store_true", help="as in the default suite")
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results, dated")
    given = parser.parse_args()
    code = _run_tests(given.only, "breaking and not long" if given.reduced else "breaking")
    text = _report()
    print(text)
    if given.keep:
        file = ROOT / "benchmarks" / "results" / f"{today()}-reliability.md"
        file.write_text(text, encoding="utf-8")
    sys.exit(code)


def _run_tests(only: str, marks: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-m", marks, "-k", only]
    environment = {**os.environ, "LIKEWISE_FIGURES": str(FIGURES)}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _report() -> str:
    lines = FIGURES.read_text(encoding="utf-8").splitlines() if FIGURES.exists() else []
    newest = {each["test"]: each for each in map(json.loads, lines)}
    rows = [
        f"| `{test}` | {each['figure']} | {each['outcome']}, {each['day']} |"
        for test, each in sorted(newest.items())
    ]
    surroundings = described("", "benchmarks.reliability")
    head = ["| test | reached | |", "|---|---|---|"]
    return "\n".join([f"# Reliability, {today()}", "", surroundings, *head, *rows, ""])


if __name__ == "__main__":
    main()
