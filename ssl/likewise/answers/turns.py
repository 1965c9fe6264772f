"""Whose turn it is: an ordinary question, one that measures, or one that checks what is believed.

All ways to ask share this. A calibration question is always a pair, while an ordinary screen may
store many answers; so the chance of the former grows with what the latter is worth.
"""

from collections.abc import Collection
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from likewise.answers.audits import next_audit
from likewise.answers.belief import Belief
from likewise.answers.calibrating import CalibrationPairs
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.pool import Proposal
from likewise.answers.reserved import SHARE
from likewise.answers.standing import Pair
from likewise.answers.trusted import TrustedLinks

Turn = Literal["calibration", "audit", "ordinary"]


def calibration_chance(worth: float) -> float:
    """Chance, 0 to 1, of a calibration question, so that `SHARE` of the answers are to such ones.

    Args:
        worth: Answers that an ordinary screen stores.
    """
    return SHARE * worth / (SHARE * worth + 1 - SHARE)


def turn_at(drawn: float, audits: float, worth: float = 1.0) -> Turn:
    """What comes next.

    Args:
        drawn: Uniformly from 0 to 1.
        audits: Share of audits, 0 to 1, among pairs.
        worth: Answers that an ordinary screen stores.
    """
    chance = calibration_chance(worth)
    if drawn < chance:
        return "calibration"
    rest = (1 - chance) / (1 - SHARE)
    return "audit" if drawn < chance + audits * rest else "ordinary"


class Turns:
    """Draws the questions that are not ordinary ones."""

    def __init__(self, belief: Belief, seed: int) -> None:
        self.belief, self.seed = belief, seed
        self.trusted = TrustedLinks(belief)
        self.calibration = CalibrationPairs(belief.pool)
        self.calibration.draw(Links(), (), (), np.random.default_rng(seed))  # prepares it

    def next(
        self,
        ledger: Ledger,
        taken: Collection[Pair],
        busy: Collection[str],
        audits: float,
        worth: float = 1.0,
    ) -> Proposal | None:
        """A calibration pair or an audit if it is the turn of one, else None.

        The draw depends on the seed and the number of ``taken`` pairs alone. ``audits`` and
        ``worth`` are as for `turn_at`, the others as for `likewise.answers.pool.Proposer`.
        """
        rng = np.random.default_rng((self.seed, len(taken)))
        match turn_at(float(rng.random()), audits, worth):
            case "calibration":
                return self.calibration.draw(ledger.links, taken, busy, rng)
            case "audit":
                return next_audit(self.belief, taken, busy, rng)
            case "ordinary":
                return None


@runtime_checkable
class Turning(Protocol):
    """A strategy that has turns of its own."""

    turns: Turns
