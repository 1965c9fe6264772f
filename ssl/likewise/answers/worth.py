"""What each way to ask is worth: how many answers a screen stores, and what one takes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from likewise.answers.grids import SIZE
from likewise.answers.history import Past
from likewise.answers.screens import Kind
from likewise.answers.strips import GROUPS

PAUSE = timedelta(minutes=2)
"""A longer gap between two screens is a pause, not work."""
FEWEST = 3
"""Timed screens of a kind, at least, before anything is said about it."""
LARGEST: dict[Kind, int] = {"pair": 1, "grid": SIZE, "group": SIZE, "strip": GROUPS}
"""Candidates on a screen of each kind, at most."""


def worth(kind: Kind, candidates: int, marked: int = 0, shift: bool = True) -> int:
    """How many answers a screen with so many candidates stores.

    A pair is one answer. A strip is one for each group shown: one key says similar to one of them
    or to none, and dissimilar to the others; unsure says it of all. A grid is one for each image
    marked, and with ``shift`` (all others differ) one for each candidate. A group is one for each
    candidate, and with ``shift`` (the marked ones are a group) also what ties these together.
    """
    match kind:
        case "pair":
            return 1
        case "strip":
            return candidates
        case "grid":
            return candidates if shift else marked
        case "group":
            return candidates + (max(0, marked - 1) if shift else 0)


@dataclass(frozen=True)
class Pace:
    """How quickly screens of one kind were answered."""

    screens: int
    """That were timed."""
    answers: int
    """Given on them."""
    seconds: float
    """That they took together."""

    @property
    def per_screen(self) -> float:
        """Seconds."""
        return self.seconds / self.screens

    @property
    def per_answer(self) -> float:
        """Seconds."""
        return self.seconds / self.answers


def paces(past: Iterable[Past]) -> dict[Kind, Pace]:
    """How quickly one annotator answered, by kind; kinds with fewer than `FEWEST` are left out.

    The time of a screen is the gap to the one before it, so that deciding, loading and going back
    all count; gaps above `PAUSE` don't.
    """
    ordered = sorted(past, key=lambda each: each.number)
    found: dict[Kind, Pace] = {}
    for before, each in pairwise(ordered):
        gap = _time(each) - _time(before)
        if not timedelta(0) < gap <= PAUSE:
            continue
        known = found.get(each.kind, Pace(0, 0, 0.0))
        found[each.kind] = Pace(
            known.screens + 1,
            known.answers + len(each.answers),
            known.seconds + gap.total_seconds(),
        )
    return {kind: pace for kind, pace in found.items() if pace.screens >= FEWEST}


def _time(past: Past) -> datetime:
    """When a screen was answered: its corrections came later."""
    return min(each.time for each in past.answers)
