"""The job ``views``: a picture of what pretraining sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from likewise.errors import UsageError
from likewise.evaluation.sheets import Rgb, contact_sheet
from likewise.files import replacing
from likewise.images.augmentation import Recipe, Views, whole_view
from likewise.images.store import Images, open_images
from likewise.notebook import Displayed, sheet, text
from likewise.settings import Pretrain
from likewise.settings import Views as ViewsSettings
from likewise.training.pretrain import default_size, pick_recipe
from likewise.workspace import Workspace


@dataclass(frozen=True)
class ViewSheet(Displayed):
    """Where the picture lies, and what it shows."""

    picture: Path
    recipe: Recipe
    image_size: int

    def as_json(self) -> dict[str, Any]:
        """Picture, preset and size of the views."""
        return {
            "picture": str(self.picture),
            "preset": self.recipe,
            "image_size": self.image_size,
        }

    def _repr_html_(self) -> str:
        there = self.picture.is_file()
        return (sheet(self.picture.read_bytes(), 800) if there else "") + text(self.as_text())

    def as_text(self) -> str:
        """What a person reads."""
        return (
            f"{self.picture}: each row an image and its views ({self.recipe}, "
            f"{self.image_size} px)\nA good view is hard but still recognisable.\n"
            "next: `likewise pretrain`"
        )


def views(workspace: Workspace, settings: ViewsSettings) -> ViewSheet:
    """Draw a contact sheet of some images and their augmented views.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: no images yet, or the picture cannot be written.
    """
    if min(settings.images, settings.views) < 1:
        raise UsageError("--images and --views must be at least 1")
    images = open_images(workspace.require())
    recipe = pick_recipe(images, settings.preset)
    size = settings.image_size or default_size(images, Pretrain())
    picture = settings.out or workspace.path / "views.png"
    drawn = draw_views(images, recipe, size, settings.images, settings.views, settings.seed)
    with replacing(picture) as temporary:
        temporary.write_bytes(drawn)
    return ViewSheet(picture, recipe, size)


def draw_views(
    images: Images, recipe: Recipe, size: int, rows: int, columns: int, seed: int
) -> bytes:
    """A PNG with ``rows`` images, each followed by ``columns`` views of it."""
    chosen = np.random.default_rng(seed).permutation(len(images))[:rows].tolist()
    views = views_of(images, chosen, recipe, size, columns, seed)
    table = [
        [whole_view(images[row], size), *made] for row, made in zip(chosen, views, strict=True)
    ]
    return contact_sheet(table, headings=["image", *(f"view {n + 1}" for n in range(columns))])


def views_of(
    images: Images, rows: Sequence[int], recipe: Recipe, size: int, count: int, seed: int
) -> list[list[Rgb]]:
    """For each of some images ``count`` views."""
    make = Views(recipe, size)
    make.seed(seed)
    return [[make(images[row]) for _ in range(count)] for row in rows]
