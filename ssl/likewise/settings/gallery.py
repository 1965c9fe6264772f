"""Settings of commands that recognise classes from exemplars."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from likewise.settings.common import Common


@dataclass(frozen=True, kw_only=True)
class GalleryAdd(Common):
    """Add images as exemplars of a class, new or not; takes effect at once."""

    name: Positional[str] = ""
    """The class: any text of one line."""
    images: Positional[tuple[Path, ...]] = ()
    """Its exemplars: image files or folders, in the workspace or not. One is enough."""
    from_folders: Path | None = None
    """Instead of both: a folder with a folder of images for each class."""


@dataclass(frozen=True, kw_only=True)
class GalleryRemove(Common):
    """Remove a class, or some exemplars of it."""

    name: Positional[str]
    """The class."""
    images: Positional[tuple[Path, ...]] = ()
    """Exemplars: the files, the places where they lay, or their ids. Without any, all of them."""


@dataclass(frozen=True, kw_only=True)
class GalleryList(Common):
    """List the classes of the gallery with their exemplars."""

    sheet: Path | None = None
    """Picture (PNG) to draw of the exemplars."""


@dataclass(frozen=True, kw_only=True)
class GalleryClassify(Common):
    """Say which class of the gallery images are of, or that they are of none (unknown)."""

    images: Positional[tuple[Path, ...]] = ()
    """Image files or folders, in the workspace or not."""
    closed_set: bool = False
    """Always name a class: never answer unknown."""
    far: float = 0.05
    """Share (0 to 1) of the images of no class that may be named; chooses the threshold."""
    out: Path | None = None
    """Also write the results to a table: .csv, .json or .parquet."""
    sheet: Path | None = None
    """Also draw the images by class as a picture (PNG)."""


@dataclass(frozen=True, kw_only=True)
class GalleryEvaluate(Common):
    """Measure recognition from few exemplars on class folders, beside raw pixels."""

    folder: Positional[Path]
    """A folder with a folder of images for each class; or Omniglot's run01 to run20, each with
    training, test and class_labels.txt."""
    ways: int = 5
    """Classes of each episode."""
    shots: int = 1
    """Exemplars of each class."""
    queries: int = 15
    """Images to recognise of each class, at most."""
    episodes: int = 1000
    """How many episodes to draw."""
    seed: int = 0
    """Seed of the episodes."""
