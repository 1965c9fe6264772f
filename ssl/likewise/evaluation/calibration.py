"""From a similarity to the probability that two images are the same, learnt from answers. Pure.

The pairs kept for calibration were drawn uniformly over similarity, so at each similarity they say
how often a pair is the same. The curve is Platt's (1999), over the distance d of the vectors, above
a floor: P(same) = l + (1 - l) / (1 + exp(-b (c - d))). An answer is not the truth: with the rates m
of misses and f of false ones, "similar" is said with probability f + (1 - m - f) P (as in the
psychometric curves of Wichmann & Hill 2001). The three numbers are averaged over their posterior,
summed on a grid: with few answers a best fit would be much too sure. From `ISOTONIC_FROM` answers
on, isotonic regression takes over. Shapes: n answers, K similarities, S draws, G grid points.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from likewise.evaluation.logistic import sigmoid

FEWEST = 20
"""Drawn answers below which nothing is said."""
ISOTONIC_FROM = 1000
"""Drawn answers from which isotonic regression takes over: it needs no shape, but many answers."""
DRAWS = 400
LEVEL = 0.95
_FLOORS = (0.0, 0.0, 0.001, 0.003, 0.01, 0.03)
"""What the share of same pairs may level off at where images are far apart, all equally likely."""
_SLOPES = (2.0, 200.0, 25)
"""Least and greatest slope per unit of distance, and how many between them."""
_USUAL_SLOPE, _SPREAD = 30.0, 1.0
"""Median of the slope's prior, and the standard deviation of its logarithm. This and the floors
were chosen on digits and faces."""
_CENTRES, _BEYOND = 121, 0.25
"""Places where the curve may rise; so much of the range beyond both of its ends."""
_RATES = (0.01, 0.005)
"""Error rates that everybody is granted: misses and false ones."""
_LEVELS = 257


@dataclass(frozen=True)
class Calibration:
    """How likely a pair is the same, by its similarity."""

    method: Literal["platt", "isotonic"]
    answers: int
    """Drawn ones it rests on."""
    similar: int
    """Of these, how many said the same; if few, rates of same pairs are vague."""
    levels: Float64[np.ndarray, " K"]
    """Similarities, rising."""
    chances: Float64[np.ndarray, " K"]
    """Probability at each level, never falling."""
    draws: Float64[np.ndarray, "S K"]
    """The same as it might as well be, given so few answers."""
    answered: Float64[np.ndarray, " n"]
    """Similarities of the answered pairs."""

    def probability(self, similarity: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """The chance that pairs of these similarities are the same, 0 to 1."""
        return np.asarray(np.interp(similarity, self.levels, self.chances))

    def interval(self, similarity: float) -> tuple[float, float]:
        """The 95 % interval of that chance."""
        low, high = self.intervals(np.array([similarity], np.float64))[0]
        return float(low), float(high)

    def intervals(self, similarity: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, "n 2"]:
        """Low and high end of the 95 % interval of each chance."""
        at = np.stack([np.interp(similarity, self.levels, each) for each in self.draws])
        return np.asarray(np.quantile(at, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).T)


def enough(same: Bool[np.ndarray, " n"]) -> bool:
    """Whether answers can tell anything: `FEWEST` of them, of both kinds."""
    return len(same) >= FEWEST and bool(same.any()) and not bool(same.all())


def calibrate(
    similarities: Float64[np.ndarray, " n"],
    same: Bool[np.ndarray, " n"],
    levels: Float64[np.ndarray, " K"],
    rates: Float64[np.ndarray, "n 2"] | None = None,
    weights: Float64[np.ndarray, " n"] | None = None,
    seed: int = 0,
) -> Calibration | None:
    """Learn the probability from drawn answers; None where there are too few.

    Args:
        similarities: Of the answered pairs.
        same: Whether each was called similar.
        levels: Similarities to describe it at, rising; `levels_of` gives some.
        rates: How often who gave the answer misses a same pair and calls a different one similar.
        weights: How many pairs each answer stands for; needed where pairs were drawn by another
            similarity than the one here. By default all the same.
        seed: Of the draws.
    """
    if not enough(same):
        return None
    counts = np.ones(len(same)) if weights is None else _effective(weights)
    errors = np.maximum(np.zeros((len(same), 2)) if rates is None else rates, _RATES)
    rng = np.random.default_rng(seed)
    if len(same) >= ISOTONIC_FROM:
        targets = (same - errors[:, 1]) / (1 - errors.sum(axis=1))
        resampled = rng.exponential(size=(DRAWS // 2, len(same)))
        curves = np.stack(
            [
                np.clip(isotonic(similarities, targets, each * counts, levels), 0.0, 1.0)
                for each in (np.ones(len(same)), *resampled)
            ]
        )
        return Calibration(
            "isotonic", len(same), int(same.sum()), levels, curves[0], curves[1:], similarities
        )
    at = _scale(levels)
    grid = _grid(float(at[0]), float(at[-1]))
    chance = _posterior(grid, _scale(similarities), same, errors, counts)
    drawn = grid[rng.choice(len(grid), DRAWS, p=chance)]
    draws = _curves(drawn, at)
    return Calibration(
        "platt", len(same), int(same.sum()), levels, draws.mean(axis=0), draws, similarities
    )


def _scale(similarity: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Minus the distance of unit vectors of this cosine, -2 to 0: logits are straighter in it."""
    return np.asarray(-np.sqrt(np.maximum(2 - 2 * similarity, 0.0)))


def _grid(lowest: float, highest: float) -> Float64[np.ndarray, "G 3"]:
    """Centres, slopes and floors."""
    beyond = _BEYOND * (highest - lowest)
    axes = (
        np.linspace(lowest - beyond, highest + beyond, _CENTRES),
        np.geomspace(*_SLOPES),
        np.array(_FLOORS),
    )
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _curves(
    parameters: Float64[np.ndarray, "G 3"], at: Float64[np.ndarray, " K"]
) -> Float64[np.ndarray, "G K"]:
    """The probability that a pair is the same."""
    centre, slope, floor = (parameters[:, [each]] for each in range(3))
    chances = floor + (1 - floor) * sigmoid(slope * (at - centre))
    return np.asarray(np.clip(chances, 1e-9, 1 - 1e-9))


def _posterior(
    grid: Float64[np.ndarray, "G 3"],
    at: Float64[np.ndarray, " n"],
    same: Bool[np.ndarray, " n"],
    errors: Float64[np.ndarray, "n 2"],
    counts: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, " G"]:
    """Probability of each point of the grid."""
    miss, false = errors.T
    said = false + (1 - miss - false) * _curves(grid, at)
    log = np.log(said) @ (counts * same) + np.log1p(-said) @ (counts * ~same)
    log -= 0.5 * (np.log(grid[:, 1] / _USUAL_SLOPE) / _SPREAD) ** 2
    chance = np.exp(log - log.max())
    return np.asarray(chance / chance.sum())


def _effective(weights: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Weights that add up to as many answers as they are worth: (sum w)^2 / sum w^2 (Kish)."""
    total = float(weights.sum())
    return weights * (total / float((weights**2).sum()))


def levels_of(population: Float64[np.ndarray, " P"]) -> Float64[np.ndarray, " K"]:
    """Similarities that describe a curve well: evenly spaced ones, and as many quantiles."""
    even = np.linspace(population.min(), population.max(), _LEVELS)
    return np.unique(np.concatenate((even, np.quantile(population, np.linspace(0, 1, _LEVELS)))))


def isotonic(
    similarities: Float64[np.ndarray, " n"],
    targets: Float64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
    levels: Float64[np.ndarray, " K"],
) -> Float64[np.ndarray, " K"]:
    """The never falling curve with the least weighted squared error, read off at ``levels``.

    Pool adjacent violators (Ayer et al. 1955); linear between answers, constant outside.
    """
    known, place = np.unique(similarities, return_inverse=True)
    mass = np.bincount(place, weights)
    means = np.bincount(place, weights * targets) / mass
    blocks: list[tuple[float, float, int]] = []
    for mean, weight in zip(means.tolist(), mass.tolist(), strict=True):
        count = 1
        while blocks and blocks[-1][0] >= mean:
            before, heavy, length = blocks.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight, count = weight + heavy, count + length
        blocks.append((mean, weight, count))
    fitted = np.repeat([each[0] for each in blocks], [each[2] for each in blocks])
    return np.asarray(np.interp(levels, known, fitted))


def calibration_error(
    chances: Float64[np.ndarray, " n"],
    same: Bool[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"] | None = None,
    bins: int = 10,
) -> float:
    """Expected calibration error, 0 to 1: how far stated chances are from what happened.

    The mean over ``bins`` of about equal count (Nguyen & O'Connor 2015) of the distance between
    mean chance and share of same pairs, weighted by how much a bin holds. NaN without pairs.
    """
    if not len(same):
        return float("nan")
    counts = np.ones(len(same)) if weights is None else weights
    order = np.argsort(chances, kind="stable")
    apart = 0.0
    for part in np.array_split(order, min(bins, len(order))):
        apart += abs(float((counts[part] * (chances[part] - same[part])).sum()))
    return apart / float(counts.sum())
