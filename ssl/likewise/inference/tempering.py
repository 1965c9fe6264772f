"""How far confidence in told groups can be believed, by the answers that only measure. Pure.

Spreading says of each image how sure its group is, but by images that answers placed, and these
were chosen: typical ones first, or the likeliest pairs. Pairs kept for calibration were drawn in a
known way, and one end of each is an image that nothing else was asked about. Where both ends of
such a pair are told to be in one group, the answer says whether that is so. A shift b of the logit
of confidence is averaged over its posterior: a pair is the same if both ends are told rightly,
P = c(a) c(b), and is called similar with the chance f + (1 - m - f) P, as people miss same pairs
(m) and take different ones for the same (f). With no such answers confidence stays as it is.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.special import expit, logit

_SHIFTS = np.linspace(-8.0, 4.0, 241)
_USUAL = 2.0
"""Standard deviation of the shift that is believed in beforehand, around none."""

_SUREST = 0.999
"""Confidence above which differences mean nothing."""


@dataclass(frozen=True)
class Checked:
    """Pairs that measure, both ends told to be in one group, and what was said of them."""

    rows: Int64[np.ndarray, "n 2"]
    same: Bool[np.ndarray, " n"]
    """Whether they were called similar."""
    errors: Float64[np.ndarray, "n 2"]
    """Rates, 0 to 1, at which who answered misses same pairs, and calls different ones similar."""
    weights: Float64[np.ndarray, " n"]
    """How many pairs each stands for, in any unit."""


NOTHING_CHECKED = Checked(
    np.zeros((0, 2), np.int64), np.zeros(0, bool), np.zeros((0, 2)), np.zeros(0)
)


def tempered(
    confidence: Float64[np.ndarray, " N"], placed: Bool[np.ndarray, " N"], checked: Checked
) -> Float64[np.ndarray, " N"]:
    """The confidence of images that were told by spreading, corrected; of others as it is.

    Args:
        confidence: Chance that the told group is right, 0 to 1; 0 where none is told.
        placed: Images that answers placed: their confidence is not in question.
        checked: The answers to go by.
    """
    if not len(checked.same):
        return confidence
    bounded = np.clip(confidence, 1 - _SUREST, _SUREST)
    ends, fixed = bounded[checked.rows], placed[checked.rows]
    shifted = expit(logit(ends)[None] + _SHIFTS[:, None, None])
    right = np.where(fixed, ends, shifted).prod(axis=2)
    miss, false = np.clip(checked.errors, 1e-3, 0.49).T
    said = false + (1 - miss - false) * right
    counts = checked.weights * (checked.weights.sum() / (checked.weights**2).sum())  # Kish
    log = np.log(said) @ (counts * checked.same) + np.log1p(-said) @ (counts * ~checked.same)
    log -= (_SHIFTS / _USUAL) ** 2 / 2
    chance = np.exp(log - log.max())
    chance /= chance.sum()
    told = ~placed & (confidence > 0)
    result = confidence.copy()
    result[told] = expit(logit(bounded[told])[:, None] + _SHIFTS) @ chance
    return result
