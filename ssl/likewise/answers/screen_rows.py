"""A screen that is reserved for somebody, and the row of the database in which it is kept."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from likewise.answers.standing import Pair, pair_of

Kind = Literal["pair", "grid", "group", "strip"]
"""A way to ask: two images; which are the same as the anchor; which of a group do not belong; to
which of several groups the anchor belongs."""


def new_token() -> str:
    """A name that no other screen has."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Screen:
    """Pairs that are reserved for one annotator until they are answered or expire."""

    kind: Kind
    annotator: str
    anchor: str
    """Image id; on a pair screen the one that is shown left."""
    candidates: tuple[str, ...]
    """Image ids: one on a pair screen, up to 24 else."""
    scores: tuple[float | None, ...]
    """Cosine similarity of each candidate to the anchor, -1 to 1."""
    strategy: str
    """What proposed it. Not to be shown: "second reading" and "gold check" are read unawares."""
    reason: str
    """Why it is asked: one short sentence."""
    fingerprint: str
    """Of the model whose embedding proposed it."""
    expires: datetime
    """From then on others may be asked."""
    context: tuple[str, ...] = ()
    """Images that are known to belong to the anchor's group; shown, not asked."""
    further: tuple[tuple[str, ...], ...] = ()
    """For each candidate more images of its group, shown with it, not asked; or nothing at all."""
    token: str = field(default_factory=new_token)
    """Comes back with the answer, so that an answer to anything else is noticed."""
    place: int = 0
    """Order among the annotator's screens; below zero: put back by an undo."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that are asked, in the order of the candidates."""
        return tuple(pair_of(self.anchor, each) for each in self.candidates)

    def only(self, pairs: Collection[Pair]) -> "Screen | None":
        """The screen with no other ``pairs`` than these; None if that leaves none."""
        kept = [place for place, pair in enumerate(self.pairs) if pair in pairs]
        if not kept:
            return None
        return replace(
            self,
            candidates=tuple(self.candidates[place] for place in kept),
            scores=tuple(self.scores[place] for place in kept),
            further=tuple(self.further[place] for place in kept) if self.further else (),
        )


def row_of(screen: Screen) -> dict[str, Any]:
    """The columns of ``screens`` in which a screen is kept, but for whether it is closed."""
    plain = ("token", "annotator", "kind", "place", "anchor", "strategy", "reason")
    return {
        **{name: getattr(screen, name) for name in (*plain, "fingerprint", "expires")},
        "candidates": [list(each) for each in zip(screen.candidates, screen.scores, strict=True)],
        "context": _context(screen),
    }


def _context(screen: Screen) -> list[str] | dict[str, Any]:
    """A plain list, as in all older rows, but for screens with further images of candidates."""
    if not screen.further:
        return list(screen.context)
    further = dict(zip(screen.candidates, map(list, screen.further), strict=True))
    return {"anchor": list(screen.context), "further": further}


def screen_from(row: Mapping[Any, Any]) -> Screen:
    """The screen that is kept in a row, of this version or an older one."""
    context, further = row["context"], {}
    if isinstance(context, dict):
        context, further = context["anchor"], context["further"]
    names = tuple(candidate for candidate, _ in row["candidates"])
    return Screen(
        kind=row["kind"],
        annotator=row["annotator"],
        anchor=row["anchor"],
        candidates=names,
        scores=tuple(None if score is None else float(score) for _, score in row["candidates"]),
        strategy=row["strategy"],
        reason=row["reason"],
        fingerprint=row["fingerprint"],
        expires=row["expires"],
        context=tuple(context),
        further=tuple(tuple(further[each]) for each in names) if further else (),
        token=row["token"],
        place=row["place"],
    )
