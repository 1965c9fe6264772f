"""The known classes of images, for evaluation and simulated annotators. Training never reads them.

A truth is "folders" (an image's class is the name of the folder it lies in) or a CSV file.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.images.store import Images

FOLDERS = "folders"
_ID, _PATH = "id", "path"
_CLASS = ("class", "label")


def read_truth(images: Images, truth: str) -> Shaped[np.ndarray, " N"]:
    """The class of every image, ``(N,)``; "" where it is unknown.

    An image that is given several classes (a byte-identical file in several class folders, or
    rows of the CSV that disagree) is unknown.

    Args:
        images: The images of the workspace.
        truth: "folders", or a CSV with the columns id or path (absolute, or from the CSV's
            folder, or the end of the image's path, if no other image ends so), and class or label.

    Raises:
        LikewiseError: the CSV cannot be read, lacks a column, or none of its rows is an image
            of the workspace.
    """
    if truth == FOLDERS:
        return np.array(
            [_only({path.parent.name for path in images.paths(row)}) for row in range(len(images))],
            dtype=np.str_,
        )
    return _from_csv(images, Path(truth).expanduser())


def with_mate(labels: Shaped[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Which images have another one of their class: only of these can the nearest be right."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray((counts[codes] > 1) & (labels != ""), bool)


def _from_csv(images: Images, file: Path) -> Shaped[np.ndarray, " N"]:
    key, rows = _read_rows(file)
    positions = images.positions if key == _ID else None
    suffixes = {} if positions is not None else _positions_of_paths(images)
    classes: dict[int, set[str]] = defaultdict(set)
    for name, label in rows:
        row = positions.get(name) if positions is not None else _find(name, file.parent, suffixes)
        if row is not None and label:
            classes[row].add(label)
    if not classes:
        raise LikewiseError(
            f"none of the {len(rows):,} rows of {file} has a class and is an image of the "
            f"workspace; its {key} column must hold the images' {key}s"
        )
    return np.array([_only(classes.get(row, ())) for row in range(len(images))], dtype=np.str_)


def _read_rows(file: Path) -> tuple[str, list[tuple[str, str]]]:
    """The key column's name, and key and class of each row."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            table = csv.DictReader(lines)
            names = table.fieldnames or ()
            key = _column(file, names, (_ID, _PATH))
            label = _column(file, names, _CLASS)
            return key, [(row[key] or "", (row[label] or "").strip()) for row in table]
    except (OSError, csv.Error) as error:
        raise LikewiseError(
            f'could not read the truth {file}: {reason_of(error)}; give "{FOLDERS}" or a CSV file'
        ) from error


def _column(file: Path, names: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in names:
            return name
    there = ", ".join(map(repr, names)) or "nothing"
    raise LikewiseError(f"{file} needs a column {' or '.join(map(repr, wanted))}; it has {there}")


def _positions_of_paths(images: Images) -> dict[str, int | None]:
    """Row of each end of each path ("c.png", "b/c.png", ...); None where images share it."""
    rows: dict[str, int | None] = {}
    for row in range(len(images)):
        for path in images.paths(row):
            parts = path.parts
            for start in range(len(parts)):
                end = str(Path(*parts[start:]))
                rows[end] = row if rows.get(end, row) == row else None
    return rows


def _find(name: str, folder: Path, rows: dict[str, int | None]) -> int | None:
    absolute = os.path.abspath(folder / name)  # noqa: PTH100
    return rows[absolute] if absolute in rows else rows.get(str(Path(name)))


def _only(classes: Iterable[str]) -> str:
    """The one class there is, else ""."""
    names = list(classes)
    return names[0] if len(names) == 1 else ""
