"""Views: random augmentations of an image, in albumentations, from a seed.

The recipe ``natural`` is SimSiam's (Chen & He 2021, section 3 and appendix D for small images),
which is MoCo v2's.
"""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it asks the network at import otherwise

from collections.abc import Sequence
from typing import Literal

import albumentations as A
import cv2
import numpy as np
from jaxtyping import UInt8

Recipe = Literal["natural", "grey", "glyph"]

SQUASH = 4 / 3
"""Aspect ratios up to this are squeezed to a square, as `RandomResizedCrop` does in training."""


class Views:
    """Makes views of images; the same seed gives the same views."""

    def __init__(self, recipe: Recipe, image_size: int) -> None:
        self.recipe = recipe
        self.image_size = image_size
        self._transform = A.Compose(transforms(recipe, image_size))

    def seed(self, *key: int) -> None:
        """Start the random sequence that belongs to ``key``."""
        self._transform.set_random_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """One view of an RGB image."""
        view: UInt8[np.ndarray, "S S 3"] = self._transform(image=image)["image"]
        return view


def transforms(recipe: Recipe, size: int) -> list[A.BasicTransform]:
    """The augmentation recipe for views of ``size`` pixels."""
    blur = A.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=0.5)
    match recipe:
        case "natural":
            return [
                A.RandomResizedCrop((size, size), scale=(0.2, 1.0)),
                A.HorizontalFlip(),
                A.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
                A.ToGray(p=0.2),
                *([blur] if size > 32 else []),
            ]
        case "grey":
            return [
                A.RandomResizedCrop((size, size), scale=(0.2, 1.0)),
                A.HorizontalFlip(),
                A.RandomBrightnessContrast(0.4, 0.4, p=0.8),
                *([blur] if size > 32 else []),
            ]
        case "glyph":
            return [
                A.Resize(size, size, interpolation=cv2.INTER_AREA),
                A.Affine(
                    rotate=(-20, 20),
                    shear=(-15, 15),
                    scale=(0.8, 1.2),
                    translate_percent=(-0.1, 0.1),
                    border_mode=cv2.BORDER_REPLICATE,
                    p=1.0,
                ),
                A.ElasticTransform(
                    alpha=size * 0.55, sigma=size * 0.14, border_mode=cv2.BORDER_REPLICATE, p=0.7
                ),
                A.Morphological(scale=(2, 2), operation="dilation", p=0.3),
                A.GaussianBlur(blur_limit=(3, 3), p=0.2),
            ]


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
