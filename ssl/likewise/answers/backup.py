"""`likewise answers backup` and `restore`: all that people did, in one file, while they go on."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite

from likewise.answers.chain import Seal
from likewise.answers.people import make_people_table, people_table
from likewise.answers.sqlite_files import open_file, sqlite_file
from likewise.answers.store import AnswerStore, open_answers
from likewise.answers.tables import answers_table, screens_table, seal_table
from likewise.answers.verification import reading_file, require_unbroken, row_count, seal_of
from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of, replacing
from likewise.notebook import Displayed
from likewise.settings import AnswersBackup, AnswersRestore
from likewise.workspace import Workspace

_AT_ONCE = 1000


@dataclass(frozen=True)
class BackedUp(Displayed):
    """What was written."""

    file: Path
    rows: int
    digest: str
    """Of the last row."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {"file": str(self.file), "rows": self.rows, "digest": self.digest}

    def as_text(self) -> str:
        """What a person reads."""
        return f"{self.rows:,} rows of history written to {self.file}; the last has {self.digest}"


@dataclass(frozen=True)
class Restored(Displayed):
    """What came back."""

    file: Path
    rows: int
    """That were not there."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {"file": str(self.file), "rows": self.rows}

    def as_text(self) -> str:
        """What a person reads."""
        return f"{self.rows:,} rows of history restored from {self.file}"


def backup_answers(workspace: Workspace, settings: AnswersBackup) -> BackedUp:
    """Write answers, screens and people to one SQLite file, as they are at one moment.

    Nobody has to stop. Every answer that was acknowledged before is in it.

    Raises:
        UsageError: the file is the database itself.
        LikewiseError: it could not be written, or what it holds is not as it was written.
    """
    own = sqlite_file(workspace.require().database_url)
    if own is not None and own.resolve() == settings.file.resolve():
        raise UsageError(f"{settings.file} holds the answers themselves; name another file")
    with open_answers(workspace) as store, replacing(settings.file) as temporary:
        if own is not None:
            _copy_file(own, temporary)
        else:
            _copy_rows(store, temporary)
    with reading_file(settings.file) as copy:
        digest = require_unbroken(copy, str(settings.file))
        return BackedUp(settings.file, row_count(copy), digest)


def restore_answers(workspace: Workspace, settings: AnswersRestore) -> Restored:
    """Add what a backup holds and the workspace does not; nothing there is replaced.

    Raises:
        LikewiseError: the backup is damaged, or lacks answers that are in the workspace.
    """
    with (
        reading_file(settings.file) as source,
        open_answers(workspace) as store,
        store.writing() as target,
    ):
        require_unbroken(source, str(settings.file))
        there = seal_of(target)
        if there is None or not _has(source, there):
            raise LikewiseError(
                f"{store.where} holds answers that are not in {settings.file}; to go back to it "
                "none the less move the database away, then restore"
            )
        return Restored(settings.file, _add_missing(source, target, there.number))


def _copy_file(database: Path, file: Path) -> None:
    """By SQLite's online backup: one moment of it, whoever writes meanwhile."""
    try:
        with (
            contextlib.closing(open_file(database)) as source,
            contextlib.closing(sqlite3.connect(file)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
        shutil.copymode(database, file)
    except sqlite3.Error as error:
        reason = reason_of(error, file.parent)
        raise LikewiseError(f"could not copy {database} to {file.parent}: {reason}") from error


def _copy_rows(store: AnswerStore, file: Path) -> None:
    """Row by row, by one snapshot."""
    file.touch(mode=0o600)  # it holds hashes of passwords
    with (
        AnswerStore(f"sqlite:///{file}") as copy,
        store.snapshot() as source,
        copy.writing() as target,
    ):
        _add_missing(source, target, after=0)
    with contextlib.closing(sqlite3.connect(file)) as plain:
        plain.execute("PRAGMA journal_mode=DELETE")


def _has(source: Connection, seal: Seal) -> bool:
    """Whether the history goes through this row, or there is none yet."""
    query = select(answers_table.c.digest).where(answers_table.c.number == seal.number)
    return not seal.number or source.execute(query).scalar() == seal.digest


def _add_missing(source: Connection, target: Connection, after: int) -> int:
    """Copy answers with a higher number, answered screens and people; return how many answers."""
    count = 0
    newer = select(answers_table).where(answers_table.c.number > after)
    for some in _parts(source, newer.order_by(answers_table.c.number)):
        target.execute(insert(answers_table), some)
        count += len(some)
    for some in _parts(source, select(screens_table).where(screens_table.c.closed)):
        target.execute(_unless_there(target, screens_table), some)
    make_people_table(target)
    if inspect(source).has_table(people_table.name):
        for some in _parts(source, select(people_table)):
            target.execute(_unless_there(target, people_table), some)
    seal = seal_of(source)
    if seal is not None:
        target.execute(update(seal_table).values(number=seal.number, digest=seal.digest))
    return count


def _parts(source: Connection, query: Any) -> Iterator[list[dict[str, Any]]]:
    found = source.execution_options(yield_per=_AT_ONCE).execute(query).mappings()
    for some in found.partitions(_AT_ONCE):
        yield [{**row} for row in some]


def _unless_there(target: Connection, table: Table) -> Any:
    dialect = postgresql if target.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()
