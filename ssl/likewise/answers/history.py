"""Looking answers up: by image, person, time, verdict; and screen by screen, going back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, case, select

from likewise.answers.consensus import ADJUDICATION, GOLD, REVIEW
from likewise.answers.rows import answer_of, is_answer, is_corrected
from likewise.answers.screens import Kind
from likewise.answers.standing import Answer, Pair, Verdict
from likewise.answers.store import AnswerStore
from likewise.answers.tables import answers_table as table
from likewise.answers.tables import screens_table as screens

State = Literal["standing", "corrected", "undone"]


@dataclass(frozen=True)
class Filter:
    """Which answers to find; what is None does not matter."""

    image: str | None = None
    annotator: str | None = None
    verdict: Verdict | None = None
    since: datetime | None = None
    """From this moment on. With a time zone."""
    until: datetime | None = None
    """Before this moment. With a time zone."""
    state: State | None = None
    strategy: str | None = None


@dataclass(frozen=True)
class Found:
    """An answer and what has become of it."""

    answer: Answer
    state: State
    undone_by: str | None
    """Who took it back."""


@dataclass(frozen=True)
class Past:
    """A screen that an annotator answered, without what was taken back since."""

    screen: str
    """Its token."""
    kind: Kind
    number: int
    """Of its first answer; screens are in the order of these."""
    answers: tuple[Answer, ...]
    """The latest on each pair, in the order in which they were first given."""
    anchor: str
    """Image id."""


def find(
    store: AnswerStore, chosen: Filter, before: int | None = None, limit: int = 50
) -> list[Found]:
    """Up to ``limit`` answers numbered below ``before``, newest first.

    Raises:
        LikewiseError: the database cannot be read.
    """
    undo = table.alias("undo")
    state = case((undo.c.number.is_not(None), "undone"), (is_corrected(), "corrected"),
                 else_="standing")  # fmt: skip
    query = (
        select(table, state.label("state"), undo.c.annotator.label("undone_by"))
        .outerjoin(undo, undo.c.undoes == table.c.number)
        .where(table.c.verdict.is_not(None), *_conditions(chosen))
        .order_by(table.c.number.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(table.c.number < before)
    if chosen.state is not None:
        query = query.where(undo.c.number.is_not(None) if chosen.state == "undone"
                            else undo.c.number.is_(None))  # fmt: skip
    if chosen.state == "corrected":
        query = query.where(is_corrected())
    if chosen.state == "standing":
        query = query.where(~is_corrected())
    with store.reading() as connection:
        rows = connection.execute(query).mappings().all()
    return [Found(answer_of(row), row["state"], row["undone_by"]) for row in rows]


def annotators(store: AnswerStore) -> list[str]:
    """Everybody who ever answered, by name.

    Raises:
        LikewiseError: the database cannot be read.
    """
    query = select(table.c.annotator).where(table.c.verdict.is_not(None)).distinct()
    with store.reading() as connection:
        return sorted(connection.execute(query).scalars())


def past_screens(
    connection: Connection, annotator: str, before: int | None, count: int
) -> list[Past]:
    """The annotator's last ``count`` screens whose first answer is numbered below ``before``.

    Decisions from a review were not asked on a screen and are left out. Goes backward page by page,
    so that the time it takes does not depend on the length of the history.
    """
    found: dict[str, list[Answer]] = {}
    page, query = 2 * count, _given_by(annotator)
    while len(found) < count:
        part = query if before is None else query.where(table.c.number < before)
        rows = connection.execute(part.limit(page)).all()
        answers = answers_on(connection, annotator, sorted({row.screen for row in rows}))
        for row in rows:
            given = answers[row.screen]
            if given and given[0].number == row.number:
                found[row.screen] = given
        if len(rows) < page:
            break
        page, before = 2 * page, rows[-1].number
    chosen = dict(islice(found.items(), count))
    query = select(screens.c.token, screens.c.kind, screens.c.anchor)
    kinds = {
        row.token: (row.kind, row.anchor)
        for row in connection.execute(query.where(screens.c.token.in_(sorted(chosen))))
    }
    return [_past(token, *kinds.get(token, ("pair", "")), each) for token, each in chosen.items()]


def _given_by(annotator: str) -> Select[Any]:
    """The annotator's answers, those that were taken back too, newest first."""
    return (
        select(table.c.number, table.c.screen)
        .where(table.c.annotator == annotator, table.c.verdict.is_not(None))
        .where(table.c.strategy.not_in((GOLD, ADJUDICATION, REVIEW)))
        .order_by(table.c.number.desc())
    )


def answers_on(
    connection: Connection, annotator: str, tokens: Sequence[str]
) -> dict[str, list[Answer]]:
    """The annotator's answers on screens, without what was taken back, oldest first."""
    found: dict[str, list[Answer]] = {token: [] for token in tokens}
    # Neither sorted nor chosen by person in SQL: SQLite would go through all their answers.
    query = select(table).where(table.c.screen.in_(tokens), is_answer())
    rows = connection.execute(query).mappings().all()
    for row in sorted(rows, key=lambda each: each["number"]):
        if row["annotator"] == annotator:
            found[row["screen"]].append(answer_of(row))
    return found


def _past(token: str, kind: Kind, anchor: str, answers: Sequence[Answer]) -> Past:
    latest: dict[Pair, Answer] = {}
    for each in answers:
        latest[each.pair] = each  # a correction keeps its place
    first = answers[0]
    return Past(token, kind, first.number, tuple(latest.values()), anchor or first.a)


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.image is not None:
        conditions.append((table.c.a == chosen.image) | (table.c.b == chosen.image))
    for name in ("annotator", "verdict", "strategy"):
        wanted = getattr(chosen, name)
        if wanted is not None:
            conditions.append(table.c[name] == wanted)
    if chosen.since is not None:
        conditions.append(table.c.time >= chosen.since)
    if chosen.until is not None:
        conditions.append(table.c.time < chosen.until)
    return conditions
