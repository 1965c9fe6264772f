"""Which answers are kept for calibration, and on which images: nothing is ever trained on them."""

import hashlib
from collections.abc import Iterable

from likewise.answers.links import Links, links_from
from likewise.answers.standing import Answer

CALIBRATION = "calibration"
"""Strategy of the pairs that were drawn uniformly over similarity."""
SHARE = 0.1
"""Of the questions, about so many are for calibration; of the images, so many are in reserve."""


def is_reserved(image_id: str) -> bool:
    """Whether an image is in reserve: a pair to calibrate has at least one such image.

    It depends on the image's content alone, and not on whether it is held out.
    """
    digest = hashlib.blake2b(image_id.encode(), digest_size=4, person=b"reserve").digest()
    return int.from_bytes(digest) < SHARE * 2**32


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
