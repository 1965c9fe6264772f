"""The similarity above which two images count as the same, and how often that is wrong. Pure.

Rates are over all pairs of a set of images. The answers were drawn uniformly over similarity, so
they tell the probability at each similarity; how often each similarity occurs is known from the
vectors themselves, and the rates are the one weighted by the other:
FAR(t) = sum over s >= t of p(s) (1 - P(s)) / sum of p(s) (1 - P(s)), FRR(t) likewise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from likewise.evaluation.calibration import LEVEL, Calibration

PAIRS = 200_000
"""Pairs that tell how often each similarity occurs."""
_BINS = 40
_BLOCK = 2**22


@dataclass(frozen=True)
class Rate:
    """A share from 0 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold:
    """Where same begins, and what that costs."""

    similarity: float
    """Cosine; from here on two images count as the same."""
    false_accept: Rate
    """Of the pairs that differ, how many count as the same."""
    false_reject: Rate
    """Of the pairs that are the same, how many do not."""
    answers: int
    """Drawn for calibration, that it rests on."""

    def as_json(self) -> dict[str, Any]:
        """For `likewise status --json`."""
        return {
            "similarity": self.similarity,
            "far": vars(self.false_accept),
            "frr": vars(self.false_reject),
            "answers": self.answers,
        }

    def as_text(self) -> str:
        """What a person reads."""
        return (
            f"Same from a similarity of {self.similarity:.3f}: "
            f"{_share(self.false_accept)} of different pairs pass, "
            f"{_share(self.false_reject)} of same pairs do not"
        )


def _share(rate: Rate) -> str:
    digits = 1 if rate.value < 0.1 else 0
    value, low, high = (f"{100 * e:.{digits}f}" for e in (rate.value, rate.low, rate.high))
    return f"{value} % ({low} to {high} %)"


def similarity_sample(
    vectors: Float32[np.ndarray, "N D"],
    rows: Int64[np.ndarray, " n"],
    seed: int = 0,
    pairs: int = PAIRS,
) -> Float64[np.ndarray, " P"]:
    """Cosine similarities of pairs of ``rows``: all of them, or ``pairs`` drawn at random, sorted.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError("a pair needs two images")
    if len(rows) * (len(rows) - 1) // 2 <= pairs:
        first, second = np.triu_indices(len(rows), k=1)
    else:
        rng = np.random.default_rng(seed)
        first = rng.integers(len(rows), size=pairs)
        second = (first + rng.integers(1, len(rows), size=pairs)) % len(rows)
    step = max(1, _BLOCK // vectors.shape[1])
    parts = [
        np.einsum(
            "pd,pd->p",
            vectors[rows[first[start : start + step]]],
            vectors[rows[second[start : start + step]]],
        )
        for start in range(0, len(first), step)
    ]
    return np.sort(np.concatenate(parts).astype(np.float64))


def draw_weights(
    asked_at: Float64[np.ndarray, " n"], population: Float64[np.ndarray, " P"]
) -> Float64[np.ndarray, " n"]:
    """How many pairs each answer stands for, if they were drawn uniformly over similarity.

    Args:
        asked_at: Similarity of each pair when it was drawn, by the embedding that drew it.
        population: Similarities of all pairs (or of many) by that embedding.

    Returns:
        Weights with mean 1, in proportion to how common a similarity is.
    """
    edges = np.linspace(population[0], population[-1], _BINS + 1)
    common = np.histogram(population, edges)[0] + 0.5
    weights = common[np.clip(np.searchsorted(edges, asked_at, "right") - 1, 0, _BINS - 1)]
    return np.asarray(weights / weights.mean())


class ErrorRates:
    """False-accept and false-reject rates over all pairs, at any threshold."""

    def __init__(self, calibration: Calibration, population: Float64[np.ndarray, " P"]) -> None:
        """``population``: similarities of all pairs, or of many random ones, sorted."""
        self.calibration = calibration
        levels = calibration.levels
        cells = np.searchsorted(levels, population, "right")
        mass = np.bincount(cells, minlength=len(levels) + 1) / len(population)
        middles = np.concatenate((levels[:1], (levels[1:] + levels[:-1]) / 2, levels[-1:]))
        curves = np.concatenate((calibration.chances[None], calibration.draws))
        chances = np.stack([np.interp(middles, levels, each) for each in curves])
        accepted = mass * (1 - chances)
        kept = mass * chances
        # index k: threshold at levels[k], cells k + 1 and above pass
        passing = accepted[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        failing = kept.cumsum(axis=1)[:, :-1]
        self.share_same = _rate(kept.sum(axis=1))
        """Of all pairs, how many are the same."""
        self._accept = passing / np.maximum(accepted.sum(axis=1, keepdims=True), 1e-300)
        self._reject = failing / np.maximum(kept.sum(axis=1, keepdims=True), 1e-300)

    def at(self, similarity: float) -> Threshold:
        """What a threshold costs."""
        levels = self.calibration.levels
        rates = [
            _rate(np.array([np.interp(similarity, levels, each) for each in curves]))
            for curves in (self._accept, self._reject)
        ]
        return Threshold(float(similarity), rates[0], rates[1], self.calibration.answers)

    def at_false_accept(self, most: float) -> Threshold:
        """The lowest threshold at which at most this share of different pairs passes."""
        fits = np.flatnonzero(self._accept[0] <= most)
        return self.at(float(self.calibration.levels[fits[0]] if len(fits) else np.inf))

    def balanced(self) -> Threshold:
        """The threshold at which both rates are about equal."""
        gap = self._accept[0] - self._reject[0]
        return self.at(float(self.calibration.levels[int(np.abs(gap).argmin())]))


def _rate(values: Float64[np.ndarray, " S"]) -> Rate:
    """The first value, and the middle 95 % of the others (made to hold it)."""
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(values[0])
    return Rate(value, min(float(low), value), max(float(high), value))


def wilson(right: int, of: int, z: float = 1.959963984540054) -> Rate:
    """A share and its 95 % interval (Wilson 1927).

    Raises:
        ValueError: a share of nothing.
    """
    if of < 1:
        raise ValueError("a share of nothing")
    share, square = right / of, z * z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = z * np.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return Rate(share, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def uniform_draw(
    similarities: Float64[np.ndarray, " P"], count: int, rng: np.random.Generator
) -> Int64[np.ndarray, " n"]:
    """Places of ``count`` pairs whose similarities are spread evenly over their range.

    A similarity is drawn uniformly, and the pair nearest to it is taken; each pair once.
    """
    order = np.argsort(similarities, kind="stable")
    ranked = similarities[order]
    free = np.ones(len(order), bool)
    found = []
    for wanted in rng.uniform(ranked[0], ranked[-1], min(count, len(order))):
        open_places = np.flatnonzero(free)
        near = open_places[np.abs(ranked[open_places] - wanted).argmin()]
        free[near] = False
        found.append(order[near])
    return np.array(found, np.int64)


def observed_rates(
    similarities: Float64[np.ndarray, " n"], same: Bool[np.ndarray, " n"], threshold: float
) -> tuple[float, float]:
    """False-accept and false-reject rate of pairs whose truth is known, for comparison."""
    passed = similarities >= threshold
    return float(passed[~same].mean()), float((~passed[same]).mean())
