"""How often answers are wrong, by annotator, learnt from answers that others bear out or refute.

A *miss* is a similar pair called dissimilar, a *false* answer a dissimilar one called similar.
Each rate is the mean of a Beta distribution: the common one starts from what people are known to
do, an annotator's own one from the common one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Float64

from likewise.answers.standing import Verdict

CERTAIN = 30.0
"""Log odds of an answer that cannot be wrong: no similarity weighs as much."""
_LEAST, _MOST = math.exp(-CERTAIN), 0.45
"""Nobody is taken to be worse than a coin."""
_MISSES, _FALSES = (0.8, 7.2), (0.8, 11.2)
"""Start of the common Beta distributions (wrong, right): 10 % misses, 5 % false."""
_OWN = 20.0
"""Answers that the common rate counts for in an annotator's own."""


@dataclass(frozen=True)
class Rates:
    """The two error rates of somebody, each 0 to 1."""

    miss: float
    false: float

    def weight(self, verdict: Verdict) -> float:
        """Log of how much likelier the answer is on a similar pair than on a dissimilar one."""
        return _log_ratio(self.miss, self.false, verdict)


@lru_cache(1024)
def _log_ratio(miss: float, false: float, verdict: Verdict) -> float:
    miss, false = (min(max(each, _LEAST), _MOST) for each in (miss, false))
    if verdict == "similar":
        return math.log1p(-miss) - math.log(false)
    return math.log(miss) - math.log1p(-false) if verdict == "dissimilar" else 0.0


@dataclass(frozen=True)
class Tally:
    """Answers of somebody on pairs that other evidence tells the truth of (expected numbers)."""

    missed: float = 0.0
    similar: float = 0.0
    """Of similar pairs, how many were missed, and how many there were."""
    false: float = 0.0
    dissimilar: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.missed + other.missed,
            self.similar + other.similar,
            self.false + other.false,
            self.dissimilar + other.dissimilar,
        )


@dataclass(frozen=True)
class ErrorRates:
    """The common rates, and those of the annotators that something is known of."""

    common: Rates
    own: Mapping[str, Rates] = field(default_factory=dict)

    def of(self, annotator: str) -> Rates:
        """The rates of an annotator; the common ones for somebody who is not known."""
        return self.own.get(annotator, self.common)

    def of_each(self, annotators: Iterable[str]) -> Float64[np.ndarray, "n 2"]:
        """Miss and false rate of each of them."""
        own = [self.of(each) for each in annotators]
        return np.array([(each.miss, each.false) for each in own], np.float64).reshape(-1, 2)


def fixed_rates(miss: float, false: float) -> ErrorRates:
    """The same rates for everybody, known beforehand."""
    return ErrorRates(Rates(miss, false))


def estimate_rates(tallies: Mapping[str, Tally]) -> ErrorRates:
    """The means of the Beta distributions, given what each annotator got right and wrong."""
    total = sum(tallies.values(), Tally())
    common = Rates(
        _mean(total.missed, total.similar, *_MISSES), _mean(total.false, total.dissimilar, *_FALSES)
    )
    own = {}
    for annotator, tally in tallies.items():
        own[annotator] = Rates(
            _mean(tally.missed, tally.similar, _OWN * common.miss, _OWN * (1 - common.miss)),
            _mean(tally.false, tally.dissimilar, _OWN * common.false, _OWN * (1 - common.false)),
        )
    return ErrorRates(common, own)


def _mean(wrong: float, all_of_them: float, prior_wrong: float, prior_right: float) -> float:
    return (wrong + prior_wrong) / (all_of_them + prior_wrong + prior_right)


def log_density(tallies: Mapping[str, Tally], rates: ErrorRates) -> float:
    """Log probability of the tallied answers, times the density of the common rates."""
    start = Tally(_MISSES[0], sum(_MISSES), _FALSES[0], sum(_FALSES))
    counted = [(rates.of(name), tally) for name, tally in tallies.items()]
    total = 0.0
    for found, tally in (*counted, (rates.common, start)):
        total += _log_chance(found.miss, tally.missed, tally.similar)
        total += _log_chance(found.false, tally.false, tally.dissimilar)
    return total


def _log_chance(rate: float, wrong: float, all_of_them: float) -> float:
    rate = min(max(rate, _LEAST), 1 - _LEAST)
    return wrong * math.log(rate) + (all_of_them - wrong) * math.log1p(-rate)
