"""The people who answer: their names, their pace, how far they are."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

NAME_LENGTH = 60
"""Longest name of an annotator, in characters."""


@dataclass(frozen=True)
class Progress:
    """How far the work is."""

    today: int
    """Standing answers of this annotator since midnight."""
    total: int
    """Standing answers of all."""
    similar: int
    dissimilar: int
    unsure: int
    groups: int
    """Groups of two or more images."""
    per_minute: float | None
    """Pace of this annotator; None while there is too little to tell."""


def pace(times: Sequence[datetime], now: datetime) -> float | None:
    """Answers per minute, from the times of the last ones: 60 s over the median gap.

    Pauses of more than a minute do not count; None with fewer than three gaps, or when the last
    answer is ten minutes old.
    """
    ordered = sorted(times)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(ordered)]
    gaps = [gap for gap in gaps if 0 < gap <= 60]
    if len(gaps) < 3 or now - ordered[-1] > timedelta(minutes=10):
        return None
    return 60 / statistics.median(gaps)


def annotator_name(typed: str, default: str) -> str:
    """A name fit to be stored: printable, single spaces, at most `NAME_LENGTH` characters."""
    words = "".join(each if each.isprintable() else " " for each in typed).split()
    return " ".join(words)[:NAME_LENGTH].strip() or default
