"""The pairs of the neighbour graph, each once, the most similar first."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Int64

from likewise.answers.pool import Pool

_BLOCK = 4096
_KNOWN = 200
"""In a pool without a neighbour graph all pairs of so many images at most are compared."""
FEW = 10
"""Nearest neighbours of each image whose pairs are ordered within a second, in any pool."""


class Edges:
    """Pairs of rows of a pool that may be asked about, in the order of their similarity.

    Of each image with its nearest neighbours, ``most`` of them or, by default, all that are known.
    """

    def __init__(self, pool: Pool, seed: int = 0, most: int | None = None) -> None:
        self.complete = pool.neighbours is None or most is None or pool.neighbours.shape[1] <= most
        """Whether there are no further pairs."""
        if pool.neighbours is None:
            some = np.random.default_rng(seed).permutation(pool.rows)[:_KNOWN]
            ones, twos = (np.sort(some)[each] for each in np.triu_indices(len(some), 1))
        else:
            near = pool.neighbours[pool.rows, :most]
            ones = np.repeat(pool.rows, near.shape[1])
            twos = near.ravel().astype(np.int64)
            allowed = np.zeros(len(pool.vectors) + 1, dtype=bool)
            allowed[pool.rows] = True  # and the last one, which -1 stands for, is not
            keep = allowed[twos]
            ones, twos = ones[keep], twos[keep]
        keys = np.sort(np.minimum(ones, twos) * len(pool.vectors) + np.maximum(ones, twos))
        keys = keys[np.diff(keys, prepend=-1) > 0]
        ones, twos = np.divmod(keys, max(len(pool.vectors), 1))
        similarities = np.empty(len(keys), dtype=np.float32)
        for at in range(0, len(keys), _BLOCK):
            part = slice(at, at + _BLOCK)
            similarities[part] = np.einsum(
                "nd,nd->n", pool.vectors[ones[part]], pool.vectors[twos[part]]
            )
        order = np.argsort(-similarities, kind="stable")
        self.rows: Int64[np.ndarray, "E 2"] = np.stack((ones[order], twos[order]), axis=1)
        self.similarities: Float32[np.ndarray, " E"] = similarities[order]

        ends = self.rows.ravel()
        order = np.argsort(ends, kind="stable")
        self._places = order // 2
        self._starts = np.searchsorted(ends[order], np.arange(len(pool.vectors) + 1))

    def of(self, row: int) -> Int64[np.ndarray, " e"]:
        """Places of the pairs that a row is in."""
        return np.asarray(self._places[self._starts[row] : self._starts[row + 1]])

    def blocks(self, start: int = 0) -> Iterator[tuple[int, Int64[np.ndarray, "e 2"]]]:
        """All pairs from a place on, some thousands at a time, with the place of the first."""
        for at in range(start, len(self.rows), _BLOCK):
            yield at, self.rows[at : at + _BLOCK]
