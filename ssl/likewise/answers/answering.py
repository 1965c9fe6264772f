"""Taking answers: what comes back from screens, undo, correction.

Each function works inside a transaction of its caller, which may write answers.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection

from likewise.answers.history import answers_on, past_screens
from likewise.answers.replies import Reply, answers_of
from likewise.answers.rows import (
    NewAnswer,
    insert_new,
    insert_undos,
    is_known,
    last_answer,
    readers_of,
    verdicts_of,
)
from likewise.answers.screens import Screen, close, put_back, screen_of
from likewise.answers.standing import Answer, Pair, Verdict, pair_of

Outcome = Literal["stored", "stale", "too soon"]
Undone = Literal["undone", "nothing", "stale"]


def take(
    connection: Connection, annotator: str, reply: Reply, now: datetime, until: datetime
) -> Outcome:
    """Store a reply and close its screen; what it left open stays reserved ``until`` then.

    Raises:
        UsageError: the reply speaks of images that were not asked about.
    """
    found = screen_of(connection, reply.token, annotator)
    if found is None:
        return "stale"
    answers = answers_of(found.screen, reply, now)
    if found.closed:
        given = {each.token: each.verdict for each in answers}
        return "stored" if verdicts_of(connection, reply.token) == given else "stale"
    if reply.too_soon:
        return "too soon"
    insert_new(connection, answers)
    close(connection, reply.token, {pair_of(each.a, each.b) for each in answers}, until)
    return "stored"


def take_back(
    connection: Connection, annotator: str, screen: str | None, now: datetime, until: datetime
) -> Undone:
    """Take back all answers of a screen, by default the last one, and reserve it again."""
    if screen is None:
        last = past_screens(connection, annotator, None, 1)
        if not last:
            return "nothing"
        screen = last[0].screen
    given = answers_on(connection, annotator, [screen])[screen]
    if not given:
        return "undone" if verdicts_of(connection, screen, annotator) else "stale"
    insert_undos(connection, [each.number for each in given], annotator, now)
    stored = screen_of(connection, screen, annotator)
    if stored:
        _ask_again(connection, replace(stored.screen, expires=until), given)
    elif len(given) == 1:  # it came from a file or an older version
        _ask_again(connection, _screen_of_its_own(given[0], screen, until), given)
    return "undone"


def correct(
    connection: Connection, annotator: str, pair: Pair, verdict: Verdict, token: str, now: datetime
) -> Literal["stored", "stale"]:
    """Add an answer that covers the annotator's last one on ``pair``, on the same screen."""
    if is_known(connection, token):
        return "stored"
    row = last_answer(connection, annotator, pair)
    if row is None:
        return "stale"
    if verdict != row["verdict"]:
        kept = {name: row[name] for name in ("strategy", "score", "fingerprint", "screen")}
        answer = NewAnswer(*pair, verdict, annotator, time=now, token=token, **kept)
        insert_new(connection, [answer])
    return "stored"


def _ask_again(connection: Connection, screen: Screen, given: Sequence[Answer]) -> None:
    """Put a screen whose answers were taken back before all others of its annotator.

    Without pairs on which another answer of theirs stands, and without those that they had left
    open and others answered meanwhile.
    """
    readers = readers_of(connection, screen.pairs)
    taken_back = {each.pair for each in given}
    wanted = {
        pair
        for pair, names in readers.items()
        if (screen.annotator not in names if pair in taken_back else not names)
    }
    one = len(taken_back) == 1
    what = f"your answer, {given[-1].verdict}" if one else "these answers"
    put_back(connection, replace(screen, reason=f"You took back {what}"), wanted)


def _screen_of_its_own(answer: Answer, token: str, expires: datetime) -> Screen:
    return Screen(
        kind="pair",
        annotator=answer.annotator,
        anchor=answer.a,
        candidates=(answer.b,),
        scores=(answer.score,),
        strategy=answer.strategy,
        reason="",
        fingerprint=answer.fingerprint,
        expires=expires,
        token=token,
    )
