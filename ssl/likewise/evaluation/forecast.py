"""How good the groups are now, and what the next answers would buy. Pure.

Quality, as it can be told without knowing the truth: put every image with the answered image that
it is nearest to; how many are then among their own kind, that is, in a group most of whose images
are of their kind? The answers tell it of the answered images, each judged by the other ones. These
are not like the rest (coverage puts them apart), so a logistic regression learns the chance from
the distance to the nearest answered image and from how much further the next group is. Its mean
over all images, less the share whose group no answer has met, is the estimate.

What is not known widens the interval. *Mistaken answers* keep images of a kind apart, so a
disagreement is not always an error: up to three times as many disagreements as answers are
mistaken are taken for such, every number being as likely. *Images unlike those that were judged*
may do as well as the regression says, or have no chance at all: the upper end of the interval
supposes the one, the lower end any share of it. *Groups of several kinds* spoil the place of all
their images and of those put with them, and answers that led to them do not show it: the lower end
supposes that the belief is surer than it should be, and that wrong answers "similar" went unseen.

The share that is wrong falls as a power of the number of answers, wrong(n + m) = wrong(n)
(n / (n + m))^c, and images that get an answer of their own are right. How fast (c) was measured on
simulated answers. What is wrong now may be anything between the two ends.

Shapes: M placed images, P images that stand for the pool, S draws.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from likewise.answers.placement import Placement
from likewise.evaluation.logistic import posterior, sigmoid
from likewise.evaluation.nearness import Judged, Near, features, judge, near_to, standard_of
from likewise.notebook import Displayed

MORE = 100
"""Answers that the forecast is about."""
LEVEL = 0.8
"""Of the intervals."""
FEWEST = 20
"""Judged images without which nothing is said."""
_LOOKED_AT = 2_000
"""Images that stand for the pool, at most."""
_DRAWS = 400
_SEEN = 0.8
"""Of the judged images are this near; of images further away the curve is only an upper bound."""
_WIDEST = 0.5
"""An interval wider than that says nothing."""
_BIAS, _MISFIT = -0.1, 0.5
"""Mean and standard deviation of what remains unexplained, in log odds of being wrong; this and
what follows was measured on digits and faces with simulated answers."""
_PARTED = 3.0
"""Disagreements that a mistaken answer may cause, at most."""
_OVERSURE, _OVERSURE_SPREAD = 1.5, 1.0
"""Placed images that are in a group of another kind, by how many the belief doubts: median, and
standard deviation of the logarithm."""
_PACE, _PACE_SPREAD = 0.4, 1.2
"""Median of the power c, and standard deviation of its logarithm."""
_UNMET = 1 / 3
"""If more of the images belong to groups that no answer has met, nothing is said."""
_WIDTHS = (10.0, 5.0, 5.0)
"""Standard deviations of the priors: intercept, distance, gap (standardised)."""
_SMALL = 0.01
"""A gain below one point is not worth 100 answers."""


@dataclass(frozen=True)
class Estimate:
    """A share of the images, and the interval that holds the truth at least 8 times out of 10."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast(Displayed):
    """Where the work stands, and whether more of it pays."""

    judged: int
    """Images that answers placed and that the estimate rests on."""
    now: Estimate | None = None
    """Share of the images, 0 to 1, that would be put among their own kind; None with too few."""
    gain: Estimate | None = None
    """What is added to it by `MORE` answers, in shares of 1."""
    unmet: float = 0.0
    """Share of the images, 0 to 1, whose group no answer has met."""

    @property
    def stop(self) -> bool:
        """Whether more answers are not worth their while."""
        return self.gain is not None and self.gain.value < _SMALL and self.gain.high < 3 * _SMALL

    def as_json(self) -> dict[str, Any]:
        """For `likewise status --json`."""
        return {
            "judged": self.judged,
            "now": None if self.now is None else vars(self.now),
            "gain": None if self.gain is None else vars(self.gain),
            "answers": MORE,
            "stop": self.stop,
        }

    def as_text(self) -> str:
        """What a person reads: one or two sentences."""
        if self.now is None or self.gain is None:
            if self.judged >= FEWEST:
                return (
                    "Too early to tell: too many images are unlike all that answers placed so far. "
                    "More answers come nearer to them."
                )
            return (
                f"Too early to tell: the estimate takes {FEWEST} images that answers placed in "
                f"one of several groups; there are {self.judged:,}."
            )
        now = self.now
        end = "worth stopping" if self.stop else "worth going on"
        return (
            f"Right now about {100 * now.value:.0f} % ({100 * now.low:.0f} to "
            f"{100 * now.high:.0f} %) of the images would be put among their own kind; {MORE} "
            f"more answers would add {points(self.gain)}: {end}."
        )


def points(gain: Estimate) -> str:
    """A gain in words: points of a hundred, and their range."""
    value, low, high = (round(100 * each) for each in (gain.value, gain.low, gain.high))
    if high == 0:
        return "less than a point"
    if value == 0:
        return f"less than a point ({low} to {high})"
    return f"about {value} point{'s' * (value != 1)} ({low} to {high})"


def forecast(
    vectors: Shaped[np.ndarray, "N D"],
    pool: Int64[np.ndarray, " n"],
    placement: Placement,
    answers: int,
    fresh: Bool[np.ndarray, " M"] | None = None,
    mistaken: float = 0.0,
    misled: float = 0.0,
    seed: int = 0,
) -> Forecast:
    """Estimate the quality now and after `MORE` further answers.

    Args:
        vectors: Unit vectors of all images.
        pool: Rows of those that may be asked about.
        placement: What the answers tell.
        answers: How many they are.
        fresh: Which placed images the embedding has not learnt from, and may be judged by; by
            default all.
        mistaken: Estimated rate of mistaken answers, 0 to 1: misses and false ones together.
        misled: Estimated share, 0 to 1, of the answers "similar" that are wrong.
        seed: Of the draws.
    """
    rows, groups, sure = placement.rows, placement.groups, placement.confidence
    if len(np.unique(groups)) < 2:
        return Forecast(0)
    judged = judge(vectors, placement, fresh)
    told = Forecast(len(judged.right), unmet=placement.undiscovered)
    if told.judged < FEWEST or placement.undiscovered > _UNMET:
        return told
    rng = np.random.default_rng(seed)
    rest = np.setdiff1d(pool, rows)
    some = np.sort(rng.permutation(rest)[:_LOOKED_AT])
    share = len(rest) / (len(rest) + len(rows))
    doubt = np.stack(_misplaced(1 - float(sure.mean()), misled, rng))
    wrong = doubt.copy()
    if len(some):
        near = near_to(vectors, some, placement)
        apart = _wrong(judged, near, placement.undiscovered, mistaken, rng)
        wrong += share * (1 - doubt) * apart
    wrong = np.clip(wrong, 1e-6, 1 - 1e-6)
    misfit = rng.normal(_BIAS, _MISFIT, _DRAWS)
    best, worst = sigmoid(np.log(wrong) - np.log1p(-wrong) + misfit)
    pace = np.exp(rng.normal(np.log(_PACE), _PACE_SPREAD, _DRAWS))
    placed = min(1.0, MORE * len(rows) / answers / max(1, len(rest)))
    missed = best + rng.random(_DRAWS) * np.maximum(0.0, worst - best)
    gain = missed * (1 - (1 - placed) * (answers / (answers + MORE)) ** pace)
    high, low = _estimate(1 - best), _estimate(1 - worst)
    now = Estimate((high.value + low.value) / 2, low.low, high.high)
    return told if now.high - now.low > _WIDEST else replace(told, now=now, gain=_estimate(gain))


def _misplaced(
    doubt: float, misled: float, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, " S"], Float64[np.ndarray, " S"]]:
    """Share of the placed images that are in a group of another kind, at best and at worst."""
    best = doubt * rng.random(_DRAWS)
    most = doubt * np.exp(rng.normal(np.log(_OVERSURE), _OVERSURE_SPREAD, _DRAWS))
    worst = np.minimum(1.0, best + most + misled * rng.random(_DRAWS))
    return best, worst


def _wrong(
    judged: Judged, near: Near, unmet: float, mistaken: float, rng: np.random.Generator
) -> Float64[np.ndarray, "2 S"]:
    """Share of the images ``near`` that is wrong, at best and at worst."""
    standard = standard_of(near)
    drawn = posterior(
        features(judged.near, *standard),
        judged.right,
        judged.sure,
        np.array(_WIDTHS) ** -2.0,
        _DRAWS,
        rng,
        rising=1,
    )
    parted = np.minimum(0.5, _PARTED * mistaken * rng.random((_DRAWS, 1)))
    missing = np.maximum(0.0, unmet * rng.random((_DRAWS, 1)) - mistaken * rng.random((_DRAWS, 1)))
    agree = sigmoid(drawn @ features(near, *standard).T)
    right = (1 - missing) * np.minimum(1.0, agree / (1 - parted))
    unlike = near.first > np.quantile(judged.near.first, _SEEN)
    less = np.where(unlike, rng.random((_DRAWS, 1)), 1.0)
    return np.asarray(1 - np.stack((right.mean(axis=1), (less * right).mean(axis=1))))


def _estimate(values: Float64[np.ndarray, " S"]) -> Estimate:
    """The median, and the interval, rounded outwards to whole points of a hundred."""
    low, middle, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return Estimate(float(middle), math.floor(100 * low) / 100, math.ceil(100 * high) / 100)
