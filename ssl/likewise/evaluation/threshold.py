"""The similarity above which two images count as the same, and how often that is wrong. Pure.

Rates are over all pairs of a set of images. The answers were drawn uniformly over similarity, so
they tell the probability at each similarity; how often each similarity occurs is known from the
vectors themselves, and the rates are the one weighted by the other:
FAR(t) = sum over s >= t of p(s) (1 - P(s)) / sum of p(s) (1 - P(s)), FRR(t) likewise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from likewise.evaluation.calibration import LEVEL, Calibration
from likewise.notebook import Displayed


@dataclass(frozen=True)
class Rate:
    """A share from 0 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Threshold(Displayed):
    """Where same begins, and what that costs."""

    similarity: float
    """Cosine; from here on two images count as the same."""
    false_accept: Rate
    """Of the pairs that differ, how many count as the same."""
    false_reject: Rate
    """Of the pairs that are the same, how many do not."""
    answers: int
    """Drawn for calibration, that it rests on."""
    similar: int
    """Of these, how many said the same."""

    def as_json(self) -> dict[str, Any]:
        """For `likewise status --json`."""
        return {
            "similarity": self.similarity,
            "far": vars(self.false_accept),
            "frr": vars(self.false_reject),
            "answers": self.answers,
            "similar": self.similar,
        }

    def as_text(self) -> str:
        """What a person reads."""
        return (
            f"Same from a similarity of {self.similarity:.3f}: "
            f"{_share(self.false_accept)} of different pairs pass, "
            f"{_share(self.false_reject)} of same pairs do not"
        )

    def answers_text(self) -> str:
        """What it rests on."""
        return f"{self.answers:,} answers, {self.similar:,} of them similar"


def _share(rate: Rate) -> str:
    digits = 1 if rate.value < 0.1 else 0
    value, low, high = (f"{100 * e:.{digits}f}" for e in (rate.value, rate.low, rate.high))
    return f"{value} % ({low} to {high} %)"


class ErrorRates:
    """False-accept and false-reject rates over all pairs, at any threshold."""

    def __init__(self, calibration: Calibration, population: Float64[np.ndarray, " P"]) -> None:
        """``population``: similarities of all pairs, or of many random ones, sorted."""
        self.calibration, self._population = calibration, population
        levels = calibration.levels
        cells = np.searchsorted(levels, population, "right")
        mass = np.bincount(cells, minlength=len(levels) + 1) / len(population)
        middles = np.concatenate((levels[:1], (levels[1:] + levels[:-1]) / 2, levels[-1:]))
        chances = np.stack([np.interp(middles, levels, each) for each in calibration.draws])
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
        told = self.calibration
        return Threshold(float(similarity), rates[0], rates[1], told.answers, told.similar)

    def at_false_accept(self, most: float) -> Threshold:
        """The lowest threshold at which at most this share of different pairs passes."""
        fits = np.flatnonzero(np.median(self._accept, axis=0) <= most)
        return self.at(float(self.calibration.levels[fits[0]] if len(fits) else np.inf))

    def smallest(self, similarity: float) -> float:
        """The smallest false-accept rate that the answers at or above a threshold can promise.

        Rule of three (Hanley & Lippman-Hand 1983): what did not happen among m may yet happen
        three times in m (95 %). Of all pairs only those above the threshold can be false accepts,
        and how many these are is known, so the m answers there have to tell only their part.
        """
        passing = float((self._population >= similarity).mean())
        answers = int((self.calibration.answered >= similarity).sum())
        unseen = passing * min(1.0, 3 / max(answers, 1))
        different = max(1 - self.share_same.value, 1 / len(self._population))
        return min(1.0, max(unseen, 3 / len(self._population)) / different)

    def balanced(self) -> Threshold:
        """The threshold at which both rates are about equal."""
        gap = np.median(self._accept, axis=0) - np.median(self._reject, axis=0)
        return self.at(float(self.calibration.levels[int(np.abs(gap).argmin())]))


def _rate(values: Float64[np.ndarray, " S"]) -> Rate:
    """The median, and the middle 95 %."""
    low, value, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return Rate(float(value), float(low), float(high))
