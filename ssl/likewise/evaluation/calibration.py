"""From a similarity to the probability that two images are the same, learnt from answers. Pure.

The pairs kept for calibration were drawn uniformly over similarity, so at each similarity they say
how often a pair is the same, whatever the draw. Other answers were chosen because of what was known
of their images: they share the slope, and each way of choosing has an offset of its own (Prentice &
Pyke 1979 on case-control samples). Shapes: n answers, K similarities, S draws.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from likewise.evaluation.logistic import fit_logistic, posterior, sigmoid

FEWEST = 20
"""Drawn answers below which nothing is said."""
FEWEST_KIND = 4
"""Similar and dissimilar answers below which nothing is said, each."""
ISOTONIC_FROM = 1000
"""Drawn answers from which isotonic regression takes over: it needs no shape, but many answers."""
DRAWS = 400
LEVEL = 0.95
_WIDTH = 20.0
"""Standard deviation of the prior of a coefficient, similarities standardised."""
_OFFSET = 2.0
"""The same for the offset of a way of choosing."""
_LEVELS = 257


@dataclass(frozen=True)
class Calibration:
    """How likely a pair is the same, by its similarity."""

    method: Literal["platt", "isotonic"]
    answers: int
    """Drawn ones it rests on."""
    others: int
    """Answers chosen otherwise that told the slope."""
    levels: Float64[np.ndarray, " K"]
    """Similarities, rising."""
    chances: Float64[np.ndarray, " K"]
    """Probability at each level, never falling."""
    draws: Float64[np.ndarray, "S K"]
    """The same as it might as well be, given so few answers."""

    def probability(self, similarity: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """The chance that pairs of these similarities are the same, 0 to 1."""
        return np.asarray(np.interp(similarity, self.levels, self.chances))

    def interval(self, similarity: float) -> tuple[float, float]:
        """The 95 % interval of that chance."""
        at = [float(np.interp(similarity, self.levels, each)) for each in self.draws]
        low, high = np.quantile(at, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def enough(same: Bool[np.ndarray, " n"], drawn: int) -> bool:
    """Whether so many answers, ``drawn`` of them for calibration, can tell anything."""
    return drawn >= FEWEST and min(int(same.sum()), int((~same).sum())) >= FEWEST_KIND


def _scale(similarity: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Minus the distance of unit vectors of this cosine, -2 to 0: logits are straighter in it."""
    return np.asarray(-np.sqrt(np.maximum(2 - 2 * similarity, 0.0)))


def calibrate(
    similarities: Float64[np.ndarray, " n"],
    same: Bool[np.ndarray, " n"],
    levels: Float64[np.ndarray, " K"],
    chosen: Int64[np.ndarray, " n"] | None = None,
    weights: Float64[np.ndarray, " n"] | None = None,
    seed: int = 0,
) -> Calibration | None:
    """Learn the probability from answers; None where there are too few.

    Args:
        similarities: Of the answered pairs.
        same: Whether each was called similar.
        levels: Similarities to describe it at, rising; `levels_of` gives some.
        chosen: 0 where a pair was drawn (for calibration, or at random); else the number of
            the way in which it was chosen. By default all were drawn.
        weights: How many pairs each answer stands for; needed where pairs were drawn by another
            similarity than the one here. By default all the same.
        seed: Of the draws.
    """
    ways = np.zeros(len(same), np.int64) if chosen is None else chosen
    drawn = ways == 0
    if not enough(same, int(drawn.sum())):
        return None
    counts = np.ones(len(same)) if weights is None else _effective(weights)
    rng = np.random.default_rng(seed)
    answers, others = int(drawn.sum()), int((~drawn).sum())
    if answers >= ISOTONIC_FROM:
        chances = isotonic(similarities[drawn], same[drawn].astype(float), counts[drawn], levels)
        resampled = rng.exponential(size=(DRAWS // 2, answers)) * counts[drawn]
        draws = np.stack(
            [
                isotonic(similarities[drawn], same[drawn].astype(float), each, levels)
                for each in resampled
            ]
        )
        return Calibration("isotonic", answers, 0, levels, chances, draws)
    near = _scale(similarities)
    middle, spread = float(near.mean()), float(near.std()) or 1.0
    offsets = [ways == way for way in np.unique(ways[~drawn])]
    design = np.column_stack(((near - middle) / spread, np.ones(len(same)), *offsets)).astype(
        np.float64
    )
    precision = np.full(design.shape[1], _OFFSET**-2)
    precision[:2] = _WIDTH**-2
    targets = same.astype(np.float64)
    found, _ = fit_logistic(design, targets, counts, precision)
    sampled = posterior(design, targets, counts, precision, DRAWS, rng, rising=0)
    scaled = (_scale(levels) - middle) / spread
    chances = sigmoid(max(0.0, float(found[0])) * scaled + found[1])
    draws = sigmoid(sampled[:, :1] * scaled + sampled[:, 1:2])
    return Calibration("platt", answers, others, levels, chances, draws)


def _effective(weights: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Weights that add up to as many answers as they are worth: (sum w)^2 / sum w^2 (Kish)."""
    total = float(weights.sum())
    return weights * (total / float((weights**2).sum()))


def levels_of(population: Float64[np.ndarray, " P"]) -> Float64[np.ndarray, " K"]:
    """Similarities that describe a curve well: evenly spaced ones, and as many quantiles."""
    even = np.linspace(population.min(), population.max(), _LEVELS)
    return np.unique(np.concatenate((even, np.quantile(population, np.linspace(0, 1, _LEVELS)))))


def platt(
    similarities: Float64[np.ndarray, " n"], same: Bool[np.ndarray, " n"]
) -> tuple[float, float]:
    """Slope and intercept of Platt scaling: P(same) = 1 / (1 + exp(-(slope x + intercept))).

    Lin, Lin & Weng 2007, with Platt's targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2).
    """
    similar, dissimilar = int(same.sum()), int((~same).sum())
    targets = np.where(same, (similar + 1) / (similar + 2), 1 / (dissimilar + 2))
    middle, spread = float(similarities.mean()), float(similarities.std()) or 1.0
    design = np.column_stack(((similarities - middle) / spread, np.ones(len(same))))
    found, _ = fit_logistic(design, targets, np.ones(len(same)), np.zeros(2))
    slope = float(found[0]) / spread
    return slope, float(found[1]) - slope * middle


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
