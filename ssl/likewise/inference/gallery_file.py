"""The gallery's file, ``gallery.db``: opened, checked, and written in transactions."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from likewise.errors import LikewiseError
from likewise.files import reason_of

FORMAT = 1
_PATIENCE = 60.0
"""Seconds to wait for another command that is writing."""

SCHEMA = """
CREATE TABLE likewise_gallery (format INTEGER NOT NULL);
CREATE TABLE exemplars (
    number INTEGER PRIMARY KEY,
    class TEXT NOT NULL,
    image TEXT NOT NULL UNIQUE,
    path BLOB NOT NULL,
    added TEXT NOT NULL
);
CREATE INDEX exemplars_by_class ON exemplars (class, number);
CREATE TABLE pictures (image TEXT PRIMARY KEY, png BLOB NOT NULL, digest BLOB NOT NULL);
CREATE TABLE vectors (
    fingerprint TEXT NOT NULL,
    image TEXT NOT NULL,
    vector BLOB NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (fingerprint, image)
);
"""


class GalleryFile:
    """An SQLite file that is made when something is written. For one thread at a time."""

    def __init__(self, file: Path) -> None:
        """Open the file if it is there.

        Raises:
            LikewiseError: it is damaged, or of another format.
        """
        self._opened: sqlite3.Connection | None = None
        self.file = file
        self._there()

    @property
    def version(self) -> tuple[int, int]:
        """Another one after each change, whoever made it."""
        database = self._there()
        if database is None:
            return (0, 0)
        with self._telling():
            (others,) = database.execute("PRAGMA data_version").fetchone()
        return int(others), database.total_changes

    def rows(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        """The answer to a question; empty as long as nothing was ever written.

        Raises:
            LikewiseError: the file is damaged, or somebody else is writing it for too long.
        """
        database = self._there()
        if database is None:
            return []
        with self._telling():
            return database.execute(question, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is announced: whoever else writes waits until it is done.

        Raises:
            LikewiseError: the disk is full, or the like; nothing was changed.
        """
        database = self._connect()
        with self._telling():
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                if database.in_transaction:  # a full disk has ended it already
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __del__(self) -> None:
        """Whoever drops the gallery lets go of its file."""
        self.close()

    def _connect(self) -> sqlite3.Connection:
        if self._opened is None:
            with self._telling():
                opened = sqlite3.connect(
                    self.file, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
                )
                self._check(opened)
                self._opened = opened
        return self._opened

    def _there(self) -> sqlite3.Connection | None:
        """The open file; None as long as nothing was ever added."""
        return self._connect() if self._opened or self.file.exists() else None

    def _check(self, database: sqlite3.Connection) -> None:
        database.execute("PRAGMA synchronous = FULL")
        if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
            database.execute("BEGIN IMMEDIATE")
            if not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in filter(str.strip, SCHEMA.split(";")):
                    database.execute(statement)
                database.execute("INSERT INTO likewise_gallery VALUES (?)", (FORMAT,))
            database.execute("COMMIT")
        (version,) = database.execute("SELECT format FROM likewise_gallery").fetchone()
        if version != FORMAT:
            raise LikewiseError(
                f"{self.file} has format {version}, this version of Likewise reads format "
                f"{FORMAT}; upgrade with `pip install -U likewise`"
            )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors of SQLite as a line that says what to do."""
        try:
            yield
        except (sqlite3.Error, OSError, TypeError) as error:
            raise LikewiseError(f"the gallery {self.file}: {_why(error, self.file)}") from error


def _why(error: Exception, file: Path) -> str:
    text = str(error)
    if "locked" in text:
        return "another likewise command is writing it; wait until it ends, or stop it"
    if "full" in text:
        return "the disk is full; free some space and run the command again"
    if "readonly" in text or "unable to open" in text:
        return "permission denied; change its permissions"
    if isinstance(error, OSError):
        return reason_of(error, file.parent)
    return f"it is damaged ({text}); remove it, and add the classes again"
