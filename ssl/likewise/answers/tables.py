"""The database of answers: its tables, and how a connection to it behaves."""

import sqlite3
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.types import TypeDecorator

from likewise.errors import LikewiseError

FORMAT = 1
BUSY_SECONDS = 30
_WRITERS = 0x11CE415E
"""Key of the PostgreSQL advisory lock that makes writers queue."""


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite knows no zones, so it is stored there without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC on the way in; a time without a zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone: {value}")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give every time its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

format_table = Table(
    "likewise_format", metadata, Column("format", Integer, primary_key=True, autoincrement=False)
)

answers_table = Table(
    "answers",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("token", Text, nullable=False, unique=True),
    Column("a", Text, nullable=False),
    Column("b", Text, nullable=False),
    Column("verdict", Text),  # NULL in a row that undoes another
    Column("annotator", Text, nullable=False),
    Column("time", UtcTime, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("score", Float),
    Column("fingerprint", Text, nullable=False),
    Column("undoes", Integer, ForeignKey("answers.number"), unique=True),
    Index("answers_by_annotator", "annotator", "number"),
    Index("answers_by_pair", "a", "b"),
    sqlite_autoincrement=True,
)

leases_table = Table(
    "leases",
    metadata,
    Column("token", Text, primary_key=True),
    Column("a", Text, nullable=False),
    Column("b", Text, nullable=False),
    Column("annotator", Text, nullable=False, unique=True),
    Column("strategy", Text, nullable=False),
    Column("score", Float),
    Column("reason", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("shown", UtcTime, nullable=False),
    Column("expires", UtcTime, nullable=False),
    UniqueConstraint("a", "b"),
)


def connect(url: str) -> Engine:
    """An engine whose transactions say beforehand whether they write.

    SQLite: WAL with full sync, so that a committed answer survives a power cut; writers begin
    with BEGIN IMMEDIATE, so that two of them queue instead of failing. PostgreSQL: writers queue
    on an advisory lock, so that row numbers follow the order of commits.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the URL is wrong or names a database nobody can open.
    """
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # transactions are begun by _begin alone
    for pragma in (
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    writes = bool(connection.get_execution_options().get("writes"))
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif connection.dialect.name == "postgresql" and writes:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})


def create_tables(connection: Connection) -> None:
    """Make the tables unless they are there, and check their format.

    Raises:
        LikewiseError: a newer version of Likewise made them.
    """
    metadata.create_all(connection)
    found = connection.execute(select(format_table.c.format)).scalar()
    if found is None:
        connection.execute(insert(format_table).values(format=FORMAT))
    elif found != FORMAT:
        raise LikewiseError(
            f"the answers have format {found}, this version of Likewise reads format {FORMAT}; "
            "upgrade with `pip install -U likewise`"
        )
