"""In which order to look at images so that few of them stand for all."""

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32, Int64

_BLOCK = 512
_NEIGHBOURHOOD = 0.02
"""Share of the images that a typical image should cover."""


def coverage_order(vectors: Float32[np.ndarray, "n D"]) -> Iterator[int]:
    """Rows of unit ``vectors``, the most typical first, then whatever is least covered so far.

    Greedy maximisation of the facility location ``sum_t max_{s chosen} k(s, t)`` with
    ``k = exp((cos - 1) / h)`` (as MaxHerding, Bae et al. 2024), where ``h`` is the median distance
    ``1 - cos`` to the 2 % nearest images. Lazy once the kernel matrix is made; it is kept, and
    takes 4 n² bytes.
    """
    if len(vectors) == 0:
        return
    count, width = len(vectors), typical_distance(vectors)
    kernel = np.empty((count, count), dtype=np.float32)
    for at in range(0, count, _BLOCK):
        kernel[at : at + _BLOCK] = np.exp((vectors[at : at + _BLOCK] @ vectors.T - 1) / width)
    gains = kernel.sum(axis=1)
    covered = np.zeros(count, dtype=np.float32)
    queue = [(-float(gain), 0, row) for row, gain in enumerate(gains)]
    heapq.heapify(queue)
    chosen = 0
    while queue:
        _, known_at, row = heapq.heappop(queue)
        near = kernel[row]
        if known_at < chosen:
            gain = float(np.maximum(near - covered, 0).sum())
            heapq.heappush(queue, (-gain, chosen, row))
            continue
        np.maximum(covered, near, out=covered)
        chosen += 1
        yield row


def sampled_coverage_order(
    vectors_of: Callable[[Int64[np.ndarray, " s"]], Float32[np.ndarray, "s D"]],
    rows: Int64[np.ndarray, " n"],
    sample: int,
    rng: np.random.Generator,
) -> Iterator[int]:
    """All ``rows``: up to ``sample`` of them, drawn at random, in coverage order; then the rest."""
    mixed = rng.permutation(rows)
    first = np.sort(mixed[:sample])
    for place in coverage_order(vectors_of(first)):
        yield int(first[place])
    yield from mixed[sample:].tolist()


def typical_distance(vectors: Float32[np.ndarray, "n D"]) -> float:
    """Median distance ``1 - cos`` to the neighbour at the edge of a typical neighbourhood."""
    some = vectors[:: max(1, len(vectors) // 256)]
    distances = np.sort(1 - some @ vectors.T, axis=1)
    edge = min(len(vectors) - 1, max(1, round(_NEIGHBOURHOOD * len(vectors))))
    return max(float(np.median(distances[:, edge])), 1e-3)
