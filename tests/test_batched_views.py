"""Views made in batches are drawn as those made one by one, and each step does the same."""

import itertools
from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from jaxtyping import Float64, UInt8
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as theirs

from likewise.images.augmentation import Recipe, Views, Warp
from likewise.images.batched_crops import BOX_DRAWS, cut, random_boxes, warp
from likewise.images.batched_tones import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    SATURATION,
    blur_where,
    grey_where,
    jitter,
    stretch,
    thicken_where,
    turn_hue,
)
from likewise.images.batched_views import BatchedViews

DRAWS = 1500
LEAST = 1e-3
"""p below which two samples count as drawn differently; seeds are fixed."""
CHOSEN = torch.tensor([True, False, True])

Image = UInt8[np.ndarray, "H W 3"]


@pytest.fixture
def photos() -> Tensor:
    """Three smooth colour pictures, 48 px, values 0 to 255."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), dtype=np.uint8)
    large = [cv2.resize(each, (48, 48), interpolation=cv2.INTER_CUBIC) for each in noise]
    return torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2).float()


def as_array(image: Tensor) -> Image:
    return np.ascontiguousarray(image.round().to(torch.uint8).permute(1, 2, 0).numpy())


def batch(recipe: Recipe, size: int, images: list[Image], seed: int = 0) -> list[Image]:
    """One view of each image, all in one call."""
    shapes = torch.tensor([each.shape[:2] for each in images])
    counts = shapes.prod(dim=1)
    views = BatchedViews(recipe, size)
    made = views.make(
        torch.from_numpy(np.concatenate([each.reshape(-1, 3) for each in images])),
        counts.cumsum(0) - counts,
        shapes,
        views.draws(len(images), seed),
    )
    return list(made.numpy())


# where the pixels come from


def test_a_crop_is_torchvisions_also_of_images_of_several_sizes() -> None:
    random = np.random.default_rng(1)
    shapes = [(40, 60), (31, 17), (90, 90), (5, 7)]
    images = [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    boxes = torch.tensor([[3, 10, 20, 31], [0, 0, 31, 17], [7, 40, 80, 50], [1, 2, 1, 1]])
    starts = torch.tensor([0, *itertools.accumulate(h * w for h, w in shapes[:-1])])
    widths = torch.tensor([width for _, width in shapes])
    pixels = torch.from_numpy(np.concatenate([each.reshape(-1, 3) for each in images]))
    mirrored = torch.tensor([False, True, False, True])
    found = cut(pixels, starts, widths, boxes, mirrored, 24)
    for place, image in enumerate(images):
        plain = torch.from_numpy(image).permute(2, 0, 1).float()
        expected = theirs.resized_crop(plain, *boxes[place].tolist(), [24, 24], antialias=False)
        if mirrored[place]:
            expected = expected.flip(-1)
        assert torch.allclose(found[place], expected, atol=1e-2)


def test_shrinking_takes_no_mean_as_opencv_does_not() -> None:
    """A view of 16 px of a stripe of one pixel: that it may be missed is so on both paths."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::4] = 255
    whole = torch.tensor([[0, 0, 64, 64]])
    pixels, start, width = torch.from_numpy(image.reshape(-1, 3)), torch.tensor([0]), 64
    found = cut(pixels, start, torch.tensor([width]), whole, torch.tensor([False]), 16)
    expected = cv2.resize(image, (16, 16), interpolation=cv2.INTER_LINEAR)
    assert np.abs(as_array(found[0]).astype(int) - expected).max() <= 1
    assert np.ptp(cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA)) == 0
    assert expected.max() == 0


@pytest.mark.parametrize("shape", [(200, 200), (150, 220), (32, 32), (40, 400), (300, 20)])
def test_boxes_are_drawn_as_torchvisions(shape: tuple[int, int]) -> None:
    height, width = shape
    random = torch.Generator().manual_seed(0)
    sizes = torch.tensor([shape]).expand(2 * DRAWS, 2)
    ours = random_boxes(
        torch.rand(2 * DRAWS, BOX_DRAWS, generator=random), sizes, (0.2, 1.0)
    ).numpy()
    top, left, tall, wide = ours.T
    assert ((top >= 0) & (left >= 0) & (top + tall <= height) & (left + wide <= width)).all()
    torch.manual_seed(0)
    image = torch.empty(1, height, width)
    transform = v2.RandomResizedCrop(8, scale=(0.2, 1.0))
    drawn = [transform.make_params([image]) for _ in range(2 * DRAWS)]
    their = np.array([[each[name] for name in ("top", "left", "height", "width")]
                      for each in drawn])  # fmt: skip
    for one, other in zip(_measures(ours), _measures(their), strict=True):
        assert stats.ks_2samp(one, other).pvalue > LEAST


def _measures(boxes: Float64[np.ndarray, "n 4"] | np.ndarray) -> list[np.ndarray]:
    top, left, tall, wide = boxes.astype(float).T
    return [tall * wide, wide / tall, top, left, tall, wide, top + tall, left + wide]


def test_what_never_fits_is_cut_from_the_middle() -> None:
    sizes = torch.tensor([[10, 1000], [1000, 10], [9, 11]])
    draws = torch.full((3, BOX_DRAWS), 1.0)
    draws[2] = 0.999
    found = random_boxes(draws, sizes, (1.0, 1.0)).tolist()
    assert found[0] == [0, 493, 10, 13]
    assert found[1] == [493, 0, 13, 10]
    assert found[2] == [0, 0, 9, 11]


def test_a_warp_is_that_of_one_image(photos: Tensor) -> None:
    one = Warp()
    draws = torch.rand(3, 7, generator=torch.Generator().manual_seed(1))
    draws[:, 6] = torch.tensor([0.1, 0.69, 0.9])  # bent, bent, not bent
    noise = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(2))
    found = warp(photos, draws, noise)
    for place in range(3):

        class Fixed:
            def uniform(self, low: int, high: int, size: int, place: int = place) -> np.ndarray:
                return 2 * draws[place].double().numpy() - 1

            def standard_normal(
                self, shape: tuple[int, ...], kind: type, place: int = place
            ) -> np.ndarray:
                return np.ascontiguousarray(noise[place].permute(1, 2, 0).numpy())

        one.random_generator = Fixed()
        expected = one.apply(as_array(photos[place]), **one.get_params()).astype(float)
        # OpenCV rounds places to a thirty-second of a pixel
        difference = np.abs(as_array(found[place]).astype(float) - expected)
        assert difference.mean() < 0.5
        assert difference.max() < 8


# tones


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_jitter_is_torchvisions_in_every_order(
    order: tuple[int, int, int, int], photos: Tensor
) -> None:
    factors = torch.tensor([[1.3, 0.7, 1.4, -0.1], [0.6, 1.4, 0.6, 0.08], [1.0, 1.0, 1.0, 0.0]])
    found = jitter(photos, factors, torch.tensor([order] * 3))
    adjust: dict[int, Callable[..., Tensor]] = {
        BRIGHTNESS: theirs.adjust_brightness,
        CONTRAST: theirs.adjust_contrast,
        SATURATION: theirs.adjust_saturation,
        HUE: theirs.adjust_hue,
    }
    for place in range(3):
        expected = photos[place] / 255
        for kind in order:
            expected = adjust[kind](expected, factors[place, kind].item())
        assert torch.allclose(found[place], 255 * expected, atol=0.2)
    assert torch.allclose(found[2], photos[2], atol=1e-3)


def test_the_hue_of_black_white_and_grey_does_not_turn() -> None:
    images = torch.tensor([0.0, 128.0, 255.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert torch.equal(turn_hue(images, torch.tensor([0.1, 0.3, -0.1])), images)


def test_a_whole_turn_and_a_third_of_one(photos: Tensor) -> None:
    assert torch.allclose(turn_hue(photos, torch.ones(3)), photos, atol=1e-2)
    third = turn_hue(photos, torch.full((3,), 1 / 3))
    assert torch.allclose(third, photos[:, [2, 0, 1]], atol=1e-2)  # red becomes green


def test_grey_and_stretch_are_albumentations(photos: Tensor) -> None:
    found = grey_where(photos, CHOSEN)
    assert torch.equal(found[1], photos[1])
    for place in (0, 2):
        expected = A.ToGray(p=1.0)(image=as_array(photos[place]))["image"]
        assert np.abs(as_array(found[place]).astype(int) - expected).max() <= 1
    factors, offsets = torch.tensor([1.4, 1.0, 0.6]), torch.tensor([-60.0, 0.0, 80.0])
    stretched = stretch(photos, factors, offsets)
    assert torch.equal(stretched[1], photos[1])
    for place in (0, 2):
        whole = A.RandomBrightnessContrast(p=1.0).apply(
            as_array(photos[place]), alpha=factors[place].item(), beta=offsets[place].item()
        )
        assert np.abs(as_array(stretched[place]).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("deviation", [0.1, 0.3, 0.9, 1.43, 2.0])
def test_blur_is_albumentations(deviation: float, photos: Tensor) -> None:
    from albumentations.augmentations.blur.functional import create_gaussian_kernel_1d

    found = blur_where(photos, torch.full((3,), deviation), CHOSEN, 7)
    assert torch.equal(found[1], photos[1])
    kernel = create_gaussian_kernel_1d(deviation, 0)
    for place in (0, 2):
        expected = A.GaussianBlur().apply(as_array(photos[place]), kernel=kernel)
        assert np.abs(as_array(found[place]).astype(int) - expected).max() <= 1
    three = blur_where(photos, torch.full((3,), deviation), CHOSEN, 1, cut_off=None)
    expected = A.GaussianBlur().apply(
        as_array(photos[0]), kernel=create_gaussian_kernel_1d(deviation, 3)
    )
    assert np.abs(as_array(three[0]).astype(int) - expected).max() <= 1


def test_strokes_are_thickened_as_by_opencv(photos: Tensor) -> None:
    found = thicken_where(photos, CHOSEN)
    assert torch.equal(found[1], photos[1])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2, 2))
    for place in (0, 2):
        assert np.array_equal(as_array(found[place]), cv2.dilate(as_array(photos[place]), kernel))


# whole views


def by_ones(recipe: Recipe, size: int, image: Image) -> list[Image]:
    views = Views(recipe, size)
    views.seed(0)
    return [views(image) for _ in range(DRAWS)]


def assert_alike(
    recipe: Recipe, size: int, image: Image, measure: Callable[[Image], list[float]]
) -> None:
    """The measures of many views have the same distributions on both paths, each by itself."""
    ours = np.array([measure(view) for view in batch(recipe, size, [image] * DRAWS)])
    their = np.array([measure(view) for view in by_ones(recipe, size, image)])
    for place in range(ours.shape[1]):
        found = stats.ks_2samp(ours[:, place], their[:, place])
        assert found.pvalue > LEAST, (place, found)


def box_of(view: Image) -> list[float]:
    """Of a picture whose red tells the row and whose green tells the column."""
    seen = view.astype(np.float64)
    rows, columns = seen[..., 0].mean(axis=1), seen[..., 1].mean(axis=0)
    tall, wide = np.ptp(rows), np.ptp(columns)
    middle = seen.mean(axis=(0, 1))
    return [tall * wide, tall / max(wide, 1.0), middle[0], middle[1], columns[-1] - columns[0]]


@pytest.mark.parametrize("shape", [(200, 200), (150, 220)])
def test_crops_and_mirrors_are_drawn_alike(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likewise.images.augmentation.JITTERED", 0.0)
    monkeypatch.setattr("likewise.images.augmentation.GREYED", 0.0)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = np.stack((rows, columns, 0 * rows), axis=2).astype(np.uint8)
    assert_alike("natural", 32, image, box_of)


def test_colours_are_jittered_and_lost_alike() -> None:
    """Two patches, one above the other: their tones tell all that happens to colours."""
    image = np.empty((64, 64, 3), np.uint8)
    image[:32], image[32:] = (200, 90, 60), (60, 120, 110)

    def tones(view: Image) -> list[float]:
        top, bottom = view[0, 0].astype(float), view[-1, 0].astype(float)
        chroma = [np.ptp(each) for each in (top, bottom)]
        return [*top, *bottom, *chroma, float(chroma[0] == 0), view.std()]

    assert_alike("natural", 32, image, tones)


def test_blur_is_as_wide_and_as_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.images.augmentation.SCALE", (1.0, 1.0))
    monkeypatch.setattr("likewise.images.augmentation.JITTERED", 0.0)
    image = np.zeros((41, 41, 3), np.uint8)
    image[18:23, 18:23] = 255
    places = np.arange(41) - 20.0

    def variance(view: Image) -> list[float]:
        profile = view[..., 0].astype(np.float64).sum(axis=0)
        return [float((profile * places**2).sum() / profile.sum())]

    for recipe in ("natural", "grey"):
        assert_alike(recipe, 41, image, variance)


def test_grey_views_vary_alike() -> None:
    image = np.full((64, 64, 3), 60, np.uint8)
    image[32:] = 190
    assert_alike("grey", 32, image, lambda view: [*view[0, 0], *view[-1, 0], view.mean()])


def test_glyphs_vary_alike() -> None:
    letter = np.zeros((32, 32, 3), np.uint8)
    cv2.putText(letter, "F", (7, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
    places = np.arange(32)

    def shape(view: Image) -> list[float]:
        ink = view[..., 0].astype(np.float64)
        total = ink.sum()
        across, down = ink.sum(axis=0) / total, ink.sum(axis=1) / total
        x, y = across @ places, down @ places
        lean = (ink * np.outer(places - y, places - x)).sum() / total
        spread = [across @ (places - x) ** 2, down @ (places - y) ** 2]
        return [total, x, y, lean, *spread, np.abs(np.diff(ink, axis=1)).sum() / total]

    assert_alike("glyph", 32, letter, shape)


@pytest.mark.parametrize("recipe", ["natural", "grey", "glyph"])
def test_views_depend_on_their_key_alone(recipe: Recipe, photos: Tensor) -> None:
    images = [as_array(each) for each in photos] * 2
    one, again = batch(recipe, 48, images, seed=3), batch(recipe, 48, images, seed=3)
    other = batch(recipe, 48, images, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one[:3], one[3:], strict=True))
    assert all(view.shape == (48, 48, 3) and view.dtype == np.uint8 for view in one)


@pytest.mark.parametrize(("size", "blurred"), [(32, False), (33, True)])
def test_small_views_are_not_blurred(
    size: int, blurred: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likewise.images.augmentation.SCALE", (1.0, 1.0))
    squares = (np.indices((size, size)).sum(axis=0) % 2 * 200 + 20).astype(np.uint8)
    image = np.repeat(squares[..., None], 3, axis=2)
    views = [view[..., 0].astype(int) for view in batch("grey", size, [image] * 200)]
    sharp = [int(np.abs(np.diff(view, axis=1)).min()) > 30 for view in views]
    assert all(sharp) is not blurred
    assert np.mean(sharp) > 0.4
