"""The answers on disk: append-only, durable, safe for many writers.

An undo or a correction is a later row; nothing is ever changed or deleted.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Select, func, make_url, select
from sqlalchemy.exc import SQLAlchemyError

from likewise.answers.ledger import Ledger
from likewise.answers.rows import NewAnswer as NewAnswer
from likewise.answers.rows import (
    insert_answers,
    insert_undos,
    last_answer,
    read_answers,
    read_entries,
    standing_answers,
)
from likewise.answers.sqlite_files import is_frozen, sqlite_file
from likewise.answers.standing import VERDICTS, Entry
from likewise.answers.standing import Answer as Answer
from likewise.answers.standing import Verdict as Verdict
from likewise.answers.tables import answers_table, connect
from likewise.answers.upgrades import create_tables
from likewise.errors import DiskFull, LikewiseError
from likewise.files import is_full
from likewise.workspace import Workspace

_MOMENT = "REPEATABLE READ"


class AnswerStore:
    """The database of answers behind a SQLAlchemy URL; may be shared by threads.

    Raises (every method):
        LikewiseError: the database cannot be opened, read or written.
    """

    def __init__(self, url: str) -> None:
        self._writer = threading.Lock()
        self.url = url
        self.where = "the database"
        with self._explaining():
            if sqlite_file(url) is None:
                self.where = make_url(url).render_as_string(hide_password=True)
            else:
                self.where = url
            self._engine = connect(url)
        file = sqlite_file(url)
        frozen = file is not None and is_frozen(file)
        with self.reading() if frozen else self.writing() as connection:
            create_tables(connection, may_write=not frozen)

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
        """One transaction that may write answers: committed when the block ends well."""
        with (
            self._writer,
            self._explaining(),
            self._engine.connect().execution_options(writes="answers") as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def leasing(self) -> Iterator[Connection]:
        """One transaction that may write screens and leases, but no answers."""
        one_writer = self._engine.dialect.name == "sqlite"
        with (
            self._writer if one_writer else nullcontext(),
            self._explaining(),
            self._engine.connect().execution_options(writes="leases") as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that reads."""
        with self._explaining(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """One transaction that reads one moment, however long it takes."""
        options = {} if self._engine.dialect.name == "sqlite" else {"isolation_level": _MOMENT}
        with (
            self._explaining(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, ImportError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            if _lacks_room(reason, sqlite_file(self.url)):
                raise DiskFull(
                    f"the answers in {self.where}: the disk is full; free some space"
                ) from error
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
            row = last_answer(connection, annotator)
            if row is None:
                return None
            return insert_undos(connection, [row["number"]], annotator, datetime.now(UTC))[0]

    def retract(self, numbers: Collection[int], annotator: str) -> int:
        """Take back answers, by whomever, in the name of ``annotator``; return how many.

        What was taken back before is left as it is.
        """
        return self.change([], numbers, annotator)

    def change(self, add: Sequence[NewAnswer], retract: Collection[int], annotator: str) -> int:
        """First `retract`, then `add`, in one transaction; return how many rows that made.

        Raises:
            UsageError: a pair is one image twice.
        """
        with self.writing() as connection:
            undone = insert_undos(connection, retract, annotator, datetime.now(UTC))
            return len(undone) + insert_answers(connection, add)

    def history(self, after: int = 0) -> list[Entry]:
        """Every row with a number above ``after``, oldest first."""
        with self.reading() as connection:
            return read_entries(connection, after)

    def current(self) -> list[Answer]:
        """The standing answers (latest per pair and annotator, not undone), oldest first."""
        with self.reading() as connection:
            return read_answers(connection, standing_answers().order_by(answers_table.c.number))

    def settled(self) -> list[Answer]:
        """What training uses: one answer for each pair on which people agree, oldest first.

        See `likewise.answers.ledger`.
        """
        ledger = Ledger()
        for entry in self.history():
            ledger.add(entry)
        return ledger.settled()

    def counts(self) -> dict[str, int]:
        """How many answers stand, per verdict and in all, by how many people, on how many images.

        Keys: answers, similar, dissimilar, unsure, annotators, images, rows (with undone ones).
        """
        stands = standing_answers().subquery()
        images = select(stands.c.a).union(select(stands.c.b)).subquery()
        with self.reading() as connection:
            verdicts = select(stands.c.verdict, func.count()).group_by(stands.c.verdict)
            per_verdict = {row[0]: row[1] for row in connection.execute(verdicts)}

            def count(query: Select[Any]) -> int:
                return int(connection.execute(query).scalar_one())

            return {
                "answers": sum(per_verdict.values()),
                **{verdict: per_verdict.get(verdict, 0) for verdict in VERDICTS},
                "annotators": count(select(func.count(stands.c.annotator.distinct()))),
                "images": count(select(func.count()).select_from(images)),
                "rows": count(select(func.count()).select_from(answers_table)),
            }


def _lacks_room(reason: str, file: Path | None) -> bool:
    """Whether a full disk is behind an error. SQLite has words for what it could not do instead."""
    if "disk is full" in reason or "No space left" in reason:  # SQLite; PostgreSQL
        return True
    vague = "disk I/O error" in reason or "unable to open" in reason
    return vague and file is not None and is_full(file.parent)


def open_answers(workspace: Workspace) -> AnswerStore:
    """The answers of a workspace; the database is made when it is missing.

    Raises:
        LikewiseError: there is no workspace, the database cannot be opened, or it was made by a
            newer version.
    """
    return AnswerStore(workspace.require().database_url)
