"""Views: random augmentations of an image, in albumentations, from a seed.

The recipe ``natural`` is SimSiam's (Chen & He 2021, section 3 and appendix D for small images),
which is MoCo v2's.
"""

import functools
import math
import random
from collections.abc import Sequence
from typing import Any, Literal

import albumentations as A
import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from likewise.images.steps import Blur, Crop, Grey, Jitter, Mirror, Stretch

Recipe = Literal["natural", "grey", "glyph"]

SCALE = (0.2, 1.0)
"""Share of an image's area that a crop has."""
JITTER = (0.4, 0.4, 0.4, 0.1)
"""How far brightness, contrast, saturation and hue are changed."""
JITTERED, GREYED, BLURRED = 0.8, 0.2, 0.5
"""How often a view is."""
SIGMA = (0.1, 2.0)
"""Standard deviation of the blur in pixels."""
THICKENED, SOFTENED, SOFT_SIGMA = 0.3, 0.2, (0.5, 3.0)
"""How often strokes are, and the blur of three pixels that softens them."""
TOO_SMALL_TO_BLUR = 32
"""Views of up to so many pixels are not blurred (appendix D)."""
SQUASH = 4 / 3
"""Aspect ratios up to this are squeezed to a square, as `RandomResizedCrop` does in training."""


class Views:
    """Makes views of images; the same seed gives the same views."""

    def __init__(self, recipe: Recipe, image_size: int) -> None:
        self.recipe = recipe
        self.image_size = image_size
        self._transform = A.Compose(transforms(recipe, image_size), is_check_shapes=False)
        cv2.setNumThreads(1)  # views are small: more threads only wait for each other

    def seed(self, *key: int) -> None:
        """Start the random sequence that belongs to ``key``.

        All steps draw from it in turn. From `A.Compose.set_random_seed` each would get a sequence
        of its own, but the same: whatever is drawn once for each view would go together, and each
        grey view be a mirrored one.
        """
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        self._transform.set_random_state(np.random.default_rng(seed), random.Random(seed))

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """One view of an RGB image."""
        view: UInt8[np.ndarray, "S S 3"] = self._transform(image=image)["image"]
        return view


def transforms(recipe: Recipe, size: int) -> list[A.BasicTransform]:
    """The augmentation recipe for views of ``size`` pixels."""
    crop = Crop((size, size), scale=SCALE)
    blur = Blur(blur_limit=0, sigma_limit=SIGMA, p=BLURRED)
    blurred = [blur] if size > TOO_SMALL_TO_BLUR else []
    match recipe:
        case "natural":
            return [
                crop,
                Mirror(),
                Jitter(*JITTER, p=JITTERED),
                Grey(p=GREYED),
                *blurred,
            ]
        case "grey":
            return [
                crop,
                Mirror(),
                Stretch(JITTER[0], JITTER[1], p=JITTERED),
                *blurred,
            ]
        case "glyph":
            return [
                A.Resize(size, size, interpolation=cv2.INTER_AREA),
                Warp(),
                A.Morphological(scale=(2, 2), operation="dilation", p=THICKENED),
                A.GaussianBlur(blur_limit=(3, 3), sigma_limit=SOFT_SIGMA, p=SOFTENED),
            ]


class Warp(A.ImageOnlyTransform):  # type: ignore[misc]
    """Rotate, shear, scale, shift and bend in one interpolation, as handwriting varies.

    What `A.Affine` and `A.ElasticTransform` do one after the other, in about a quarter of their
    time (`benchmarks/views.py`) and without blurring twice. All ranges are uniform and symmetric;
    the shift is a share of the side. The elastic field (Simard et al. 2003) is Gaussian noise on a
    coarse grid, interpolated smoothly; its standard deviation is a share of the side. Beyond the
    border the image's edge is repeated.
    """

    ROTATE, SHEAR = math.radians(20), math.radians(15)
    SCALE, SHIFT = 0.2, 0.1
    BEND, BENT, GRID = 0.023, 0.7, 5

    def __init__(self) -> None:
        super().__init__(p=1.0)

    def get_params(self) -> dict[str, Any]:
        """Draw the transform's numbers from the pipeline's generator."""
        draw = self.random_generator
        turn, lean_x, lean_y, zoom, shift_x, shift_y, bent = draw.uniform(-1, 1, 7).tolist()
        cosine, sine = math.cos(turn * self.ROTATE), math.sin(turn * self.ROTATE)
        right, down = math.tan(lean_x * self.SHEAR), math.tan(lean_y * self.SHEAR)
        size = 1 / (1 + zoom * self.SCALE)
        matrix = (
            size * (cosine - sine * down),
            size * (cosine * right - sine),
            size * (sine + cosine * down),
            size * (sine * right + cosine),
        )
        bend = self.BEND if (bent + 1) / 2 < self.BENT else 0.0
        noise = draw.standard_normal((self.GRID, self.GRID, 2), np.float32) * np.float32(bend)
        shift = (shift_x * self.SHIFT, shift_y * self.SHIFT)
        return {"matrix": matrix, "shift": shift, "noise": noise}

    def apply(
        self,
        img: UInt8[np.ndarray, "H W C"],
        matrix: tuple[float, float, float, float],
        shift: tuple[float, float],
        noise: Float32[np.ndarray, "G G 2"],
        **params: Any,
    ) -> UInt8[np.ndarray, "H W C"]:
        """Look up, for every pixel of the view, where in the image it comes from."""
        height, width = img.shape[:2]
        x_from_x, x_from_y, y_from_x, y_from_y = matrix
        rows, columns = _from_centre(height, width)
        where = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        where[..., 0] *= width
        where[..., 1] *= height
        where[..., 0] += x_from_x * columns + x_from_y * rows + ((width - 1) / 2 + shift[0] * width)
        where[..., 1] += (
            y_from_x * columns + y_from_y * rows + ((height - 1) / 2 + shift[1] * height)
        )
        return cv2.remap(  # type: ignore[call-overload, no-any-return]
            img, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


@functools.lru_cache(maxsize=4)
def _from_centre(
    height: int, width: int
) -> tuple[Float32[np.ndarray, "H 1"], Float32[np.ndarray, "1 W"]]:
    """Row and column of every pixel, counted from the middle of the image."""
    rows, columns = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    return (rows - (height - 1) / 2)[:, None], (columns - (width - 1) / 2)[None, :]


def whole_view(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """The view that embeddings are made from: the whole image, squeezed to a square.

    Beyond an aspect ratio of 4:3, the range of training's own distortion, the long side's ends
    are cut off first.
    """
    height, width = image.shape[:2]
    if width > height * SQUASH:
        keep = round(height * SQUASH)
        image = image[:, (width - keep) // 2 :][:, :keep]
    elif height > width * SQUASH:
        keep = round(width * SQUASH)
        image = image[(height - keep) // 2 :][:keep]
    if image.shape[:2] == (size, size):
        return image
    shrinks = size < min(image.shape[:2])
    return cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )


def choose_recipe(images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> tuple[Recipe, str]:
    """The recipe that fits a sample of images, and why.

    Colour anywhere means ``natural``. Grey images are ``glyph`` where most of each is one flat
    background tone (signs, ink, documents), else ``grey``.
    """
    grey = [int(np.ptp(image.astype(np.int16), axis=2).max(initial=0)) <= 8 for image in images]
    if np.mean(grey) < 0.9:
        return "natural", "the images have colour"
    flat = [_share_of_commonest_tone(image[..., 0]) > 0.5 for image in images]
    if np.mean(flat) < 0.8:
        return "grey", "the images are grey"
    return "glyph", "the images are grey marks on a plain background"


def _share_of_commonest_tone(tones: UInt8[np.ndarray, "H W"]) -> float:
    counts = np.bincount(tones.ravel() >> 4, minlength=16)
    return float(counts.max() / counts.sum())
