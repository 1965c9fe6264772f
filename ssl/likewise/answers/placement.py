"""Which group each placed image belongs to, as far as answers tell."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class Placement:
    """Images that answers placed, and how sure that is."""

    rows: Int64[np.ndarray, " n"]
    """Rows of the pool's vectors, each once."""
    groups: Int64[np.ndarray, " n"]
    """Number of the group of each, 0 to G - 1, the largest group first."""
    confidence: Float64[np.ndarray, " n"]
    """Posterior probability of that group, 0 to 1."""
    undiscovered: float
    """Share of the images, 0 to 1, whose group has no placed image yet (Good-Turing estimate)."""


def places_in_groups(
    groups: Int64[np.ndarray, " n"], rng: np.random.Generator
) -> Int64[np.ndarray, " n"]:
    """The place of each image among those of its group, from 0, in an order that is drawn."""
    mixed = rng.permutation(len(groups))
    order = mixed[np.argsort(groups[mixed], kind="stable")]
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(order)) - np.searchsorted(groups[order], groups[order])
    return places


def with_calibrated(placement: Placement, similar: Iterable[tuple[int, int]]) -> Placement:
    """The placement and the images that only answers kept for calibration tell the group of.

    Nothing learns from those answers, but who wants to know the groups wants them too.

    Args:
        placement: What the other answers tell.
        similar: Rows of the pairs that were called similar to calibrate, the oldest first.
    """
    places = {row: place for place, row in enumerate(placement.rows.tolist())}
    joined: dict[int, int] = {}
    for one, two in similar:
        for row, known in ((one, two), (two, one)):
            if known in places and row not in places:
                joined.setdefault(row, places[known])
    if not joined:
        return placement
    into = np.fromiter(joined.values(), np.int64)
    return replace(
        placement,
        rows=np.concatenate((placement.rows, np.fromiter(joined, np.int64))),
        groups=np.concatenate((placement.groups, placement.groups[into])),
        confidence=np.concatenate((placement.confidence, placement.confidence[into])),
    )
