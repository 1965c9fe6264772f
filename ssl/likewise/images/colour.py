"""Any kind of pixel to 8-bit RGB: depth, palette, transparency, ink, Lab.

Two steps, so that images are shrunk between them: `averageable` gives a mode whose pixels may be
averaged (no palettes, no hue angles, 8 bits a channel), `rgb` makes the rest of the way.
"""

import functools
import io

import numpy as np
from jaxtyping import Num, Shaped, UInt8, UInt16
from PIL import Image, ImageCms

_PART = 2**20
"""Values that are scaled at a time."""
_PHOTOMETRIC, _BITS_PER_SAMPLE, _WHITE_IS_ZERO = 262, 258, 0  # TIFF 6.0, section 8


def averageable(image: Image.Image) -> Image.Image:
    """The image in one of the modes L, LA, RGB, RGBA, CMYK, YCbCr or LAB."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I") or image.mode == "F":
        return _from_deep(image)
    if image.mode in ("PA", "RGBa"):
        return image.convert("RGBA")
    if image.mode == "La":
        return image.convert("LA")
    if image.mode in ("P", "L", "RGB") and "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("P", "HSV", "RGBX"):
        return image.convert("RGB")
    return image


def rgb(image: Image.Image) -> Image.Image:
    """An `averageable` image as RGB.

    Transparency is laid on white. CMYK goes through the image's own ICC profile where it has a
    valid one, else through R = (1 - C)(1 - K); Lab through sRGB (D50). Profiles of RGB images are
    not applied.
    """
    if image.mode in ("RGBA", "LA"):
        layers = image.convert("RGBA")
        paper = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(paper, layers).convert("RGB")
    if image.mode == "CMYK" and (profile := image.info.get("icc_profile")):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            printed = ImageCms.profileToProfile(image, source, _srgb(), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            printed = None
        if printed is not None:
            return printed
    return image.convert("RGB")


def from_opencv(array: Shaped[np.ndarray, "H W *channels"]) -> Image.Image:
    """An array as OpenCV decodes it (grey, BGR or BGRA; any depth) as an `averageable` image."""
    flat = _eight_bits(array)
    if flat.ndim == 2:
        return Image.fromarray(flat)
    if flat.shape[2] == 1:
        return Image.fromarray(flat[..., 0])
    order = [2, 1, 0] if flat.shape[2] == 3 else [2, 1, 0, 3]
    return Image.fromarray(np.ascontiguousarray(flat[..., order]))


def scale_16_bit(values: UInt16[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """16 bits to 8 over the full range, 0..65535 to 0..255, rounded.

    Values that never exceed 4095 come from a 12-bit sensor, and are read as 0..4095.
    """
    top = 4095 if values.size and int(values.max()) <= 4095 else 65535
    table = (np.arange(65536, dtype=np.uint32) * 255 + top // 2) // top
    scaled: UInt8[np.ndarray, "*shape"] = np.minimum(table, 255).astype(np.uint8)[values]
    return scaled


def scale_range(values: Num[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Integers or floats of unknown unit to 8 bits: the least becomes 0, the greatest 255.

    Constant images become 0; NaN and -inf 0, +inf 255. It takes a byte a value beyond them.
    """
    bounds = [each for part in _parts(values) if (each := _bounds(part)) is not None]
    low = min((each[0] for each in bounds), default=0.0)
    high = max((each[1] for each in bounds), default=0.0)
    scaled = np.zeros(values.shape, np.uint8)
    if high <= low:
        return scaled
    for part, out in zip(_parts(values), _parts(scaled), strict=True):
        share = (part.astype(np.float64) - low) / (high - low)
        out[...] = np.rint(np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0) * 255)
    return scaled


def _parts(values: Shaped[np.ndarray, "*shape"]) -> list[Shaped[np.ndarray, "..."]]:
    """Views of some rows each, so that what is computed of them stays small."""
    rows = max(1, _PART // max(1, values[:1].size))
    return [values[start : start + rows] for start in range(0, len(values), rows)]


def _bounds(values: Num[np.ndarray, "..."]) -> tuple[float, float] | None:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else None


def _from_deep(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits, or float, as 8-bit grey."""
    tags = getattr(image, "tag_v2", {})  # only TIFF has them
    values = np.asarray(image)
    bits_of_i = 32 if tags else 16  # PNG and PPM know no more than 16 bits
    if image.mode.startswith("I;16") or (image.mode == "I" and bits_of_i == 16):
        grey = scale_16_bit(np.clip(values, 0, 65535).astype(np.uint16))
    else:
        grey = scale_range(values)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    return Image.fromarray(grey)


def _eight_bits(array: Shaped[np.ndarray, "H W *channels"]) -> UInt8[np.ndarray, "H W *channels"]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return scale_16_bit(array)
    return scale_range(array)


@functools.cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
