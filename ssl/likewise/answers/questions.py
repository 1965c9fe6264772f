"""Asking: which pairs come on whose screen, and what an answer to them does.

What is on a screen lies in the database, so a refresh, a second tab, a crash or a restart shows it
again, and nobody else is asked about it meanwhile. Nothing is kept per session.
"""

import threading
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from likewise.answers.anchors import AnchorOrder
from likewise.answers.annotators import Progress, pace
from likewise.answers.answering import Outcome, Undone, correct, take, take_back
from likewise.answers.belief import Belief
from likewise.answers.grids import GridProposal
from likewise.answers.hands import (
    Shares,
    came_too_late,
    kind_of,
    next_check,
    next_question,
    still_asked,
    still_fits,
    stored_on_average,
)
from likewise.answers.history import Past as Past
from likewise.answers.history import past_screens
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.pool import Proposer
from likewise.answers.replies import SHORTEST_VIEW as SHORTEST_VIEW
from likewise.answers.replies import Reply as Reply
from likewise.answers.rows import read_entries, recent_times
from likewise.answers.screens import (
    Kind,
    Screen,
    give_back,
    give_back_all,
    latest_screens,
    leased_pairs,
    open_screens,
    release_rest,
    renew,
    reserve,
    take_over,
)
from likewise.answers.standing import Pair, Verdict, pair_of
from likewise.answers.store import AnswerStore
from likewise.answers.turns import Turning, Turns
from likewise.answers.worth import LARGEST

LEASE = timedelta(minutes=4)
"""Renewed by every request of a page after a minute: who closes the page or
does nothing for a minute has given the pair back within five minutes."""
_RENEWED_AT = 3 * LEASE / 4
_ATTEMPTS = 20
"""How often to look for another question when somebody else got it first."""
_PATIENCE = 10
"""So many times as often where nothing is in hand yet."""
_LATEST = 24
"""Screens of an annotator that tell whether a check is due, and how much a screen stores."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Questions:
    """The questions about one embedding; may be shared by threads.

    Several processes may share the database. ``proposer`` chooses pairs of ``images``;
    ``fingerprint`` names the model behind it. Of the answered pairs ``second_share`` (0 to 1) are
    shown to a second person, or to as many as make ``readers``, and ``gold_share`` of each
    person's screens ask for a known truth.

    Raises (every method):
        LikewiseError: the database cannot be read or written.
    """

    def __init__(
        self,
        store: AnswerStore,
        proposer: Proposer,
        images: Container[str],
        fingerprint: str,
        second_share: float = 0.1,
        gold_share: float = 0.05,
        clock: Callable[[], datetime] = _utc_now,
        readers: int = 2,
    ) -> None:
        self._store, self._proposer, self._clock = store, proposer, clock
        self._images, self._fingerprint = images, fingerprint
        self._shares = Shares(second_share, gold_share, readers)
        self._anchors = AnchorOrder(proposer.exemplars)
        self._lock = threading.Lock()
        self._ledger = Ledger()
        self._turns: Turns | None = None
        self._ahead: GridProposal | None = None
        """A pair to ask about, chosen before anybody waits for it."""

    def turns(self) -> Turns:
        """The proposer's turns; for a strategy without a belief some of their own."""
        if self._turns is None:
            ask = self._proposer
            self._turns = ask.turns if isinstance(ask, Turning) else Turns(Belief(ask.pool), 0)
        return self._turns

    def hand(self, annotator: str, kind: Kind, count: int = 3) -> list[Screen]:
        """The screens reserved for this annotator, first first: up to ``count``.

        Those still open, kept for another `LEASE`, and new ones. Screens of other kinds are given
        back; pairs that measure or check come between those of every kind. No answer to one of
        them settles another; so there may be fewer, but none only if nothing is left to ask, or
        all of it is on the screens of others.
        """
        now = self._clock()
        with self._lock:
            with self._store.reading() as connection:
                self._catch_up(connection)
                mine = open_screens(connection, annotator)
            links = self._links(kind)
            kept = still_asked(mine, kind, self._ledger, links, self._images, now)
            if kept != mine or any(each.expires - now <= _RENEWED_AT for each in kept):
                with self._store.leasing() as connection:
                    mine = open_screens(connection, annotator, lock=True)
                    kept = still_asked(mine, kind, self._ledger, links, self._images, now)
                    give_back(connection, {each.token for each in mine if each not in kept})
                    renew(connection, [each.token for each in kept], now + LEASE)
                kept = [replace(each, expires=now + LEASE) for each in kept]
            for attempt in range(_PATIENCE * _ATTEMPTS):
                if len(kept) >= count or (kept and attempt >= _ATTEMPTS):
                    break
                screen = self._next(annotator, kind, kept, now)
                if screen is None:
                    break
                if screen != "gone":
                    kept.append(screen)
            return kept[:count]

    def think_ahead(self) -> None:
        """Choose the next pair to ask about, while nobody waits for it."""
        with self._lock:
            with self._store.reading() as connection:
                self._catch_up(connection)
                taken = _held(leased_pairs(connection, self._clock()))
            self._ahead = next_question(
                "pair", self._proposer, self.turns, self._anchors, self._ledger, taken, ()
            )

    def answer(self, annotator: str, reply: Reply) -> Outcome:
        """Store what came back from any screen of the hand, in one transaction.

        A reply that was stored before is "stored" again, but makes no rows. "stale": the screen
        is not this annotator's, was answered otherwise, or expired and went to somebody else.
        "too soon": it was seen for less than `SHORTEST_VIEW`. In both cases nothing is stored.

        Raises:
            UsageError: the reply speaks of images that were not asked about.
        """
        now = self._clock()
        with self._store.writing() as connection:
            return take(connection, annotator, reply, now, now + LEASE)

    def undo(self, annotator: str, screen: str | None = None) -> Undone:
        """Take back all answers of one screen of this annotator, and put it first in the hand.

        Without ``screen``, the last one that was not taken back yet; with it, doing it again does
        no more. "stale": this annotator has answered no such screen.
        """
        now = self._clock()
        with self._store.writing() as connection:
            return take_back(connection, annotator, screen, now, now + LEASE)

    def correct(
        self, annotator: str, a: str, b: str, verdict: Verdict, token: str
    ) -> Literal["stored", "stale"]:
        """Replace this annotator's answer on a pair by another one, once for each ``token``.

        It belongs to the screen of the answer that it replaces, and goes with it in an `undo`.
        "stale": this annotator has no answer on the pair.

        Raises:
            UsageError: the pair is one image twice.
        """
        now = self._clock()
        with self._store.writing() as connection:
            return correct(connection, annotator, pair_of(a, b), verdict, token, now)

    def past(self, annotator: str, before: int | None = None, count: int = 20) -> list[Past]:
        """The screens that this annotator answered, newest first; ``before`` a `Past.number`."""
        with self._store.reading() as connection:
            return past_screens(connection, annotator, before, count)

    def let_go(self, annotator: str) -> None:
        """Give back all pairs that are reserved for this annotator."""
        with self._store.leasing() as connection:
            give_back_all(connection, annotator)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """What all answers add up to; nobody is asked anything until the block ends."""
        with self._lock:
            with self._store.reading() as connection:
                self._catch_up(connection)
            yield self._ledger

    def progress(self, annotator: str) -> Progress:
        """How far the work was, for this annotator's screen, when somebody was last asked.

        Nobody is waited for: it is told with every hand, which has just taken in all answers.
        """
        with self._store.reading() as connection:
            times = recent_times(connection, annotator, 20)
        standing, now = self._ledger.standing, self._clock()
        return Progress(
            today=standing.days[annotator, now.astimezone().date()],
            total=len(standing),
            similar=standing.verdicts["similar"],
            dissimilar=standing.verdicts["dissimilar"],
            unsure=standing.verdicts["unsure"],
            groups=self._ledger.links.groups_of_several,
            per_minute=pace(times, now),
        )

    def _next(
        self, annotator: str, kind: Kind, kept: Sequence[Screen], now: datetime
    ) -> Screen | Literal["gone"] | None:
        """Reserve one more screen; None if nothing is left, "gone" if it is worth another try.

        Somebody was quicker; or pairs were freed that expired or that, nothing else being left,
        this annotator had left open.
        """
        with self._store.reading() as connection:
            self._catch_up(connection)
            leased = leased_pairs(connection, now)
            latest = latest_screens(connection, annotator, _LATEST)
        taken = _held(leased)
        found = self._question(annotator, kind, kept, taken, latest)
        if found is None and kept:
            return None
        with self._store.leasing() as connection:
            if found is None:
                return "gone" if release_rest(connection, annotator) else None
            place = latest[0].place + 1 if latest else 0
            screen = self._screen(annotator, kind, found, place, now + LEASE)
            expired = [pair for pair in screen.pairs if pair in leased]
            if expired:  # and no more in this transaction: it holds leases in no set order
                take_over(connection, expired, now)
                return "gone"
            reserved = reserve(connection, screen)
            if reserved is None:
                return "gone"
            self._catch_up(connection)
            if came_too_late(reserved, self._ledger, self._shares.readers):
                give_back(connection, [reserved.token])
                return "gone"
            return reserved

    def _screen(
        self, annotator: str, kind: Kind, found: GridProposal, place: int, expires: datetime
    ) -> Screen:
        return Screen(
            kind=kind_of(found, kind),
            annotator=annotator,
            anchor=found.anchor,
            candidates=found.candidates,
            scores=found.scores,
            strategy=found.strategy,
            reason=found.reason,
            fingerprint=self._fingerprint,
            expires=expires,
            context=found.context,
            further=found.further,
            place=place,
        )

    def _question(
        self,
        annotator: str,
        kind: Kind,
        kept: Sequence[Screen],
        taken: set[Pair],
        latest: Sequence[Screen],
    ) -> GridProposal | None:
        """What to ask this annotator next, ``kept`` being in hand."""
        ask, ledger = self._proposer, self._ledger

        def check(only: bool) -> GridProposal | None:
            if kind != "pair":
                return None
            return next_check(ask, ledger, annotator, taken, latest, self._shares, only)

        own = {pair for screen in kept for pair in screen.pairs}
        found = check(only=False)
        if found is None and kind == "pair" and self._ahead is not None:
            found, self._ahead = self._ahead, None
            found = found if still_fits(found, ledger, taken, own) else None
        stored = self._stored(kind, kept, latest)
        found = found or next_question(
            kind, ask, self.turns, self._anchors, ledger, taken, own, stored
        )
        return found if found or kept else check(only=True)

    def _links(self, kind: Kind) -> Links:
        """What settles questions of a kind. Pairs may ask again what is only doubted."""
        return self._ledger.links if kind == "pair" else self.turns().trusted.of(self._ledger)

    def _stored(self, kind: Kind, kept: Sequence[Screen], latest: Sequence[Screen]) -> float:
        """How many answers a screen of a kind stores, as far as this annotator has shown.

        0 before the first one: who chooses a way to ask is shown it.
        """
        seen = [each for each in latest if each.kind == kind]
        open_ones = {each.token for each in kept}
        answered = [each for each in seen if each.token not in open_ones]
        found = stored_on_average(answered, self._ledger)
        return found if found is not None else float(LARGEST[kind] if seen else 0)

    def _catch_up(self, connection: Connection) -> None:
        """Take in what was stored since, by this process or another."""
        for entry in read_entries(connection, self._ledger.standing.last):
            self._ledger.add(entry)


def _held(leased: Mapping[Pair, bool]) -> set[Pair]:
    """The leased pairs that nobody else may have yet."""
    return {pair for pair, held in leased.items() if held}
