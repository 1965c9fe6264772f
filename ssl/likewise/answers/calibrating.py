"""Pairs drawn uniformly over similarity, and what each of them stands for.

The range of the similarities of all pairs is cut into equal strata. A draw takes one of the strata
that hold pairs, all alike, and in it any pair, all alike. So a pair is drawn with a chance inverse
to how many others are as similar, and weights in proportion to that number turn the drawn pairs
into a sample of all pairs again (Horvitz & Thompson 1952).
"""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float32, Float64, Int64

from likewise.answers.links import Links
from likewise.answers.pool import Pool, Proposal
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import Pair

STRATA = 100
_IMAGES = 2000
"""Images whose pairs stand for all, at most: two million pairs."""
_KEPT = 256
"""Pairs of a stratum that may be drawn, at most."""
_TRIES = 64
_REASON = "Drawn to measure how sure the results are"


def pair_sample(
    vectors: Float32[np.ndarray, "N D"], rows: Int64[np.ndarray, " n"]
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """All pairs of ``rows``, or of `_IMAGES` of them: both rows, and their cosine similarity.

    The same images every time, so that drawing and weighing see the same pairs.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError("a pair needs two images")
    some = np.sort(np.random.default_rng(0).permutation(rows)[:_IMAGES])
    first, second = np.triu_indices(len(some), k=1)
    near = np.asarray(vectors[some])
    return some[first], some[second], (near @ near.T)[first, second].astype(np.float64)


def similarity_sample(
    vectors: Float32[np.ndarray, "N D"], rows: Int64[np.ndarray, " n"]
) -> Float64[np.ndarray, " P"]:
    """The similarities of `pair_sample`, rising.

    Raises:
        ValueError: fewer than two rows.
    """
    return np.sort(pair_sample(vectors, rows)[2])


def stratum_of(
    similarities: Float64[np.ndarray, " n"], lowest: float, highest: float
) -> Int64[np.ndarray, " n"]:
    """The stratum, 0 to `STRATA` - 1, of each similarity in the range of all."""
    width = (highest - lowest) / STRATA or 1.0
    return np.clip(((similarities - lowest) / width).astype(np.int64), 0, STRATA - 1)


def draw_weights(
    asked_at: Float64[np.ndarray, " n"], population: Float64[np.ndarray, " P"]
) -> Float64[np.ndarray, " n"]:
    """How many pairs each drawn pair stands for.

    Args:
        asked_at: Similarity of each pair when it was drawn, by the embedding that drew it.
        population: `similarity_sample` of that embedding.

    Returns:
        Weights with mean 1, in proportion to how many pairs are in the stratum.
    """
    lowest, highest = float(population[0]), float(population[-1])
    held = np.bincount(stratum_of(population, lowest, highest), minlength=STRATA)
    weights = np.maximum(held[stratum_of(asked_at, lowest, highest)], 1).astype(np.float64)
    return np.asarray(weights / weights.mean())


class CalibrationPairs:
    """Draws such pairs from a pool; prepared with the first draw."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._strata: list[Int64[np.ndarray, "k 2"]] | None = None

    def draw(
        self,
        links: Links,
        taken: Collection[Pair],
        busy: Collection[str],
        rng: np.random.Generator,
    ) -> Proposal | None:
        """A pair whose answer is neither known nor implied nor on its way.

        None if a few draws find no such pair.
        """
        if len(self.pool.rows) < 2:
            return None
        if self._strata is None:
            self._strata = self._prepared()
        ids = self.pool.ids
        for _ in range(_TRIES):
            pairs = self._strata[int(rng.integers(len(self._strata)))]
            one, two = pairs[int(rng.integers(len(pairs)))].tolist()
            if ids[one] in busy or ids[two] in busy:
                continue
            if not self.pool.asks_nothing_new(one, two, links, taken):
                return self.pool.proposal(one, two, CALIBRATION, _REASON)
        return None

    def _prepared(self) -> list[Int64[np.ndarray, "k 2"]]:
        """Random pairs of each stratum that holds any."""
        first, second, near = pair_sample(self.pool.vectors, self.pool.rows)
        strata = stratum_of(near, float(near.min()), float(near.max()))
        order = np.random.default_rng(0).permutation(len(strata))
        order = order[np.argsort(strata[order], kind="stable")]
        starts = np.searchsorted(strata[order], np.arange(STRATA))
        parts = (part[:_KEPT] for part in np.split(order, starts[1:]))
        return [np.stack((first[each], second[each]), axis=1) for each in parts if len(each)]
