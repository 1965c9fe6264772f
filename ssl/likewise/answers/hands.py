"""What an annotator has in hand: which open screens stay, and what is asked next. Pure.

The screens of one hand are shown one after the other without asking back, so no answer to one of
them may settle another.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from likewise.answers.anchors import AnchorOrder
from likewise.answers.audits import AUDIT, audit_share
from likewise.answers.grids import GridProposal, propose_grid, propose_group
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.pending import Pending as Pending
from likewise.answers.pending import Taken
from likewise.answers.pool import Proposal, Proposer
from likewise.answers.reserved import CALIBRATION
from likewise.answers.screens import Kind, Screen
from likewise.answers.standing import Pair
from likewise.answers.strips import propose_strip
from likewise.answers.turns import Turns

SECOND = "second reading"
"""Strategy of a pair that somebody else answered."""
GOLD_CHECK = "gold check"
"""Strategy of a pair whose truth is known; what people say of it is an answer, not a truth."""
_CHECKS = (SECOND, GOLD_CHECK)
_BETWEEN = (CALIBRATION, AUDIT)
"""Strategies of pairs that are asked between screens of many pairs."""
_EVERY = 3
"""At most one screen of so many is a check."""
_PROPOSE = {"grid": propose_grid, "group": propose_group, "strip": propose_strip}
_TRIES = 4
"""Proposals that are looked at to find one that no open screen may settle."""


@dataclass(frozen=True)
class Shares:
    """How much is asked to see how well people agree."""

    second: float
    """Share of the answered pairs, 0 to 1, that a second person is shown."""
    gold: float
    """Share of a person's screens, 0 to 1, that ask for a known truth."""
    readers: int = 2
    """By how many people the pairs of that share are answered in all."""

    def may_check(self, ordinary: Sequence[bool]) -> bool:
        """Whether the next screen may be a check: every third, or more where three or more read.

        ``ordinary`` says which of the last screens were no checks, newest first.
        """
        wanted = self.second * (self.readers - 1)
        if self.readers == 2 or wanted <= 1 / (_EVERY - 1):
            return len(ordinary) >= _EVERY - 1 and all(ordinary[: _EVERY - 1])
        return any(ordinary[: math.ceil(wanted)])


def came_too_late(screen: Screen, ledger: Ledger, readers: int = 2) -> bool:
    """Whether somebody answered a pair of a new screen while it was being reserved."""
    most = {SECOND: readers - 1, GOLD_CHECK: math.inf}.get(screen.strategy, 0)
    return any(
        len(ledger.answers_on(pair)) > most or ledger.standing.of(*pair, screen.annotator)
        for pair in screen.pairs
    )


def still_asked(
    screens: Sequence[Screen],
    kind: Kind,
    ledger: Ledger,
    links: Links,
    images: Container[str],
    now: datetime,
) -> list[Screen]:
    """Those of an annotator's open screens, in order, that are still worth an answer.

    The first one is on the screen, so it stays even if others settle it, unless it expired; so do
    screens put back by an undo, and pairs that are read again on purpose. None stays that is of
    another kind, but for pairs between other screens, nor one about an image that vanished, or
    answered by the same annotator elsewhere. ``links`` say what is settled.
    """
    kept: list[Screen] = []
    pending = Pending(links)
    for screen in _belong(screens, kind):
        if not all(image in images for image in (screen.anchor, *screen.candidates)):
            continue
        if all(ledger.standing.of(*pair, screen.annotator) for pair in screen.pairs):
            continue
        shown = not kept and screen.expires > now
        audit = screen.strategy == AUDIT
        if not (shown or screen.place < 0 or screen.strategy in _CHECKS) and any(
            pair in ledger.answered() or (not audit and pending.may_settle(pair))
            for pair in screen.pairs
        ):
            continue
        kept.append(screen)
        pending.add(screen.pairs)
    return kept


def next_question(
    kind: Kind,
    asker: Proposer,
    turns: Callable[[], Turns],
    anchors: AnchorOrder,
    ledger: Ledger,
    leased: Collection[Pair],
    own: Collection[Pair],
    stored: float = 1.0,
) -> GridProposal | None:
    """What to ask next about pairs without an answer; None if nothing is left.

    ``anchors`` is the order of the asker's exemplars; ``turns`` are taken between screens of many
    pairs, of which one stores about ``stored`` answers; with 0 none is taken.
    ``leased`` are the pairs on everybody's screens. No answer to one of them settles the new
    question where that can be avoided, and none to ``own``, those in the same hand, ever does.
    """
    if kind == "pair":
        return _next_pair(asker, ledger, leased, own)
    found = _between(turns(), ledger, leased, own, stored) if stored else None
    if found is not None:
        return found
    propose, links = _PROPOSE[kind], turns().trusted.of(ledger)
    taken = Taken(ledger.answered(), leased)
    busy = {image for pair in leased for image in pair}
    found = propose(asker.pool, links, taken, busy, anchors)
    if found is None and not own:
        found = propose(asker.pool, links, taken, (), anchors) or _next_pair(
            asker, ledger, leased, own
        )
    return found and _apart(found, Pending(links, own))


def stored_on_average(screens: Iterable[Screen], ledger: Ledger) -> float | None:
    """How many answers each of these answered screens stored; None if there are none."""
    counts = [
        sum(ledger.standing.of(*pair, each.annotator) is not None for pair in each.pairs)
        for each in screens
    ]
    return sum(counts) / len(counts) if counts else None


def kind_of(question: GridProposal, kind: Kind) -> Kind:
    """How to show a question among screens of a kind."""
    return "pair" if question.strategy in _BETWEEN else kind


def still_fits(
    question: GridProposal, ledger: Ledger, leased: Collection[Pair], own: Collection[Pair]
) -> bool:
    """Whether `next_question` might choose this now, having chosen it a moment ago."""
    if any(pair in leased or pair in ledger.answered() for pair in question.pairs):
        return False
    pending = Pending(ledger.links, (*leased, *own))
    return question.strategy == AUDIT or not any(map(pending.may_settle, question.pairs))


def next_check(
    asker: Proposer,
    ledger: Ledger,
    annotator: str,
    leased: Collection[Pair],
    latest: Sequence[Screen],
    shares: Shares,
    only: bool = False,
) -> GridProposal | None:
    """A pair that was answered, to be read again unawares; None if it is not yet time for one.

    ``latest`` are the annotator's last screens, newest first. Checks come now and then, with the
    sentence of another screen, so that nothing tells them apart. With ``only``
    there is nothing else to ask, and they need no interval.
    """
    ordinary = [each for each in latest if each.kind == "pair" and each.strategy not in _CHECKS]
    if not only and not shares.may_check([each in ordinary for each in latest]):
        return None
    reason = ordinary[0].reason if ordinary else "Two images to compare"
    place = latest[0].place + 1 if latest else 0
    waiting_pairs = ledger.awaiting(annotator, shares.second, shares.readers)
    again = ((pair, SECOND) for pair in waiting_pairs)
    known = ((pair, GOLD_CHECK) for pair in ledger.gold_for(annotator))
    waiting = [again]
    if shares.gold > 0 and only:
        waiting = [again, known]
    elif _drawn(annotator, place, shares.gold):
        waiting = [known, again]
    positions = asker.pool.positions
    for pair, strategy in chain(*waiting):
        if pair not in leased and all(image in positions for image in pair):
            one, two = (positions[image] for image in pair)
            score = float(asker.pool.vectors[one] @ asker.pool.vectors[two])
            return GridProposal(pair[0], (pair[1],), (score,), strategy, reason)
    return None


def _next_pair(
    asker: Proposer, ledger: Ledger, leased: Collection[Pair], own: Collection[Pair]
) -> GridProposal | None:
    links, refused = ledger.links, set(leased)
    busy = {image for pair in leased for image in pair}
    everybodys, mine = Pending(links, leased), Pending(links, own)
    second_best = None
    for _ in range(_TRIES):
        found = asker.next(ledger, Taken(ledger.answered(), refused), busy)
        if found is None:
            break
        pair = (found.a, found.b)
        question = _question(found)
        if found.strategy == AUDIT or not everybodys.may_settle(pair):
            return question
        if not mine.may_settle(pair):
            second_best = second_best or question
        refused.add(pair)
    return second_best


def _between(
    turns: Turns,
    ledger: Ledger,
    leased: Collection[Pair],
    own: Collection[Pair],
    stored: float,
) -> GridProposal | None:
    """A pair to ask between screens of many pairs, if it is the turn of one."""
    turns.belief.follow(ledger)
    busy = {image for pair in own for image in pair}  # those of others may be most of a small pool
    taken = Taken(ledger.answered(), leased)
    found = turns.next(ledger, taken, busy, audit_share(turns.belief), stored)
    if found is None:
        return None
    if found.strategy != AUDIT and Pending(ledger.links, own).may_settle((found.a, found.b)):
        return None
    return _question(found)


def _question(found: Proposal) -> GridProposal:
    return GridProposal(found.a, (found.b,), (found.score,), found.strategy, found.reason)


def _belong(screens: Sequence[Screen], kind: Kind) -> list[Screen]:
    """Those that may be in a hand of a kind: pairs that are asked between others may.

    But not where somebody has just changed to this kind, and wants to see it.
    """
    others = [each for each in screens if each.strategy not in _BETWEEN and each.place >= 0]
    stays = all(each.kind == kind for each in others)

    def belongs(screen: Screen) -> bool:
        between = screen.place < 0 or (stays and screen.strategy in _BETWEEN)
        return screen.kind == kind or (screen.kind == "pair" and between)

    return [each for each in screens if belongs(each)]


def _apart(found: GridProposal, pending: Pending) -> GridProposal | None:
    """The proposal without the candidates that open screens may settle."""
    return found.without({pair for pair in found.pairs if pending.may_settle(pair)})


def _drawn(annotator: str, place: int, share: float) -> bool:
    """True for about ``share`` of an annotator's screens, the same ones each time."""
    digest = hashlib.blake2b(f"{place} {annotator}".encode(), digest_size=7).digest()
    return int.from_bytes(digest) < share * 2**56
