"""Views are drawn as SimSiam's are: each step against torchvision's, whose recipe it is.

Chen & He 2021, section 3: "We use MoCo v2's augmentations": RandomResizedCrop with scale 0.2 to 1,
ColorJitter of strength 0.4, 0.4, 0.4, 0.1 with a probability of .8, RandomGrayscale of .2, and
Gaussian blur with a standard deviation of 0.1 to 2.0, with a probability of .5.
"""

from collections.abc import Callable

import albumentations as A
import numpy as np
import pytest
import torch
from jaxtyping import Float64, UInt8
from scipy import stats
from torchvision.transforms import v2

from likewise.images.augmentation import transforms

DRAWS = 1500
LEAST = 1e-3
"""p below which two samples count as drawn differently; seeds are fixed."""

Image = UInt8[np.ndarray, "H W 3"]


def step(kind: type[A.BasicTransform], size: int = 64) -> A.BasicTransform:
    (found,) = (each for each in transforms("natural", size) if isinstance(each, kind))
    return found


def ours(kind: type[A.BasicTransform], size: int = 64) -> Callable[[Image], Image]:
    compose = A.Compose([step(kind, size)])
    compose.set_random_seed(0)
    return lambda image: np.asarray(compose(image=image)["image"])


def theirs(transform: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Image], Image]:
    torch.manual_seed(0)

    def apply(image: Image) -> Image:
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return np.asarray(transform(tensor).numpy().transpose(1, 2, 0))

    return apply


def drawn(
    view: Callable[[Image], Image], image: Image, measure: Callable[[Image], list[float]]
) -> Float64[np.ndarray, "n m"]:
    return np.array([measure(view(image)) for _ in range(DRAWS)])


def assert_alike(one: Float64[np.ndarray, "n m"], other: Float64[np.ndarray, "n m"]) -> None:
    for place in range(one.shape[1]):
        found = stats.ks_2samp(one[:, place], other[:, place])
        assert found.pvalue > LEAST, (place, found)


@pytest.mark.parametrize("shape", [(200, 200), (150, 220)])
def test_crops_have_the_same_areas_shapes_and_places(shape: tuple[int, int]) -> None:
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    image = np.stack((rows, columns, 0 * rows), axis=2).astype(np.uint8)

    def box(view: Image) -> list[float]:
        seen = view.astype(np.float64)
        tall = np.ptp(seen[..., 0].mean(axis=1))
        wide = np.ptp(seen[..., 1].mean(axis=0))
        middle = seen.mean(axis=(0, 1))
        return [tall * wide, tall / max(wide, 1.0), middle[0], middle[1]]

    theirs_too = theirs(v2.RandomResizedCrop(64, scale=(0.2, 1.0), antialias=False))
    assert_alike(drawn(ours(A.RandomResizedCrop), image, box), drawn(theirs_too, image, box))


def test_half_of_the_views_are_mirrored() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4] = 255
    mirrored = drawn(ours(A.HorizontalFlip), image, lambda view: [float(view[0, 0, 0] == 0)])
    assert stats.binomtest(int(mirrored.sum()), DRAWS, 0.5).pvalue > LEAST


def test_colours_are_jittered_alike() -> None:
    """Two patches: their tones tell brightness, contrast, saturation and hue, in any order."""
    image = np.empty((8, 16, 3), np.uint8)
    image[:, :8], image[:, 8:] = (200, 90, 60), (60, 120, 110)

    def tones(view: Image) -> list[float]:
        return [float(each) for each in (*view[0, 0], *view[0, -1])]

    jitter = v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
    assert_alike(drawn(ours(A.ColorJitter), image, tones), drawn(theirs(jitter), image, tones))


def test_a_fifth_of_the_views_is_grey_as_bright_as_before() -> None:
    image = np.full((8, 8, 3), (200, 90, 60), np.uint8)

    def tones(view: Image) -> list[float]:
        return [float(each) for each in view[0, 0]]

    found = drawn(ours(A.ToGray), image, tones)
    grey = np.ptp(found, axis=1) == 0
    assert stats.binomtest(int(grey.sum()), DRAWS, 0.2).pvalue > LEAST
    expected = theirs(v2.Grayscale(3))(image)[0, 0, 0]
    assert np.abs(found[grey] - float(expected)).max() <= 1
    assert (found[~grey] == (200, 90, 60)).all()


def test_blur_is_as_wide_and_as_frequent() -> None:
    """The variance of the response to a patch grows by the square of the standard deviation."""
    image = np.zeros((41, 41, 3), np.uint8)
    image[18:23, 18:23] = 255
    places = np.arange(41) - 20.0

    def variance(view: Image) -> list[float]:
        profile = view[..., 0].astype(np.float64).sum(axis=0)
        return [float((profile * places**2).sum() / profile.sum())]

    found = drawn(ours(A.GaussianBlur), image, variance)
    blur = v2.RandomApply([v2.GaussianBlur(17, sigma=(0.1, 2.0))], p=0.5)
    assert_alike(found, drawn(theirs(blur), image, variance))
    assert np.ptp(found) == pytest.approx(4, abs=0.3)


def test_small_views_are_not_blurred_as_in_the_paper() -> None:
    """Appendix D: on CIFAR-10 blur is not used."""
    assert not any(isinstance(each, A.GaussianBlur) for each in transforms("natural", 32))
    assert any(isinstance(each, A.GaussianBlur) for each in transforms("natural", 64))
