"""What comes back from a screen, and the answers that it makes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from likewise.answers.rows import NewAnswer
from likewise.answers.screens import Screen
from likewise.answers.standing import VERDICTS, Verdict
from likewise.errors import UsageError

SHORTEST_VIEW = 0.3
"""Seconds; an answer that comes sooner was meant for the screen before (double click, held key)."""


@dataclass(frozen=True)
class Reply:
    """What came back from a screen."""

    token: str
    verdicts: Mapping[str, Verdict]
    """By candidate; candidates that are left out stay unanswered."""
    seen: float
    """Seconds it was on the screen."""
    together: tuple[str, ...] = ()
    """Candidates that are the same as one another."""

    @property
    def too_soon(self) -> bool:
        """Whether nobody can have looked at the screen."""
        return not self.seen >= SHORTEST_VIEW


def answers_of(screen: Screen, reply: Reply, time: datetime) -> list[NewAnswer]:
    """The answers of a reply, with tokens that make it count once.

    Candidates that are the same as one another become a chain of similar answers.

    Raises:
        UsageError: the reply speaks of images that were not asked about, or holds a verdict that
            does not exist.
    """
    for image in (*reply.verdicts, *reply.together):
        if image not in screen.candidates:
            raise UsageError(f"image {image} is not on the screen that is answered")
    for image, verdict in reply.verdicts.items():
        if verdict not in VERDICTS:
            raise UsageError(f"the verdict on {image} is {verdict!r}, not {', '.join(VERDICTS)}")

    def answer(one: str, other: str, verdict: Verdict, score: float | None, at: str) -> NewAnswer:
        return NewAnswer(
            one,
            other,
            verdict,
            screen.annotator,
            strategy=screen.strategy,
            score=score,
            fingerprint=screen.fingerprint,
            time=time,
            token=f"{screen.token}-{at}",
            screen=screen.token,
        )

    asked = [
        answer(screen.anchor, candidate, reply.verdicts[candidate], score, str(place))
        for place, (candidate, score) in enumerate(
            zip(screen.candidates, screen.scores, strict=True)
        )
        if candidate in reply.verdicts
    ]
    joined = [
        answer(one, other, "similar", None, f"together-{place}")
        for place, (one, other) in enumerate(pairwise(dict.fromkeys(reply.together)))
    ]
    return asked + joined
