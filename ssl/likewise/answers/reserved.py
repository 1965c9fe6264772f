"""Which answers are kept for calibration: nothing is ever trained on them."""

from collections.abc import Iterable

from likewise.answers.links import Links, links_from
from likewise.answers.standing import Answer

CALIBRATION = "calibration"
"""Strategy of the pairs that were drawn uniformly over similarity."""
SHARE = 0.1
"""Of the questions, about so many are for calibration."""


def reserved(answers: Iterable[Answer]) -> list[Answer]:
    """The answers that are kept for calibration, in order."""
    return [each for each in answers if each.strategy == CALIBRATION]


def trainable(answers: Iterable[Answer]) -> list[Answer]:
    """The answers that may be learnt from, in order: all but the reserved ones."""
    return [each for each in answers if each.strategy != CALIBRATION]


def unspoilt(answers: Iterable[Answer], learnt: Links | None = None) -> list[Answer]:
    """The similar and dissimilar answers kept for calibration that training cannot know, in order.

    Left out are pairs that follow from ``learnt``, by default from all trainable ``answers``.
    """
    answers = list(answers)
    links = links_from(trainable(answers)) if learnt is None else learnt
    return [
        each
        for each in reserved(answers)
        if each.verdict != "unsure" and links.relation(*each.pair) is None
    ]
