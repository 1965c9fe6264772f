"""Tones of one view: each against torchvision's on the same factor, blur against a slow loop.

What is read only would raise if a step wrote to it.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from jaxtyping import Float64
from torch import Tensor
from torchvision.transforms.v2 import functional as theirs

from likewise.images import tones
from likewise.images.tones import Image

ROUNDED = 0.5 + 1e-3
FIXED_POINT = 0.75
"""OpenCV's matrices of bytes have weights of a 1024th: three channels of 255 miss by a quarter."""

KINDS: list[tuple[Callable[[Image, float], Image], Callable[..., Tensor], float]] = [
    (tones.brightness, theirs.adjust_brightness, ROUNDED),
    (tones.contrast, theirs.adjust_contrast, ROUNDED),
    (tones.saturation, theirs.adjust_saturation, FIXED_POINT),
    (tones.hue, theirs.adjust_hue, ROUNDED),
]


def read_only(image: np.ndarray) -> Image:
    image.flags.writeable = False
    return image


def all_colours(step: int) -> Image:
    """Every colour whose channels are multiples of ``step``, so that all cases of hue occur."""
    levels = np.arange(0, 256, step).astype(np.uint8)
    return read_only(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 8, 3))


IMAGES = {
    "few colours": all_colours(15),
    "many colours": all_colours(5),
    "noise": read_only(np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)),
    "black": read_only(np.zeros((9, 9, 3), np.uint8)),
    "white": read_only(np.full((150, 150, 3), 255, np.uint8)),
}


def as_tensor(image: Image) -> Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())


def as_array(image: Tensor) -> Float64[np.ndarray, "H W 3"]:
    return image.permute(1, 2, 0).double().numpy()


def factors(kind: Callable[[Image, float], Image]) -> list[float]:
    return [-0.1, -0.0731, -0.002, 0.0, 0.05, 0.1] if kind is tones.hue else [0.6, 0.83, 1.0, 1.4]


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(("ours", "their", "miss"), KINDS)
def test_each_tone_is_torchvisions(
    ours: Callable[[Image, float], Image],
    their: Callable[..., Tensor],
    miss: float,
    name: str,
) -> None:
    image = IMAGES[name]
    for factor in factors(ours):
        found = ours(image, factor).astype(float)
        exact = 255 * as_array(their(as_tensor(image).double() / 255, factor))
        assert np.abs(found - exact).max() <= miss, factor
        # on bytes torchvision cuts off what we round, at times twice
        assert np.abs(found - as_array(their(as_tensor(image), factor))).max() <= 2, factor


def test_both_images_that_turn_by_conversion_and_those_by_planes_are_tested() -> None:
    pixels = {name: image.shape[0] * image.shape[1] for name, image in IMAGES.items()}
    assert pixels["few colours"] < 128 * 128 <= pixels["many colours"]


@pytest.mark.parametrize("name", IMAGES)
def test_grey_is_torchvisions(name: str) -> None:
    found = tones.grey(IMAGES[name])
    assert np.ptp(found, axis=2).max() == 0
    exact = as_array(theirs.rgb_to_grayscale(as_tensor(IMAGES[name]).double(), 3))
    assert np.abs(found - exact).max() <= FIXED_POINT


def test_stretching_is_a_line_cut_off_at_black_and_white() -> None:
    image = IMAGES["few colours"]
    for factor, offset in ((1.4, -102.0), (0.6, 102.0), (1.0, 0.0), (1.37, 21.6)):
        exact = np.clip(factor * image.astype(float) + offset, 0, 255)
        assert np.abs(tones.stretch(image, factor, offset) - exact).max() <= ROUNDED


@pytest.mark.parametrize("deviation", [0.1, 0.28, 0.3, 0.57, 0.9, 1.43, 2.0])
def test_blur_is_the_gaussian_of_its_deviation(deviation: float) -> None:
    reach = int(3.5 * deviation)
    places = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (places / deviation) ** 2)
    weights /= weights.sum()
    for image in (IMAGES["noise"], IMAGES["white"]):
        height, width = image.shape[:2]
        padded = np.pad(image.astype(float), ((reach, reach), (reach, reach), (0, 0)), "reflect")
        exact = np.zeros(image.shape)
        for down, first in enumerate(weights):
            for right, second in enumerate(weights):
                exact += first * second * padded[down : down + height, right : right + width]
        assert np.abs(tones.blur(image, deviation) - exact).max() <= ROUNDED
