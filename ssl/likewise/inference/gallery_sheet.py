"""Sheets of a gallery: its exemplars, and the images that were recognised, class by class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likewise.images.manifest import display
from likewise.images.reading import Reading, in_children
from likewise.images.scan import scan
from likewise.inference.class_names import UNKNOWN
from likewise.inference.classified import Classified, Recognised
from likewise.inference.gallery import Gallery
from likewise.inference.gallery_changes import GalleryListed
from likewise.inference.group_sheet import Cell, Row, draw_groups
from likewise.inference.table_files import one_line
from likewise.wording import counted, percent

CLASSES, IMAGES = 60, 17
"""Drawn at most, and images of each class."""
_UNKNOWN_IMAGES = 18
_SIDE = 160
Rgb = npt.NDArray[np.uint8]


def exemplar_sheet(gallery: Gallery, listed: GalleryListed) -> bytes:
    """A PNG with a card for each class: its exemplars."""
    rows = []
    for name, exemplars in list(listed.classes.items())[:CLASSES]:
        cells: list[Cell] = [
            (picture, _short(Path(each.path)), "")
            for each in exemplars[: IMAGES + 1]
            if (picture := gallery.store.picture(each.image)) is not None
        ]
        rows.append(Row(name, counted(len(exemplars), "exemplar"), cells, count=len(exemplars)))
    total = len(listed.classes)
    return draw_groups(f"Gallery: {counted(total, 'class')}", rows, _more(total))


def classified_sheet(gallery: Gallery, found: Classified) -> bytes:
    """A PNG with a card for each class that was named, the exemplar first; unknown ones come last.

    The least similar images of a class come first, as these are the ones to look at.
    """
    named: dict[str, list[Recognised]] = {}
    unknown: list[Recognised] = []
    for each in found.results:
        (unknown if each.class_name is None else named.setdefault(each.class_name, [])).append(each)
    largest = sorted(named.items(), key=lambda item: (-len(item[1]), item[0]))
    chosen = [
        (name, sorted(images, key=lambda each: each.similarity)[:IMAGES], len(images))
        for name, images in largest[:CLASSES]
    ]
    strangers = sorted(unknown, key=lambda each: -each.similarity)[:_UNKNOWN_IMAGES]
    shown = [each for _, images, _ in chosen for each in images] + strangers
    pixels = _pixels(gallery, [each.path for each in shown])
    rows = [
        Row(name, counted(count, "image"), [_exemplar(gallery, images[0]), *_cells(images, pixels)],
            first="exemplar", count=count + 1)
        for name, images, count in chosen
    ]  # fmt: skip
    if strangers:
        cells = [
            (picture, name, f"{each.similarity:.3f} {each.nearest}?")
            for each, (picture, name, _) in zip(strangers, _cells(strangers, pixels), strict=True)
        ]
        rows.append(Row(UNKNOWN, counted(len(unknown), "image"), cells, count=len(unknown)))
    title = (
        f"{counted(len(found.results), 'image')}: {len(found.results) - len(unknown):,} of "
        f"{counted(len(named), 'class')}, {len(unknown):,} {UNKNOWN}"
    )
    return draw_groups(title, rows, _more(len(named)))


def _cells(images: Sequence[Recognised], pixels: dict[Path, Rgb]) -> list[Cell]:
    blank = np.full((1, 1, 3), 244, np.uint8)
    cells: list[Cell] = []
    for each in images:
        sure = "" if each.probability is None else f" ({percent(each.probability)})"
        picture = pixels.get(each.path, blank)
        cells.append((picture, _short(each.path), f"{each.similarity:.3f}{sure}"))
    return cells


def _exemplar(gallery: Gallery, like: Recognised) -> Cell:
    picture = gallery.store.picture(like.exemplar_id)
    blank = np.full((1, 1, 3), 244, np.uint8)
    return (blank if picture is None else picture, _short(Path(like.exemplar)), "")


def _pixels(gallery: Gallery, files: Sequence[Path]) -> dict[Path, Rgb]:
    """The pixels of files, small, read once more."""
    found = scan(files, workspace=gallery.workspace.path)
    outcomes = in_children(found.files, Reading(_SIDE), 0)
    return {Path(each.path): each.image.pixels for each in outcomes if each.image is not None}


def _short(path: Path) -> str:
    return one_line(display(str(Path(path.parent.name, path.name))))


def _more(classes: int) -> str:
    return f"{classes - CLASSES:,} more classes are not drawn" if classes > CLASSES else ""
