"""Spread: from the images that answers placed to all images, along the neighbour graph.

Label spreading (Zhou et al. 2004, "Learning with Local and Global Consistency", eq. 3):
``F <- alpha S F + (1 - alpha) Y`` with S the symmetrically normalised graph of nearest neighbours
and Y the placed images, a column per group. Each column starts with the same squared length, so
that a group does not win by being asked about more often. Cost: `_STEPS` products of a sparse
matrix (N x 2k) with a dense one (N x groups).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64
from scipy import sparse

from likewise.answers.placement import Placement

ABSTAIN = -1
KEPT = 20
"""Nearest neighbours of each image that the graph keeps."""
_ALPHA = 0.9
_STEPS = 30
_LOCAL = 7
"""The distance to this neighbour is an image's scale (Zelnik-Manor & Perona 2004)."""
_COLUMNS = 32
"""Groups that are spread at once."""
_SHARPNESS = (1.0, 1.5, 2.0, 3.0, 4.0)
_USUAL_SHARPNESS = 2.0
_BELIEVED = 10.0
"""Hidden placed images that it takes to move the usual sharpness by a factor e."""
_FLOOR = 0.02
"""Share of hidden images that may be anywhere, whatever the graph says."""
_LEAST = 0.5


@dataclass(frozen=True)
class Spread:
    """The group of every image of a pool, where that can be told."""

    groups: Int64[np.ndarray, " N"]
    """Number of the group, as in the placement; -1 where it cannot be told."""
    confidence: Float64[np.ndarray, " N"]
    """Chance that this is the group, 0 to 1; 0 where it cannot be told."""


def spread(
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    placement: Placement,
    among: Bool[np.ndarray, " N"] | None = None,
) -> Spread:
    """Say of every image to which group it belongs, and how surely; abstain where it is unclear.

    Placed images keep their group and confidence. Another image's share of what arrives from the
    groups is sharpened to a chance, by the exponent that suits hidden placed images best. Images
    whose likeliest group has a chance below a half are left open, and so is the share
    ``placement.undiscovered`` of the images that are not placed: those that the groups reach least.

    Args:
        neighbours: The nearest images of each, nearest first, -1 where there are fewer.
        similarities: Their cosine similarities, -1 to 1.
        placement: What the answers tell.
        among: Images that may take part; by default all. The others are left open.
    """
    count = len(neighbours)
    groups = np.full(count, ABSTAIN, dtype=np.int64)
    confidence = np.zeros(count)
    if len(placement.rows) == 0:
        return Spread(groups, confidence)
    graph = neighbour_graph(neighbours, similarities, among)
    sharpness = _sharpness_of(graph, placement)
    best, chance, reach = _likeliest(graph, placement, sharpness)
    open_ = np.ones(count, dtype=bool) if among is None else among.copy()
    open_[placement.rows] = False
    candidates = np.flatnonzero(open_)
    dropped = round(placement.undiscovered * len(candidates))
    nearest = candidates[np.argsort(-reach[candidates], kind="stable")]
    told = nearest[: len(nearest) - dropped]
    told = told[(reach[told] > 0) & (chance[told] >= _LEAST)]
    groups[told], confidence[told] = best[told], chance[told]
    groups[placement.rows], confidence[placement.rows] = placement.groups, placement.confidence
    return Spread(groups, confidence)


def neighbour_graph(
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    among: Bool[np.ndarray, " N"] | None = None,
) -> sparse.csr_array:
    """S = D^-1/2 W D^-1/2 of the symmetric graph with weights exp(-d_ij / sqrt(s_i s_j)).

    d is 1 - cosine, s the distance to the seventh neighbour (at least a tenth of its median, so
    that copies of an image do not part from the rest).
    """
    count, kept = len(neighbours), min(KEPT, neighbours.shape[1])
    near = neighbours[:, :kept].astype(np.int64)
    distances = np.maximum(1 - similarities[:, :kept].astype(np.float64), 0)
    known = near >= 0
    if among is not None:
        known &= among[:, None] & among[near]
    scale = distances[:, min(_LOCAL, kept) - 1]
    scale = np.maximum(scale, max(0.1 * float(np.median(scale)), 1e-9))
    weights = np.exp(-distances / np.sqrt(scale[:, None] * scale[near]))
    from_ = np.broadcast_to(np.arange(count)[:, None], near.shape)[known]
    shape = (count, count)
    one_way = sparse.csr_array((weights[known], (from_, near[known])), shape=shape)
    both_ways = one_way.maximum(one_way.T)
    degrees = np.asarray(both_ways.sum(axis=1)).ravel()
    inverse = 1 / np.sqrt(np.where(degrees > 0, degrees, 1))
    scaling = sparse.dia_array((inverse[None], [0]), shape=shape)
    return sparse.csr_array(scaling @ both_ways @ scaling, dtype=np.float32)


def _flow(graph: sparse.csr_array, placement: Placement, first: int) -> Float32[np.ndarray, "N g"]:
    """What arrives at each image from the groups ``first`` to ``first + _COLUMNS``."""
    groups = min(int(placement.groups.max()) + 1 - first, _COLUMNS)
    mine = (placement.groups >= first) & (placement.groups < first + groups)
    start = np.zeros((graph.shape[0], groups), np.float32)
    start[placement.rows[mine], placement.groups[mine] - first] = placement.confidence[mine]
    lengths = np.sqrt(start.sum(axis=0))
    start /= np.where(lengths > 0, lengths, 1)
    flow = start
    for _ in range(_STEPS):
        flow = _ALPHA * (graph @ flow) + (1 - _ALPHA) * start
    return np.asarray(flow, dtype=np.float32)


def _likeliest(
    graph: sparse.csr_array, placement: Placement, sharpness: float
) -> tuple[Int64[np.ndarray, " N"], Float64[np.ndarray, " N"], Float64[np.ndarray, " N"]]:
    """Of every image: the group that reaches it most, its chance, and how much arrives at all."""
    count = graph.shape[0]
    best, most = np.zeros(count, np.int64), np.zeros(count)
    total, reach = np.zeros(count), np.zeros(count)
    for first in range(0, int(placement.groups.max()) + 1, _COLUMNS):
        flow = _flow(graph, placement, first).astype(np.float64)
        place = flow.argmax(axis=1)
        top = flow[np.arange(count), place]
        better = top > most
        best[better], most[better] = place[better] + first, top[better]
        total += (flow**sharpness).sum(axis=1)
        reach += flow.sum(axis=1)
    chance = most**sharpness / np.where(total > 0, total, 1)
    return best, chance, reach


def _sharpness_of(graph: sparse.csr_array, placement: Placement) -> float:
    """The exponent of the shares under which every other placed image of a group is likeliest."""
    order = np.lexsort((placement.rows, placement.groups))
    rank = np.empty(len(order), np.int64)
    starts = np.searchsorted(placement.groups[order], placement.groups[order])
    rank[order] = np.arange(len(order)) - starts
    hidden = rank % 2 == 1
    if not hidden.any():
        return _USUAL_SHARPNESS
    shown = Placement(
        placement.rows[~hidden],
        placement.groups[~hidden],
        placement.confidence[~hidden],
        placement.undiscovered,
    )
    groups = int(placement.groups.max()) + 1
    flows = [
        _flow(graph, shown, first)[placement.rows[hidden]] for first in range(0, groups, _COLUMNS)
    ]
    shares = np.concatenate(flows, axis=1).astype(np.float64)
    right = np.arange(len(shares)), placement.groups[hidden]

    def likelihood(sharpness: float) -> float:
        powers = (shares / np.maximum(shares.max(axis=1, keepdims=True), 1e-30)) ** sharpness
        chances = powers[right] / np.maximum(powers.sum(axis=1), 1e-30)
        mixed = (1 - _FLOOR) * chances + _FLOOR / groups
        prior = -_BELIEVED / 2 * np.log(sharpness / _USUAL_SHARPNESS) ** 2
        return float((placement.confidence[hidden] * np.log(mixed)).sum() + prior)

    return max(_SHARPNESS, key=likelihood)
