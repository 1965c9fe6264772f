"""What is best taught on a few answers of a pretrained net: a head, adapters, or all of it?

    python -m benchmarks.depths FOLDER --backbone tf_efficientnet_lite0 --init WEIGHTS

Per seed: the images of ``FOLDER/CLASS/`` are ingested, the net is adopted, a simulated annotator
answers, and `likewise finetune` teaches each depth. MAP@R is of held-out images; ``kept`` counts
the seeds in which the parent stayed in use, as nothing surely better was found.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from likewise.api import Workspace
from likewise.settings import Depth

DEPTHS = [each for each in get_args(Depth) if each != "auto"]


def main() -> None:
    """Measure every depth and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--init", default="pretrained")
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float, bool, float]]] = {}
    for seed in range(given.seeds):
        with tempfile.TemporaryDirectory() as folder:
            for depth, row in _seed(Path(folder), given, seed).items():
                found.setdefault(depth, []).append(row)
                print(
                    f"seed {seed}, {depth}: MAP@R {row[0]:.4f}, recall@1 {row[1]:.4f}", flush=True
                )
    print("| taught | MAP@R | recall@1 | kept | seconds |\n|---|---|---|---|---|")
    for depth, rows in found.items():
        retrieved, first, kept, seconds = zip(*rows, strict=True)
        print(
            f"| {depth} | {spread(retrieved)} | {spread(first)} | {sum(kept)} of {len(rows)} "
            f"| {statistics.mean(seconds):.0f} |"
        )


def _seed(
    folder: Path, given: argparse.Namespace, seed: int
) -> dict[str, tuple[float, float, bool, float]]:
    workspace = Workspace(folder / "workspace")
    workspace.ingest(given.folder, hold_out=0.2)
    start = workspace.adopt(given.backbone, init=given.init, image_size=given.image_size)
    workspace.embed()
    workspace.simulate(budget=given.answers, seed=seed)
    told, took = {}, {}
    for depth in DEPTHS:
        began = time.perf_counter()
        told[depth] = workspace.finetune(
            depth=depth, model=start.run.name, seed=seed, steps=given.steps
        )
        took[depth] = time.perf_counter() - began
        workspace.embed(model=told[depth].run.name)
    models = {each["name"]: each for each in workspace.evaluate(bootstrap=0).as_json()["models"]}
    result = {}
    for depth, run in [("nothing", start.run)] + [(each, told[each].run) for each in DEPTHS]:
        figures = models[run.name]
        kept = depth != "nothing" and told[depth].kept
        result[depth] = (figures["map@r"], figures["recall@1"], kept, took.get(depth, 0.0))
    return result


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds, for a table."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"


if __name__ == "__main__":
    main()
