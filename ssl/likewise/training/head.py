"""Fit a linear head on frozen unit vectors, in closed form.

Probabilistic linear discriminant analysis (Ioffe 2006): with T the covariance of all images and W
that within groups, vectors are whitened by ``W^-1/2``; there a direction of variance v holds
``v - 1`` of signal beside 1 of noise, and keeps the length ``1 - 1/v``, at least `FLOOR`. That
floor is the pull to the identity: what answers say nothing about stays, so that images of groups
that nobody has seen can still be told apart.

What lies between groups is all that does not lie within them, so no two groups are pushed apart
here: groups that happen to be parts of one class, as random questions find them, do little harm. T
is free, from all images that may be learnt from, and so are its first directions, the only ones
that the head sees. Images whose group is not told are never negatives: they count in T alone.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from likewise.models.heads import Head, untouched
from likewise.training.spread import ABSTAIN, Spread

DIRECTIONS = 256
"""Directions of greatest variance that the head sees, at most."""
SHRINK = 0.02
"""Share of the identity in the covariance within groups."""
FLOOR = 0.2
"""Length that is left of a direction without signal, 0 to 1."""
_BALANCE = 0.75
"""Groups count by their size to this power: small ones more than their share."""
_SAMPLE = 20_000
"""Images that a covariance is estimated from, at most."""


@dataclass(frozen=True)
class Basis:
    """Where images vary most, with no answers needed."""

    centre: Float64[np.ndarray, " D"]
    directions: Float64[np.ndarray, "d D"]
    """Orthonormal, the one of greatest variance first."""
    variances: Float64[np.ndarray, " d"]

    def along(self, vectors: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "N d"]:
        """Coordinates of vectors along the directions."""
        directions = self.directions.astype(np.float32)
        return np.asarray(vectors @ directions.T - (directions @ self.centre).astype(np.float32))

    def head(self, weight: Float64[np.ndarray, "h d"]) -> Head:
        """The head that maps coordinates by this matrix, with a blend of 1."""
        whole = weight @ self.directions
        return Head(whole.astype(np.float32), (-whole @ self.centre).astype(np.float32), 1.0)


def basis_of(
    vectors: Float32[np.ndarray, "N D"], among: Bool[np.ndarray, " N"] | None = None, seed: int = 0
) -> Basis:
    """Centre and principal directions of the images that may be learnt from."""
    every = np.arange(len(vectors)) if among is None else np.flatnonzero(among)
    some = np.asarray(vectors[_some(every, seed)], dtype=np.float64)
    centre = some.mean(axis=0)
    values, columns = np.linalg.eigh((some - centre).T @ (some - centre) / max(len(some), 1))
    kept = np.argsort(-values, kind="stable")[:DIRECTIONS]
    return Basis(centre, columns.T[kept], np.maximum(values[kept], 0))


def fit_head(
    basis: Basis, coordinates: Float32[np.ndarray, "N d"], spread: Spread, seed: int = 0
) -> Head:
    """The head for the images whose group is told, with a blend of 1 that is not yet tested.

    Fewer than two groups of two images teach nothing: the head then has no part.
    `likewise.training.gate` tests what is fitted.
    """
    told = _some(_together(spread), seed)
    groups, members = np.unique(spread.groups[told], return_inverse=True)
    if len(groups) < 2:
        return untouched(len(basis.centre))
    within = covariance_within(coordinates[told], members, spread.confidence[told])
    return basis.head(discriminating(within, np.diag(basis.variances)))


def covariance_within(
    vectors: Float[np.ndarray, "n D"],
    members: Int64[np.ndarray, " n"],
    confidence: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, "D D"]:
    """Covariance around the means of groups 0 to G - 1, each image weighed by its confidence.

    A group of n images, effectively, is freed of the bias of its own mean by ``n / (n - 1)``.
    """
    mass = np.maximum(np.bincount(members, confidence), 1e-9)
    effective = mass**2 / np.maximum(np.bincount(members, confidence**2), 1e-12)
    shares = mass**_BALANCE / (mass**_BALANCE).sum()
    factors = shares / mass * effective / np.maximum(effective - 1, 0.5)
    belongs = np.zeros((len(mass), len(vectors)))
    belongs[members, np.arange(len(vectors))] = confidence
    apart = vectors - ((belongs @ vectors) / mass[:, None])[members]
    return np.asarray((apart * (confidence * factors[members])[:, None]).T @ apart)


def discriminating(
    within: Float64[np.ndarray, "D D"], total: Float64[np.ndarray, "D D"]
) -> Float64[np.ndarray, "D D"]:
    """The map that keeps directions by their signal; its rows have a mean squared length of one."""
    dim = len(within)
    noise = max(float(np.trace(within)) / dim, 1e-12)
    values, columns = np.linalg.eigh((1 - SHRINK) * within + SHRINK * noise * np.eye(dim))
    whitening = (columns / np.sqrt(np.maximum(values, SHRINK * noise / 2))) @ columns.T
    variances, directions = np.linalg.eigh(whitening @ total @ whitening)
    lengths = np.maximum(1 - 1 / np.maximum(variances, 1), FLOOR)
    weight = (directions * lengths) @ directions.T @ whitening
    return np.asarray(weight * np.sqrt(dim / (weight**2).sum()))


def _together(spread: Spread) -> Int64[np.ndarray, " n"]:
    """Told images of groups of two or more."""
    told = np.flatnonzero(spread.groups != ABSTAIN)
    sizes = np.bincount(spread.groups[told], minlength=1)
    return np.asarray(told[sizes[spread.groups[told]] > 1])


def _some(rows: Int64[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " m"]:
    """At most `_SAMPLE` of the rows, drawn at random."""
    if len(rows) <= _SAMPLE:
        return rows
    drawn = np.random.default_rng(seed).choice(rows, _SAMPLE, replace=False)
    return np.asarray(np.sort(drawn))
