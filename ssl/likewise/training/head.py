"""Fit a linear head on frozen unit vectors, in closed form.

The head is a regularised discriminant map (Fisher 1936; shrinkage as Friedman 1989): with S the
covariance within groups, shrunk towards a multiple of the identity, vectors are whitened by
``S^-1/2``; the directions in which the group means differ keep their length, times
``r² / (1 + r²)`` with r the signal there in units of the noise, all others are shortened to
`FLOOR`. That floor is the pull to the identity: what answers say nothing about stays, so that
images of groups that nobody has seen can still be told apart.

Groups count by their size to the power `_BALANCE`: small ones more than their share, but a fragment
of a group that was not recognised as its part does little harm. Images that are left open or
unlabelled are never negatives: they take no part.

What lost against it, on digits and faces: a loss on cosines (logistic, proxies, supervised
contrastive) minimised over the same map by some hundred steps, which is slower by a factor of a
hundred; whitening alone; and `FLOOR` 0, which is slightly better for known groups and much worse
for new ones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int64

from likewise.models.heads import Head
from likewise.training.spread import ABSTAIN, Spread

SHRINK = 0.02
"""Share of the identity in the covariance within groups."""
FLOOR = 0.2
"""Length that is left of a direction in which groups do not differ, 0 to 1."""
_BALANCE = 0.75
_SAMPLE = 20_000
"""Images that the head is fitted on, at most."""
_ROUNDS = 3
_TEMPER = 0.5
"""Distances to group means count so much: dimensions are not independent."""


@dataclass(frozen=True)
class Discriminant:
    """What tells the groups apart."""

    centre: Float64[np.ndarray, " D"]
    whitening: Float64[np.ndarray, "D D"]
    directions: Float64[np.ndarray, "d D"]
    """Orthonormal, in the whitened space."""
    ratios: Float64[np.ndarray, " d"]
    """Signal over noise along each direction."""
    means: Float64[np.ndarray, "G d"]
    """Of the groups, along the directions."""

    def along(self, vectors: Float[np.ndarray, "N D"]) -> Float64[np.ndarray, "N d"]:
        """Coordinates of vectors along the directions."""
        return np.asarray((vectors - self.centre) @ self.whitening @ self.directions.T)


def fit_head(
    vectors: Float32[np.ndarray, "N D"], spread: Spread, blend: float = 1.0, seed: int = 0
) -> Head:
    """The head for the images whose group is told, with ``blend`` not yet tested.

    Fewer than two groups of two images teach nothing: the head then has no part.
    See `likewise.training.gate` for what tests it.
    """
    sample = _sample(spread, seed)
    groups, members = np.unique(spread.groups[sample], return_inverse=True)
    if len(groups) < 2 or len(sample) < len(groups) + 2:
        return Head(np.zeros((0, vectors.shape[1]), np.float32), np.zeros(0, np.float32), 0.0)
    chances = np.zeros((len(sample), len(groups)))
    chances[np.arange(len(sample)), members] = spread.confidence[sample]
    return head_of(discriminant(np.asarray(vectors[sample]), chances), blend)


def head_of(found: Discriminant, blend: float) -> Head:
    """The head that a discriminant makes."""
    kept = found.ratios**2 / (1 + found.ratios**2)
    longer = (found.directions.T * np.maximum(kept - FLOOR, 0)) @ found.directions
    weight = (longer + FLOOR * np.eye(len(longer))) @ found.whitening
    scale = np.sqrt(len(weight) / np.trace(weight @ weight.T))
    return Head(
        (scale * weight).astype(np.float32),
        (-scale * weight @ found.centre).astype(np.float32),
        blend,
    )


def discriminant(
    vectors: Float[np.ndarray, "n D"], chances: Float64[np.ndarray, "n G"]
) -> Discriminant:
    """The directions in which groups differ, for images that belong to them with some chance."""
    origin = vectors.mean(axis=0, dtype=np.float64)
    centred = (vectors - origin).astype(np.float64)
    sizes = np.maximum(chances.sum(axis=0), 1e-9)
    shares = sizes**_BALANCE / (sizes**_BALANCE).sum()
    means = chances.T @ centred / sizes[:, None]
    weights = chances @ (shares / sizes)
    dim = vectors.shape[1]
    within = (centred * weights[:, None]).T @ centred - (means * shares[:, None]).T @ means
    noise = max(float(np.trace(within)) / dim, 1e-12)
    values, basis = np.linalg.eigh((1 - SHRINK) * within + SHRINK * noise * np.eye(dim))
    whitening = (basis / np.sqrt(np.maximum(values, SHRINK * noise / 2))) @ basis.T
    middle = shares @ means
    apart = ((means - middle) @ whitening) * np.sqrt(shares)[:, None]
    _, ratios, directions = np.linalg.svd(apart, full_matrices=False)
    kept = min(len(means) - 1, dim)
    ratios, directions = ratios[:kept], directions[:kept]
    return Discriminant(
        centre=origin + middle,
        whitening=whitening,
        directions=directions,
        ratios=ratios,
        means=(means - middle) @ whitening @ directions.T,
    )


def refine(vectors: Float32[np.ndarray, "N D"], spread: Spread, seed: int = 0) -> Spread:
    """Let graph and head correct each other: groups that are likely by both.

    A few rounds of expectation-maximisation: the chances that the graph gives, times the normal
    density around each group's mean where the groups are told apart. Images that are left open
    stay open; sure ones (placed by answers) hardly move.
    """
    sample = _sample(spread, seed)
    groups, members = np.unique(spread.groups[sample], return_inverse=True)
    if len(groups) < 2 or len(sample) < len(groups) + 2:
        return spread
    part = np.asarray(vectors[sample])
    prior = _prior(members, spread.confidence[sample], len(groups))
    chances = prior
    for _ in range(_ROUNDS):
        found = discriminant(part, chances)
        sizes = chances.sum(axis=0)
        chances = _posterior(found, part, prior, sizes)
    refined, confidence = spread.groups.copy(), spread.confidence.copy()
    fitted = np.flatnonzero(np.isin(spread.groups, groups))
    for start in range(0, len(fitted), _SAMPLE):
        rows = fitted[start : start + _SAMPLE]
        places = np.searchsorted(groups, spread.groups[rows])
        prior = _prior(places, spread.confidence[rows], len(groups))
        chances = _posterior(found, np.asarray(vectors[rows]), prior, sizes)
        refined[rows], confidence[rows] = groups[chances.argmax(axis=1)], chances.max(axis=1)
    return Spread(refined, confidence)


def _prior(
    members: Int64[np.ndarray, " n"], confidence: Float64[np.ndarray, " n"], groups: int
) -> Float64[np.ndarray, "n G"]:
    prior = np.repeat(((1 - confidence) / (groups - 1))[:, None], groups, axis=1)
    prior[np.arange(len(members)), members] = confidence
    return prior


def _posterior(
    found: Discriminant,
    vectors: Float[np.ndarray, "n D"],
    prior: Float64[np.ndarray, "n G"],
    sizes: Float64[np.ndarray, " G"],
) -> Float64[np.ndarray, "n G"]:
    at = found.along(vectors)
    squares = (at**2).sum(axis=1)[:, None] - 2 * at @ found.means.T + (found.means**2).sum(axis=1)
    scores = np.log(np.maximum(prior, 1e-12)) - _TEMPER / 2 * squares
    scores += np.log(np.maximum(sizes, 1e-12) / sizes.sum())
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


def _sample(spread: Spread, seed: int) -> Int64[np.ndarray, " n"]:
    """Told images of groups of two or more, at most `_SAMPLE` of them, drawn at random."""
    told = np.flatnonzero(spread.groups != ABSTAIN)
    sizes = np.bincount(spread.groups[told], minlength=1)
    told = told[sizes[spread.groups[told]] > 1]
    if len(told) > _SAMPLE:
        told = np.sort(np.random.default_rng(seed).choice(told, _SAMPLE, replace=False))
    return told
