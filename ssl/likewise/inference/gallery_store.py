"""The gallery on disk, ``gallery.db``: classes, their exemplars' pixels, and vectors per model.

SQLite, because a class must come or go without the others being written again, and because two
commands at once must not lose each other's. An exemplar is kept as a picture, so that it outlives
its file and can be embedded by every model to come; vectors bear the fingerprint of the model that
made them. Pictures and vectors carry digests: damage is noticed, and vectors are made again.
"""

import hashlib
import io
import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.workspace import Workspace

FORMAT = 1
FILE = "gallery.db"
_PATIENCE = 60.0
"""Seconds to wait for another command that is writing."""
_AT_ONCE = 500
"""Names in one question to SQLite."""

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


@dataclass(frozen=True)
class Exemplar:
    """An image that stands for a class."""

    class_name: str
    image: str
    """Hash of its file's bytes."""
    path: str
    """Where the file lay when it was added."""
    added: str
    """Time, ISO 8601, UTC."""


class NewExemplar(NamedTuple):
    """An exemplar to be stored."""

    class_name: str
    image: str
    path: str
    picture: UInt8[np.ndarray, "H W 3"]


class GalleryStore:
    """The gallery's tables. For one thread at a time."""

    def __init__(self, workspace: Workspace) -> None:
        """Open the gallery of a workspace; its file is made when something is added.

        Raises:
            LikewiseError: there is no workspace, or the gallery is damaged or of another format.
        """
        self.file = workspace.require().path / FILE
        self._opened: sqlite3.Connection | None = None
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

    def classes(self) -> dict[str, int]:
        """How many exemplars each class has, in the order in which the classes came."""
        rows = self._rows(
            "SELECT class, count(*) FROM exemplars GROUP BY class ORDER BY min(number)"
        )
        return {name: int(count) for name, count in rows}

    def exemplars(self, class_name: str | None = None) -> list[Exemplar]:
        """All exemplars, or those of a class, in the order in which they came."""
        where, values = ("", ()) if class_name is None else ("WHERE class = ?", (class_name,))
        rows = self._rows(
            f"SELECT class, image, path, added FROM exemplars {where} ORDER BY number", values
        )
        return [Exemplar(name, image, os.fsdecode(raw), when) for name, image, raw, when in rows]

    def classes_of(self, images: Iterable[str]) -> dict[str, str]:
        """The class of each of these images that is an exemplar."""
        found: dict[str, str] = {}
        for part in _parts(list(images)):
            marks = ",".join("?" * len(part))
            found |= dict(
                self._rows(f"SELECT image, class FROM exemplars WHERE image IN ({marks})", part)
            )
        return found

    def add(self, exemplars: Sequence[NewExemplar]) -> set[str]:
        """Store what is new, all or nothing; return the images that are new.

        An image that is an exemplar already stays with its class.

        Raises:
            LikewiseError: the disk is full, or the like.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pictures = [_png(each.picture) for each in exemplars]
        new: set[str] = set()
        with self._writing() as database:
            for each, png in zip(exemplars, pictures, strict=True):
                values = each.class_name, each.image, os.fsencode(each.path), now
                done = database.execute(
                    "INSERT INTO exemplars (class, image, path, added) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (image) DO NOTHING",
                    values,
                )
                if done.rowcount:
                    new.add(each.image)
                    database.execute(
                        "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)",
                        (each.image, png, _digest(png)),
                    )
        return new

    def remove(self, images: Sequence[str]) -> int:
        """Forget exemplars, with their pictures and vectors; how many there were.

        Raises:
            LikewiseError: the disk is full, or the like.
        """
        count = 0
        with self._writing() as database:
            for part in _parts(images):
                marks = ",".join("?" * len(part))
                for table in ("vectors", "pictures", "exemplars"):
                    done = database.execute(f"DELETE FROM {table} WHERE image IN ({marks})", part)
                count += done.rowcount
        return count

    def picture(self, image: str) -> UInt8[np.ndarray, "H W 3"] | None:
        """The pixels of an exemplar, as it was added; None if it is none (any more).

        Raises:
            LikewiseError: they are damaged.
        """
        rows = self._rows("SELECT png, digest FROM pictures WHERE image = ?", (image,))
        if not rows or _digest(rows[0][0]) != rows[0][1]:
            name = self.classes_of([image]).get(image)
            if name is None:
                return None
            raise LikewiseError(
                f"the picture of an exemplar of {name!r} is damaged in {self.file}; `likewise "
                f"gallery remove {shlex.join([name, image])}`, and add the image again"
            )
        with Image.open(io.BytesIO(rows[0][0]), formats=("PNG",)) as opened:
            return np.array(opened.convert("RGB"))

    def vectors(self, fingerprint: str, dim: int) -> dict[str, Float32[np.ndarray, " D"]]:
        """The sound vectors that a model gave exemplars, by image."""
        rows = self._rows(
            "SELECT image, vector, digest FROM vectors WHERE fingerprint = ?", (fingerprint,)
        )
        return {
            image: np.frombuffer(vector, "<f4")
            for image, vector, digest in rows
            if len(vector) == 4 * dim and _digest(vector) == digest
        }

    def keep_vectors(
        self, fingerprint: str, vectors: Mapping[str, Float32[np.ndarray, " D"]]
    ) -> None:
        """Store vectors of exemplars, with the model that made them.

        Raises:
            LikewiseError: one is not finite, or the disk is full, or the like.
        """
        rows = []
        for image, vector in vectors.items():
            if not np.isfinite(vector).all():
                raise LikewiseError("the model gave an exemplar a vector that is not finite")
            data = np.ascontiguousarray(vector, "<f4").tobytes()
            rows.append((fingerprint, image, data, _digest(data), image))
        with self._writing() as database:  # unless the exemplar was removed meanwhile
            database.executemany(
                "INSERT OR REPLACE INTO vectors SELECT ?, ?, ?, ? "
                "WHERE EXISTS (SELECT 1 FROM exemplars WHERE image = ?)",
                rows,
            )

    def forget_models(self, but: Iterable[str]) -> None:
        """Remove the vectors of models other than these."""
        known = {name for (name,) in self._rows("SELECT DISTINCT fingerprint FROM vectors")}
        if old := known - set(but):
            with self._writing() as database:
                for each in old:
                    database.execute("DELETE FROM vectors WHERE fingerprint = ?", (each,))

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

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

    def _rows(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        database = self._there()
        if database is None:
            return []
        with self._telling():
            return database.execute(question, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is announced: whoever else writes waits until it is done."""
        database = self._connect()
        with self._telling():
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

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
    if "readonly" in text or "unable to open" in text:
        return "permission denied; change its permissions"
    if "malformed" in text or "not a database" in text or "no such" in text:
        return f"it is damaged ({text}); remove it, and add the classes again"
    return reason_of(error, file.parent)


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


def _png(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
