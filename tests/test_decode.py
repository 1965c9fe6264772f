import contextlib
import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from likewise.errors import LikewiseError
from likewise.images.colour import scale_16_bit
from likewise.images.decode import DecodeError, decode, decode_sized, load, target_size

SIDE = 64


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def grey_as_rgb(values: npt.ArrayLike) -> npt.NDArray[Any]:
    return np.repeat(np.asarray(values)[..., None], 3, axis=2)


def test_rgb_comes_through_unchanged() -> None:
    pixels = noise(5, 7, 3)
    decoded = decode(saved(Image.fromarray(pixels)), short_side=SIDE)
    np.testing.assert_array_equal(decoded, pixels)
    assert decoded.flags.c_contiguous
    assert decoded.flags.writeable


# --- orientation

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(orientation: int, kind: str) -> None:
    stored = noise(5, 8, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    data = saved(Image.fromarray(stored), kind, exif=exif, **lossless)
    expected = UPRIGHT[orientation](stored)
    image = decode_sized(data, short_side=SIDE)
    np.testing.assert_array_equal(image.pixels, expected)
    assert (image.height, image.width) == expected.shape[:2]


def test_large_jpeg_is_turned_and_reports_its_full_size() -> None:
    stored = np.zeros((400, 900, 3), np.uint8)
    stored[:, :450] = (250, 20, 20)  # left half red; turned by 90 degrees clockwise: top
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode_sized(
        saved(Image.fromarray(stored), "JPEG", exif=exif, quality=95), short_side=40
    )
    assert (image.width, image.height) == (400, 900)
    assert image.pixels.shape == (90, 40, 3)
    assert abs(image.pixels[:40].astype(int) - (250, 20, 20)).max() < 6
    assert image.pixels[50:].max() < 6


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_corrupt_exif_is_ignored() -> None:
    pixels = noise(8, 8, 3)
    data = saved(Image.fromarray(pixels), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffrubbish")
    assert decode(data, short_side=SIDE).shape == (8, 8, 3)


# --- depth


def test_16_bit_grey_is_scaled_over_its_full_range() -> None:
    values = np.array([[0, 128, 257, 40000, 65535, 32768]], np.uint16)
    expected = grey_as_rgb(np.rint(values / 257))
    for kind in ("PNG", "TIFF", "PPM"):
        decoded = decode(saved(Image.fromarray(values), kind), short_side=SIDE)
        np.testing.assert_array_equal(decoded, expected, err_msg=kind)


def test_12_bit_data_use_their_own_range() -> None:
    values = np.array([[0, 2048, 4095]], np.uint16)
    decoded = decode(saved(Image.fromarray(values), "TIFF"), short_side=SIDE)
    np.testing.assert_array_equal(decoded, grey_as_rgb([[0, 128, 255]]))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_16_bit_scaling_is_rounded_division(values: list[int]) -> None:
    top = 4095 if max(values) <= 4095 else 65535
    expected = [int(value * 255 / top + 0.5) for value in values]
    assert scale_16_bit(np.array(values, np.uint16)).tolist() == expected


def test_white_is_zero_tiff_is_not_a_negative() -> None:
    values = np.array([[0, 65535, 40000]], np.uint16)
    data = saved(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(
        decode(data, short_side=SIDE), grey_as_rgb(255 - np.rint(values / 257))
    )


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_32_bit_grey_runs_from_least_to_greatest(kind: type[Any]) -> None:
    values = np.array([[-1000, 0, 1000, 3000]], kind)
    decoded = decode(saved(Image.fromarray(values), "TIFF"), short_side=SIDE)
    np.testing.assert_array_equal(decoded, grey_as_rgb([[0, 64, 128, 255]]))


def test_float_image_with_gaps() -> None:
    values = np.array([[np.nan, -np.inf, 0.25, 0.75, np.inf]], np.float32)
    decoded = decode(saved(Image.fromarray(values), "TIFF"), short_side=SIDE)
    np.testing.assert_array_equal(decoded, grey_as_rgb([[0, 0, 0, 255, 255]]))


def test_16_bit_rgb_keeps_its_high_byte() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (4, 5, 3)).astype(np.uint16)
    done, data = cv2.imencode(".png", values[..., ::-1])
    assert done
    decoded = decode(data.tobytes(), short_side=SIDE).astype(int)
    assert np.abs(decoded - values / 257).max() <= 1


def test_one_bit() -> None:
    bits = np.array([[True, False, True]])
    decoded = decode(saved(Image.fromarray(bits)), short_side=SIDE)
    np.testing.assert_array_equal(decoded, grey_as_rgb([[255, 0, 255]]))


# --- transparency and palettes


def on_white(colour: npt.NDArray[Any], alpha: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    share = alpha[..., None] / 255
    mixed: npt.NDArray[np.float64] = colour * share + 255 * (1 - share)
    return mixed


def test_transparency_is_laid_on_white() -> None:
    layers = noise(6, 6, 4)
    decoded = decode(saved(Image.fromarray(layers)), short_side=SIDE)
    assert np.abs(decoded - on_white(layers[..., :3], layers[..., 3])).max() <= 1
    grey = layers[..., :2]
    decoded = decode(saved(Image.fromarray(np.ascontiguousarray(grey), "LA")), short_side=SIDE)
    assert np.abs(decoded - on_white(grey_as_rgb(grey[..., 0]), grey[..., 1])).max() <= 1


def test_hidden_colour_does_not_bleed_when_shrunk() -> None:
    layers = np.zeros((64, 64, 4), np.uint8)
    layers[:, ::2] = (255, 0, 0, 255)  # red stripes on transparent black
    decoded = decode(saved(Image.fromarray(layers)), short_side=8)
    middle = decoded[2:-2, 2:-2].astype(int)  # half red, half white paper
    assert np.abs(middle - (255, 127, 127)).max() <= 4


def test_palette_with_and_without_transparency() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 7, 8, 9])
    expected = np.array([[[10, 20, 30], [200, 100, 50], [7, 8, 9]]])
    np.testing.assert_array_equal(decode(saved(image), short_side=SIDE), expected)
    expected[0, 1] = 255
    for kind in ("PNG", "GIF"):
        data = saved(image, kind, transparency=1)
        np.testing.assert_array_equal(decode(data, short_side=SIDE), expected, err_msg=kind)


def test_transparent_colour_key() -> None:
    for image, key in (
        (Image.fromarray(np.array([[[9, 8, 7], [1, 2, 3]]], np.uint8)), (9, 8, 7)),
        (Image.fromarray(np.array([[50, 60]], np.uint8)), 50),
    ):
        decoded = decode(saved(image, transparency=key), short_side=SIDE)
        assert decoded[0, 0].tolist() == [255, 255, 255]
        assert decoded[0, 1].tolist() != [255, 255, 255]


# --- ink and Lab

INKS = {(0, 0, 0, 0): (255, 255, 255), (255, 0, 0, 0): (0, 255, 255), (0, 255, 255, 0): (255, 0, 0)}


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    for ink, expected in INKS.items():
        image = Image.new("CMYK", (16, 16), ink)
        decoded = decode(saved(image, kind), short_side=SIDE).astype(int)
        assert np.abs(decoded - expected).max() <= 3, ink
    half = decode(saved(Image.new("CMYK", (16, 16), (0, 0, 0, 128)), kind), short_side=SIDE)
    assert np.abs(half.astype(int) - 127).max() <= 3


def test_ycck_jpeg() -> None:
    # Adobe stores 255 - C, M, Y, K; the complement of the first three (that is C, M, Y) becomes
    # YCbCr. Write those samples raw, and set the marker's transform from 0 to 2.
    red, green, blue = 200, 60, 30
    c, m, y = 255 - red, 255 - green, 255 - blue
    luma = 0.299 * c + 0.587 * m + 0.114 * y
    stored = [luma, (y - luma) / 1.772 + 128, (c - luma) / 1.402 + 128, 255]
    image = Image.new("CMYK", (16, 16), tuple(255 - round(each) for each in stored))
    data = saved(image, "JPEG", quality=100)
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    data = data[: marker + 11] + b"\x02" + data[marker + 12 :]
    decoded = decode(data, short_side=SIDE).astype(int)
    assert np.abs(decoded - (red, green, blue)).max() <= 4
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert other is not None
    assert np.abs(decoded - other[..., ::-1]).max() <= 4


def cmyk_profile() -> bytes:
    """An ICC profile (version 2, lut8) of an odd press, whose cyan is red: Lab 53.3, 80, 67."""
    ramp = bytes(range(256))
    white, red, black = bytes((255, 128, 128)), bytes((136, 208, 195)), bytes((0, 128, 128))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0))
    table += struct.pack(">9i", *(65536 * each for each in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table += ramp * 4 + (white + black) * 4 + (red + black) * 4 + ramp * 3  # K runs fastest
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"A2B0": table, b"wtpt": b"XYZ " + bytes(4) + d50}
    head, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        head += name + struct.pack(">2I", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI", 128 + len(head) + len(body), bytes(4), 0x02400000)
    header += b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28) + d50
    return header + bytes(128 - len(header)) + head + body


def test_cmyk_goes_through_its_profile() -> None:
    for kind in ("TIFF", "JPEG"):
        image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
        data = saved(image, kind, icc_profile=cmyk_profile())
        channels = decode(data, short_side=SIDE)[0, 0].tolist()
        assert channels[0] > 230, kind
        assert max(channels[1:]) < 50, kind


def test_damaged_cmyk_profile_falls_back() -> None:
    data = saved(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), "TIFF", icc_profile=b"rubbish" * 30)
    assert decode(data, short_side=SIDE)[0, 0].tolist() == [0, 255, 255]


def test_profile_of_the_wrong_colour_space_falls_back() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(Image.new("CMYK", (4, 4), (255, 0, 0, 0)), "TIFF", icc_profile=profile)
    assert decode(data, short_side=SIDE)[0, 0].tolist() == [0, 255, 255]


def test_lab() -> None:
    # L from 0 to 255 for 0 to 100; a and b plus 128 in Pillow, signed in the file.
    white, black = (Image.new("LAB", (4, 4), (light, 128, 128)) for light in (255, 0))
    assert decode(saved(white, "TIFF"), short_side=SIDE).min() >= 253
    assert decode(saved(black, "TIFF"), short_side=SIDE).max() <= 2
    red = Image.new("LAB", (4, 4), (136, 208, 195))  # L 53.3, a 80, b 67: sRGB red
    channels = decode(saved(red, "TIFF"), short_side=SIDE)[0, 0].tolist()
    assert channels[0] > 230
    assert max(channels[1:]) < 50


# --- size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((300, 200), (96, 64)),
        ((200, 300), (64, 96)),
        ((64, 64), (64, 64)),
        ((10, 12), (10, 12)),  # never enlarged
        ((10_000, 100), (256, 3)),  # the long side is limited
        ((1, 100_000), (1, 256)),  # and no side vanishes
    ],
)
def test_target_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert target_size(*size, 64) == expected


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(8, 512))
def test_target_size_bounds(width: int, height: int, side: int) -> None:
    w, h = target_size(width, height, side)
    assert 1 <= w <= width
    assert 1 <= h <= height
    assert min(w, h) <= side
    assert max(w, h) <= 4 * side


def test_shrinking_does_not_alias() -> None:
    checks = np.indices((512, 512)).sum(axis=0) % 2 * np.uint8(255)
    for kind in ("PNG", "JPEG"):
        decoded = decode(saved(Image.fromarray(checks.astype(np.uint8)), kind), short_side=64)
        assert np.abs(decoded.astype(int) - 128).max() <= 6, kind


def test_shrinking_while_decoding_a_jpeg_costs_no_sharpness() -> None:
    full = Image.fromarray(noise(40, 60, 3)).resize((960, 640), Image.Resampling.BICUBIC)
    decoded = decode(saved(full, "JPEG", quality=95), short_side=64).astype(int)
    expected = np.asarray(full.resize((96, 64), Image.Resampling.BICUBIC))
    assert np.abs(decoded - expected).mean() < 3


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "TIFF"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert decode(data, short_side=SIDE)[4, 4].tolist() == [255, 0, 0], kind


def test_opencv_reads_what_pillow_does_not() -> None:
    values = np.random.default_rng(0).random((6, 7, 3), np.float32)
    done, data = cv2.imencode(".hdr", values)
    assert done
    decoded = decode(data.tobytes(), short_side=SIDE).astype(float)
    low, high = values.min(), values.max()
    assert np.abs(decoded - (values[..., ::-1] - low) / (high - low) * 255).max() < 3


# --- what cannot be decoded


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"])
def test_truncated_file(kind: str) -> None:
    data = saved(Image.fromarray(noise(64, 64, 3)), kind)
    with pytest.raises(DecodeError):
        decode(data[: len(data) * 2 // 3], short_side=SIDE)
    if kind in ("JPEG", "PNG", "BMP"):
        with pytest.raises(DecodeError, match=r"^truncated file$"):
            decode(data[: len(data) * 2 // 3], short_side=SIDE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello, world\n" * 10, "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"\xff\xd8\xff\xe0", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged|truncated"),
        (bytes(1000), "not an image"),
    ],
)
def test_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        decode(data, short_side=SIDE)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(10_000, 9_000), (60_000, 50_000)])
def test_decompression_bomb(width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = saved(Image.new("RGB", (1, 1)))
    data = data[:16] + header + data[29:]
    checksum = struct.pack(">I", __import__("zlib").crc32(data[12:29]))
    with pytest.raises(DecodeError, match="more than 89,478,485 pixels"):
        decode(data[:29] + checksum + data[33:], short_side=SIDE)


def test_limit_on_pixels_is_inclusive() -> None:
    data = saved(Image.new("RGB", (10, 10)))
    assert decode(data, short_side=SIDE, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(DecodeError, match="10 x 10 is more than 99 pixels"):
        decode(data, short_side=SIDE, max_pixels=99)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 400))
def test_rubbish_raises_nothing_else(rubbish: bytes, where: int) -> None:
    data = saved(Image.fromarray(noise(9, 9, 3)), "GIF")
    for each in (rubbish, data[:where] + rubbish + data[where + len(rubbish) :]):
        with contextlib.suppress(DecodeError):
            assert decode(each, short_side=SIDE).shape[2] == 3


def test_load_names_the_file(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(saved(Image.new("RGB", (3, 2), "red")))
    assert load(image, short_side=SIDE).tolist() == [[[255, 0, 0]] * 3] * 2
    image.write_bytes(b"")
    with pytest.raises(LikewiseError, match=r"a\.png: empty file"):
        load(image, short_side=SIDE)
    with pytest.raises(LikewiseError, match=r"b\.png: No such file"):
        load(tmp_path / "b.png", short_side=SIDE)
