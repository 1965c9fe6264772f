"""`likewise answers verify`: whether the history of answers is as it was written."""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnClause,
    Connection,
    Engine,
    column,
    create_engine,
    func,
    select,
    table,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from likewise.answers.chain import COVERED, Seal, breaks_of
from likewise.answers.store import open_answers
from likewise.answers.tables import FORMAT, answers_table, format_table, seal_table
from likewise.errors import LikewiseError
from likewise.notebook import Displayed
from likewise.settings import AnswersVerify
from likewise.workspace import Workspace

_COLUMNS: list[ColumnClause[Any]] = [column(each) for each in (*COVERED, "digest")]
_AS_STORED = select(*_COLUMNS).select_from(table("answers")).order_by(column("number"))
"""Untouched by any type of ours: what is no time or number is to be seen as well."""
_AT_ONCE = 10_000
_TOLD = 3
"""Breaks that are told in full."""


@dataclass(frozen=True)
class AnswersVerified(Displayed):
    """A history of answers in which every row is as it was written."""

    where: str
    rows: int
    digest: str
    """Of the last row, and through it of all before."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {"where": self.where, "rows": self.rows, "digest": self.digest}

    def as_text(self) -> str:
        """What a person reads."""
        if not self.rows:
            return f"no answers yet in {self.where}"
        return (
            f"{self.rows:,} rows in {self.where}, each as it was written\n"
            f"digest of the last one: {self.digest}\n"
            "note it elsewhere, and give it to --noted another time"
        )


def verify_answers(workspace: Workspace, settings: AnswersVerify) -> AnswersVerified:
    """Look whether a row of answers was changed, removed or added by anything but Likewise.

    Raises:
        LikewiseError: there was one, the database is damaged, or the noted digest is of no row.
    """
    with contextlib.ExitStack() as stack:
        if settings.file is None:
            store = stack.enter_context(open_answers(workspace))
            where, connection = store.where, stack.enter_context(store.snapshot())
        else:
            where = str(settings.file)
            connection = stack.enter_context(reading_file(settings.file))
        digest = require_unbroken(connection, where)
        if settings.noted and not _is_there(connection, settings.noted):
            raise LikewiseError(
                f"no row in {where} has the digest {settings.noted}: what was there when it was "
                "noted was replaced as a whole, or it is of other answers"
            )
        return AnswersVerified(where, row_count(connection), digest)


def require_unbroken(connection: Connection, where: str) -> str:
    """Raise unless every row is as it was written; return the digest of the last one.

    Raises:
        LikewiseError: one is not; the text says which.
    """
    damage = _damage(connection)
    if damage:
        raise LikewiseError(f"{where} is damaged: {damage}; restore a backup")
    seal = seal_of(connection)
    rows = connection.execution_options(yield_per=_AT_ONCE).execute(_AS_STORED).mappings()
    found = list(breaks_of(({**row} for row in rows), seal))
    if found or seal is None:
        told = "; ".join(each.what for each in found[:_TOLD])
        more = f"; and {len(found) - _TOLD:,} more places" if len(found) > _TOLD else ""
        raise LikewiseError(f"the answers in {where} are not as they were written: {told}{more}")
    return seal.digest


def row_count(connection: Connection) -> int:
    """How many rows the history has."""
    return connection.execute(select(func.count()).select_from(answers_table)).scalar_one()


def seal_of(connection: Connection) -> Seal | None:
    """Where the chain ends, as kept apart from its rows; None if that is gone."""
    found = connection.execute(select(seal_table)).all()
    return Seal(*found[0]) if len(found) == 1 else None


@contextlib.contextmanager
def reading_file(file: Path) -> Iterator[Connection]:
    """One transaction on a file that `likewise answers backup` wrote, which stays as it is.

    Raises:
        LikewiseError: it cannot be read, or is nothing of the kind.
    """
    engine = _reading_engine(file)
    try:
        with engine.connect() as connection:
            version = connection.execute(select(format_table.c.format)).scalar()
            if version != FORMAT:
                raise LikewiseError(
                    f"{file} has format {version}, this version of Likewise reads format {FORMAT}"
                )
            yield connection
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise LikewiseError(f"{file} is no backup of answers: {reason}") from error
    finally:
        engine.dispose()


def _reading_engine(file: Path) -> Engine:
    address = f"{file.absolute().as_uri()}?mode=ro"
    return create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool
    )


def _damage(connection: Connection) -> str:
    """What SQLite finds wrong with its file; nothing else is asked so."""
    if connection.dialect.name != "sqlite":
        return ""
    said = str(connection.execute(text("PRAGMA integrity_check(1)")).scalar())
    return "" if said == "ok" else " ".join(said.split())


def _is_there(connection: Connection, digest: str) -> bool:
    query = select(answers_table.c.number).where(answers_table.c.digest == digest.strip().lower())
    return connection.execute(query).first() is not None
