"""Which of several images to keep: the largest, unless blurred, and least compressed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from likewise.images.manifest import display, read_table
from likewise.images.store import Images
from likewise.workspace import Workspace

_BLURRED = 0.5


@dataclass(frozen=True)
class Copy:
    """One image of a group of duplicates."""

    id: str
    paths: tuple[Path, ...]
    """All files with these very bytes, the shortest name first."""
    width: int
    height: int
    bytes: int
    """Of each file."""
    sharpness: float
    """Variance of the Laplacian of the prepared copy, 0 and up; see `sharpness`."""

    @property
    def pixels(self) -> int:
        """Width times height of the file."""
        return self.width * self.height

    @property
    def shown(self) -> tuple[str, ...]:
        """The paths as text."""
        return tuple(display(str(each)) for each in self.paths)


@dataclass(frozen=True)
class FileSizes:
    """Size of every usable image's file, by row of `Images`."""

    width: Sequence[int]
    height: Sequence[int]
    bytes: Sequence[int]


def file_sizes(workspace: Workspace) -> FileSizes:
    """Read the sizes from the manifest, in the order of `open_images`.

    Raises:
        LikewiseError: the manifest is damaged.
    """
    table, _ = read_table(workspace.manifest_file, ["status", "width", "height", "bytes"])
    usable = np.flatnonzero(table.column("status").to_numpy() == "ok")
    columns = (table.column(each).to_numpy()[usable] for each in ("width", "height", "bytes"))
    return FileSizes(*(each.tolist() for each in columns))


def copy_of(images: Images, sizes: FileSizes, row: int) -> Copy:
    """What there is to know of an image before one of several is kept."""
    paths = sorted(images.paths(row), key=lambda path: (len(str(path)), str(path)))
    return Copy(
        str(images.ids[row]),
        tuple(paths),
        sizes.width[row],
        sizes.height[row],
        sizes.bytes[row],
        sharpness(images[row]),
    )


def best_first(copies: Sequence[Copy]) -> list[Copy]:
    """The one to keep first: most pixels, not blurred, most bytes, shortest name.

    Blurred is who has less than half the sharpness of the sharpest of its size. Less
    of a difference says nothing: compression adds edges of its own, and then the file with more
    bytes has lost less.
    """
    sharpest: dict[int, float] = {}
    for each in copies:
        sharpest[each.pixels] = max(sharpest.get(each.pixels, 0.0), each.sharpness)
    return sorted(
        copies,
        key=lambda each: (
            -each.pixels,
            each.sharpness < _BLURRED * sharpest[each.pixels],
            -each.bytes,
            len(str(each.paths[0])),
            each.id,
        ),
    )


def sharpness(picture: UInt8[np.ndarray, "H W 3"]) -> float:
    """Variance of the Laplacian of the luminance (Pech-Pacheco et al. 2000), 0 for a plain one.

    Smoothed first (standard deviation 1 pixel), as the blocks of JPEG have edges too.

    Comparable between pictures of the same thing at the same size. Prepared copies have the same
    short side where the files are large, so that a file that was only enlarged loses.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.0)
    return float(cv2.Laplacian(smooth, cv2.CV_32F).var())
