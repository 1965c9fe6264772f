"""Vectors of an embedding job that is not finished, and how they come together.

Each process of each run of the job leaves a part: the ids of the images that it was to embed, and
the vectors of as many as it got to. What any part holds needs no computing again, however many
processes go on.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from likewise.errors import LikewiseError
from likewise.files import read_json, reason_of, write_json
from likewise.models.heads import Head, apply_head

_AT_ONCE = 4096
"""Vectors in memory at a time while parts are joined."""


class Part:
    """Vectors that one process makes, flushed as they come.

    A plain file, not a memory map: a full disk kills a process that writes to a map.
    """

    def __init__(self, folder: Path, name: str, ids: list[str]) -> None:
        self.file = folder / f"{name}.f32"
        try:
            write_json(folder / f"{name}.json", {"ids": ids})
            self.out = self.file.open("wb")
        except OSError as error:
            raise LikewiseError(f"could not write {self.file}: {reason_of(error)}") from error

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.out.close()

    def add(self, vectors: Float32[np.ndarray, "B D"]) -> None:
        """Write the next vectors."""
        try:
            self.out.write(np.ascontiguousarray(vectors).data)
            self.out.flush()
        except OSError as error:
            raise LikewiseError(f"could not write {self.file}: {reason_of(error)}") from error


@dataclass(frozen=True)
class Source:
    """Vectors that are there."""

    ids: Sequence[str]
    vectors: Float32[np.ndarray, "M D"]
    """Memory-mapped."""
    head: Head | None = None
    """What they still have to go through."""


def parts_in(folder: Path, dim: int) -> list[Source]:
    """What earlier runs of the job have left.

    Raises:
        LikewiseError: a file cannot be read.
    """
    found = []
    for plan in sorted(folder.glob("*.json")):
        ids, file = read_json(plan)["ids"], plan.with_suffix(".f32")
        done = file.stat().st_size // (4 * dim) if file.is_file() else 0
        if done:
            vectors = np.memmap(file, np.float32, "r", shape=(done, dim))
            found.append(Source(ids[:done], vectors))
    return found


def next_number(folder: Path) -> int:
    """The number of the next run of the job: parts are called ``NUMBER-RANK``."""
    names = (re.match(r"(\d+)-", each.name) for each in folder.glob("*.json"))
    return 1 + max((int(each[1]) for each in names if each), default=0)


def joined(
    ids: Shaped[np.ndarray, " N"], sources: Sequence[Source], dim: int
) -> Iterator[Float32[np.ndarray, "B D"]]:
    """The vectors of ``ids`` in this order, a few at a time; each image's from one source.

    Raises:
        LikewiseError: an image has no vector.
    """
    positions = {str(each): row for row, each in enumerate(ids)}
    source = np.full(len(ids), -1, np.int32)
    row = np.zeros(len(ids), np.int64)
    for number, each in enumerate(sources):
        for place, image in enumerate(each.ids):
            if image in positions:
                source[positions[image]], row[positions[image]] = number, place
    lost = int((source < 0).sum())
    if lost:
        raise LikewiseError(
            f"{lost} of {len(ids)} images were given no vector; is the workspace on a disk that "
            "all machines share? Run the command again for those that are missing"
        )
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        chunk = np.empty((len(source[part]), dim), np.float32)
        for number in np.unique(source[part]).tolist():
            chosen, given = source[part] == number, sources[number]
            vectors = given.vectors[row[part][chosen]]
            chunk[chosen] = vectors if given.head is None else apply_head(given.head, vectors)
        yield chunk
