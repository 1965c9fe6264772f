"""The database of answers: its tables, and how a connection to it behaves."""

from datetime import UTC, datetime
from functools import partial

from sqlalchemy import (
    JSON,
    Boolean,
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
    text,
)
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeDecorator

from likewise.answers.sqlite_files import open_file, prepare, require_still_there, sqlite_file

FORMAT = 3
_CONNECTIONS = 20
"""Kept open at most; twice as many may be in use at once."""
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
    Column("screen", Text, nullable=False, server_default=""),  # what was answered at once
    Column("digest", Text, nullable=False),  # of this row and the one before: see `chain`
    Index("answers_by_annotator", "annotator", "number"),
    Index("answers_by_pair", "a", "b", "annotator"),
    Index("answers_by_screen", "screen", "annotator"),
    sqlite_autoincrement=True,
)

seal_table = Table(
    "answers_seal",  # one row: which answer is the last
    metadata,
    Column("number", Integer, nullable=False),
    Column("digest", Text, nullable=False),
)

screens_table = Table(
    "screens",
    metadata,
    Column("token", Text, primary_key=True),
    Column("annotator", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("place", Integer, nullable=False),  # counts up; below zero: put back by an undo
    Column("anchor", Text, nullable=False),
    Column("candidates", JSON, nullable=False),  # [[id, score], ...]
    Column("context", JSON, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("expires", UtcTime, nullable=False),
    Column("closed", Boolean, nullable=False, default=False),  # answered; kept for going back
    UniqueConstraint("annotator", "place"),
    Index("screens_by_state", "annotator", "closed"),
)

leases_table = Table(
    "leases",
    metadata,
    Column("a", Text, primary_key=True),
    Column("b", Text, primary_key=True),
    Column("screen", Text, ForeignKey("screens.token", ondelete="CASCADE"), nullable=False),
    Index("leases_by_screen", "screen"),
)


def connect(url: str) -> Engine:
    """An engine whose transactions say beforehand whether they write.

    SQLite: WAL, with full sync where answers are written, so that they survive a power cut;
    writers begin with BEGIN IMMEDIATE, so that two of them queue instead of failing. PostgreSQL:
    those who write answers queue on an advisory lock, so that row numbers follow the order of
    commits; leases need no lock but their rows.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the URL is wrong or names a database nobody can open.
    """
    file = sqlite_file(url)
    engine = create_engine(
        url if file is None else "sqlite://",
        pool_pre_ping=not url.startswith("sqlite"),
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        pool_use_lifo=True,  # so that few are in use, and the caches of few fill up
        **({} if file is None else {"creator": partial(open_file, file), "poolclass": QueuePool}),
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda each, record: prepare(each, file, record.info))
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    if connection.dialect.name == "sqlite":
        if writes == "answers":
            require_still_there(connection.info)
        if writes:  # a lease may be lost at a power cut, an answer may not
            level = "FULL" if writes == "answers" else "NORMAL"
            connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif connection.dialect.name == "postgresql" and writes == "answers":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
