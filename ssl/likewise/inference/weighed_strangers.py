"""A threshold from images that are strangers with a known chance. Pure.

With probability P, known from answers, an image is of the class of its nearest exemplar; so it
counts as 1 - P of a stranger, and as P of a member. P is read off at the mean cosine to the
exemplars of that class: the greatest of several is great for strangers too, and would make members
of them. Shapes: W images, S draws of P.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from likewise.evaluation.calibration import LEVEL, Calibration
from likewise.evaluation.threshold import Rate


@dataclass(frozen=True)
class Weighed:
    """Where names begin, and what that costs."""

    similarity: float
    false_accept: Rate
    """Of the strangers, the share that is named."""
    false_reject: Rate
    """Of the members, the share that is not."""
    smallest: float
    """The smallest false-accept rate that so many answers can promise (rule of three)."""


def weighed(
    most: float,
    population: Float64[np.ndarray, " W"],
    evidence: Float64[np.ndarray, " W"],
    calibration: Calibration,
) -> Weighed:
    """The lowest threshold at which at most a share ``most`` of the strangers is named.

    Args:
        most: Between 0 and 1.
        population: Cosine of each image to its nearest exemplar, rising.
        evidence: Mean cosine to the exemplars of the nearest class; NaN for images of which the
            answers tell nothing, which are strangers.
        calibration: The chance that two images are the same.
    """
    levels = calibration.levels
    known = np.isfinite(evidence)
    chances = np.stack([np.interp(evidence, levels, each) for each in calibration.draws])
    chances = np.where(known, chances, 0.0)
    strange = 1 - chances
    total = np.maximum(strange.sum(axis=1), 1e-300)
    members = np.maximum(chances.sum(axis=1), 1e-300)
    named = strange[:, ::-1].cumsum(axis=1)[:, ::-1] / total[:, None]  # from each image upward
    fits = np.median(named, axis=0) <= most
    place = int(np.flatnonzero(fits)[0]) if fits.any() else len(population)
    while 0 < place < len(population) and population[place] == population[place - 1]:
        place += 1  # equally near ones are named together
    at = population[place] if place < len(population) else np.nextafter(population[-1], math.inf)
    accepted = named[:, place] if place < len(population) else np.zeros(len(named))
    passing = float(known[place:].sum()) / float(np.median(total))
    answers = int((calibration.answered >= at).sum())
    return Weighed(
        float(at),
        _rate(accepted),
        _rate(chances[:, :place].sum(axis=1) / members),
        min(1.0, max(passing * min(1.0, 3 / max(answers, 1)), 3 / len(population))),
    )


def _rate(values: Float64[np.ndarray, " S"]) -> Rate:
    """The median, and the middle 95 %."""
    low, value, high = np.quantile(values, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    return Rate(float(value), float(low), float(high))
