"""The file behind an SQLite URL: any name, on any disk, and never another one than was opened."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from likewise.errors import LikewiseError

_PREFIX = "sqlite:///"
BUSY_SECONDS = 30
CACHE = 512
"""KiB of the file that each connection keeps; a server has dozens, and the system keeps it all."""


def sqlite_file(url: str) -> Path | None:
    """The file that an SQLite URL names: all that follows ``sqlite:///``.

    SQLAlchemy takes a question mark for the beginning of options, and so another file. None for
    other databases, and for one in memory.
    """
    name = url.removeprefix(_PREFIX)
    return Path(name) if url.startswith(_PREFIX) and name not in ("", ":memory:") else None


def is_frozen(file: Path) -> bool:
    """Whether a database lies where nothing can be written, as on a mounted backup."""
    return file.is_file() and not os.access(file.parent, os.W_OK)


def open_file(file: Path) -> sqlite3.Connection:
    """Open it; one that is frozen as it lies there, as SQLite's WAL needs files beside it.

    Raises:
        LikewiseError: it is frozen, and its last answers are still in the file beside it.
    """
    if not is_frozen(file):
        return sqlite3.connect(file, timeout=BUSY_SECONDS, check_same_thread=False)
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise LikewiseError(
            f"{file} cannot be read where nothing can be written: the last answers are still in "
            f"{log.name}; copy the workspace to another disk"
        )
    uri = f"file:{quote(str(file.absolute()))}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def prepare(connection: Any, file: Path | None, info: dict[Any, Any]) -> None:
    """Set up a new connection, and note in ``info`` which file it has opened."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None  # transactions are begun by us alone
    if file is not None and is_frozen(file):
        return
    for pragma in (
        f"busy_timeout={BUSY_SECONDS * 1000}",
        f"cache_size=-{CACHE}",
        "journal_mode=WAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if file is not None:
        info["file"], info["opened"] = file, _identity(file)


def require_still_there(info: dict[Any, Any]) -> None:
    """Raise if the file that a connection has open is not the one that has its name any more.

    What is written then would be acknowledged, and gone.

    Raises:
        LikewiseError: the file was removed, moved, or replaced.
    """
    file = info.get("file")
    if file is not None and _identity(file) != info["opened"]:
        raise LikewiseError(
            f"{file} was removed or replaced while it was in use, so nothing more is written; put "
            "it back, or start again with what is there now"
        )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
