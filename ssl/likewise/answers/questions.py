"""Asking: which pair comes on whose screen, and what an answer to it does.

The pair on a screen lies in the database (a lease), so a refresh, a second tab, a crash or a
restart shows the same pair again, and nobody else is asked about it meanwhile.
"""

import threading
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import Connection

from likewise.answers.annotators import Progress, pace
from likewise.answers.leases import (
    Question,
    change,
    lease,
    leased_to,
    leases,
    release,
    release_expired,
)
from likewise.answers.links import Links, links_from
from likewise.answers.pool import Proposer
from likewise.answers.standing import Answer, Pair, Standing, Verdict
from likewise.answers.store import (
    AnswerStore,
    NewAnswer,
    insert_answers,
    insert_undo,
    read_entries,
    recent_times,
)

LEASE = timedelta(minutes=10)
SHORTEST_VIEW = timedelta(seconds=0.3)
"""An answer that comes sooner was meant for the pair before (double click, held key)."""

Outcome = Literal["stored", "stale", "too soon"]
Undone = Literal["undone", "nothing", "stale", "too soon"]


class Questions:
    """The questions about one embedding; may be shared by threads.

    ``proposer`` chooses pairs of ``images``; ``fingerprint`` names the model behind it.

    Raises (every method):
        LikewiseError: the database cannot be read or written.
    """

    def __init__(
        self,
        store: AnswerStore,
        proposer: Proposer,
        images: Container[str],
        fingerprint: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._proposer, self._clock = store, proposer, clock
        self._images, self._fingerprint = images, fingerprint
        self._lock = threading.Lock()
        self._standing, self._links = Standing(), Links()
        self._answered: set[Pair] = set()

    def ask(self, annotator: str) -> Question | None:
        """The question for this annotator: the open one, else a new one; None if none is left."""
        now = self._clock()
        with self._lock:
            with self._store.reading() as connection:
                self._catch_up(connection)
                question = leased_to(connection, annotator)
                if question and self._still_open(question) and question.expires - now > LEASE / 2:
                    return question
            with self._store.writing() as connection:
                self._catch_up(connection)
                question = leased_to(connection, annotator)
                if question and self._still_open(question):
                    change(connection, question.token, expires=now + LEASE)
                    return replace(question, expires=now + LEASE)
                if question:
                    release(connection, question.token)
                release_expired(connection, now)
                question = self._propose(annotator, leases(connection), now)
                if question:
                    lease(connection, question)
                return question

    def answer(self, token: str, verdict: Verdict, annotator: str) -> Outcome:
        """Store the answer to the question with this token, and close it, in one transaction.

        "stale": it was answered before, or given to somebody else after it expired; nothing is
        stored. "too soon": less than `SHORTEST_VIEW` after it was shown, or after the last answer
        that came too soon (a held key); nothing is stored, and the question stays.
        """
        now = self._clock()
        with self._store.writing() as connection:
            question = leased_to(connection, annotator)
            if question is None or question.token != token:
                return "stale"
            if now - question.shown < SHORTEST_VIEW:
                change(connection, token, shown=now)
                return "too soon"
            release(connection, token)
            answer = NewAnswer(
                question.a,
                question.b,
                verdict,
                annotator,
                strategy=question.strategy,
                score=question.score,
                fingerprint=question.fingerprint,
                time=now,
                token=token,
            )
            return "stored" if insert_answers(connection, [answer]) else "stale"

    def undo(self, annotator: str, on_screen: str | None) -> Undone:
        """Take back this annotator's last answer and show its pair again.

        ``on_screen`` is the token of the question they see, None if there is none; if it is not
        theirs any more nothing happens ("stale"), so a double click undoes one answer.
        """
        now = self._clock()
        with self._store.writing() as connection:
            question = leased_to(connection, annotator)
            if (question.token if question else None) != on_screen:
                return "stale"
            if question and now - question.shown < SHORTEST_VIEW:
                change(connection, question.token, shown=now)
                return "too soon"
            answer = insert_undo(connection, annotator)
            if answer is None:
                return "nothing"
            if question:
                release(connection, question.token)
            if all(each.pair != answer.pair for each in leases(connection)):
                again = Question(
                    answer.a,
                    answer.b,
                    annotator,
                    strategy=answer.strategy,
                    score=answer.score,
                    reason=f"You took back your answer, {answer.verdict}",
                    fingerprint=answer.fingerprint,
                    shown=now,
                    expires=now + LEASE,
                )
                lease(connection, again)
            return "undone"

    def progress(self, annotator: str) -> Progress:
        """How far the work is, for this annotator's screen."""
        with self._lock, self._store.reading() as connection:
            self._catch_up(connection)
            standing, now = self._standing, self._clock()
            return Progress(
                today=standing.days[annotator, now.astimezone().date()],
                total=len(standing),
                similar=standing.verdicts["similar"],
                dissimilar=standing.verdicts["dissimilar"],
                unsure=standing.verdicts["unsure"],
                groups=self._links.groups_of_several,
                per_minute=pace(recent_times(connection, annotator, 20), now),
            )

    def _propose(
        self, annotator: str, others: Sequence[Question], now: datetime
    ) -> Question | None:
        """A new question that nobody else has on the screen."""
        shown = {each.pair for each in others} - self._answered
        self._answered |= shown
        try:
            busy = {image for each in others for image in each.pair}
            found = self._proposer.next(self._links, self._answered, busy)
        finally:
            self._answered -= shown
        if found is None:
            return None
        return Question(
            found.a,
            found.b,
            annotator,
            strategy=found.strategy,
            score=found.score,
            reason=found.reason,
            fingerprint=self._fingerprint,
            shown=now,
            expires=now + LEASE,
        )

    def _still_open(self, question: Question) -> bool:
        """Whether it still makes sense to ask: the images are there, no newer answer is."""
        if question.a not in self._images or question.b not in self._images:
            return False
        answer = self._standing.of(*question.pair, question.annotator)
        return answer is None or answer.time <= question.shown

    def _catch_up(self, connection: Connection) -> None:
        """Take in what was stored since, by this process or another."""
        only_new = True
        for entry in read_entries(connection, self._standing.last):
            if self._standing.add(entry) and isinstance(entry, Answer):
                self._answered.add(entry.pair)
                self._links.add(entry.a, entry.b, entry.verdict)
            else:
                only_new = False
        if not only_new:
            answers = self._standing.answers()
            self._links = links_from(answers)
            self._answered = {each.pair for each in answers}
