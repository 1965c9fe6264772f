"""Omniglot's one-shot task in its published folders: run01 to run20, each with its answer key.

Lake, Salakhutdinov & Tenenbaum 2015, "Human-level concept learning through probabilistic program
induction". ``runNN/training`` holds one image of each of 20 characters, ``runNN/test`` another of
each, and a line of ``runNN/class_labels.txt`` names a test image and the training image that it
shows again: ``run01/test/item01.png run01/training/class01.png``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from likewise.errors import LikewiseError
from likewise.files import reason_of

RUNS = 20
KEY = "class_labels.txt"
_NAME = re.compile(r"run\d+")


@dataclass(frozen=True)
class OneShotRun:
    """One run: which training image each test image shows."""

    name: str
    training: tuple[Path, ...]
    tests: tuple[tuple[Path, int], ...]
    """A test image, and the place of its training image."""


def is_omniglot_runs(folder: Path) -> bool:
    """Whether the folder holds such runs."""
    return any(_NAME.fullmatch(file.parent.name) for file in folder.glob(f"run*/{KEY}"))


def read_runs(folder: Path) -> list[OneShotRun]:
    """All runs of a folder, in order.

    Raises:
        LikewiseError: a key cannot be read, or names an image that is not there.
    """
    keys = sorted(folder.glob(f"run*/{KEY}"))
    return [_read(key) for key in keys if _NAME.fullmatch(key.parent.name)]


def _read(key: Path) -> OneShotRun:
    try:
        lines = key.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise LikewiseError(f"could not read {key}: {reason_of(error)}") from error
    training = tuple(sorted((key.parent / "training").glob("*.png")))
    places = {file.name: place for place, file in enumerate(training)}
    tests: list[tuple[Path, int]] = []
    for number, line in enumerate(lines, 1):
        words = line.replace("\\", "/").split()
        if not words:
            continue
        names = [each.rpartition("/")[2] for each in words]
        if len(words) != 2 or names[1] not in places:
            raise LikewiseError(
                f"{key}, line {number}: not a test image and the training image that it shows"
            )
        test = key.parent / "test" / names[0]
        if not test.is_file():
            raise LikewiseError(f"{key}, line {number}: there is no {test}")
        tests.append((test, places[names[1]]))
    if len(training) < 2 or not tests:
        raise LikewiseError(
            f"{key.parent} has {len(training)} training images and {len(tests)} tests"
        )
    return OneShotRun(key.parent.name, training, tuple(tests))
