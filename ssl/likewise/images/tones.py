"""Tones of one view in few passes: what torchvision's ``ColorJitter`` and its blur do.

Pixels are bytes, each step rounds once, and the image that is given stays as it is. Factors are
those of `torchvision.transforms.v2.functional`.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

_LUMA = (0.299, 0.587, 0.114)
_SAME: Float32[np.ndarray, "3 4"] = np.eye(3, 4, dtype=np.float32)
_GREY: Float32[np.ndarray, "3 4"] = np.array([(*_LUMA, 0.0)] * 3, np.float32)
_MANY_PIXELS = 128 * 128
"""From here on the hue is turned plane by plane: more calls, and less work for each pixel."""

Image = UInt8[np.ndarray, "H W 3"]
_Plane = UInt8[np.ndarray, "H W"]


def stretch(image: Image, factor: float, offset: float) -> Image:
    """``factor x image + offset``."""
    matrix = factor * _SAME
    matrix[:, 3] = offset
    return _transform(image, matrix)


def brightness(image: Image, factor: float) -> Image:
    """A mixture with black: ``factor x image``."""
    return _transform(image, factor * _SAME)


def contrast(image: Image, factor: float) -> Image:
    """A mixture with the image's mean grey."""
    red, green, blue, _ = cv2.mean(image)
    mean = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return stretch(image, factor, (1 - factor) * mean)


def saturation(image: Image, factor: float) -> Image:
    """A mixture with the grey image."""
    return _transform(image, factor * _SAME + (1 - factor) * _GREY)


def grey(image: Image) -> Image:
    """Without colour, as bright as before (ITU-R BT.601)."""
    return _transform(image, _GREY)


def hue(image: Image, turn: float) -> Image:
    """Turn the hue on the circle of HSV; ``turn`` is from -1/6 to 1/6 of a whole one."""
    many = image.shape[0] * image.shape[1] >= _MANY_PIXELS
    return _hue_by_planes(image, turn) if many else _hue_by_conversion(image, turn)


def _hue_by_conversion(image: Image, turn: float) -> Image:
    """To HSV and back; in floats, since bytes would miss by up to eleven levels."""
    colours = image.astype(np.float32)
    cv2.cvtColor(colours, cv2.COLOR_RGB2HSV, dst=colours)
    matrix = _SAME.copy()
    matrix[0, 3] = 360 * (turn % 1)  # OpenCV goes astray below 0
    colours = cv2.transform(colours, matrix)  # type: ignore[assignment]
    cv2.cvtColor(colours, cv2.COLOR_HSV2RGB, dst=colours)
    return cv2.convertScaleAbs(colours)


def _hue_by_planes(image: Image, turn: float) -> Image:
    """The same without HSV, in saturating arithmetic on bytes.

    With M, d and m the largest, middle and smallest value of a pixel, hue is where d lies between m
    and M, and which channel has which. A turn moves d by s = 6 abs(turn) (M - m). Arrived at M or
    m it stays, and the channel that was there moves on by what is left of s. So a channel c changes
    by what s exceeds abs(c - d) by, up or down as its neighbours say, and within m and M.
    """
    planes = cv2.split(image)
    low, high = cv2.min(planes[0], planes[1]), cv2.max(planes[0], planes[1])
    most, least = cv2.max(high, planes[2]), cv2.min(low, planes[2])
    middle = cv2.max(low, cv2.min(high, planes[2], dst=high), dst=low)
    step = cv2.subtract(most, least, dst=high)
    cv2.convertScaleAbs(step, dst=step, alpha=6 * abs(turn))
    turned = []
    for place, plane in enumerate(planes):
        before, after = planes[place - 1], planes[place - 2]
        rises = cv2.compare(before, after, cv2.CMP_GT if turn > 0 else cv2.CMP_LT)
        change = cv2.absdiff(plane, middle)
        cv2.subtract(step, change, dst=change)
        risen, fallen = cv2.add(plane, change), cv2.subtract(plane, change, dst=change)
        cv2.min(risen, most, dst=risen)
        cv2.max(fallen, least, dst=fallen)
        turned.append(cv2.copyTo(risen, rises, fallen))
    return cv2.merge(turned)


def blur(image: Image, deviation: float) -> Image:
    """By a Gaussian of this standard deviation in pixels, that ends after 3.5 of them.

    Beyond the border the image is mirrored.
    """
    reach = int(3.5 * deviation)
    if reach == 0:
        return image
    kernel = cv2.getGaussianKernel(2 * reach + 1, deviation, cv2.CV_32F)
    return cv2.sepFilter2D(image, -1, kernel, kernel)


def _transform(image: Image, matrix: Float32[np.ndarray, "3 4"]) -> Image:
    """Each pixel times ``matrix``, whose fourth column is added; OpenCV's quickest pass."""
    return cv2.transform(image, matrix)
