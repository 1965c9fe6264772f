"""Steps of the recipes: given draws do what OpenCV, numpy and torchvision do.

What is no image alone goes albumentations' way.
"""

from itertools import permutations

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as theirs

from likewise.images.augmentation import Recipe, Views, transforms
from likewise.images.steps import Blur, Crop, Grey, Jitter, Mirror, Stretch
from likewise.images.tones import Image


class Given:
    """Numbers between 0 and 1 that are to be drawn."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.random()


def done(step: A.BasicTransform, image: Image, *draws: float) -> Image:
    step.py_random = Given(*draws)
    found: Image = step(image=image)["image"]
    assert step.py_random.numbers == []
    return found


@pytest.fixture
def photo() -> Image:
    """Smooth, in colour, 100 x 200; as in the store it must not be written to."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 12, 3), dtype=np.uint8)
    image = cv2.resize(noise, (200, 100), interpolation=cv2.INTER_CUBIC)
    image.flags.writeable = False
    return image


def test_a_crop_is_the_first_box_that_fits(photo: Image) -> None:
    """Squares (a ratio of exp(0)): one of .8 of the area, 126 px high, one of .3, 77 px high."""
    boxes = (0.75, 0.5, 0.125, 0.5)
    found = done(Crop((64, 48), scale=(0.2, 1.0)), photo, 0.0, *boxes, 0.25, 0.75)
    # a fourth of 100 - 77 + 1 places from the top, three of 200 - 77 + 1 from the left
    assert np.array_equal(found, cv2.resize(photo[6 : 6 + 77, 93 : 93 + 77], (48, 64)))


def test_a_crop_keeps_within_the_image_whatever_is_drawn() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)[..., None].repeat(3, axis=2)
    almost = 1 - 1e-12
    found = done(Crop((10, 10), scale=(0.25, 0.25)), image, 0.0, 0.0, 0.5, almost, almost)
    assert np.array_equal(found, cv2.resize(image[5:, 5:], (10, 10)))


@pytest.mark.parametrize("shape", [(10, 1000), (1000, 10)])
def test_what_never_fits_is_cut_from_the_middle(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = done(Crop((13, 13), scale=(1.0, 1.0)), image, *[0.5] * 21)
    middle = slice(493, 506)  # 13 is the most that four thirds of 10 allow
    part = image[:, middle] if shape[0] == 10 else image[middle]
    assert np.array_equal(found, cv2.resize(part, (13, 13)))


def test_a_mirrored_image_ends_with_its_left(photo: Image) -> None:
    assert np.array_equal(done(Mirror(), photo, 0.49), photo[:, ::-1])
    assert done(Mirror(), photo, 0.51) is photo


@pytest.mark.parametrize("place", range(24))
def test_jitter_is_torchvisions_in_every_order(place: int, photo: Image) -> None:
    draws = (0.9, 0.2, 0.75, 0.1)
    factors = (1.32, 0.76, 1.2, -0.08)
    step = Jitter(0.4, 0.4, 0.4, 0.1, p=0.8)
    found = done(step, photo, 0.79, *draws, (place + 0.5) / 24).astype(float)
    adjust = (theirs.adjust_brightness, theirs.adjust_contrast, theirs.adjust_saturation,
              theirs.adjust_hue)  # fmt: skip
    rounded = torch.from_numpy(photo.transpose(2, 0, 1).copy())
    exact = rounded.double() / 255
    for kind in list(permutations(range(4)))[place]:
        exact, rounded = adjust[kind](exact, factors[kind]), adjust[kind](rounded, factors[kind])
    # four roundings: what comes later stretches them, hue up to threefold
    miss = np.abs(found - 255 * exact.permute(1, 2, 0).numpy())
    assert miss.max() <= 5
    assert miss.mean() < (rounded - 255 * exact).abs().mean().item()


def test_other_steps_do_what_is_drawn(photo: Image) -> None:
    assert done(Jitter(p=0.8), photo, 0.8) is photo
    stretched = done(Stretch(0.4, 0.4, p=1.0), photo, 0.0, 0.75, 0.25).astype(float)
    exact = np.clip(1.2 * photo.astype(float) - 0.2 * 255, 0, 255)
    assert np.abs(stretched - exact).max() <= 0.501
    grey = done(Grey(p=0.2), photo, 0.1)
    assert np.abs(grey.astype(float) - (photo @ [0.299, 0.587, 0.114])[..., None]).max() <= 0.75
    sharp = np.zeros((31, 31, 3), np.uint8)
    sharp[15, 15] = 255
    blurred = done(Blur(blur_limit=0, sigma_limit=(0.1, 2.1), p=0.5), sharp, 0.4, 0.5)
    assert blurred[15, 15, 0] == round(255 * 0.3631**2 / 1.0)  # a deviation of 1.1


def test_masks_and_replays_go_along(photo: Image) -> None:
    both = A.Compose([Crop((64, 64), scale=(0.2, 1.0)), Mirror(p=1.0)], seed=0)
    whole = np.repeat(np.arange(200, dtype=np.uint8)[None, :], 100, axis=0)
    image = whole[..., None].repeat(3, axis=2)
    for _ in range(20):
        found = both(image=image, mask=whole)
        assert np.abs(found["image"][..., 0].astype(int) - found["mask"]).max() <= 2
        assert found["mask"][0, 0] > found["mask"][0, -1]
    replay = A.ReplayCompose(transforms("natural", 64))
    made = replay(image=photo)
    assert np.array_equal(
        A.ReplayCompose.replay(made["replay"], image=photo)["image"], made["image"]
    )


def test_what_is_no_rgb_of_bytes_goes_albumentations_way(photo: Image) -> None:
    bright = A.Compose([Jitter((1.2, 1.2), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0), p=1.0)])
    found = bright(image=photo.astype(np.float32) / 255)["image"]
    assert np.allclose(found, np.clip(1.2 * photo / 255.0, 0, 1), atol=1e-4)
    assert np.array_equal(Mirror(p=1.0)(image=photo[..., 0])["image"], photo[:, ::-1, 0])
    with pytest.raises(KeyError, match="named arguments"):
        Mirror(p=1.0)(photo)


def test_a_view_leaves_its_image_as_it_is(photo: Image) -> None:
    before = photo.copy()
    recipes: list[Recipe] = ["natural", "grey"]
    for recipe in recipes:
        views = Views(recipe, 64)
        views.seed(0)
        for _ in range(50):
            assert not np.shares_memory(views(photo), photo)
    assert np.array_equal(photo, before)
