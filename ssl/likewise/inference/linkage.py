"""Cutting chains: groups of which every two members are similar enough. Pure.

Shapes: N images, D dimensions, n members of a component.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

_NEVER = 8.0
"""A distance above all others."""

Apart = Callable[[Int64[np.ndarray, " n"]], Bool[np.ndarray, "n n"] | None]
"""Which pairs of some rows must not share a group; None if all may."""


@dataclass(frozen=True)
class NearGroup:
    """Images of which every two are similar enough."""

    rows: Int64[np.ndarray, " n"]
    weakest: float
    """Similarity of the least similar pair; of groups of thousands a lower bound."""


def complete_linkage(
    vectors: Float32[np.ndarray, "N D"],
    members: Int64[np.ndarray, " n"],
    threshold: float,
    apart: Apart,
) -> Iterator[NearGroup]:
    """Cut some rows into groups whose weakest pair reaches the threshold; yield those of several.

    Complete linkage (Sørensen 1948): the two groups are joined first whose least similar members
    are most similar. Memory: 8 n^2 bytes, a few times.

    Args:
        vectors: Unit vectors of all images.
        members: Rows of a component. Where similarities tie, earlier rows are joined first.
        threshold: Cosine that every pair of a group has at least, -1 to 1.
        apart: Tells pairs that may not share a group.
    """
    own = np.asarray(vectors[members])
    cosines = np.clip((own @ own.T).astype(np.float64), -1, 1)
    cosines = np.minimum(cosines, cosines.T)
    forbidden = apart(members)
    distances = 1 - cosines
    if forbidden is not None:
        distances[forbidden] = _NEVER
    np.fill_diagonal(distances, 0)
    within = 1 - threshold + 1e-6  # float32's last digit
    labels = np.zeros(len(members), int)
    if distances.max() > within:
        merges = linkage(squareform(distances, checks=False), "complete")
        labels = fcluster(merges, within, "distance")
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) > 1:
            yield NearGroup(members[places], float(cosines[np.ix_(places, places)].min()))


def balls(
    vectors: Float32[np.ndarray, "N D"],
    members: Int64[np.ndarray, " n"],
    within: float,
    apart: Apart,
) -> Iterator[NearGroup]:
    """Groups around leaders: who is within half the angle of one is within the whole of another.

    The first open row leads (Hartigan 1975). Not as few groups as can be, but the same promise, in
    n D memory: for thousands of pictures that are all alike, such as blank pages.
    """
    open_, own = members, np.asarray(vectors[members])
    while len(open_):
        cosines = own @ own[0]
        near = cosines >= within
        near[0] = True
        near[np.flatnonzero(near)[_clashing(open_[near], apart)]] = False
        if near.sum() > 1:
            angle = np.arccos(min(1.0, float(cosines[near].min())))
            yield NearGroup(open_[near], float(np.cos(2 * angle)))
        open_, own = open_[~near], own[~near]


def _clashing(rows: Int64[np.ndarray, " n"], apart: Apart) -> Int64[np.ndarray, " c"]:
    """Places of rows that may not be with an earlier one that stays."""
    forbidden = apart(rows)
    if forbidden is None:
        return np.empty(0, np.int64)
    stays = np.ones(len(rows), bool)
    for place in np.flatnonzero(forbidden.any(axis=1)).tolist():
        stays[place] = not (forbidden[place, :place] & stays[:place]).any()
    return np.flatnonzero(~stays)
