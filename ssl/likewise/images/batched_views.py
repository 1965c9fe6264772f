"""Views of many images at once, on the torch device where the images lie.

The recipes are those of `likewise.images.augmentation`, with the same distributions
(`tests/test_batched_views.py`); views made here and there are not equal one by one. Values are
rounded once, at the end, where there each step rounds.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from likewise.images import augmentation as recipes
from likewise.images.augmentation import Recipe, Warp
from likewise.images.batched_crops import BOX_DRAWS, WARP_DRAWS, cut, random_boxes, warp
from likewise.images.batched_tones import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    blur_where,
    grey_where,
    jitter,
    stretch,
    thicken_where,
)

_NOISE = 2 * Warp.GRID * Warp.GRID
_REACH = int(3.5 * recipes.SIGMA[1])


class BatchedViews:
    """Makes views of images that lie in one tensor of pixels.

    What is random is drawn on the CPU, so that it is the same on every device.

    Args:
        recipe: For ``glyph`` the images are squares of ``image_size`` already.
        image_size: Side of the views.
    """

    def __init__(self, recipe: Recipe, image_size: int) -> None:
        self.recipe, self.image_size = recipe, image_size

    def draws(self, count: int, *key: int) -> Float[Tensor, "B n"]:
        """The random numbers of ``count`` views that belong to ``key``: uniform ones from 0 to 1.

        Those of the recipe ``glyph`` end with standard normal ones.
        """
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
        random = torch.Generator().manual_seed(seed)
        if self.recipe == "glyph":
            uniform = torch.rand(count, WARP_DRAWS + 3, generator=random)
            return torch.cat((uniform, torch.randn(count, _NOISE, generator=random)), dim=1)
        return torch.rand(count, BOX_DRAWS + 13, generator=random)

    def make(
        self,
        pixels: UInt8[Tensor, "P 3"],
        starts: Int64[Tensor, " B"],
        sizes: Int64[Tensor, "B 2"],
        draws: Float[Tensor, "B n"],
    ) -> UInt8[Tensor, "B S S 3"]:
        """A view for each row of ``draws``, all on one device.

        Args:
            pixels: Of all images, one after the other, row by row.
            starts: Where each view's image begins.
            sizes: Its height and width.
            draws: From `draws`.
        """
        match self.recipe:
            case "glyph":
                views = self._bent(pixels, starts, draws)
            case "natural":
                box, mirror, often, amounts, order, grey, blur = torch.split(
                    draws, [BOX_DRAWS, 1, 1, 4, 4, 1, 2], dim=1
                )
                views = self._cut(pixels, starts, sizes, box, mirror)
                factors = _around(amounts, often[:, 0] < recipes.JITTERED)
                views = jitter(views, factors, order.argsort(dim=1))
                views = grey_where(views, grey[:, 0] < recipes.GREYED)
                views = self._blurred(views, blur)
            case "grey":
                box, mirror, often, amounts, _, blur = torch.split(
                    draws, [BOX_DRAWS, 1, 1, 4, 5, 2], dim=1
                )
                views = self._cut(pixels, starts, sizes, box, mirror)
                factors = _around(amounts, often[:, 0] < recipes.JITTERED)
                offsets = 255 * (factors[:, BRIGHTNESS] - 1)
                views = stretch(views, factors[:, CONTRAST], offsets)
                views = self._blurred(views, blur)
        return views.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    def _cut(
        self,
        pixels: UInt8[Tensor, "P 3"],
        starts: Int64[Tensor, " B"],
        sizes: Int64[Tensor, "B 2"],
        box: Float[Tensor, "B n"],
        mirror: Float[Tensor, "B 1"],
    ) -> Float[Tensor, "B 3 S S"]:
        boxes = random_boxes(box, sizes, recipes.SCALE)
        return cut(pixels, starts, sizes[:, 1], boxes, mirror[:, 0] < 0.5, self.image_size)

    def _blurred(
        self, views: Float[Tensor, "B 3 S S"], draws: Float[Tensor, "B 2"]
    ) -> Float[Tensor, "B 3 S S"]:
        if self.image_size <= recipes.TOO_SMALL_TO_BLUR:
            return views
        deviations = _between(draws[:, 1], recipes.SIGMA)
        return blur_where(views, deviations, draws[:, 0] < recipes.BLURRED, _REACH)

    def _bent(
        self,
        pixels: UInt8[Tensor, "P 3"],
        starts: Int64[Tensor, " B"],
        draws: Float[Tensor, "B n"],
    ) -> Float[Tensor, "B 3 S S"]:
        size = self.image_size
        numbers, often, soft, noise = torch.split(draws, [WARP_DRAWS, 2, 1, _NOISE], dim=1)
        inside = torch.arange(size * size, device=starts.device)
        images = pixels[starts[:, None] + inside].float().movedim(2, 1).reshape(-1, 3, size, size)
        views = warp(images, numbers, noise.reshape(-1, 2, Warp.GRID, Warp.GRID))
        views = thicken_where(views, often[:, 0] < recipes.THICKENED)
        deviations = _between(soft[:, 0], recipes.SOFT_SIGMA)
        return blur_where(views, deviations, often[:, 1] < recipes.SOFTENED, 1, cut_off=None)


def _around(amounts: Float[Tensor, "B 4"], chosen: Bool[Tensor, " B"]) -> Float[Tensor, "B 4"]:
    """Factors around 1, and a turn of the hue around 0; for the others those without effect."""
    columns = []
    for kind, reach in enumerate(recipes.JITTER):
        middle = float(kind != HUE)
        changed = middle + reach * (2 * amounts[:, kind] - 1)
        columns.append(torch.where(chosen, changed, middle))
    return torch.stack(columns, dim=1)


def _between(draws: Float[Tensor, " B"], limits: tuple[float, float]) -> Float[Tensor, " B"]:
    return limits[0] + (limits[1] - limits[0]) * draws
