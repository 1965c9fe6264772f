"""Same, different, or too close to call: from similarities to verdicts. Pure.

The threshold decides: at or above it a pair counts as the same. What decides in terms of
probability is thus P(t), the chance that a pair at the threshold t is the same. Where the 95 %
interval of a pair's own chance holds P(t) inside, other answers might as well have put the pair
on the other side, and the verdict is "uncertain". More calibration answers make it rarer.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from likewise.evaluation.calibration import Calibration

Verdict = Literal["same", "different", "uncertain"]
_BLOCK = 10_000


@dataclass(frozen=True)
class Judgement:
    """What is to be said of one pair."""

    verdict: Verdict
    probability: float | None = None
    """That the images are the same, 0 to 1; None where nothing tells it."""
    low: float | None = None
    high: float | None = None
    """Ends of its 95 % interval."""


def judge(
    similarities: Float64[np.ndarray, " P"], calibration: Calibration, threshold: float
) -> list[Judgement]:
    """The judgement of each pair by its similarity and the threshold."""
    decisive = float(calibration.probability(np.array([threshold]))[0])
    found: list[Judgement] = []
    for start in range(0, len(similarities), _BLOCK):
        part = similarities[start : start + _BLOCK]
        chances, intervals = calibration.probability(part), calibration.intervals(part)
        for near, chance, (low, high) in zip(
            part.tolist(), chances.tolist(), intervals.tolist(), strict=True
        ):
            verdict: Verdict = "same" if near >= threshold else "different"
            close = low < decisive < high
            found.append(Judgement("uncertain" if close else verdict, chance, low, high))
    return found
