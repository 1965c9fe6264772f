"""Flow: what arrives at every image from the placed ones, along the graph of nearest neighbours.

Label spreading (Zhou et al. 2004, "Learning with Local and Global Consistency", eq. 4):
``F = (1 - alpha) (1 - alpha S)^-1 Y`` with S the symmetrically normalised graph and Y the placed
images, a column per group. Each column starts with the same squared length, so that a group does
not win by being asked about more often.

It is solved by Chebyshev's semi-iteration (Golub & Varga 1961): as S has its eigenvalues between
-1 and 1, what is missing after n steps is below ``2 r^n``, r = .63 for an alpha of .9, where the
plain iteration is left with ``alpha^n``. Cost: `_STEPS` products of a sparse matrix (N x 2k) with
a dense one (N x groups).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64
from scipy import sparse

from likewise.answers.placement import Placement

KEPT = 20
"""Nearest neighbours of each image that the graph keeps."""
_ALPHA = 0.9
_STEPS = 8
_LOCAL = 7
"""The distance to this neighbour is an image's scale (Zelnik-Manor & Perona 2004)."""
_COLUMNS = 32
"""Groups that flow at once."""
_SHARPNESS = 2.0
"""Exponent that makes chances of the shares in what arrives."""


@dataclass(frozen=True)
class Arrived:
    """What arrives at every image from the placed ones."""

    best: Int64[np.ndarray, " N"]
    """The group that reaches it most."""
    chance: Float64[np.ndarray, " N"]
    """Its share, sharpened, 0 to 1; 0 where nothing arrives."""
    reach: Float64[np.ndarray, " N"]
    """How much arrives at all."""


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


def arrived(graph: sparse.csr_array, placement: Placement) -> Arrived:
    """Let the placed images' groups flow through the graph."""
    count = graph.shape[0]
    best, most = np.zeros(count, np.int64), np.zeros(count)
    total, reach = np.zeros(count), np.zeros(count)
    for first in range(0, int(placement.groups.max()) + 1, _COLUMNS):
        flow = _flow(graph, placement, first).astype(np.float64)
        place = flow.argmax(axis=1)
        top = flow[np.arange(count), place]
        better = top > most
        best[better], most[better] = place[better] + first, top[better]
        total += (flow**_SHARPNESS).sum(axis=1)
        reach += flow.sum(axis=1)
    return Arrived(best, most**_SHARPNESS / np.where(total > 0, total, 1), reach)


def _flow(graph: sparse.csr_array, placement: Placement, first: int) -> Float32[np.ndarray, "N g"]:
    """What arrives at each image from the groups ``first`` to ``first + _COLUMNS``."""
    groups = min(int(placement.groups.max()) + 1 - first, _COLUMNS)
    mine = (placement.groups >= first) & (placement.groups < first + groups)
    start = np.zeros((graph.shape[0], groups), np.float32)
    start[placement.rows[mine], placement.groups[mine] - first] = placement.confidence[mine]
    lengths = np.sqrt(start.sum(axis=0))
    start /= np.where(lengths > 0, lengths, 1)
    start *= 1 - _ALPHA
    before, flow, weight = start, _ALPHA * (graph @ start) + start, 2.0
    for _ in range(_STEPS - 1):
        weight = 1 / (1 - _ALPHA**2 * weight / 4)
        step = _ALPHA * (graph @ flow) + start - before
        before, flow = flow, before + weight * step
    return np.asarray(np.maximum(flow, 0))
