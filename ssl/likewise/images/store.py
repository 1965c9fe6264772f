"""The prepared images of a workspace: one memory-mapped file of RGB pixels."""

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64, UInt8

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.images.manifest import checksum, damaged_pixels, display, read_table
from likewise.notebook import Cell, line, tiles
from likewise.workspace import Workspace

_COLUMNS = ["id", "raw_paths", "status", "offset", "store_width", "store_height"]
_CHECKSUM = "checksum"
"""Not in manifests of format 1."""
_SHOWN = 24
"""Images that a notebook displays."""


def is_held_out(image_id: str, share: float) -> bool:
    """Whether an image belongs to the ``share`` (0 to 1) that is kept for evaluation.

    It depends on the image's content alone: the first 32 bits of its hash, as a fraction of 1,
    lie below ``share``. A greater share thus only adds images.
    """
    return int(image_id[:8], 16) / 2**32 < share


class Images:
    """The usable images of a workspace (status "ok"), in the manifest's order.

    ``images[row]`` is a read-only view on the memory-mapped pixels, so that an image costs
    nothing until it is looked at. Safe to send to other processes: each maps the file itself. An
    image's checksum is looked at the first time that a process looks at the image.
    """

    def __init__(self, table: pa.Table, store: Path, length: int, hold_out: float) -> None:
        status = table.column("status").to_numpy()
        usable, gone = np.flatnonzero(status == "ok"), np.flatnonzero(status == "gone")
        columns = [table.column(name).to_numpy() for name in ("offset", "store_height")]
        offsets, heights, widths = *columns, table.column("store_width").to_numpy()
        every_id = table.column("id").to_numpy()
        self.ids: npt.NDArray[np.str_] = every_id[usable].astype("<U32")
        self.held_out: npt.NDArray[np.bool_] = np.array(
            [is_held_out(each, hold_out) for each in self.ids.tolist()], bool
        )
        self.sizes: Int32[np.ndarray, "N 2"] = np.stack(
            [heights[usable], widths[usable]], axis=1
        ).astype(np.int32)
        self._offsets: Int64[np.ndarray, " N"] = offsets[usable].astype(np.int64)
        self._paths = table.column("raw_paths").take(pa.array(usable)).combine_chunks()
        self._gone = {
            str(every_id[row]): (int(offsets[row]), int(heights[row]), int(widths[row]))
            for row in gone
        }
        sums = table.column(_CHECKSUM) if _CHECKSUM in table.column_names else None
        every_sum = (
            np.full(len(status), -1) if sums is None else sums.fill_null(-1).to_numpy()
        ).astype(np.int64)
        self._checksums: Int64[np.ndarray, " N"] = every_sum[usable]
        """-1 where there is none."""
        self._sound: npt.NDArray[np.bool_] = self._checksums < 0
        self._gone_sums = {str(every_id[row]): int(every_sum[row]) for row in gone}
        self._store, self._length = store, length
        self._pixels = _map(store, length)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<{len(self):,} images, {int(self.held_out.sum()):,} of them held out>"

    def _repr_html_(self) -> str:
        """How many there are, and some of them, drawn at even distances."""
        rows = np.linspace(0, len(self) - 1, min(len(self), _SHOWN)).round().astype(int).tolist()
        names = [Path(each.parent.name, each.name) for each in map(self.path, rows)]
        cells = [
            Cell(self[row], (display(str(name)),)) for row, name in zip(rows, names, strict=True)
        ]
        held = f", {int(self.held_out.sum()):,} of them held out" if self.held_out.any() else ""
        return line(f"{len(self):,} images{held}") + tiles(cells)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels of an image.

        Raises:
            LikewiseError: they are damaged.
        """
        height, width = self.sizes[row]
        pixels = self._view(int(self._offsets[row]), int(height), int(width))
        if not self._sound[row]:
            if checksum(pixels) != self._checksums[row]:
                raise damaged_pixels(self._store, f"of {display(str(self.path(row)))}")
            self._sound[row] = True
        return pixels

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_pixels"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._pixels = _map(self._store, self._length)

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Row of each image id."""
        return {each: row for row, each in enumerate(self.ids.tolist())}

    def path(self, row: int) -> Path:
        """Where the image's file lies; the first place if there are several."""
        return self.paths(row)[0]

    def paths(self, row: int) -> list[Path]:
        """All places where the image's file lies, usable with ``open()`` whatever their bytes."""
        return [Path(os.fsdecode(raw)) for raw in self._paths[row].as_py()]

    def names(self, rows: Int64[np.ndarray, " M"]) -> list[str]:
        """Where each of some images lies, to show."""
        return [display(str(self.path(int(row)))) for row in rows]

    def rows_under(self, folder: Path) -> Int64[np.ndarray, " M"]:
        """Rows, rising, of the images that lie in a folder (an absolute path) or further inside."""
        inside = pc.starts_with(self._paths.flatten(), os.fsencode(folder).rstrip(b"/") + b"/")
        rows = pc.list_parent_indices(self._paths).filter(inside)
        return np.asarray(np.unique(rows.to_numpy()), np.int64)

    @property
    def path_counts(self) -> Int64[np.ndarray, " N"]:
        """In how many places each image's file lies."""
        return np.asarray(self._paths.value_lengths(), dtype=np.int64)

    def find(self, image_id: str) -> UInt8[np.ndarray, "H W 3"]:
        """The pixels of any image ever prepared, also of one whose file is gone.

        Raises:
            KeyError: there never was such an image.
            LikewiseError: its pixels are damaged.
        """
        if image_id in self._gone:
            pixels = self._view(*self._gone[image_id])
            if self._gone_sums[image_id] not in (-1, checksum(pixels)):
                raise damaged_pixels(self._store, image_id)
            return pixels
        return self[self.positions[image_id]]

    def _view(self, offset: int, height: int, width: int) -> UInt8[np.ndarray, "H W 3"]:
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)


def open_images(workspace: Workspace) -> Images:
    """Open the prepared images of a workspace.

    Raises:
        LikewiseError: nothing is ingested yet, or the files are damaged.
    """
    nothing = LikewiseError(f"{workspace.path} holds no images yet; run `likewise ingest FOLDER`")
    if not workspace.require().manifest_file.exists():
        raise nothing
    table, (name, _, length) = read_table(workspace.manifest_file, [*_COLUMNS, _CHECKSUM])
    images = Images(table, workspace.path / name, length, workspace.config.hold_out)
    if not len(images):
        raise nothing
    return images


def _map(store: Path, length: int) -> UInt8[np.ndarray, " bytes"]:
    if length == 0:
        return np.zeros(0, np.uint8)
    try:
        return np.asarray(np.memmap(store, np.uint8, "r", shape=(length,)))
    except (OSError, ValueError) as error:  # ValueError: the file is shorter
        raise LikewiseError(
            f"the prepared images {store} are missing or damaged ({reason_of(error)}); remove "
            f"{store.with_name('images.parquet')}, and `likewise ingest` will make them again"
        ) from error
