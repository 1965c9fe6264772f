"""Steps of the recipes: albumentations' transforms with the same parameters, done in less time.

Of a small view's time more than half was bookkeeping and slow passes over the pixels
(`benchmarks/views.py`). A step that is given one RGB image of bytes, and nothing else, does
without; masks, boxes, replays and other images go albumentations' way.
"""

import math
from itertools import permutations
from typing import Any

import albumentations as A
import cv2
import numpy as np
from jaxtyping import UInt8

from likewise.images import tones
from likewise.images.tones import Image

_TRIES = 10
_CHANGES = (tones.brightness, tones.contrast, tones.saturation, tones.hue)
_ORDERS = tuple(permutations(range(len(_CHANGES))))


class _Step:
    """To be put before a transform of albumentations: the short way for an image alone."""

    py_random: Any
    p: float

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        if not _is_one_image(data):
            usual: dict[str, Any] = super().__call__(  # type: ignore[misc]
                *args, force_apply=force_apply, **data
            )
            return usual
        if force_apply or self.py_random.random() < self.p:
            data["image"] = self.change(data["image"])
        return data

    def change(self, image: Image) -> UInt8[np.ndarray, "h w 3"]:
        """Draw what is to be done, and do it to a copy."""
        raise NotImplementedError


def _is_one_image(data: dict[str, Any]) -> bool:
    image = data.get("image")
    return (
        len(data) == 1
        and isinstance(image, np.ndarray)
        and image.dtype == np.uint8
        and image.ndim == 3
        and image.shape[2] == 3
    )


class Crop(_Step, A.RandomResizedCrop):  # type: ignore[misc]
    """A part of the image, stretched to a square; drawn as by torchvision's transform."""

    def change(self, image: Image) -> UInt8[np.ndarray, "h w 3"]:
        """Of ten boxes the first that fits, else the largest in the middle that is allowed."""
        top, left, tall, wide = self._box(*image.shape[:2])
        part = image[top : top + tall, left : left + wide]
        return cv2.resize(part, self.size[::-1], interpolation=self.interpolation)

    def _box(self, height: int, width: int) -> tuple[int, int, int, int]:
        draw, (low, high) = self.py_random.random, self.ratio
        flat, span = math.log(low), math.log(high / low)
        for _ in range(_TRIES):
            area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * draw())
            ratio = math.exp(flat + span * draw())
            tall, wide = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < tall <= height and 0 < wide <= width:
                top, left = draw() * (height - tall + 1), draw() * (width - wide + 1)
                return int(top), int(left), tall, wide
        tall, wide = min(height, round(width / low)), min(width, round(height * high))
        return (height - tall) // 2, (width - wide) // 2, tall, wide


class Mirror(_Step, A.HorizontalFlip):  # type: ignore[misc]
    """Left is right."""

    def change(self, image: Image) -> Image:
        """Nothing is drawn."""
        return cv2.flip(image, 1)


class Jitter(_Step, A.ColorJitter):  # type: ignore[misc]
    """Another brightness, contrast, saturation and hue, one after the other in any order."""

    def change(self, image: Image) -> Image:
        """Factors are uniform, and all orders as likely."""
        draw = self.py_random.random
        limits = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [low + (high - low) * draw() for low, high in limits]
        for kind in _ORDERS[int(draw() * len(_ORDERS))]:
            image = _CHANGES[kind](image, factors[kind])
        return image


class Stretch(_Step, A.RandomBrightnessContrast):  # type: ignore[misc]
    """Another contrast, as a factor, and another brightness, as a share of white."""

    def change(self, image: Image) -> Image:
        """Both are uniform."""
        draw = self.py_random.uniform
        return tones.stretch(
            image, 1 + draw(*self.contrast_limit), 255 * draw(*self.brightness_limit)
        )


class Grey(_Step, A.ToGray):  # type: ignore[misc]
    """Without colour."""

    def change(self, image: Image) -> Image:
        """Nothing is drawn."""
        return tones.grey(image)


class Blur(_Step, A.GaussianBlur):  # type: ignore[misc]
    """A Gaussian whose kernel is as long as its standard deviation asks for."""

    def change(self, image: Image) -> Image:
        """The standard deviation is uniform."""
        return tones.blur(image, self.py_random.uniform(*self.sigma_limit))
