r"""The table of all images, ``images.parquet``: what each is, where it lies and its pixels.

One row per image, and one per file that failed. Columns: ``id``, ``paths`` (to show; bytes that
are not UTF-8 as ``\xff``), ``raw_paths`` (the file system's bytes), ``roots`` (through which
folder or list each path was found), ``mtimes`` and ``ctimes`` (nanoseconds), ``bytes``,
``width`` and ``height`` (upright), ``status``, ``reason``, ``offset`` (into the pixel file),
``store_width``, ``store_height``, ``checksum`` (CRC-32 of the pixels). The Parquet metadata names
the pixel file and its valid length, and seals the file (`likewise.seals`).
"""

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import UInt8

from likewise.errors import LikewiseError
from likewise.files import reason_of, replacing
from likewise.images.decode import Decoded
from likewise.seals import MARK, is_whole, seal

FORMAT = 2
"""Since 2 with a seal, and a checksum of each image's pixels."""
Status = Literal["ok", "failed", "gone"]

_SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "paths": pa.list_(pa.string()),
        "raw_paths": pa.list_(pa.binary()),
        "roots": pa.list_(pa.binary()),
        "mtimes": pa.list_(pa.int64()),
        "ctimes": pa.list_(pa.int64()),
        "bytes": pa.int64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "status": pa.string(),
        "reason": pa.string(),
        "offset": pa.int64(),
        "store_width": pa.int32(),
        "store_height": pa.int32(),
        "checksum": pa.int64(),
    }
)


class Stamp(NamedTuple):
    """What is remembered of a path."""

    mtime_ns: int
    root: str
    ctime_ns: int = 0
    """0 where it is not known."""


@dataclass(slots=True)
class Row:
    """One image, or one file that failed."""

    id: str
    """Empty where a failed file could not be read at all."""
    bytes: int
    status: Status
    paths: dict[str, Stamp] = field(default_factory=dict)
    """Where it lies; of a gone image, where it lay last."""
    width: int = 0
    height: int = 0
    reason: str = ""
    offset: int = -1
    store_width: int = 0
    store_height: int = 0
    checksum: int | None = None
    """CRC-32 of its prepared pixels; None where nobody has computed it."""


@dataclass
class Manifest:
    """All rows, with the pixel file that they point into."""

    store_file: str
    """Name of the pixel file, in the workspace."""
    store_size: int
    """Short side of the prepared copies, in pixels."""
    store_bytes: int = 0
    """Length of the pixel file that rows may point into; what lies beyond was never committed."""
    rows: dict[str, Row] = field(default_factory=dict)
    """By image id; failed files by their path. In the order in which they came."""
    by_path: dict[str, Row] = field(default_factory=dict)
    """Without the gone ones."""
    changed: bool = True
    """Since it was read or written."""

    def add_image(self, path: str, stamp: Stamp, row: Row) -> None:
        """Add an image that was not known."""
        self.rows[row.id] = row
        self.add_path(path, stamp, row)

    def add_path(self, path: str, stamp: Stamp, row: Row) -> None:
        """Note that a known image lies (also) at ``path``; a gone one is back."""
        if row.status == "gone":
            row.status = "ok"
            row.paths.clear()
        row.paths[path] = stamp
        self.by_path[path] = row
        self.changed = True

    def add_failure(self, path: str, stamp: Stamp, row: Row) -> None:
        """Note that the file at ``path`` is no usable image."""
        self.rows[path] = row
        self.add_path(path, stamp, row)

    def drop(self, path: str) -> None:
        """Forget what was at ``path``; an image without any path left is gone."""
        row = self.by_path.pop(path, None)
        if row is None:
            return
        self.changed = True
        if row.status == "failed":
            del self.rows[path]
        elif len(row.paths) == 1:
            row.status = "gone"
        else:
            del row.paths[path]


def image_row(image_id: str, size: int, decoded: Decoded, offset: int) -> Row:
    """The row of a newly prepared image whose file has ``size`` bytes."""
    height, width = decoded.pixels.shape[:2]
    return Row(
        id=image_id,
        bytes=size,
        status="ok",
        width=decoded.width,
        height=decoded.height,
        offset=offset,
        store_width=width,
        store_height=height,
        checksum=checksum(decoded.pixels),
    )


def checksum(pixels: UInt8[np.ndarray, "H W 3"]) -> int:
    """CRC-32 of an image's prepared pixels."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def damaged_pixels(store: Path, what: str) -> LikewiseError:
    """What is told when pixels are not those that were prepared; ``what`` names the image."""
    return LikewiseError(
        f"the prepared image {what} is damaged in {store}; remove "
        f"{store.with_name('images.parquet')}, and `likewise ingest` will make all of them again"
    )


def display(path: str) -> str:
    r"""A path as text that any encoder takes: bytes that are not UTF-8 become ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_manifest(file: Path) -> Manifest | None:
    """Read a manifest; None where there is none.

    Raises:
        LikewiseError: it is damaged or of a newer format.
    """
    if not file.exists():
        return None
    table, store = read_table(file)
    manifest = Manifest(*store, changed=False)
    for values in table.to_pylist():
        raw, roots, mtimes = (values.pop(name) for name in ("raw_paths", "roots", "mtimes"))
        ctimes = values.pop("ctimes", None) or [0] * len(raw)
        del values["paths"]
        stamps = list(map(Stamp, mtimes, map(os.fsdecode, roots), ctimes))
        row = Row(paths=dict(zip(map(os.fsdecode, raw), stamps, strict=True)), **values)
        manifest.rows[next(iter(row.paths)) if row.status == "failed" else row.id] = row
        if row.status != "gone":
            manifest.by_path.update(dict.fromkeys(row.paths, row))
    return manifest


def write_manifest(file: Path, manifest: Manifest) -> None:
    """Write the manifest in the place of the old one: this commits all that it points to.

    Raises:
        LikewiseError: the file could not be written; the old one is intact.
    """
    rows = manifest.rows.values()
    columns: dict[str, Any] = {
        name: [getattr(row, name) for row in rows]
        for name in _SCHEMA.names
        if name not in ("paths", "raw_paths", "roots", "mtimes", "ctimes")
    }
    columns["paths"] = [[display(path) for path in row.paths] for row in rows]
    columns["raw_paths"] = [[os.fsencode(path) for path in row.paths] for row in rows]
    columns["roots"] = [[os.fsencode(each.root) for each in row.paths.values()] for row in rows]
    columns["mtimes"] = [[each.mtime_ns for each in row.paths.values()] for row in rows]
    columns["ctimes"] = [[each.ctime_ns for each in row.paths.values()] for row in rows]
    metadata = {
        "likewise.format": str(FORMAT),
        "likewise.store_file": manifest.store_file,
        "likewise.store_size": str(manifest.store_size),
        "likewise.store_bytes": str(manifest.store_bytes),
        "likewise.seal": MARK,
    }
    table = pa.table(columns, schema=_SCHEMA.with_metadata(metadata))
    with replacing(file) as temporary:
        pq.write_table(table, temporary)
        seal(temporary)
    manifest.changed = False


def read_table(
    file: Path, columns: list[str] | None = None
) -> tuple[pa.Table, tuple[str, int, int]]:
    """Some columns of a manifest, with the pixel file's name, store size and valid length.

    Raises:
        LikewiseError: it is damaged or of a newer format.
    """
    try:
        whole = is_whole(file)
        if whole is False:
            raise ValueError("it is damaged")
        if columns is not None:  # older manifests lack some
            there = pq.read_schema(file).names
            columns = [each for each in columns if each in there]
        table = pq.read_table(file, columns=columns, page_checksum_verification=not whole)
        metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        version = int(metadata["likewise.format"])
        if whole is None and version == FORMAT:
            raise ValueError("it is damaged")
        if version > FORMAT:
            raise LikewiseError(
                f"{file} has format {version}, this version of Likewise reads format {FORMAT}; "
                "upgrade with `pip install -U likewise`"
            )
        store = (
            metadata["likewise.store_file"],
            int(metadata["likewise.store_size"]),
            int(metadata["likewise.store_bytes"]),
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise LikewiseError(
            f"{file} cannot be read ({reason_of(error)}); remove it, and `likewise ingest` will "
            "read the images again"
        ) from error
    return table, store
