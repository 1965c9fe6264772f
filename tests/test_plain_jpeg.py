"""JPEG files that the app sends as they are: the same pixels, and nothing said about them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from likewise.images.decode import size_if_upright
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.settings import Ingest
from likewise.workspace import Workspace
from likewise_labeler.pictures import MOST_PER_PIXEL, Pictures, full_sizes
from likewise_labeler.plain_jpeg import plain_jpeg

SECRET = b"somebody lives here"


def scene(mode: str = "RGB", width: int = 200, height: int = 120) -> Image.Image:
    coarse = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def jpeg(image: Image.Image | None = None, **options: Any) -> bytes:
    data = io.BytesIO()
    (image or scene()).save(data, options.pop("format", "JPEG"), **options)
    return data.getvalue()


def exif(orientation: int = 1) -> Image.Exif:
    found = Image.Exif()
    found[0x0112], found[0x010E] = orientation, SECRET.decode()
    return found


ALIKE: dict[str, Callable[[], bytes]] = {
    "baseline": jpeg,
    "progressive": lambda: jpeg(progressive=True),
    "grey": lambda: jpeg(scene("L")),
    "no chroma lost": lambda: jpeg(subsampling=0, quality=100),
    "restarts": lambda: jpeg(restart_marker_blocks=3),
    "stored as RGB": lambda: jpeg(keep_rgb=True),
    "EXIF": lambda: jpeg(exif=exif()),
    "comment": lambda: jpeg(comment=SECRET),
    "profile": lambda: jpeg(icc_profile=SECRET * 9000),
    "XMP": lambda: jpeg(xmp=SECRET),
    "something after it": lambda: jpeg() + SECRET,
    "more pictures": lambda: jpeg(
        format="MPO", save_all=True, append_images=[scene("L").convert("RGB")], exif=exif()
    ),
    "fill bytes": lambda: jpeg().replace(b"\xff\xdb", b"\xff\xff\xff\xdb", 1),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_the_pixels_are_the_same_and_nothing_else_is_left(kind: str) -> None:
    file = ALIKE[kind]()
    plain = plain_jpeg(file)
    assert plain is not None
    shown, original = Image.open(io.BytesIO(plain)), Image.open(io.BytesIO(file))
    assert np.array_equal(np.asarray(shown), np.asarray(original))
    assert shown.mode == original.mode
    assert SECRET not in plain
    assert not {"exif", "xmp", "comment", "icc_profile", "mp"} & set(shown.info)
    assert len(plain) <= len(file)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(jpeg(format="PNG"), id="another format"),
        pytest.param(jpeg(scene("CMYK")), id="four colours"),
        pytest.param(b"\xff\xd8\xff\xd9", id="no picture"),
        pytest.param(jpeg().replace(b"\xff\xc0", b"\xff\xc9", 1), id="arithmetic code"),
        pytest.param(
            jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), id="12 bits"
        ),
    ],
)
def test_what_browsers_may_not_show_is_refused(file: bytes) -> None:
    assert plain_jpeg(file) is None


@given(st.integers(0, len(jpeg(progressive=True)) - 1), st.integers(1, 255))
def test_damage_ends_in_a_refusal_or_a_file_of_the_same_form(place: int, change: int) -> None:
    file = bytearray(jpeg(progressive=True))
    file[place] ^= change
    for damaged in (bytes(file), bytes(file[:place])):
        plain = plain_jpeg(damaged)
        assert plain is None or (plain.endswith(b"\xff\xd9") and len(plain) <= len(damaged))
    assert plain_jpeg(bytes(file[:place])) is None  # cut


@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_what_lies_upright_has_a_size(orientation: int) -> None:
    expected = (200, 120) if orientation == 1 else None
    assert size_if_upright(jpeg(exif=exif(orientation))) == expected


def test_no_image_has_no_size() -> None:
    assert size_if_upright(b"") is None
    assert size_if_upright(b"\xff\xd8\xff and no more") is None


def test_the_app_sends_files_as_they_are_only_where_they_fit(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    as_they_are = {
        "fits": jpeg(exif=exif()),
        "as large as a screen": jpeg(scene(width=1280, height=720)),
    }
    made_anew = {
        "to be turned": jpeg(exif=exif(6)),
        "too wide": jpeg(scene(width=1400, height=400)),
        "too high": jpeg(scene(width=900, height=800)),
        "too heavy": jpeg(Image.effect_noise((200, 120), 200).convert("RGB"), quality=100),
        "four colours": jpeg(scene("CMYK")),
    }
    for name, data in {**as_they_are, **made_anew}.items():
        (folder / f"{name}.jpg").write_bytes(data)
    workspace = Workspace(tmp_path / "workspace")
    ingest(workspace, Ingest(images=(folder,), workers=1))
    images = open_images(workspace)
    pictures = Pictures(images, full_sizes(workspace, images), b"key")
    assert len(images) == len(as_they_are) + len(made_anew)
    for row, image in enumerate(images.ids.tolist()):
        path = images.path(row)
        assert path is not None
        sent, media = pictures.bytes_of(image, "full")
        assert media == "image/jpeg"
        assert (sent == plain_jpeg(path.read_bytes())) == (path.stem in as_they_are)
        shown = Image.open(io.BytesIO(sent))
        assert max(shown.size) <= 1280
        assert SECRET not in sent
        if path.stem in as_they_are:
            assert len(sent) <= MOST_PER_PIXEL * shown.width * shown.height
