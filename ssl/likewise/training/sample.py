"""A sample of a large pool, to learn from: images that answers placed, and others at random.

A head is made of a few covariances, which `MOST` images tell as well as a million, and its trials
fit it many times. So learning takes no longer for more images than that.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from likewise.answers.placement import Placement, places_in_groups
from likewise.answers.rivals import Rivals
from likewise.neighbours.faiss_index import FaissIndex
from likewise.neighbours.vector_index import neighbour_graph
from likewise.training.spread import ABSTAIN, Spread

MOST = 10_000
"""Images that a head learns from."""
PLACED = 5000
"""Placed ones among them, at most."""


@dataclass(frozen=True)
class Sample:
    """Some images of a pool, with their own neighbours."""

    rows: Int64[np.ndarray, " n"]
    """Of the pool, ascending."""
    vectors: Float32[np.ndarray, "n D"]
    neighbours: Int64[np.ndarray, "n k"]
    similarities: Float32[np.ndarray, "n k"]
    placement: Placement
    """In rows of the sample."""

    def spread_to(self, told: Spread, count: int) -> Spread:
        """What is told of the sample as a spread over the ``count`` images of the pool."""
        groups, confidence = np.full(count, ABSTAIN, dtype=np.int64), np.zeros(count)
        groups[self.rows], confidence[self.rows] = told.groups, told.confidence
        return Spread(groups, confidence)

    def rivals_in_pool(self, rivals: Rivals) -> Rivals:
        """Rivals in the sample as rows of the pool."""
        return Rivals(
            self.rows[rivals.rows],
            self.rows[rivals.untouched],
            self.rows[rivals.learnt],
            rivals.margin,
        )


def sample_of(
    vectors: Float32[np.ndarray, "N D"],
    k: int,
    placement: Placement,
    among: Bool[np.ndarray, " N"] | None = None,
    seed: int = 0,
) -> Sample:
    """Draw `MOST` images, as many of them placed as there are, at most `PLACED`.

    Args:
        vectors: Unit vectors of the pool.
        k: Neighbours of each image.
        placement: What the answers tell.
        among: Images that may be learnt from; by default all.
        seed: Of the draw.
    """
    rng = np.random.default_rng((seed, 7))
    kept = thinned(placement.groups, PLACED, rng)
    free = np.ones(len(vectors), dtype=bool) if among is None else among.copy()
    free[placement.rows] = False
    others = np.flatnonzero(free)
    count = min(len(others), MOST - len(kept))
    some = rng.choice(others, count, replace=False)
    rows = np.sort(np.concatenate((placement.rows[kept], some)))
    mine = np.ascontiguousarray(vectors[rows])
    keys = np.arange(len(rows), dtype=np.int64)
    index = FaissIndex()
    index.fill(keys, mine)
    return Sample(
        rows,
        mine,
        *neighbour_graph(index, keys, mine, min(k, len(rows) - 1)),
        Placement(
            np.searchsorted(rows, placement.rows[kept]),
            placement.groups[kept],
            placement.confidence[kept],
            placement.undiscovered,
        ),
    )


def thinned(
    groups: Int64[np.ndarray, " n"], most: int, rng: np.random.Generator
) -> Int64[np.ndarray, " m"]:
    """Places of at most ``most`` images, ascending: as many of each group, pairs before loners.

    Groups are numbered the largest first; of more groups than that the first are kept.
    """
    first = np.lexsort((groups, np.maximum(places_in_groups(groups, rng), 1)))
    return np.sort(first[:most])
