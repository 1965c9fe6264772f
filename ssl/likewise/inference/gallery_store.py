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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from likewise.errors import LikewiseError
from likewise.inference.gallery_file import GalleryFile
from likewise.workspace import Workspace

FILE = "gallery.db"
_AT_ONCE = 500
"""Names in one question to SQLite."""


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
    """Classes, exemplars, their pictures and vectors. For one thread at a time."""

    def __init__(self, workspace: Workspace) -> None:
        """Open the gallery of a workspace; its file is made when something is added.

        Raises:
            LikewiseError: there is no workspace, or the gallery is damaged or of another format.
        """
        self._file = GalleryFile(workspace.require().path / FILE)

    @property
    def version(self) -> tuple[int, int]:
        """Another one after each change, whoever made it."""
        return self._file.version

    def classes(self) -> dict[str, int]:
        """How many exemplars each class has, in the order in which the classes came."""
        rows = self._file.rows(
            "SELECT class, count(*) FROM exemplars GROUP BY class ORDER BY min(number)"
        )
        return {name: int(count) for name, count in rows}

    def exemplars(self, class_name: str | None = None) -> list[Exemplar]:
        """All exemplars, or those of a class, in the order in which they came."""
        where, values = ("", ()) if class_name is None else ("WHERE class = ?", (class_name,))
        rows = self._file.rows(
            f"SELECT class, image, path, added FROM exemplars {where} ORDER BY number",  # nosec B608
            values,
        )
        return [Exemplar(name, image, os.fsdecode(raw), when) for name, image, raw, when in rows]

    def classes_of(self, images: Iterable[str]) -> dict[str, str]:
        """The class of each of these images that is an exemplar."""
        found: dict[str, str] = {}
        for part in _parts(list(images)):
            marks = ",".join("?" * len(part))
            found |= dict(
                self._file.rows(
                    f"SELECT image, class FROM exemplars WHERE image IN ({marks})",  # nosec B608
                    part,
                )
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
        with self._file.writing() as database:
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
        with self._file.writing() as database:
            for part in _parts(images):
                marks = ",".join("?" * len(part))
                for table in ("vectors", "pictures", "exemplars"):
                    order = f"DELETE FROM {table} WHERE image IN ({marks})"  # nosec B608
                    done = database.execute(order, part)
                count += done.rowcount
        return count

    def picture(self, image: str) -> UInt8[np.ndarray, "H W 3"] | None:
        """The pixels of an exemplar, as it was added; None if it is none (any more).

        Raises:
            LikewiseError: they are damaged.
        """
        rows = self._file.rows("SELECT png, digest FROM pictures WHERE image = ?", (image,))
        if not rows or _digest(rows[0][0]) != rows[0][1]:
            name = self.classes_of([image]).get(image)
            if name is None:
                return None
            raise LikewiseError(
                f"{self._file.file}: the picture of an exemplar of {name!r} is damaged; `likewise "
                f"gallery remove {shlex.join([name, image])}`, and add the image again"
            )
        with Image.open(io.BytesIO(rows[0][0]), formats=("PNG",)) as opened:
            return np.array(opened.convert("RGB"))

    def vectors(self, fingerprint: str, dim: int) -> dict[str, Float32[np.ndarray, " D"]]:
        """The sound vectors that a model gave exemplars, by image."""
        rows = self._file.rows(
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
        with self._file.writing() as database:  # unless the exemplar was removed meanwhile
            database.executemany(
                "INSERT OR REPLACE INTO vectors SELECT ?, ?, ?, ? "
                "WHERE EXISTS (SELECT 1 FROM exemplars WHERE image = ?)",
                rows,
            )

    def forget_models(self, but: Iterable[str]) -> None:
        """Remove the vectors of models other than these."""
        known = {name for (name,) in self._file.rows("SELECT DISTINCT fingerprint FROM vectors")}
        if old := known - set(but):
            with self._file.writing() as database:
                for each in old:
                    database.execute("DELETE FROM vectors WHERE fingerprint = ?", (each,))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE))


def _png(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG")
    return buffer.getvalue()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
