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

W is known from few images, and directions in which those happen to differ little are no better for
it. So the head is drawn to the identity, as far as makes images likeliest that W was not estimated
from (`shrinkage`): where images of a group differ alike in all directions, nothing is learnt.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64

from likewise.answers.placement import places_in_groups
from likewise.models.heads import Head, untouched
from likewise.training.spread import ABSTAIN, Spread

DIRECTIONS = 256
"""Directions of greatest variance that the head sees, at most."""
SHRINKAGES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of the identity in the covariance within groups, of which one is taken."""
FLOOR = 0.2
"""Length that is left of a direction without signal, 0 to 1."""
_BALANCE = 0.75
"""Groups count by their size to this power: small ones more than their share."""
_FOLDS = 5
"""Parts of the images that are left out in turn."""
_KEPT_TOGETHER = 10
"""Images of a group that are in the same part: all of a small one, whose mean they share."""
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
    part = _parts(members, seed)
    apart, weights = deviations(coordinates[told], members, spread.confidence[told])
    within = np.stack([
        (apart[part == each] * weights[part == each, None]).T @ apart[part == each]
        for each in range(part.max() + 1)
    ])  # fmt: skip
    shrink = shrinkage(within)
    return basis.head(discriminating(within.sum(axis=0), np.diag(basis.variances), shrink))


def deviations(
    vectors: Float[np.ndarray, "n D"],
    members: Int64[np.ndarray, " n"],
    confidence: Float64[np.ndarray, " n"],
) -> tuple[Float64[np.ndarray, "n D"], Float64[np.ndarray, " n"]]:
    """How images differ from the means of their groups 0 to G - 1, and what each one weighs.

    The weighed sum of their products is the covariance within groups. Each image counts by its
    confidence, and a group of n images, effectively, is freed of the bias of its own mean by
    ``n / (n - 1)``.
    """
    mass = np.maximum(np.bincount(members, confidence), 1e-9)
    effective = mass**2 / np.maximum(np.bincount(members, confidence**2), 1e-12)
    shares = mass**_BALANCE / (mass**_BALANCE).sum()
    factors = shares / mass * effective / np.maximum(effective - 1, 0.5)
    belongs = np.zeros((len(mass), len(vectors)))
    belongs[members, np.arange(len(vectors))] = confidence
    apart = vectors - ((belongs @ vectors) / mass[:, None])[members]
    return np.asarray(apart), np.asarray(confidence * factors[members])


def shrinkage(within: Float64[np.ndarray, "f D D"]) -> float:
    """The share of the identity, of `SHRINKAGES`, with which parts of the images foretell others.

    By the normal likelihood of each part's covariance when W is that of the other ones, at whatever
    scale: questions about near pairs find images of a group nearer together than they are.

    Args:
        within: The covariance within the groups of each part, of at least two.
    """
    dim, shares, whole = within.shape[1], np.array(SHRINKAGES)[:, None], within.sum(axis=0)
    found = np.zeros(len(shares))
    for left in within:
        values, columns = np.linalg.eigh(whole - left)
        variances = (1 - shares) * np.maximum(values, 0) + shares * values.mean()
        spread = ((columns.T @ left) * columns.T).sum(axis=1) / np.maximum(variances, 1e-300)
        scale = np.maximum(spread.sum(axis=1) / dim, 1e-300)
        likelihood = np.log(np.maximum(variances, 1e-300)).sum(axis=1) + dim * np.log(scale)
        found -= np.trace(left) * likelihood
    return float(SHRINKAGES[int(found.argmax())])


def discriminating(
    within: Float64[np.ndarray, "D D"], total: Float64[np.ndarray, "D D"], shrink: float
) -> Float64[np.ndarray, "D D"]:
    """The map that keeps directions by their signal; its rows have a mean squared length of one.

    It is the identity where ``shrink``, a share above 0 and at most 1, is one.
    """
    dim = len(within)
    noise = max(float(np.trace(within)) / dim, 1e-12)
    values, columns = np.linalg.eigh((1 - shrink) * within + shrink * noise * np.eye(dim))
    whitening = (columns / np.sqrt(np.maximum(values, shrink * noise / 2))) @ columns.T
    variances, directions = np.linalg.eigh(whitening @ total @ whitening)
    signal = 1 - 1 / np.maximum(variances, 1)
    lengths = np.maximum((1 - shrink) * signal + shrink, FLOOR)
    weight = (directions * lengths) @ directions.T @ whitening
    return np.asarray(weight * np.sqrt(dim / (weight**2).sum()))


def _parts(members: Int64[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " n"]:
    """The part, 0 to at most `_FOLDS` - 1, of images of at least two groups; none is empty."""
    rng = np.random.default_rng((seed, 9))
    clusters = np.stack((members, places_in_groups(members, rng) // _KEPT_TOGETHER), axis=1)
    _, cluster = np.unique(clusters, axis=0, return_inverse=True)
    count = int(cluster.max()) + 1
    return np.asarray((rng.permutation(count) % min(_FOLDS, count))[cluster])


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
