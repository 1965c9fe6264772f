"""The images nearest to a vector, and the images of a name: exact, block by block."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from likewise.errors import LikewiseError, UsageError
from likewise.neighbours.vectors import Embeddings

BLOCK = 65_536
"""Vectors that are compared at a time: memory stays the same however many there are."""


def search(
    embeddings: Embeddings,
    vector: Float32[np.ndarray, " D"],
    k: int,
    among: Int64[np.ndarray, " M"] | None = None,
) -> tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]]:
    """The ``k`` images most similar to a unit vector, most similar first.

    Exact: a matrix product with the memory-mapped vectors, which costs one reading of them (a
    gigabyte for a million of 256 numbers) and beats loading an index for a single question.

    Args:
        embeddings: The vectors to look through.
        vector: What is looked for, of unit length, so that similarities are cosines.
        k: How many are wanted; there may be fewer.
        among: Rows that may be found; all if None. A row that comes twice counts once.

    Returns:
        Rows of ``embeddings``, and their cosine similarities. Equal ones come in order of row.

    Raises:
        UsageError: the vector is of another dimension.
        LikewiseError: the vector is not finite.
    """
    check_vector(embeddings, vector)
    every = None if among is None else distinct(among, len(embeddings.vectors))
    count = len(embeddings.vectors) if every is None else len(every)
    rows, similarities = np.empty(0, np.int64), np.empty(0, np.float32)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        part = np.arange(start, stop) if every is None else every[start:stop]
        block = embeddings.vectors[start:stop] if every is None else embeddings.vectors[part]
        rows = np.concatenate([rows, part])
        similarities = np.concatenate([similarities, np.asarray(block @ vector, np.float32)])
        best = in_order(rows, similarities, k)
        rows, similarities = rows[best], similarities[best]
    return rows, similarities


def check_vector(embeddings: Embeddings, vector: Float32[np.ndarray, " D"]) -> None:
    """Refuse what cannot be looked for.

    Raises:
        UsageError: the vector is of another dimension.
        LikewiseError: the vector is not finite.
    """
    dim = embeddings.vectors.shape[1]
    if len(vector) != dim:
        raise UsageError(f"the vector has {len(vector)} numbers, the embeddings have {dim}")
    if not np.isfinite(vector).all():
        raise LikewiseError("the vector to look for is not finite; embed the picture again")


def distinct(rows: Int64[np.ndarray, " M"], count: int) -> Int64[np.ndarray, " m"]:
    """The rows of so many that occur, rising; a mask is a hundred times as quick as sorting."""
    chosen = np.zeros(count, bool)
    chosen[rows] = True
    return np.flatnonzero(chosen)


def in_order(
    rows: Int64[np.ndarray, " n"], similarities: Float32[np.ndarray, " n"], k: int
) -> Int64[np.ndarray, " k"]:
    """Places of the ``k`` greatest similarities, greatest first, then by row."""
    if k < 1:
        return np.empty(0, np.int64)
    kept = np.arange(len(rows))
    if len(rows) > k:
        kept = np.flatnonzero(similarities >= np.partition(similarities, -k)[-k])
    return kept[np.lexsort((rows[kept], -similarities[kept]))][:k].astype(np.int64)


def find_names(names: Sequence[str], typed: str, limit: int) -> list[int]:
    """Places of the names that hold every word of ``typed``, whatever the case.

    Names that are what was typed come first, then those that begin with it, then the others, each
    in the order given.
    """
    wanted = typed.casefold().strip()
    words = wanted.split()
    if not words:
        return []
    ranks: tuple[list[int], list[int], list[int]] = ([], [], [])
    for place, name in enumerate(names):
        folded = name.casefold()
        if all(word in folded for word in words):
            same = folded == wanted or folded.rpartition(".")[0] == wanted
            ranks[0 if same else 1 if folded.startswith(wanted) else 2].append(place)
    return [place for rank in ranks for place in rank][:limit]
