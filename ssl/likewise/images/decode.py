"""The bytes of one file to RGB pixels, upright and no larger than needed."""

import os
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, UnidentifiedImageError

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.images.colour import averageable, from_opencv, rgb

FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "PPM"),
    *("TIFF", "WEBP", "AVIF", "JPEG2000", "QOI", "ICO", "ICNS", "CUR", "DIB", "DDS", "PCX"),
    *("DCX", "PSD", "SGI", "SUN", "XBM", "XPM", "TGA"),
)
"""Raster formats that Pillow may try, most common first. Nothing that runs another program or a
page description language (EPS, PDF, WMF), and no stubs."""

MAX_PIXELS = 89_478_485
"""Pillow's own limit: a quarter of a gigabyte at 24 bits a pixel."""

MAX_ASPECT = 4
"""The long side of a prepared image is at most this many times the short side asked for."""

TOO_MUCH_MEMORY = "not enough memory to decode it"
"""Why an image fails that is too large for the machine, or for a child that decodes."""

OPENCV_PIXELS = MAX_PIXELS // 2
"""Of what OpenCV alone reads: it holds 24 bytes of a floating-point pixel while it decodes."""

_OPENCV_KNOWS = (b"#?RADIANCE", b"#?RGBE", b"PF\n", b"Pf\n")
_PILLOW_KNOWS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"8BPS")

_NO_MEMORY = -4
"""OpenCV's StsNoMem."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what undoes it (CIPA DC-008, tag 0x0112)."""


class DecodeError(LikewiseError):
    """A file cannot be made into an image. The text is the bare reason: "truncated file"."""


class Decoded(NamedTuple):
    """An image in memory, with the size it has on disk."""

    pixels: UInt8[np.ndarray, "H W 3"]
    width: int
    """Of the full image once upright, in pixels."""
    height: int


def decode(
    data: bytes, *, short_side: int, max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "H W 3"]:
    """Decode a file's bytes to RGB; see `decode_sized`."""
    return decode_sized(data, short_side=short_side, max_pixels=max_pixels).pixels


def decode_sized(data: bytes, *, short_side: int, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode a file's bytes: first frame, upright, 8-bit RGB, shrunk.

    The image is shrunk, never enlarged, until its short side is at most ``short_side`` and its
    long side at most ``MAX_ASPECT * short_side`` (very long strips thus get a shorter short
    side, of at least one pixel). What Pillow does not know is tried with OpenCV. 16-bit grey is
    scaled over its full range, or read as 12 bits where it never exceeds 4095; 32-bit grey from
    its least to its greatest value.

    Raises:
        DecodeError: empty, unknown, damaged or truncated data, or more than ``max_pixels``
            (a decompression bomb; above twice `MAX_PIXELS` Pillow refuses whatever is asked).
    """
    if not data:
        raise DecodeError("empty file")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            return _prepare(image, short_side, max_pixels)
    except DecodeError:
        raise
    except UnidentifiedImageError:
        return _decode_with_opencv(data, short_side, max_pixels)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DecodeError(f"more than {max_pixels:,} pixels") from None
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise DecodeError(_plain(error)) from error


def load(path: Path, *, short_side: int) -> UInt8[np.ndarray, "H W 3"]:
    """Decode one file on disk.

    Raises:
        LikewiseError: it cannot be read or is no image.
    """
    try:
        return decode(path.read_bytes(), short_side=short_side)
    except OSError as error:
        raise LikewiseError(f"could not read {path}: {reason_of(error)}") from error
    except DecodeError as error:
        raise LikewiseError(f"could not read {path}: {error}") from error


def size_if_upright(data: bytes) -> tuple[int, int] | None:
    """Width and height of an image whose pixels lie as it is shown; None of one to be turned.

    Nothing is decoded. None, too, of data that Pillow cannot read.
    """
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            return image.size if _orientation(image) not in _UPRIGHT else None
    except Exception:  # damaged files make decoders raise nearly anything
        return None


def target_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height of the prepared copy; see `decode_sized`."""
    short, long = min(width, height), max(width, height)
    scale = min(1.0, short_side / short, MAX_ASPECT * short_side / long)
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize without aliasing: whole-pixel averaging first, then bicubic."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)


def _prepare(image: ImageFile.ImageFile, short_side: int, max_pixels: int) -> Decoded:
    width, height = image.size
    _refuse_bomb(width, height, max_pixels)
    size = target_size(width, height, short_side)
    # A JPEG can be decoded at 1/2, 1/4 or 1/8 for a fraction of the time.
    image.draft(None, (2 * size[0], 2 * size[1]))
    try:
        image.load()
    except OSError as error:  # this decoder does not say which
        large = image.format == "JPEG2000" and width * height > max_pixels // 4
        if not large:
            raise
        raise DecodeError(f"damaged file, or {TOO_MUCH_MEMORY}") from error
    turn = _UPRIGHT.get(_orientation(image))
    if image.format not in ("JPEG", "MPO") and image.size != (width, height):
        width, height = image.size  # TIFF turns itself, ICNS and the like choose a size on load
        size = target_size(width, height, short_side)
    small = rgb(shrink(averageable(image), size))
    if turn is not None:
        small = small.transpose(turn)
    sideways = turn is not None and turn not in (
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.ROTATE_180,
    )
    return Decoded(np.array(small), *((height, width) if sideways else (width, height)))


def _decode_with_opencv(data: bytes, short_side: int, max_pixels: int) -> Decoded:
    unknown = DecodeError("not an image, or not in a format that Pillow or OpenCV can read")
    if data.startswith(_OPENCV_KNOWS):
        unknown = DecodeError(f"damaged file, or more than {OPENCV_PIXELS:,} pixels")
    if data.startswith(_PILLOW_KNOWS):  # OpenCV would return the undamaged part
        raise DecodeError("damaged file")
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(OPENCV_PIXELS))  # read at import
    import cv2

    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if array is None:
            raise unknown
        height, width = array.shape[:2]
        _refuse_bomb(width, height, max_pixels)
        small = shrink(from_opencv(array), target_size(width, height, short_side))
    except cv2.error as error:
        raise DecodeError(TOO_MUCH_MEMORY) if error.code == _NO_MEMORY else unknown from None
    return Decoded(np.array(rgb(small)), width, height)


def _refuse_bomb(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise DecodeError(f"{width:,} x {height:,} is more than {max_pixels:,} pixels")
    if width < 1 or height < 1:
        raise DecodeError("image without pixels")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF says nothing about the pixels
        return 1


def _plain(error: Exception) -> str:
    """A short reason in plain words for what a decoder raised."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, EOFError) or any(
        sign in text.lower() for sign in ("truncated", "broken data stream", "unexpected end")
    ):
        return "truncated file"
    if isinstance(error, MemoryError):
        return TOO_MUCH_MEMORY
    return f"damaged file ({text[:120]})"
