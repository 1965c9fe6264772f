"""What is near to an image: the placed image nearest to it, and the next group. Pure.

Shapes: P images that are looked at, M placed ones, J that are judged.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from likewise.answers.placement import Placement


@dataclass(frozen=True)
class Near:
    """What is near to each image: distances to the nearest placed one and to the next group."""

    first: Float64[np.ndarray, " P"]
    group: Int64[np.ndarray, " P"]
    second: Float64[np.ndarray, " P"]


@dataclass(frozen=True)
class Judged:
    """Placed images, each put with the nearest other one."""

    near: Near
    right: Float64[np.ndarray, " J"]
    """1 where that is one of its own group."""
    sure: Float64[np.ndarray, " J"]
    """How sure its own place is, 0 to 1."""


def judge(
    vectors: Shaped[np.ndarray, "N D"], placement: Placement, fresh: Bool[np.ndarray, " M"] | None
) -> Judged:
    """The images in groups of several; images that stand alone judge nothing."""
    grouped = np.bincount(placement.groups)[placement.groups] > 1
    tried = np.flatnonzero(grouped if fresh is None else grouped & fresh)
    known, groups = _rows(vectors, placement.rows), placement.groups
    apart = _distances(known[tried], known)
    apart[np.arange(len(tried)), tried] = np.inf
    apart[:, ~grouped] = np.inf
    if not np.isfinite(apart).any():
        return Judged(Near(np.zeros(0), groups[:0], np.zeros(0)), np.zeros(0), np.zeros(0))
    near = _nearest(apart, groups)
    told = np.isfinite(near.second)
    return Judged(
        Near(near.first[told], near.group[told], near.second[told]),
        (near.group == groups[tried])[told].astype(np.float64),
        placement.confidence[tried][told],
    )


def _rows(
    vectors: Shaped[np.ndarray, "N D"], rows: Int64[np.ndarray, " n"]
) -> Float32[np.ndarray, "n D"]:
    return np.asarray(vectors[rows], dtype=np.float32)


def _distances(
    one: Float32[np.ndarray, "a D"], two: Float32[np.ndarray, "b D"]
) -> Float64[np.ndarray, "a b"]:
    """Between unit vectors."""
    squared = 2 - 2 * (one @ two.T).astype(np.float64)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def near_to(
    vectors: Shaped[np.ndarray, "N D"], rows: Int64[np.ndarray, " P"], placement: Placement
) -> Near:
    """Of images that are not placed."""
    apart = _distances(_rows(vectors, rows), _rows(vectors, placement.rows))
    return _nearest(apart, placement.groups)


def _nearest(distances: Float64[np.ndarray, "P M"], groups: Int64[np.ndarray, " M"]) -> Near:
    place = distances.argmin(axis=1)
    nearest = groups[place]
    others = np.where(groups[None] == nearest[:, None], np.inf, distances)
    return Near(distances[np.arange(len(place)), place], nearest, others.min(axis=1))


def standard_of(near: Near) -> tuple[Float64[np.ndarray, " 2"], Float64[np.ndarray, " 2"]]:
    """Mean and standard deviation of distance and gap over the pool."""
    both = np.stack((near.first, near.second - near.first))
    spread = both.std(axis=1)
    return both.mean(axis=1), np.where(spread > 0, spread, 1.0)


def features(
    near: Near, centre: Float64[np.ndarray, " 2"], scale: Float64[np.ndarray, " 2"]
) -> Float64[np.ndarray, "P 3"]:
    """One, nearness and gap, each larger where an image is surer to be right."""
    gap = np.where(np.isfinite(near.second), near.second - near.first, 0.0)
    return np.stack(
        (
            np.ones_like(near.first),
            (centre[0] - near.first) / scale[0],
            (gap - centre[1]) / scale[1],
        ),
        axis=-1,
    )
