"""The prepared store while it is written: pixels are appended, then a manifest commits them.

The pixel file ``images.N.pixels`` only ever grows, and only the manifest says how much of it
counts. Whatever a crash or a full disk leaves behind that point is cut off by the next writer. A
new store size begins another pixel file with a manifest of its own, ``images.next.parquet``,
which takes the place of the old pair when it is complete.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from likewise.errors import LikewiseError
from likewise.files import reason_of, sync_folder
from likewise.images.decode import shrink, target_size
from likewise.images.manifest import (
    Manifest,
    checksum,
    damaged_pixels,
    read_manifest,
    write_manifest,
)
from likewise.workspace import Workspace

_NEXT = "images.next.parquet"
_COMMIT_EVERY = 30.0
"""Seconds, or twenty times what the last commit took if that is longer."""


class Edition:
    """A manifest and its pixel file, open for writing. Hold ``workspace.lock("images")``."""

    def __init__(self, manifest: Manifest, file: Path) -> None:
        self.manifest = manifest
        self.file = file
        self.store = file.with_name(manifest.store_file)
        self._due = time.monotonic() + _COMMIT_EVERY

    def __enter__(self) -> "Edition":
        try:
            self._pixels = self.store.open("r+b" if self.store.exists() else "x+b", buffering=0)
            held = self._pixels.seek(0, os.SEEK_END)
        except OSError as error:
            raise LikewiseError(f"could not write {self.store}: {reason_of(error)}") from error
        self._length = self.manifest.store_bytes
        if held < self._length:
            self._pixels.close()
            raise LikewiseError(
                f"{self.store} is damaged (shorter than it was); remove {self.file}, and "
                "`likewise ingest` will read the images again"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self._keep_what_is_done()
        finally:
            if self._pixels.seek(0, os.SEEK_END) > self.manifest.store_bytes:
                self._pixels.truncate(self.manifest.store_bytes)
            self._pixels.close()

    def append(self, pixels: UInt8[np.ndarray, "H W 3"]) -> int:
        """Write an image's pixels behind the others; return their offset.

        Raises:
            LikewiseError: the disk is full, or the like.
        """
        offset = self._length
        rest = memoryview(pixels.tobytes())
        try:
            self._pixels.seek(offset)
            while rest:
                rest = rest[self._pixels.write(rest) or 0 :]
        except OSError as error:
            raise LikewiseError(f"could not write {self.store}: {reason_of(error)}") from error
        self._length = offset + pixels.size
        return offset

    def commit(self) -> None:
        """Make all that was appended and noted last.

        Raises:
            LikewiseError: it could not be written; the last commit stands.
        """
        if not self.manifest.changed and self.file.exists():
            return
        try:
            os.fsync(self._pixels.fileno())
        except OSError as error:
            raise LikewiseError(f"could not write {self.store}: {reason_of(error)}") from error
        committed, self.manifest.store_bytes = self.manifest.store_bytes, self._length
        try:
            write_manifest(self.file, self.manifest)
        except BaseException:
            self.manifest.store_bytes = committed
            raise

    def commit_if_due(self) -> None:
        """Commit every so often, so that an interrupted run loses little."""
        started = time.monotonic()
        if started < self._due:
            return
        self.commit()
        took = time.monotonic() - started
        self._due = started + max(_COMMIT_EVERY, 20 * took)

    def _keep_what_is_done(self) -> None:
        try:
            self._pixels.truncate(self._length)  # the unfinished last image, which frees some space
            self.commit()
        except (OSError, LikewiseError):
            return  # the last commit stands


def open_edition(workspace: Workspace, store_size: int) -> tuple[Edition, Manifest | None]:
    """The edition that an ingest goes on writing, and the old manifest if that one replaces it."""
    current = read_manifest(workspace.manifest_file)
    following = workspace.path / _NEXT
    if current is None or current.store_size == store_size:
        manifest = current or Manifest("images.1.pixels", store_size)
        _remove_all_but(workspace, manifest.store_file)
        return Edition(manifest, workspace.manifest_file), None
    begun = read_manifest(following)
    if begun is None or begun.store_size != store_size:
        number = int(current.store_file.split(".")[1]) + 1
        begun = Manifest(f"images.{number}.pixels", store_size)
    _remove_all_but(workspace, current.store_file, begun.store_file)
    return Edition(begun, following), current


def carry_over(old: Manifest, edition: Edition) -> None:
    """Take the images that only the old manifest has, their files being gone.

    Their pixels are shrunk to the new store size, or stay as they are if it is larger.

    Raises:
        LikewiseError: their pixels are damaged, or cannot be written.
    """
    store = edition.file.with_name(old.store_file)
    pixels = np.memmap(store, np.uint8, "r") if old.store_bytes else np.zeros(0, np.uint8)
    for key, row in old.rows.items():
        if row.status != "gone" or key in edition.manifest.rows:
            continue
        end = row.offset + row.store_height * row.store_width * 3
        held = np.array(pixels[row.offset : end]).reshape(row.store_height, row.store_width, 3)
        if row.checksum not in (None, checksum(held)):
            raise damaged_pixels(store, key)
        size = target_size(row.store_width, row.store_height, edition.manifest.store_size)
        shrunk = np.asarray(shrink(Image.fromarray(held), size))
        edition.manifest.rows[key] = replace(
            row,
            offset=edition.append(shrunk),
            store_width=size[0],
            store_height=size[1],
            checksum=checksum(shrunk),
        )
        edition.manifest.changed = True


def publish(workspace: Workspace, edition: Edition) -> None:
    """Put a finished new edition in the place of the old one.

    Raises:
        LikewiseError: it could not be renamed.
    """
    try:
        edition.file.replace(workspace.manifest_file)
        sync_folder(workspace.path)
    except OSError as error:
        raise LikewiseError(
            f"could not write {workspace.manifest_file}: {reason_of(error)}"
        ) from error
    _remove_all_but(workspace, edition.manifest.store_file)


def _remove_all_but(workspace: Workspace, *names: str) -> None:
    """Remove the pixel files, and a begun next edition, that nothing refers to any more."""
    for file in workspace.path.glob("images.*.pixels"):
        if file.name not in names:
            file.unlink(missing_ok=True)
    if len(names) == 1:
        (workspace.path / _NEXT).unlink(missing_ok=True)
