"""CIFAR-10 on one GPU, from files to figures: how good, how quick, how much of the GPU is used.

    python -m benchmarks.gpu CIFAR --minutes 9 [--keep]

``CIFAR`` holds ``train/CLASS/NNNN.jpg`` and ``test/CLASS/NNNN.jpg``. The images are ingested,
SimSiam is pretrained with ResNet-18 for 200 and for 800 epochs, and both models are judged by kNN
and a linear classifier. ``--minutes`` stops it cleanly before so many are over; the same command
goes on, and ends with exit code 3 as long as there is more to do, with 0 when all is done:

    until python -m benchmarks.gpu CIFAR --minutes 9; do test $? = 3 || break; done

Result and curve are written to the ``--work`` folder, with ``--keep`` to ``benchmarks/results``
too.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any, get_args

from benchmarks.answers.surroundings import today
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.report import draw, text_of
from benchmarks.gpu.stages import OutOfTime, Plan, Stages
from likewise.errors import LikewiseError
from likewise.files import write_text
from likewise.models.machine import pick_device
from likewise.settings import Compile, Precision, ViewsOn

RESULTS = Path(__file__).resolve().parents[1] / "results"
MORE_TO_DO = 3
SPARE = 0.5
"""Minutes kept for the last step, its checkpoint and the end."""
OPTIONS: dict[str, dict[str, Any]] = {
    "views on the GPU, bfloat16, compiled": {
        "views_on": "device",
        "precision": "bfloat16",
        "compile": "on",
    },
    "not compiled": {"views_on": "device", "precision": "bfloat16", "compile": "off"},
    "TF32, not compiled": {"views_on": "device", "precision": "float32", "compile": "off"},
    "views on the CPU, not compiled": {
        "views_on": "cpu",
        "precision": "bfloat16",
        "compile": "off",
    },
}
"""What is compared on a GPU."""


def main() -> int:
    """Do what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="folder with train/ and test/")
    parser.add_argument("--work", type=Path, default=Path("gpu-benchmark"), help="what lasts")
    parser.add_argument("--epochs", type=int, nargs="+", default=[200, 800])
    parser.add_argument("--minutes", type=float, help="stop before; the next call goes on")
    parser.add_argument("--keep", action="store_true", help="into benchmarks/results, dated")
    defaults = Plan()
    for name, value in vars(defaults).items():
        kinds = {"precision": Precision, "views_on": ViewsOn, "compile": Compile}
        choices = get_args(kinds[name]) if name in kinds else None
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=type(value), default=value, choices=choices)
    given = parser.parse_args()
    if given.minutes is not None and given.minutes < 3:
        parser.error("--minutes must be at least 3")
    plan = Plan(**{name: getattr(given, name) for name in vars(defaults)})
    budget = Budget(None if given.minutes is None else given.minutes - SPARE)
    stages = Stages(given.work, plan, budget)
    try:
        with budget.ctrl_c_at_the_end():
            text = _all(stages, given.images, given.epochs, given.work)
    except (KeyboardInterrupt, OutOfTime):
        print("stopped in time; the same command goes on", file=sys.stderr)
        return MORE_TO_DO
    except LikewiseError as error:
        print(error, file=sys.stderr)
        return 1
    print(text)
    if given.keep:
        name = f"{today()}-gpu"
        shutil.copyfile(given.work / "curve.png", RESULTS / f"{name}.png")
        write_text(RESULTS / f"{name}.md", text.replace("(curve.png)", f"({name}.png)"))
    return 0


def _all(stages: Stages, images: Path, epochs: list[int], work: Path) -> str:
    stages.ingest(images)
    if pick_device(stages.plan.device).type == "cuda":
        stages.compare_options(OPTIONS)
    runs = []
    for count in epochs:
        runs.append(stages.pretrain(count))
        stages.judge(runs[-1])
    draw(runs, work / "curve.png")
    text = text_of(stages, runs, "curve.png")
    write_text(work / "result.md", text)
    return text


if __name__ == "__main__":
    sys.exit(main())
