"""Views: the right distribution, from a seed; whole views; the choice of recipe."""

import cv2
import numpy as np
import pytest

from likewise.images.augmentation import Recipe, Views, choose_recipe, whole_view

RECIPES: list[Recipe] = ["natural", "grey", "glyph"]


def _many(views: Views, image: np.ndarray, count: int) -> list[np.ndarray]:
    return [views(image) for _ in range(count)]


@pytest.fixture
def photo() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(noise, (120, 90), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_seed_gives_the_same_views(recipe: Recipe, photo: np.ndarray) -> None:
    one, two = Views(recipe, 40), Views(recipe, 40)
    one.seed(3, 1, 4)
    two.seed(3, 1, 4)
    first = [one(photo) for _ in range(6)]
    assert all(np.array_equal(a, two(photo)) for a in first)
    assert all(view.shape == (40, 40, 3) and view.dtype == np.uint8 for view in first)
    one.seed(3, 1, 5)
    assert not any(np.array_equal(a, one(photo)) for a in first)
    assert len({view.tobytes() for view in first}) == 6


def test_natural_views_lose_colour_in_a_fifth_and_flip_in_half() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (230, 180, 180), (60, 20, 20)
    views = Views("natural", 32)
    views.seed(0)
    made = np.stack(_many(views, image, 1500)).astype(int)
    grey = (np.ptp(made, axis=3).max(axis=(1, 2)) == 0).mean()
    assert grey == pytest.approx(0.2, abs=0.04)
    light = made.mean(axis=3)
    left, right = light[:, :, 0].mean(axis=1), light[:, :, -1].mean(axis=1)
    both = np.abs(left - right) > 40
    assert both.mean() > 0.3
    assert (left > right)[both].mean() == pytest.approx(0.5, abs=0.06)


def test_grey_views_are_mirrored_as_often_as_others() -> None:
    """`A.Compose.set_random_seed` lets all steps draw the same: each grey view was mirrored."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (230, 160, 160), (60, 10, 10)
    views = Views("natural", 32)
    views.seed(0)
    made = np.stack(_many(views, image, 2000)).astype(int)
    grey = np.ptp(made, axis=3).max(axis=(1, 2)) == 0
    light = made.mean(axis=3)
    left, right = light[:, :, 0].mean(axis=1), light[:, :, -1].mean(axis=1)
    both = np.abs(left - right) > 40
    assert (left < right)[both & grey].mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("recipe", ["grey", "glyph"])
def test_recipes_without_colour_keep_grey_grey(recipe: Recipe, photo: np.ndarray) -> None:
    grey = np.repeat(photo[..., :1], 3, axis=2)
    views = Views(recipe, 32)
    views.seed(0)
    assert all(np.ptp(views(grey).astype(int), axis=2).max() <= 1 for _ in range(50))


def test_glyphs_are_never_mirrored() -> None:
    letter = np.zeros((64, 64, 3), np.uint8)
    cv2.putText(letter, "F", (14, 52), cv2.FONT_HERSHEY_SIMPLEX, 1.9, (255, 255, 255), 5)
    views = Views("glyph", 64)
    views.seed(0)
    mirrored = letter[:, ::-1]

    def likeness(view: np.ndarray, other: np.ndarray) -> float:
        a, b = view[..., 0].astype(float).ravel(), other[..., 0].astype(float).ravel()
        return float(np.corrcoef(a, b)[0, 1])

    made = [views(letter) for _ in range(40)]
    nearer = [likeness(view, letter) > likeness(view, mirrored) for view in made]
    assert np.mean(nearer) > 0.8


def test_the_whole_view_shows_all_up_to_four_thirds() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    image[:, :4], image[:, -4:] = 255, 255
    view = whole_view(image, 48)
    assert view.shape == (48, 48, 3)
    assert view[:, 0].min() > 200
    assert view[:, -1].min() > 200


def test_the_whole_view_cuts_the_ends_of_long_images() -> None:
    wide = np.zeros((30, 120, 3), np.uint8)
    wide[:, 40:80] = 255  # the middle 4:3 part
    assert whole_view(wide, 30).min() == 255
    assert whole_view(np.ascontiguousarray(wide.transpose(1, 0, 2)), 30).min() == 255
    same = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(whole_view(same, 16), same)


def test_the_recipe_is_chosen_by_looking(photo: np.ndarray) -> None:
    grey_photo = np.repeat(photo[..., :1], 3, axis=2)
    page = np.full((64, 64, 3), 250, np.uint8)
    cv2.putText(page, "ab", (8, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, (20, 20, 20), 2)
    assert choose_recipe([photo] * 5)[0] == "natural"
    assert choose_recipe([grey_photo] * 5)[0] == "grey"
    assert choose_recipe([page] * 5)[0] == "glyph"
    assert choose_recipe([page] * 4 + [photo] * 4)[0] == "natural"
