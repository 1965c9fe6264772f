"""Settings of commands that sort images: duplicates and groups."""

from dataclasses import dataclass
from pathlib import Path

from likewise.settings.common import Common


@dataclass(frozen=True, kw_only=True)
class Duplicates(Common):
    """Find images that are there twice: the same bytes, or nearly the same picture."""

    exact: bool = False
    """Only files with the same bytes; needs no embeddings."""
    threshold: float | None = None
    """Cosine similarity (up to 1) that every two images of a group have at least. [default: a third
    of the usual distance to the nearest image, which copies pass and others rarely do]"""
    model: str | None = None
    """Name of a run whose embedding is compared. [default: the newest that has learnt nothing from
    answers, since these make different pictures of the same thing alike]"""
    out: Path | None = None
    """Also write the files to a table: .csv, .json or .parquet."""
    sheet: Path | None = None
    """Also draw the groups as a picture (PNG)."""


@dataclass(frozen=True, kw_only=True)
class Groups(Common):
    """Sort all images into groups, from the answers and the embedding together."""

    out: Path | None = None
    """Write path, id, group and how sure it is, for each file: .csv, .json or .parquet."""
    links: Path | None = None
    """Make this folder, with a folder of symbolic links for each group."""
    sheet: Path | None = None
    """Draw the groups as a picture (PNG)."""
    fiftyone: Path | None = None
    """Write the groups as labels for FiftyOne (FiftyOneImageClassificationDataset, JSON)."""
