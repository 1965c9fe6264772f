"""Images to break, ways to break them, and a decoder that notes what each cost."""

import io
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from likewise.images.decode import FORMATS, Decoded, decode_sized

NOTES = "LIKEWISE_TEST_NOTES"
"""The environment's name for the folder in which `noting` leaves its notes."""

_NOT_OURS = ("CUR", "DCX", "PSD", "SUN", "XBM", "XPM")
"""Formats of which Pillow writes no colour image."""
_worst = [0.0, 0]


def noting(data: bytes, *, short_side: int) -> Decoded:
    """Decode as ever, and note the longest time (s) and most memory (KiB) of this process."""
    started = time.monotonic()
    try:
        return decode_sized(data, short_side=short_side)
    finally:
        took = time.monotonic() - started
        # Not getrusage: it would count what the parent had when it started this process.
        memory = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
        if took > _worst[0] or memory > _worst[1]:
            _worst[:] = max(took, _worst[0]), max(memory, _worst[1])
            note = Path(os.environ[NOTES]) / str(os.getpid())
            note.write_text(f"{_worst[0]} {_worst[1]}")


def noted(folder: Path) -> tuple[float, float]:
    """The longest time of one file, in seconds, and the most memory of one child, in GB."""
    notes = [each.read_text().split() for each in folder.iterdir()]
    times, memory = zip(*((float(each[0]), int(each[1])) for each in notes if each), strict=True)
    return max(times), max(memory) * 1024 / 1e9


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def written(suffix: str, values: np.ndarray[Any, Any]) -> bytes:
    """An array as OpenCV writes it, as a file's bytes."""
    done, data = cv2.imencode(suffix, values)
    assert done
    return data.tobytes()


def good_images() -> list[bytes]:
    """Small images of every format and kind of pixel that we know how to write."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
    colour = Image.fromarray(coarse).resize((24, 20), Image.Resampling.BICUBIC)
    deep = random.integers(0, 65536, (20, 24), np.uint16)
    alpha = colour.convert("RGBA")
    alpha.putalpha(128)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    frames: dict[str, Any] = {"save_all": True, "append_images": [colour.rotate(90)] * 3}
    images = [saved(colour, kind) for kind in FORMATS if kind not in _NOT_OURS]
    images += [saved(colour, kind, **frames) for kind in ("GIF", "PNG", "TIFF", "WEBP")]
    images += [saved(colour, kind, exif=exif) for kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")]
    images += [saved(colour.convert("CMYK"), kind) for kind in ("JPEG", "TIFF")]
    images += [saved(alpha, kind) for kind in ("PNG", "WEBP", "TIFF", "JPEG2000", "AVIF")]
    images += [saved(Image.fromarray(deep), kind) for kind in ("PNG", "TIFF", "PPM")]
    images += [saved(colour, "TIFF", compression=f"tiff_{each}") for each in ("lzw", "deflate")]
    images.append(saved(colour.convert("P"), "PNG", transparency=3))
    images += [saved(colour.convert("1"), kind) for kind in ("XBM", "PNG", "PCX")]
    images.append(saved(colour.convert("1"), "TIFF", compression="group4"))
    images.append(saved(colour, "JPEG", progressive=True, quality=30))
    images.append(saved(Image.fromarray(deep.astype(np.float32)), "TIFF"))
    images.append(saved(colour, "TGA", compression="tga_rle"))
    images.append(written(".png", np.dstack([deep] * 3)))
    images.append(written(".tiff", np.dstack([deep] * 3)))
    for suffix in (".hdr", ".pfm"):
        images.append(written(suffix, random.random((20, 24, 3), np.float32)))
    images.append(written(".ras", np.asarray(colour)))
    return images


Random = np.random.Generator
Change = Callable[[bytearray, Random], object]


def _flip(data: bytearray, random: Random) -> None:
    for _ in range(int(random.integers(1, 9))):
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))


def _flip_in_head(data: bytearray, random: Random) -> None:
    for _ in range(int(random.integers(1, 4))):
        data[int(random.integers(min(64, len(data))))] = int(random.integers(256))


def _cut(data: bytearray, random: Random) -> None:
    del data[int(random.integers(len(data))) :]


def _drop(data: bytearray, random: Random) -> None:
    start = int(random.integers(len(data)))
    del data[start : start + int(random.integers(1, 64))]


def _repeat(data: bytearray, random: Random) -> None:
    start = int(random.integers(len(data)))
    data[start:start] = data[start : start + int(random.integers(1, 64))] * int(random.integers(9))


def _number(data: bytearray, random: Random) -> None:
    """A number that counts or measures something becomes one of those that hurt."""
    number = int(random.choice([0, 1, 255, 32767, 65535, 9000, 2**31 - 1, 2**32 - 1]))
    width, order = int(random.choice([2, 4])), str(random.choice(["<", ">"]))
    place = int(random.integers(min(len(data), 256)))
    data[place : place + width] = struct.pack(f"{order}Q", number)[
        slice(None, width) if order == "<" else slice(-width, None)
    ]


def _blank(data: bytearray, random: Random) -> None:
    start, length = int(random.integers(len(data))), int(random.integers(1, 64))
    data[start : start + length] = bytes([int(random.choice([0, 255]))]) * length


_CHANGES: list[Change] = [_flip, _flip_in_head, _cut, _drop, _repeat, _number, _number, _blank]


def mutations(count: int, seed: int = 0) -> Iterator[bytes]:
    """So many broken images: one to three changes each; PNGs often with checksums that fit."""
    random = np.random.default_rng(seed)
    images = good_images()
    for _ in range(count):
        data = bytearray(images[int(random.integers(len(images)))])
        if random.random() < 0.03:  # the head of one, the body of another
            other = images[int(random.integers(len(images)))]
            data = data[: int(random.integers(1, 64))] + bytearray(other[16:])
        for _ in range(int(random.integers(1, 4))):
            if data:
                _CHANGES[int(random.integers(len(_CHANGES)))](data, random)
        if data[:4] == b"\x89PNG" and random.random() < 0.7:
            data = _with_fitting_checksums(data)
        yield bytes(data)


def _with_fitting_checksums(data: bytearray) -> bytearray:
    """A broken PNG whose chunks are believed: else the first checksum ends it all."""
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return data


LARGE = (9_400, 9_500)
"""Width and height just below the most pixels that are decoded."""


def bombs() -> dict[str, Callable[[], bytes]]:
    """Small files that want much memory or time: as large as is allowed, or they say so."""
    blank = {mode: lambda mode=mode: Image.new(mode, LARGE) for mode in ("RGB", "RGBA", "CMYK")}
    height, width = LARGE[1], LARGE[0]

    def zeros(kind: type[Any], *more: int) -> np.ndarray[Any, Any]:
        return np.zeros((height, width, *more), kind)

    def deflated(kind: type[Any]) -> bytes:
        return saved(Image.fromarray(zeros(kind)), "TIFF", compression="tiff_deflate")

    return {
        "lying PNG": lambda: _lying_png(*LARGE),
        "lying BMP": lambda: _lying_bmp(*LARGE),
        "lying PPM": lambda: b"P6 9400 9500 255\n" + bytes(100),
        "lying PFM": lambda: b"PF\n9400 9500\n-1.0\n" + bytes(100),
        "PNG, transparent colour": lambda: saved(blank["RGB"](), "PNG", transparency=(0, 0, 0)),
        "float TIFF": lambda: deflated(np.float32),
        "integer TIFF": lambda: deflated(np.int32),
        "16-bit PNG": lambda: saved(Image.fromarray(zeros(np.uint16)), "PNG"),
        "WebP with alpha": lambda: saved(blank["RGBA"](), "WEBP", method=0),
        "AVIF with alpha": lambda: saved(blank["RGBA"](), "AVIF", speed=10),
        "JPEG 2000": lambda: saved(blank["RGB"](), "JPEG2000"),
        "CMYK TIFF": lambda: saved(blank["CMYK"](), "TIFF", compression="tiff_lzw"),
        "progressive JPEG, 400 scans": lambda: _many_scans(400),
        "GIF, 2,000 frames": lambda: _long_animation(2_000),
        "Radiance": lambda: written(".hdr", zeros(np.float32, 3)),
    }


def _lying_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = bytearray(saved(Image.new("RGB", (1, 1)), "PNG"))
    data[16:29] = header
    return bytes(_with_fitting_checksums(data))


def _lying_bmp(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("RGB", (1, 1)), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def _many_scans(count: int) -> bytes:
    """A progressive JPEG of 25 megapixels whose last scan comes again and again."""
    data = saved(Image.new("L", (5_000, 5_000), 90), "JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:start] + data[start:end] * count + data[end:]


def _long_animation(count: int) -> bytes:
    frame = Image.new("P", (64, 64))
    frames = [Image.new("P", (64, 64), number % 256) for number in range(count)]
    return saved(frame, "GIF", save_all=True, append_images=frames)
