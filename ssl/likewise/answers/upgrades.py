"""The tables of answers: made where they are missing, brought up to date where they are older."""

from sqlalchemy import Connection, bindparam, insert, inspect, select, text, update

from likewise.answers.chain import START, Seal, chained
from likewise.answers.tables import FORMAT, answers_table, format_table, metadata, seal_table
from likewise.errors import LikewiseError

_OLD_WRITERS = """
CREATE TRIGGER answers_without_digest BEFORE INSERT ON answers WHEN NEW.digest = ''
BEGIN SELECT RAISE(ABORT, 'the answers were brought up to date meanwhile; start Likewise again');
END"""
"""A server that was started before may still run; PostgreSQL refuses what has no digest anyway."""
_AT_ONCE = 10_000
"""Rows that are given a digest in one statement."""


def create_tables(connection: Connection, may_write: bool = True) -> None:
    """Make the tables unless they are there; bring those of older formats up to date.

    Raises:
        LikewiseError: a newer version of Likewise made them, or an older one where nothing can be
            written.
    """
    format_table.create(connection, checkfirst=True)
    found = connection.execute(select(format_table.c.format)).scalar()
    if found is None:
        metadata.create_all(connection)
        connection.execute(insert(format_table).values(format=FORMAT))
        _seal(connection, Seal(0, START))
    elif found in (1, 2):
        if not may_write:
            raise LikewiseError(
                f"the answers have format {found}, and lie where nothing can be written; copy the "
                "workspace to another disk, where they are brought up to date"
            )
        if found == 1:
            _give_screens(connection)
        _chain(connection)
        connection.execute(update(format_table).values(format=FORMAT))
    elif found != FORMAT:
        raise LikewiseError(
            f"the answers have format {found}, this version of Likewise reads format {FORMAT}; "
            "upgrade with `pip install -U likewise`"
        )


def _give_screens(connection: Connection) -> None:
    """From format 1, where a screen was one pair: answers stay, what was on screens is let go."""
    connection.execute(text("DROP TABLE IF EXISTS leases"))
    connection.execute(text("DROP INDEX IF EXISTS answers_by_pair"))
    connection.execute(text("ALTER TABLE answers ADD COLUMN screen TEXT NOT NULL DEFAULT ''"))
    connection.execute(update(answers_table).values(screen=answers_table.c.token))


def _chain(connection: Connection) -> None:
    """From format 2, where rows had no digest."""
    connection.execute(text("ALTER TABLE answers ADD COLUMN digest TEXT NOT NULL DEFAULT ''"))
    metadata.create_all(connection)
    known = {each["name"] for each in inspect(connection).get_indexes("answers")}
    for index in answers_table.indexes:
        if index.name not in known:
            index.create(connection)
    last = Seal(0, START)
    give = (
        update(answers_table)
        .where(answers_table.c.number == bindparam("row"))
        .values(digest=bindparam("its"))
    )
    ordered = select(answers_table).order_by(answers_table.c.number).limit(_AT_ONCE)
    while found := connection.execute(ordered.where(answers_table.c.number > last.number)).all():
        rows, last = chained([each._asdict() for each in found], last)
        connection.execute(give, [{"row": row["number"], "its": row["digest"]} for row in rows])
    _seal(connection, last)
    if connection.dialect.name == "sqlite":
        connection.execute(text(_OLD_WRITERS))
    else:
        connection.execute(text("ALTER TABLE answers ALTER COLUMN digest DROP DEFAULT"))


def _seal(connection: Connection, last: Seal) -> None:
    connection.execute(insert(seal_table).values(number=last.number, digest=last.digest))
