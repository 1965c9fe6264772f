"""Settings of commands that read images."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from likewise.settings.common import Common, Preset


@dataclass(frozen=True, kw_only=True)
class Sample(Common):
    """Fetch a sample data set as image files in class folders."""

    name: Positional[str] = "digits"
    """digits needs no internet. Others come through torchvision: cifar10, omniglot, lfw,
    flowers102, pets, ..."""
    to: Path | None = None
    """Where to put the files. [default: data/NAME]"""


@dataclass(frozen=True, kw_only=True)
class Ingest(Common):
    """Read images once: list every file, decode it, keep small copies for all later steps."""

    images: Positional[tuple[Path, ...]] = ()
    """Folders, image files, or CSV/Parquet/Arrow lists with a "path" column. [default: the
    folders ingested before]"""
    store_size: int | None = None
    """Shrink the short side of the kept copies to this many pixels. [default: 256]"""
    hold_out: float | None = None
    """Share of the images (0 to 1) that is never trained on nor asked about, kept for
    `evaluate`. [default: 0]"""
    workers: int = 0
    """Decoding processes. 0: one per core."""


@dataclass(frozen=True, kw_only=True)
class Views(Common):
    """Draw a contact sheet of the augmented views that pretraining sees."""

    out: Path | None = None
    """Picture to write. [default: WORKSPACE/views.png]"""
    preset: Preset = "auto"
    """Augmentation recipe; auto looks at the images."""
    image_size: int = 0
    """Side of a view in pixels. 0: chosen from the images."""
    images: int = 8
    """How many images (rows)."""
    views: int = 8
    """How many views of each (columns)."""
    seed: int = 0
    """Seed of everything random."""
