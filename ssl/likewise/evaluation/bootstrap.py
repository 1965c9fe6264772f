"""How sure a figure is: percentile bootstrap intervals that resample images.

Pairs that share an image are not independent, and resampling them as if they were gives intervals
that are far too narrow. So images are drawn with replacement, and a pair counts as often as the
product of its two images' counts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, Shaped

from likewise.evaluation.metrics import auc, equal_error_rate, roc

Interval = tuple[float, float]
LEVEL = 0.95
PAIRS = 500_000
"""Pairs looked at, at most."""
_BINS = 4_096


@dataclass(frozen=True)
class Pairs:
    """Some pairs of a set of images; ``same``: both images are of one class."""

    first: Int64[np.ndarray, " P"]
    second: Int64[np.ndarray, " P"]
    same: Bool[np.ndarray, " P"]


def draw_counts(images: int, resamples: int, seed: int) -> Float64[np.ndarray, "S N"]:
    """How often each image occurs in each resample; one row per resample."""
    generator = np.random.default_rng(seed)
    chances = np.full(images, 1 / images)
    return generator.multinomial(images, chances, size=resamples).astype(np.float64)


def mean_interval(
    values: Float64[np.ndarray, " N"], counts: Float64[np.ndarray, "S N"]
) -> Interval:
    """95 % interval of the mean of one value per image; NaN values are left out."""
    there = ~np.isnan(values)
    totals = counts[:, there].sum(axis=1)
    drawn = totals > 0
    if not drawn.any():
        return (np.nan, np.nan)
    return percentiles(counts[drawn][:, there] @ values[there] / totals[drawn])


def pair_intervals(
    scores: Float[np.ndarray, " P"], pairs: Pairs, counts: Float64[np.ndarray, "S N"]
) -> tuple[Interval, Interval]:
    """95 % intervals of AUC and of EER over pairs, resampling the images.

    Scores are first put into some thousand bins of about equal count (equal scores together),
    which moves a figure by less than 0.001 and makes a resample cheap.
    """
    levels = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1), method="higher"))
    level = np.searchsorted(levels, scores, side="right") - 1
    cell = level * 2 + pairs.same
    drawn = []
    same = np.tile((False, True), len(levels))
    for count in counts:
        weights = count[pairs.first] * count[pairs.second]
        filled = np.bincount(cell, weights, minlength=2 * len(levels)).reshape(-1, 2)
        if not filled.any(axis=0).all():
            continue
        curve = roc(np.repeat(levels, 2), same, filled.ravel())
        drawn.append((auc(curve), equal_error_rate(curve)[0]))
    if not drawn:
        return (np.nan, np.nan), (np.nan, np.nan)
    areas, rates = np.array(drawn).T
    return percentiles(areas), percentiles(rates)


def percentiles(values: Float64[np.ndarray, " S"]) -> Interval:
    """The middle 95 % of the values."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def pairs_of(labels: Shaped[np.ndarray, " N"], limit: int, seed: int) -> Pairs:
    """All pairs of the images if they are few; else a sample, half of it same where there are.

    AUC and EER look at same and at different pairs apart, so their mix does not matter, and an
    even one is the most precise: among a thousand classes a plain sample would hold hardly any
    same pairs. No pair occurs twice.
    """
    total = len(labels) * (len(labels) - 1) // 2
    if total <= limit:
        first, second = np.triu_indices(len(labels), k=1)
        return Pairs(first, second, labels[first] == labels[second])
    generator = np.random.default_rng(seed)
    _, codes = np.unique(labels, return_inverse=True)
    same = _same_pairs(codes, limit // 2, generator)
    different = _different_pairs(codes, limit // 2, generator)
    pairs = np.concatenate((same, different))
    return Pairs(pairs[:, 0], pairs[:, 1], np.arange(len(pairs)) < len(same))


def _same_pairs(
    codes: Int64[np.ndarray, " N"], limit: int, generator: np.random.Generator
) -> Int64[np.ndarray, "P 2"]:
    """Up to ``limit`` pairs within a class, each equally likely."""
    members = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    ends = np.cumsum(sizes * (sizes - 1) // 2)
    wanted = min(limit, int(ends[-1]))
    if wanted == ends[-1]:
        number = np.arange(wanted)
    else:
        number = generator.choice(int(ends[-1]), wanted, replace=False, shuffle=False)
    group = np.searchsorted(ends, number, side="right")
    within = number - (ends - sizes * (sizes - 1) // 2)[group]
    # the w-th of the pairs (0,1), (0,2), (1,2), (0,3), ... is (w - j(j-1)/2, j)
    high = ((1 + np.sqrt(1 + 8 * within.astype(np.float64))) // 2).astype(np.int64)
    low = within - high * (high - 1) // 2
    return np.stack((members[starts[group] + low], members[starts[group] + high]), axis=1)


def _different_pairs(
    codes: Int64[np.ndarray, " N"], limit: int, generator: np.random.Generator
) -> Int64[np.ndarray, "P 2"]:
    """Up to ``limit`` pairs across classes, each equally likely; fewer if few exist."""
    drawn = generator.integers(len(codes), size=(3 * limit, 2))
    drawn = np.sort(drawn[codes[drawn[:, 0]] != codes[drawn[:, 1]]], axis=1)
    keys = np.unique(drawn[:, 0] * len(codes) + drawn[:, 1])
    keys = generator.permutation(keys)[:limit]
    return np.stack((keys // len(codes), keys % len(codes)), axis=1)
