"""What an index of vectors does, whoever does it: FAISS on this machine, or Milvus on others.

Shapes: N vectors of D numbers, Q questions, k nearest.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from likewise.errors import LikewiseError, UsageError

FLAT_UP_TO = 200_000
"""Up to this many vectors the search is exact."""
MOST = 16_384
"""Neighbours that one question may ask for: Milvus returns no more."""
_BLOCK = 65_536
_QUESTIONS = 4096
_UNIT_WITHIN = 0.01

Found = tuple[Int64[np.ndarray, "Q k"], Float32[np.ndarray, "Q k"]]
"""Keys and cosine similarities, most similar first."""


@runtime_checkable
class VectorIndex(Protocol):
    """Unit vectors under 63-bit keys, and which are nearest to others."""

    def fill(self, keys: Int64[np.ndarray, " N"], vectors: Float32[np.ndarray, "N D"]) -> None:
        """Hold these vectors and no others, now and after a restart.

        A key has one vector for good: one that is there need not be taken again.

        Raises:
            LikewiseError: a key comes twice, a vector is not finite or not of length 1, or what
                is there cannot be replaced.
        """
        ...

    def count(self) -> int:
        """How many vectors are there; 0 where nothing is."""
        ...

    def search(self, questions: Float32[np.ndarray, "Q D"], k: int) -> Found:
        """The ``k`` nearest of each question; places that nothing fills hold -1 and -1.

        Raises:
            UsageError: the questions are of another dimension, or ``k`` is not in 1 .. `MOST`.
            LikewiseError: a question is not finite, or there is nothing to ask.
        """
        ...

    def described(self, count: int) -> str:
        """Where ``count`` vectors are, and whether searches among them are exact, in words."""
        ...


def key_of(image_id: str) -> int:
    """The 63-bit key of an image in an index: the first bits of its id."""
    return int(image_id[:16], 16) >> 1


def keys_of(ids: Shaped[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The keys of many images."""
    return np.array([key_of(str(each)) for each in ids], dtype=np.int64)


def check_vectors(keys: Int64[np.ndarray, " N"], vectors: Float32[np.ndarray, "N D"]) -> None:
    """Refuse what an index would take in silence.

    Raises:
        LikewiseError: a key comes twice, or a vector is not finite or not of length 1.
    """
    if len(np.unique(keys)) != len(keys):
        raise LikewiseError("two images have the same key in the neighbour index")
    broken = longer = 0
    for start in range(0, len(vectors), _BLOCK):
        block = np.asarray(vectors[start : start + _BLOCK])
        finite = np.isfinite(block).all(axis=1)
        broken += int((~finite).sum())
        lengths = np.linalg.norm(block[finite], axis=1)
        longer += int((np.abs(lengths - 1) > _UNIT_WITHIN).sum())
    if broken:
        raise LikewiseError(
            f"{broken} embedding(s) are not finite; train the model again, or embed with "
            "--precision float32"
        )
    if longer:
        raise LikewiseError(
            f"{longer} embedding(s) are not of length 1, so their products are no cosines; remove "
            "the model's folder in embeddings/ and run `likewise embed`"
        )


def check_questions(questions: Float32[np.ndarray, "Q D"], dim: int, k: int) -> None:
    """Refuse what cannot be asked.

    Raises:
        UsageError: the questions are of another dimension, or ``k`` is out of range.
        LikewiseError: a question is not finite.
    """
    if questions.shape[1] != dim:
        raise UsageError(f"the vector has {questions.shape[1]} numbers, the embeddings have {dim}")
    if not 1 <= k <= MOST:
        raise UsageError(f"an index finds 1 to {MOST:,} neighbours at a time, not {k:,}")
    if not np.isfinite(questions).all():
        raise LikewiseError("the vector to look for is not finite; embed the picture again")


class Rows:
    """Finds the row of a key among those of the embeddings."""

    def __init__(self, keys: Int64[np.ndarray, " N"]) -> None:
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]

    def of(self, keys: Int64[np.ndarray, "*any"]) -> Int64[np.ndarray, "*any"]:
        """The rows of keys; -1 for those that are of no row."""
        if not len(self._order):
            return np.full(keys.shape, -1, np.int64)
        place = np.searchsorted(self._sorted, keys).clip(max=len(self._order) - 1)
        return np.where(self._sorted[place] == keys, self._order[place], -1)


def neighbour_blocks(
    index: VectorIndex,
    keys: Int64[np.ndarray, " N"],
    vectors: Float32[np.ndarray, "N D"],
    k: int,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[Found]:
    """The k nearest other images of every image, some thousand images at a time.

    Rows instead of keys: positions in ``vectors``. Places that nothing fills hold row -1,
    similarity -1.
    """
    of_key = Rows(keys)
    for start in range(0, len(vectors), _QUESTIONS):
        part = np.ascontiguousarray(vectors[start : start + _QUESTIONS])
        found, near = index.search(part, k + 1)
        rows = np.full((len(part), k), -1, np.int64)
        similarities = np.full((len(part), k), -1.0, np.float32)
        for offset, (line, cosines) in enumerate(zip(of_key.of(found), near, strict=True)):
            others = (line != start + offset) & (line >= 0)
            kept = int(min(others.sum(), k))
            rows[offset, :kept] = line[others][:k]
            similarities[offset, :kept] = cosines[others][:k]
        yield rows, similarities
        advance(len(part))


def neighbour_graph(
    index: VectorIndex,
    keys: Int64[np.ndarray, " N"],
    vectors: Float32[np.ndarray, "N D"],
    k: int,
) -> tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]:
    """The same of all images at once."""
    blocks = list(neighbour_blocks(index, keys, vectors, k))
    rows = [np.empty((0, k), np.int64), *(block[0] for block in blocks)]
    similarities = [np.empty((0, k), np.float32), *(block[1] for block in blocks)]
    return np.concatenate(rows), np.concatenate(similarities)
