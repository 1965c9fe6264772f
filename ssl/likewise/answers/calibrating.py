"""Pairs drawn uniformly over similarity, and what each of them stands for.

The pairs are cut into strata by similarity. A draw takes a stratum, all alike, and in it any pair,
all alike. So a pair is drawn with a chance inverse to how many others are as similar, and weights
in proportion to that number turn the drawn pairs into a sample of all pairs again (Horvitz &
Thompson 1952).

Cosines have no scale of their own: in many embeddings all images lie in a narrow cone, and where
groups are many the same pairs are the last hundredth. So the scale is the logit of the rank, on
which strata are evenly spaced: from the pairs that `LOWEST` says to the `TOP` most similar ones.
It is the same for every embedding that puts the pairs in the same order.

Each pair has at least one image in reserve (`likewise.answers.reserved`), about which nothing else
is asked. So no answer that teaches implies such a pair, however many are given, and what is
measured is how a model does on images that it was told nothing about.
"""

from collections.abc import Collection

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.special import expit, logit

from likewise.answers.links import Links
from likewise.answers.pool import Pool, Proposal
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import Pair

STRATA = 100
LOWEST = -2.0
"""Logit of the share of pairs that are in the lowest stratum: one in eight."""
TOP = 20
"""Pairs in the topmost stratum, about."""
_IMAGES = 2000
"""Images whose pairs stand for all, at most: two million pairs."""
_KEPT = 256
"""Pairs of a stratum that may be drawn, at most."""
_TRIES = 64
_ANY: Int64[np.ndarray, " 0"] = np.zeros(0, np.int64)
_REASON = "Drawn to measure how sure the results are"


def pair_sample(
    vectors: Float32[np.ndarray, "N D"],
    rows: Int64[np.ndarray, " n"],
    reserve: Int64[np.ndarray, " r"] = _ANY,
) -> tuple[Int64[np.ndarray, " P"], Int64[np.ndarray, " P"], Float64[np.ndarray, " P"]]:
    """All pairs of ``rows``, or of `_IMAGES` of them: both rows, and their cosine similarity.

    The same images every time, so that drawing and weighing see the same pairs. With a ``reserve``
    only pairs that have at least one image of it.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError("a pair needs two images")
    some = np.sort(np.random.default_rng(0).permutation(rows)[:_IMAGES])
    first, second = np.triu_indices(len(some), k=1)
    near = np.asarray(vectors[some])
    similarities = (near @ near.T)[first, second].astype(np.float64)
    spared = np.isin(some, reserve)
    drawn = spared[first] | spared[second]
    if drawn.any():
        first, second, similarities = first[drawn], second[drawn], similarities[drawn]
    return some[first], some[second], similarities


def similarity_sample(
    vectors: Float32[np.ndarray, "N D"],
    rows: Int64[np.ndarray, " n"],
    reserve: Int64[np.ndarray, " r"] = _ANY,
) -> Float64[np.ndarray, " P"]:
    """The similarities of `pair_sample`, rising.

    Raises:
        ValueError: fewer than two rows.
    """
    return np.sort(pair_sample(vectors, rows, reserve)[2])


def strata_of(population: Float64[np.ndarray, " P"]) -> Float64[np.ndarray, " e"]:
    """The similarities at which one stratum ends and the next one begins, rising.

    Args:
        population: `similarity_sample` of the embedding that draws.
    """
    highest = max(float(logit(1 - TOP / max(len(population), 2 * TOP))), LOWEST)
    shares = expit(np.linspace(LOWEST, highest, STRATA - 1))
    return np.unique(np.quantile(population, shares, method="higher"))


def stratum_of(
    similarities: Float64[np.ndarray, " n"], edges: Float64[np.ndarray, " e"]
) -> Int64[np.ndarray, " n"]:
    """The stratum, 0 to e, of each similarity; ``edges`` are those of `strata_of`."""
    return np.searchsorted(edges, similarities, side="right").astype(np.int64)


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
    edges = strata_of(population)
    held = np.bincount(stratum_of(population, edges), minlength=len(edges) + 1)
    weights = np.maximum(held[stratum_of(asked_at, edges)], 1).astype(np.float64)
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
        if len(self.pool.every) < 2:
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
        pool = self.pool
        first, second, near = pair_sample(pool.vectors, pool.every, pool.reserve)
        strata = stratum_of(near, strata_of(np.sort(near)))
        order = np.random.default_rng(0).permutation(len(strata))
        order = order[np.argsort(strata[order], kind="stable")]
        starts = np.searchsorted(strata[order], np.arange(strata.max() + 1))
        parts = (part[:_KEPT] for part in np.split(order, starts[1:]))
        return [np.stack((first[each], second[each]), axis=1) for each in parts if len(each)]
