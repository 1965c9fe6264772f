"""Verification on pairs whose truth is known: genuine against impostor, as biometrics reports it.

FAR(t) is the share of different pairs with a similarity of at least t, FRR(t) that of same pairs
below it (ISO/IEC 19795-1 calls them false match and false non-match rate). Pairs that share an
image or a subject are not independent. Where the pairs fall apart into many connected components,
these are resampled; else subjects (or images) are, and a pair counts as often as the product of
its two ends' counts, or once per draw if both ends are the same one (as in `bootstrap`).
Shapes: P pairs, U units that are resampled, S resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64

from likewise.evaluation.bootstrap import Interval, draw_counts, percentiles
from likewise.evaluation.metrics import Roc, auc, equal_error_rate, roc
from likewise.evaluation.threshold import Rate

RATES = (0.1, 0.01, 0.001)
"""False-accept rates at which false rejects are told."""
_MANY, _LARGE = 20, 0.1
"""Components are resampled if there are so many and none holds more than this share of pairs."""
_AXIS = np.geomspace(1e-5, 1, 200)
"""False-accept rates at which the band of the DET curve is told."""
_UNKNOWN = (float("nan"), float("nan"))

Unit = Literal["components", "subjects", "images"]


@dataclass(frozen=True)
class Units:
    """What is resampled."""

    kind: Unit
    ends: Int64[np.ndarray, "P 2"]
    """The two units of each pair."""
    count: int

    def weights(self, counts: Float64[np.ndarray, " U"]) -> Float64[np.ndarray, " P"]:
        """How often each pair counts, where each unit was drawn so often."""
        first, second = counts[self.ends].T
        alike = self.ends[:, 0] == self.ends[:, 1]
        return np.asarray(np.where(alike, first, first * second))


@dataclass(frozen=True)
class Point:
    """What a threshold costs on these pairs."""

    wanted: float
    """False-accept rate that was asked for; NaN for a threshold from elsewhere."""
    threshold: float
    false_accept: Rate
    false_reject: Rate
    promised: bool
    """Whether there are enough different pairs for such a rate (rule of three)."""


@dataclass(frozen=True)
class Protocol:
    """Error rates of an embedding on pairs with a known truth."""

    same: int
    different: int
    auc: float
    auc_interval: Interval
    eer: float
    eer_interval: Interval
    eer_threshold: float
    points: tuple[Point, ...]
    units: Units
    curve: Roc
    band: Float64[np.ndarray, "F 3"]
    """False-accept rate, and the 95 % interval of the false-reject rate there."""

    @property
    def smallest(self) -> float:
        """The smallest false-accept rate that can be promised: 3 / different pairs."""
        return min(1.0, 3 / self.different)


def units_of(images: Int64[np.ndarray, "P 2"], subjects: Int64[np.ndarray, "P 2"] | None) -> Units:
    """What to resample: connected components if they are many, else subjects or images.

    Args:
        images: Number of each pair's images, from 0.
        subjects: The same of whom they show, if known.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes = images if subjects is None else subjects
    count = int(nodes.max()) + 1
    edges = coo_array((np.ones(len(nodes)), (nodes[:, 0], nodes[:, 1])), shape=(count, count))
    pieces, piece = connected_components(edges, directed=False)
    held = np.bincount(piece[nodes[:, 0]], minlength=pieces)
    if pieces >= _MANY and held.max() <= _LARGE * len(nodes):
        return Units("components", piece[nodes].astype(np.int64), int(pieces))
    return Units("images" if subjects is None else "subjects", nodes, count)


def measure(
    scores: Float64[np.ndarray, " P"],
    same: Bool[np.ndarray, " P"],
    units: Units,
    rates: Sequence[float] = RATES,
    thresholds: Sequence[float] = (),
    resamples: int = 200,
    seed: int = 0,
) -> Protocol:
    """Error rates with 95 % intervals.

    Args:
        scores: Similarity of each pair.
        same: Whether it truly is the same.
        units: What is resampled.
        rates: False-accept rates at which false rejects are wanted.
        thresholds: Similarities from elsewhere to be judged too.
        resamples: For the intervals; below 2 they are NaN.
        seed: Of the resamples.

    Raises:
        ValueError: only one kind of pair.
    """
    order = np.argsort(-scores, kind="stable")
    scores, same = scores[order], same[order]
    units = Units(units.kind, units.ends[order], units.count)
    curve = roc(scores, same)
    wanted = [(rate, threshold_at(curve, rate)) for rate in rates]
    wanted += [(float("nan"), threshold) for threshold in thresholds]
    at = np.array([threshold for _, threshold in wanted])
    areas, equal, accepts, rejects, bands = [], [], [], [], []
    for counts in draw_counts(units.count, resamples if resamples > 1 else 0, seed):
        weights = units.weights(counts)
        if not (weights[same].any() and weights[~same].any()):
            continue
        drawn = roc(scores, same, weights)
        areas.append(auc(drawn))
        equal.append(equal_error_rate(drawn)[0])
        far, frr = rates_at(drawn, at)
        accepts.append(far)
        rejects.append(frr)
        bands.append(1 - np.interp(_AXIS, drawn.false_accept, drawn.true_accept))
    different = int((~same).sum())
    far, frr = rates_at(curve, at)
    points = tuple(
        Point(
            rate,
            float(at[place]),
            _rate(float(far[place]), [each[place] for each in accepts], different),
            _rate(float(frr[place]), [each[place] for each in rejects], int(same.sum())),
            promised=not rate * different < 3,
        )
        for place, (rate, _) in enumerate(wanted)
    )
    ends = np.array(bands or [np.full(len(_AXIS), np.nan)])
    rate, threshold = equal_error_rate(curve)
    return Protocol(
        same=int(same.sum()),
        different=different,
        auc=auc(curve),
        auc_interval=percentiles(np.array(areas)) if areas else _UNKNOWN,
        eer=rate,
        eer_interval=percentiles(np.array(equal)) if equal else _UNKNOWN,
        eer_threshold=threshold,
        points=points,
        units=units,
        curve=curve,
        band=np.column_stack((_AXIS, *np.quantile(ends, [0.025, 0.975], axis=0))),
    )


def threshold_at(curve: Roc, rate: float) -> float:
    """The lowest threshold at which at most this share of the different pairs passes.

    Infinite where even the most similar pair is a different one and no share is allowed.
    """
    return float(curve.thresholds[np.flatnonzero(curve.false_accept <= rate)[-1]])


def rates_at(
    curve: Roc, thresholds: Float64[np.ndarray, " T"]
) -> tuple[Float64[np.ndarray, " T"], Float64[np.ndarray, " T"]]:
    """False-accept and false-reject rate of "same if the similarity is at least t"."""
    place = np.searchsorted(-curve.thresholds, -thresholds, "right") - 1
    place = np.maximum(place, 0)
    return curve.false_accept[place], 1 - curve.true_accept[place]


def _rate(value: float, drawn: Sequence[float], pairs: int) -> Rate:
    """With its interval; where nothing happened, or all did, the rule of three widens it."""
    low, high = percentiles(np.array(drawn)) if len(drawn) else _UNKNOWN
    rare = min(1.0, 3 / pairs)
    if value == 0:
        high = max(high, rare)
    if value == 1:
        low = min(low, 1 - rare)
    return Rate(value, low, high)
