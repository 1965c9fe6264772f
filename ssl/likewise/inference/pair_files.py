"""Files of pairs to compare: tables with or without a truth, and protocols like LFW's."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.answers.exchange import ImageFinder
from likewise.answers.tabular import Record, read_records
from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.images.lists import LIST_SUFFIXES
from likewise.images.store import Images

_TRUTH = ("same", "verdict", "label")
_SAME = {"same", "similar", "1", "1.0", "true", "yes", "genuine", "match"}
_DIFFERENT = {"different", "dissimilar", "0", "0.0", "false", "no", "impostor", "forgery"}
_OPEN = {"", "unsure", "uncertain", "unknown"}
_SUFFIXES = (".jpg", ".png", ".jpeg", ".pgm", ".bmp")

Problem = tuple[int, str]
"""Row (the first is 1) and why it cannot be used."""


@dataclass(frozen=True)
class End:
    """One image of a pair: a file, or an image of the workspace by its id."""

    shown: str
    """As the file of pairs has it."""
    file: Path | None = None
    id: str = ""


@dataclass(frozen=True)
class Asked:
    """A pair of a file."""

    row: int
    a: End
    b: End
    same: bool | None
    """The truth; None where it is not told."""
    subjects: tuple[str, str] | None = None
    """Whom the images show."""


class EndFinder:
    """Finds the images that rows name by id, or by a path from here, a root, or the file."""

    def __init__(self, images: Images, roots: Iterable[Path], beside: Path) -> None:
        roots = [root.absolute() for root in roots]
        self._known = ImageFinder(images, roots, beside)
        self._places = [Path.cwd(), *roots, beside.absolute()]

    def find(self, record: Record, end: str) -> End:
        """The image of one end ("a" or "b") of a row; a file that is there goes before its name.

        Raises:
            LikewiseError: there is no such image.
        """
        path = str(record.get(f"path_{end}", ""))
        for place in self._places if path else ():
            file = Path(os.path.normpath(place / path))
            if file.is_file():
                if file.name.lower().endswith(LIST_SUFFIXES):
                    raise LikewiseError(f"{path} is no image")
                return End(path, file)
        known = self._known.find(record, end)
        return End(path or known, id=known)


def read_pairs(file: Path, finder: EndFinder) -> tuple[list[Asked], list[Problem]]:
    """The pairs of a file, and the rows that cannot be used.

    Raises:
        UsageError: the suffix is none of .csv, .jsonl, .parquet, .txt.
        LikewiseError: the file cannot be read.
    """
    if file.suffix.lower() == ".txt":
        return pairs_of(_read_protocol(file), finder, guess=True)
    return pairs_of(enumerate(read_records(file), 1), finder)


def pairs_of(
    records: Iterable[tuple[int, Record]], finder: EndFinder, *, guess: bool = False
) -> tuple[list[Asked], list[Problem]]:
    """The pairs of numbered rows, and those that cannot be used; ``guess``: paths lack suffixes."""
    pairs: list[Asked] = []
    problems: list[Problem] = []
    for row, record in records:
        try:
            one, two = (_end(finder, record, end, guess) for end in "ab")
            pairs.append(Asked(row, one, two, *_truth(record)))
        except LikewiseError as error:
            problems.append((row, str(error)))
    return pairs, problems


def _end(finder: EndFinder, record: Record, end: str, guess: bool) -> End:
    """With ``guess`` the path lacks its suffix."""
    if not guess:
        return finder.find(record, end)
    stem = record[f"path_{end}"]
    for suffix in _SUFFIXES:
        try:
            return finder.find({f"path_{end}": stem + suffix}, end)
        except LikewiseError:
            continue
    raise LikewiseError(f"no image {stem}.jpg (or {', '.join(_SUFFIXES[1:])})")


def _truth(record: Mapping[str, Any]) -> tuple[bool | None, tuple[str, str] | None]:
    ends = tuple(str(record.get(f"subject_{end}", "")) for end in "ab")
    subjects = (ends[0], ends[1]) if all(ends) else None
    told = next((record[name] for name in _TRUTH if name in record), None)
    word = "" if told is None else str(told).strip().lower()
    if word in _OPEN:
        open_to_subjects = told is None and subjects is not None
        return (ends[0] == ends[1] if open_to_subjects else None), subjects
    if word not in _SAME | _DIFFERENT:
        raise LikewiseError(f"the truth is {word!r}, not same or different")
    return word in _SAME, subjects


def _read_protocol(file: Path) -> list[tuple[int, Record]]:
    """Lines "name n m" (same) and "name n other m" (different), as in LFW's pairs.txt.

    Raises:
        LikewiseError: the file cannot be read, or a line is neither.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise LikewiseError(f"could not read {file}: {reason_of(error)}") from error
    records: list[tuple[int, Record]] = []
    for row, line in enumerate(lines, 1):
        words = [each.strip() for each in line.split("\t" if "\t" in line else None)]
        if not any(words) or (len(words) < 3 and all(each.isdigit() for each in words)):
            continue  # empty, or the head: how many folds and pairs
        if len(words) == 3:
            words = [words[0], words[1], words[0], words[2]]
        if len(words) != 4 or not (words[1].isdigit() and words[3].isdigit()):
            raise LikewiseError(f"{file}, line {row}: neither `name n m` nor `name n other m`")
        one, two = words[0], words[2]
        records.append(
            (
                row,
                {
                    "path_a": f"{one}/{one}_{int(words[1]):04d}",
                    "path_b": f"{two}/{two}_{int(words[3]):04d}",
                    "subject_a": one,
                    "subject_b": two,
                },
            )
        )
    return records
