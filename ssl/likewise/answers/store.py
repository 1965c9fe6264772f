"""The answers on disk: append-only, durable, safe for many writers.

An undo or a correction is a later row; nothing is ever changed or deleted.
"""

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, insert, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from likewise.answers.standing import Answer as Answer
from likewise.answers.standing import Entry, Standing, Undo, pair_of
from likewise.answers.standing import Verdict as Verdict
from likewise.answers.tables import answers_table, connect, create_tables
from likewise.errors import LikewiseError
from likewise.workspace import Workspace

_CHUNK = 500
"""Tokens per query; SQLite allows only so many parameters."""


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
    score: float | None = None
    """Cosine similarity when it was asked, -1 to 1."""
    fingerprint: str = ""
    time: datetime = field(default_factory=_now)
    """With a time zone."""
    token: str = field(default_factory=_token)
    """An answer whose token is stored already is ignored."""


class AnswerStore:
    """The database of answers behind a SQLAlchemy URL; may be shared by threads.

    Raises (every method):
        LikewiseError: the database cannot be opened, read or written.
    """

    def __init__(self, url: str) -> None:
        self._writer = threading.Lock()
        self.where = "the database"
        with self._explaining():
            self.where = make_url(url).render_as_string(hide_password=True)
            self._engine = connect(url)
        with self.writing() as connection:
            create_tables(connection)

    def __enter__(self) -> "AnswerStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections; a later call opens new ones."""
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that may write: committed when the block ends well, else nothing."""
        with (
            self._writer,
            self._explaining(),
            self._engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that reads."""
        with self._explaining(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise LikewiseError(f"the answers in {self.where}: {reason}") from error

    def add(self, answers: Sequence[NewAnswer]) -> int:
        """Store all of ``answers`` in one transaction; return how many were new.

        Raises:
            UsageError: a pair is one image twice.
        """
        with self.writing() as connection:
            return insert_answers(connection, answers)

    def undo(self, annotator: str) -> Answer | None:
        """Take back the annotator's last answer that was not taken back yet, and return it."""
        with self.writing() as connection:
            return insert_undo(connection, annotator)

    def history(self, after: int = 0) -> list[Entry]:
        """Every row with a number above ``after``, oldest first."""
        with self.reading() as connection:
            return read_entries(connection, after)

    def current(self) -> list[Answer]:
        """The standing answers (latest per pair and annotator, not undone), oldest first."""
        return Standing(self.history()).answers()

    def counts(self) -> dict[str, int]:
        """How many answers stand, per verdict and in all, by how many people, on how many images.

        Keys: answers, similar, dissimilar, unsure, annotators, images, rows (with undone ones).
        """
        history = self.history()
        standing = Standing(history)
        answers = standing.answers()
        return {
            "answers": len(answers),
            "similar": standing.verdicts["similar"],
            "dissimilar": standing.verdicts["dissimilar"],
            "unsure": standing.verdicts["unsure"],
            "annotators": len({each.annotator for each in answers}),
            "images": len({image for each in answers for image in each.pair}),
            "rows": len(history),
        }


def open_answers(workspace: Workspace) -> AnswerStore:
    """The answers of a workspace; the database is made when it is missing.

    Raises:
        LikewiseError: there is no workspace, the database cannot be opened, or it was made by a
            newer version.
    """
    return AnswerStore(workspace.require().database_url)


def read_entries(connection: Connection, after: int = 0) -> list[Entry]:
    """Every row with a number above ``after``, oldest first."""
    query = select(answers_table).where(answers_table.c.number > after).order_by("number")
    return [_entry(row) for row in connection.execute(query).mappings()]


def insert_answers(connection: Connection, answers: Sequence[NewAnswer]) -> int:
    """Insert those whose token is new, in the given order; return how many."""
    known: set[str] = set()
    tokens = [each.token for each in answers]
    for start in range(0, len(tokens), _CHUNK):
        query = select(answers_table.c.token).where(
            answers_table.c.token.in_(tokens[start : start + _CHUNK])
        )
        known.update(connection.execute(query).scalars())
    fresh = []
    for each in answers:
        if each.token not in known:
            known.add(each.token)
            fresh.append(_values(each))
    if fresh:
        connection.execute(insert(answers_table), fresh)
    return len(fresh)


def insert_undo(connection: Connection, annotator: str) -> Answer | None:
    """Insert the row that takes back the annotator's last answer; return that answer."""
    undo = answers_table.alias("undo")
    undone = select(undo.c.number).where(undo.c.undoes == answers_table.c.number)
    found = connection.execute(
        select(answers_table)
        .where(answers_table.c.annotator == annotator, answers_table.c.undoes.is_(None))
        .where(~undone.exists())
        .order_by(answers_table.c.number.desc())
        .limit(1)
    )
    row = found.mappings().first()
    if row is None:
        return None
    answer = _entry(row)
    assert isinstance(answer, Answer)
    values = {"token": _token(), "time": _now(), "undoes": answer.number, "verdict": None}
    same = {name: getattr(answer, name) for name in ("a", "b", "annotator", "fingerprint")}
    connection.execute(
        insert(answers_table), [{**same, **values, "strategy": answer.strategy, "score": None}]
    )
    return answer


def recent_times(connection: Connection, annotator: str, count: int) -> list[datetime]:
    """When this annotator's last ``count`` answers (undone ones included) were given."""
    query = (
        select(answers_table.c.time)
        .where(answers_table.c.annotator == annotator, answers_table.c.undoes.is_(None))
        .order_by(answers_table.c.number.desc())
        .limit(count)
    )
    return list(connection.execute(query).scalars())


def _values(answer: NewAnswer) -> dict[str, Any]:
    a, b = pair_of(answer.a, answer.b)
    return {
        "token": answer.token,
        "a": a,
        "b": b,
        "verdict": answer.verdict,
        "annotator": answer.annotator,
        "time": answer.time,
        "strategy": answer.strategy,
        "score": answer.score,
        "fingerprint": answer.fingerprint,
        "undoes": None,
    }


def _entry(row: Mapping[Any, Any]) -> Entry:
    if row["undoes"] is not None:
        return Undo(row["undoes"], row["annotator"], row["time"], row["number"])
    return Answer(**{each.name: row[each.name] for each in fields(Answer)})
