"""How good the groups are now, and what the next answers would buy. Pure.

Quality, as it can be told without knowing the truth: put every image with the answered image that
it is nearest to; how many are then in the right group? The answers tell it of the answered images,
each judged by the other ones. They are not like the rest (coverage puts them apart), so a logistic
regression learns the chance from the distance to the nearest answered image and from how much
further the next group is. Its mean over all images, less the share whose group no answer has met,
is the estimate. Groups that mistaken answers keep apart count as wrong, so it errs on the low side.

The share that is wrong falls as a power of the number of answers, wrong(n + m) = wrong(n)
(n / (n + m))^c, and images that get an answer of their own are right. How fast (c) was measured on
simulated answers. Shapes: M placed images, P images
that stand for the pool, S draws.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from likewise.answers.placement import Placement
from likewise.evaluation.logistic import posterior, sigmoid

MORE = 100
"""Answers that the forecast is about."""
LEVEL = 0.8
"""Of the intervals."""
FEWEST = 20
"""Judged images without which nothing is said."""
_LOOKED_AT = 2_000
"""Images that stand for the pool, at most."""
_DRAWS = 400
_TRUST = 0.5
"""What a judged image counts, as the curve is not quite a logistic one; measured on digits and
faces with simulated answers."""
_SEEN = 0.95
"""Of the judged images are this near; of images further away the curve is only an upper bound."""
_WIDEST = 0.5
"""An interval wider than that says nothing."""
_MISFIT = 0.3
"""Standard deviation of what remains unexplained, in log odds; measured on the same."""
_PACE, _PACE_SPREAD = 0.6, 0.9
"""Median of the power c, and standard deviation of its logarithm; measured on the same."""
_UNMET = 1 / 3
"""If more of the images belong to groups that no answer has met, nothing is said."""
_WIDTHS = (10.0, 5.0, 5.0)
"""Standard deviations of the priors: intercept, distance, gap (standardised)."""
_SMALL = 0.01
"""A gain below one point is not worth 100 answers."""


@dataclass(frozen=True)
class Estimate:
    """A share of the images, and the interval that holds the truth 8 times out of 10."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """Where the work stands, and whether more of it pays."""

    judged: int
    """Images that answers placed and that the estimate rests on."""
    now: Estimate | None = None
    """Share of the images, 0 to 1, that would be put in the right group; None with too few."""
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
            f"{100 * now.high:.0f} %) of the images would find their right group; {MORE} more "
            f"answers would add {points(self.gain)}: {end}."
        )


def points(gain: Estimate) -> str:
    """A gain in words: points of a hundred, and their range."""
    value, low, high = (round(100 * each) for each in (gain.value, gain.low, gain.high))
    if high == 0:
        return "less than a point"
    if value == 0:
        return f"less than a point ({low} to {high})"
    return f"about {value} point{'s' * (value != 1)} ({low} to {high})"


@dataclass(frozen=True)
class _Near:
    """What is near to each image: distances to the nearest placed one and to the next group."""

    first: Float64[np.ndarray, " P"]
    group: Int64[np.ndarray, " P"]
    second: Float64[np.ndarray, " P"]


def forecast(
    vectors: Shaped[np.ndarray, "N D"],
    pool: Int64[np.ndarray, " n"],
    placement: Placement,
    answers: int,
    fresh: Bool[np.ndarray, " M"] | None = None,
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
        seed: Of the draws.
    """
    rows, groups, sure = placement.rows, placement.groups, placement.confidence
    if len(np.unique(groups)) < 2:
        return Forecast(0)
    known = np.asarray(vectors[rows], dtype=np.float32)
    tried = np.arange(len(rows)) if fresh is None else np.flatnonzero(fresh)
    apart = _distances(known[tried], known)
    apart[np.arange(len(tried)), tried] = np.inf
    beside = _nearest(apart, groups)
    right = (beside.group == groups[tried]).astype(np.float64)
    sizes = np.bincount(groups)[groups]
    usable = np.isfinite(beside.second) & (sizes[tried] > 1)
    judged = int(usable.sum())
    if judged < FEWEST or placement.undiscovered > _UNMET:
        return Forecast(judged, unmet=placement.undiscovered)
    rng = np.random.default_rng(seed)
    rest = np.setdiff1d(pool, rows)
    some = np.sort(rng.permutation(rest)[:_LOOKED_AT])
    share = len(rest) / (len(rest) + len(rows))
    wrong = np.full((2, _DRAWS), (1 - share) * (1 - float(sure.mean())))
    if len(some):
        near = _nearest(_distances(np.asarray(vectors[some], dtype=np.float32), known), groups)
        standard = _standard(near)
        drawn = posterior(
            _features(beside, *standard)[usable],
            right[usable],
            _TRUST * sure[tried][usable],
            np.array(_WIDTHS) ** -2.0,
            _DRAWS,
            rng,
            rising=1,
        )
        chances = (1 - placement.undiscovered) * sigmoid(drawn @ _features(near, *standard).T)
        unlike = near.first > np.quantile(beside.first[usable], _SEEN)
        less = np.where(unlike, rng.random((_DRAWS, 1)), 1.0)
        wrong += share * (1 - np.stack((chances.mean(axis=1), (less * chances).mean(axis=1))))
    wrong = np.clip(wrong, 1e-6, 1 - 1e-6)
    misfit = rng.normal(0, _MISFIT, _DRAWS)
    curve, wrong_now = sigmoid(np.log(wrong) - np.log1p(-wrong) + misfit)
    pace = np.exp(rng.normal(np.log(_PACE), _PACE_SPREAD, _DRAWS))
    placed = min(1.0, MORE * len(rows) / answers / max(1, len(rest)))
    gain = curve * (1 - (1 - placed) * (answers / (answers + MORE)) ** pace)
    now = _estimate(1 - wrong_now)
    if now.high - now.low > _WIDEST:
        return Forecast(judged, unmet=placement.undiscovered)
    return Forecast(judged, now, _estimate(gain), placement.undiscovered)


def _distances(
    one: Float32[np.ndarray, "a D"], two: Float32[np.ndarray, "b D"]
) -> Float64[np.ndarray, "a b"]:
    """Between unit vectors."""
    squared = 2 - 2 * (one @ two.T).astype(np.float64)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def _nearest(distances: Float64[np.ndarray, "P M"], groups: Int64[np.ndarray, " M"]) -> _Near:
    place = distances.argmin(axis=1)
    nearest = groups[place]
    others = np.where(groups[None] == nearest[:, None], np.inf, distances)
    return _Near(distances[np.arange(len(place)), place], nearest, others.min(axis=1))


def _standard(near: _Near) -> tuple[Float64[np.ndarray, " 2"], Float64[np.ndarray, " 2"]]:
    """Mean and standard deviation of distance and gap over the pool."""
    both = np.stack((near.first, near.second - near.first))
    spread = both.std(axis=1)
    return both.mean(axis=1), np.where(spread > 0, spread, 1.0)


def _features(
    near: _Near, centre: Float64[np.ndarray, " 2"], scale: Float64[np.ndarray, " 2"]
) -> Float64[np.ndarray, "P 3"]:
    """One, nearness and gap, each larger where an image is surer to be right."""
    gap = np.where(np.isfinite(near.second), near.second - near.first, 0.0)
    return np.stack(
        (
            np.ones_like(near.first),
            (centre[0] - near.first) / scale[0],
            (gap - centre[1]) / scale[1],
        ),
        axis=-1,
    )


def _estimate(values: Float64[np.ndarray, " S"]) -> Estimate:
    low, middle, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return Estimate(float(middle), float(low), float(high))
