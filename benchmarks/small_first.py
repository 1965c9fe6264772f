"""What `pretrain --small-first` costs and saves: the same training with and without.

    python -m benchmarks.small_first FOLDER [--shares 0 0.6] [--epochs 15] [--image-size 32]

The images of ``FOLDER/CLASS/`` are pretrained on once per seed and share of the epochs; a fifth is
held out and classified by its nearest neighbours among the others. Seconds are those of one core
that the training used, so that a busy machine shortens none.
"""

import argparse
import tempfile
import time
from pathlib import Path

from benchmarks.depths import spread
from likewise.api import Workspace


def main() -> None:
    """Train every share with every seed, in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.6])
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    found: dict[float, list[tuple[float, float, float]]] = {each: [] for each in given.shares}
    for seed in range(given.seeds):
        for share, rows in found.items():
            rows.append(_trained(given, share, seed))
            print(f"seed {seed}, --small-first {share}: kNN {rows[-1][0]:.4f}", flush=True)
    print("\n| --small-first | kNN | MAP@R | core seconds |\n|---|---|---|---|")
    for share, rows in found.items():
        accuracy, precision, seconds = zip(*rows, strict=True)
        print(f"| {share} | {spread(accuracy)} | {spread(precision)} | {spread(seconds, 1)} |")


def _trained(given: argparse.Namespace, share: float, seed: int) -> tuple[float, float, float]:
    """Accuracy of kNN, MAP@R and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        workspace.ingest(given.folder, hold_out=0.2)
        start = time.process_time()
        workspace.pretrain(
            epochs=given.epochs, image_size=given.image_size, backbone=given.backbone,
            small_first=share, seed=seed, threads=1, workers=0,
        )  # fmt: skip
        seconds = time.process_time() - start
        workspace.embed()
        measured = workspace.evaluate(bootstrap=20).as_json()["models"][-1]
    return measured["knn"], measured["map@r"], seconds


if __name__ == "__main__":
    main()
