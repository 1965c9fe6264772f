"""Rows of the history of answers. Each function works inside a transaction of its caller."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from sys import intern
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    bindparam,
    func,
    insert,
    select,
    tuple_,
    update,
)

from likewise.answers.chain import START, Seal, chained, stored_score
from likewise.answers.standing import Answer, Entry, Pair, Undo, Verdict, pair_of
from likewise.answers.tables import answers_table as table
from likewise.answers.tables import seal_table as seals

_CHUNK = 500
"""Values per query; SQLite allows only so many parameters."""
_TIMES = (
    select(table.c.time)
    .where(table.c.annotator == bindparam("annotator"), table.c.verdict.is_not(None))
    .order_by(table.c.number.desc())
    .limit(bindparam("count"))
)
_INSERT = insert(table)
_ANSWER = tuple(each.name for each in fields(Answer))
_ENTRIES = (
    select(*(table.c[name] for name in _ANSWER), table.c.undoes)
    .where(table.c.number > bindparam("after"))
    .order_by(table.c.number)
)
_LAST = select(seals.c.number, seals.c.digest)
_HIGHEST = select(func.max(table.c.number))
_SEAL = update(seals).values(number=bindparam("row"), digest=bindparam("its"))


def _token() -> str:
    return uuid.uuid4().hex


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class NewAnswer:
    """An answer about to be stored."""

    a: str
    b: str
    """Image ids, in any order."""
    verdict: Verdict
    annotator: str
    strategy: str = ""
    """What proposed the pair; "adjudication" settles a dispute, "gold" is a known truth."""
    score: float | None = None
    """Cosine similarity when it was asked, -1 to 1."""
    fingerprint: str = ""
    time: datetime = field(default_factory=_now)
    """With a time zone."""
    token: str = field(default_factory=_token)
    """An answer whose token is stored already is ignored."""
    screen: str = ""
    """Token of the screen it was given on; its own token if it was given alone."""


def is_answer(rows: FromClause = table) -> ColumnElement[bool]:
    """Whether a row is an answer that nobody took back.

    That an answer has a verdict is asked instead of what it undoes: SQLite would use the index on
    the latter and look at nearly all rows.
    """
    undo = table.alias()
    taken_back = select(undo.c.number).where(undo.c.undoes == rows.c.number)
    return rows.c.verdict.is_not(None) & ~taken_back.exists()


def is_corrected() -> ColumnElement[bool]:
    """Whether a later answer of the same annotator on the same pair covers this one."""
    later = table.alias()
    covering = select(later.c.number).where(
        later.c.a == table.c.a,
        later.c.b == table.c.b,
        later.c.annotator == table.c.annotator,
        later.c.number > table.c.number,
        is_answer(later),
    )
    return covering.exists()


def standing_answers() -> Select[Any]:
    """The latest answer per pair and annotator that was not taken back."""
    latest = (
        select(func.max(table.c.number))
        .where(is_answer())
        .group_by(table.c.a, table.c.b, table.c.annotator)
    )
    return select(table).where(table.c.number.in_(latest))


def read_entries(connection: Connection, after: int = 0) -> list[Entry]:
    """Every row with a number above ``after``, oldest first."""
    return [_entry(row) for row in connection.execute(_ENTRIES, {"after": after}).mappings()]


def read_answers(connection: Connection, query: Select[Any]) -> list[Answer]:
    """What a query for whole rows of answers finds."""
    return [answer_of(row) for row in connection.execute(query).mappings()]


def insert_new(connection: Connection, answers: Sequence[NewAnswer]) -> None:
    """Insert answers whose tokens nobody can have used.

    Raises:
        UsageError: a pair is one image twice.
    """
    if answers:
        _append(connection, [_values(each) for each in answers])


def insert_answers(connection: Connection, answers: Sequence[NewAnswer]) -> int:
    """Insert those whose token is new, in the given order; return how many.

    Raises:
        UsageError: a pair is one image twice.
    """
    known: set[str] = set()
    for some in _chunks([each.token for each in answers]):
        query = select(table.c.token).where(table.c.token.in_(some))
        known.update(connection.execute(query).scalars())
    fresh = []
    for each in answers:
        if each.token not in known:
            known.add(each.token)
            fresh.append(each)
    insert_new(connection, fresh)
    return len(fresh)


def insert_undos(
    connection: Connection, numbers: Iterable[int], annotator: str, time: datetime
) -> list[Answer]:
    """Insert rows by which ``annotator`` takes answers back, by whomever; return these answers.

    Numbers of no answer, or of one that was taken back already, are left out.
    """
    found: list[Mapping[Any, Any]] = []
    for some in _chunks(sorted(set(numbers))):
        query = select(table).where(table.c.number.in_(some), is_answer()).order_by(table.c.number)
        found += connection.execute(query).mappings()
    if found:
        same = ("a", "b", "strategy", "fingerprint", "screen")
        undo = {"verdict": None, "annotator": annotator, "time": time, "score": None}
        _append(
            connection,
            [
                {name: row[name] for name in same}
                | undo
                | {"token": _token(), "undoes": row["number"]}
                for row in found
            ],
        )
    return [answer_of(row) for row in found]


def last_answer(connection: Connection, annotator: str, pair: Pair | None = None) -> Any | None:
    """The row of the annotator's last answer (on a pair) that was not taken back."""
    query = select(table).where(table.c.annotator == annotator, is_answer())
    if pair:
        query = query.where(table.c.a == pair[0], table.c.b == pair[1])
    return connection.execute(query.order_by(table.c.number.desc()).limit(1)).mappings().first()


def is_known(connection: Connection, token: str) -> bool:
    """Whether an answer with this token is stored."""
    return (
        connection.execute(select(table.c.number).where(table.c.token == token)).first() is not None
    )


def verdicts_of(
    connection: Connection, screen: str, annotator: str | None = None
) -> dict[str, Verdict]:
    """By token: the verdicts that came back from a screen, undone or not, without corrections.

    With ``annotator``: every answer of theirs that belongs to the screen.
    """
    query = select(table.c.token, table.c.verdict).where(
        table.c.screen == screen, table.c.verdict.is_not(None)
    )
    if annotator is None:
        query = query.where(table.c.token.startswith(f"{screen}-", autoescape=True))
    else:
        query = query.where(table.c.annotator == annotator)
    return {row.token: row.verdict for row in connection.execute(query)}


def readers_of(connection: Connection, pairs: Collection[Pair]) -> dict[Pair, set[str]]:
    """For each of ``pairs`` the people with an answer on it that was not taken back."""
    found: dict[Pair, set[str]] = {pair: set() for pair in pairs}
    query = select(table.c.a, table.c.b, table.c.annotator).where(
        tuple_(table.c.a, table.c.b).in_(sorted(pairs)), is_answer()
    )
    for a, b, annotator in connection.execute(query):
        found[a, b].add(annotator)
    return found


def recent_times(connection: Connection, annotator: str, count: int) -> list[datetime]:
    """When this annotator's last ``count`` answers (undone ones included) were given."""
    return list(connection.execute(_TIMES, {"annotator": annotator, "count": count}).scalars())


def answer_of(row: Mapping[Any, Any]) -> Answer:
    """The answer that a row holds; equal texts of many rows are one in memory."""
    return Answer(*(_one_text(row[name]) for name in _ANSWER))


def _one_text(value: Any) -> Any:
    return intern(value) if isinstance(value, str) else value


def _entry(row: Mapping[Any, Any]) -> Entry:
    if row["undoes"] is not None:
        return Undo(row["undoes"], row["annotator"], row["time"], row["number"])
    return answer_of(row)


def _append(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows at the end of the history, chained to it; nobody else writes meanwhile.

    The chain goes on from the seal, not from the row that happens to be last, and a seal that is
    gone is not made again: so whatever was done to either stays seen.
    """
    seal = connection.execute(_LAST).first()
    last = Seal(*seal) if seal else Seal(0, START)
    highest = connection.execute(_HIGHEST).scalar() or 0
    first = max(highest, last.number) + 1
    numbered = [{**row, "number": number} for number, row in enumerate(rows, first)]
    added, last = chained(numbered, last)
    connection.execute(_INSERT, added)
    connection.execute(_SEAL, {"row": last.number, "its": last.digest})


def _values(answer: NewAnswer) -> dict[str, Any]:
    a, b = pair_of(answer.a, answer.b)
    same = ("token", "verdict", "annotator", "time", "strategy", "score", "fingerprint")
    own = {name: getattr(answer, name) for name in same} | {"score": stored_score(answer.score)}
    return own | {"a": a, "b": b, "undoes": None, "screen": answer.screen or answer.token}


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]
