"""Images as the browser gets them."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.settings import Ingest
from likewise.workspace import Workspace
from likewise_labeler.pictures import LONG_SIDES, Encoded, Pictures, Size, full_sizes


def pictures_of(workspace: Workspace, **options: int) -> Pictures:
    images = open_images(workspace)
    return Pictures(images, full_sizes(workspace, images), b"key", **options)


def opened(pictures: Pictures, image: str, size: Size) -> tuple[Image.Image, str]:
    data, media = pictures.bytes_of(image, size)
    return Image.open(io.BytesIO(data)), media


@pytest.fixture
def photo(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Path:
    file = picture(tmp_path / "in" / "photo.jpg", size=(3000, 1000))
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    return file


def test_a_large_photo_is_sent_at_display_size(workspace: Workspace, photo: Path) -> None:
    pictures = pictures_of(workspace)
    (image,) = open_images(workspace).ids.tolist()
    about = pictures.about(image)
    assert (about["name"], about["gone"], about["tiny"]) == ("photo.jpg", False, False)
    assert (about["width"], about["height"]) == (3000, 1000)
    sides: dict[Size, int] = {"full": 1280, "tile": 320, "thumb": 96}
    for size, side in sides.items():
        shown, media = opened(pictures, image, size)
        assert media == "image/jpeg"
        assert shown.size == (side, round(side / 3))


def test_tiny_images_are_sent_pixel_by_pixel(
    workspace: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    file = picture(tmp_path / "in" / "tiny.png", size=(160, 90))
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    pictures = pictures_of(workspace)
    (image,) = open_images(workspace).ids.tolist()
    assert pictures.about(image)["tiny"]
    sizes: tuple[Size, ...] = ("full", "tile")
    for size in sizes:
        shown, media = opened(pictures, image, size)
        assert media == "image/png"
        assert np.array_equal(np.asarray(shown), np.asarray(Image.open(file)))
    assert opened(pictures, image, "thumb")[0].size == (96, 54)


def test_a_large_image_of_a_small_store_is_not_tiny(
    workspace: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture(tmp_path / "in" / "photo.png", size=(600, 400))
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1, store_size=32))
    pictures = pictures_of(workspace)
    (image,) = open_images(workspace).ids.tolist()
    about = pictures.about(image)
    assert (about["tiny"], about["width"], about["height"]) == (False, 600, 400)
    assert opened(pictures, image, "full")[0].size == (600, 400)


@pytest.mark.parametrize("what", ["removed", "replaced", "damaged"])
def test_where_the_file_is_gone_its_copy_is_shown_for_now(
    workspace: Workspace, photo: Path, picture: Callable[..., Path], what: str
) -> None:
    """Another image under the same name is not that image."""
    kept = photo.read_bytes()
    match what:
        case "removed":
            photo.unlink()
        case "replaced":
            picture(photo, seed=9, size=(640, 480))
        case "damaged":
            photo.write_bytes(kept[:2000])
    images = open_images(workspace)
    pictures = pictures_of(workspace)
    image = str(images.ids[0])
    encoded = pictures.encoded(image, "full")
    assert not encoded.lasting
    assert Image.open(io.BytesIO(encoded.data)).size == images[0].shape[1::-1]
    assert pictures.about(image)["gone"] == (what == "removed")
    assert pictures.encoded(image, "tile").lasting
    photo.write_bytes(kept)
    again = pictures.encoded(image, "full")
    assert again.lasting, "the copy is not kept in the place of the picture"
    assert Image.open(io.BytesIO(again.data)).size == (1280, 427)


def test_another_path_of_the_same_image_will_do(
    workspace: Workspace, photo: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "in" / "a-twin.jpg"
    twin.write_bytes(photo.read_bytes())
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    images = open_images(workspace)
    assert len(images) == 1
    images.path(0).unlink()
    assert pictures_of(workspace).encoded(str(images.ids[0]), "full").lasting


def test_images_that_left_the_workspace_are_still_shown(
    workspace: Workspace, photo: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    """The history speaks of them."""
    (image,) = open_images(workspace).ids.tolist()
    photo.unlink()
    picture(tmp_path / "in" / "other.png", seed=5)
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    pictures = pictures_of(workspace)
    assert pictures.about(image)["gone"]
    assert opened(pictures, image, "tile")[0].size == (320, 107)
    assert pictures.about("0" * 32)["gone"], "never was here"
    with pytest.raises(KeyError):
        pictures.bytes_of("0" * 32, "tile")


def test_pictures_are_kept_within_bounds_and_the_unused_go_first(ready: Workspace) -> None:
    ids = open_images(ready).ids.tolist()[:12]
    largest = max(len(pictures_of(ready).bytes_of(each, "full")[0]) for each in ids)
    pictures = pictures_of(ready, bound=4 * largest)
    first = pictures.encoded(ids[0], "full")
    for each in ids[1:]:
        pictures.encoded(each, "full")
        assert pictures.encoded(ids[0], "full") is first, "asked for again and again"
        assert sum(len(one.data) for one in pictures._kept.values()) <= 4 * largest
    assert 1 < len(pictures._kept) < len(ids)
    assert pictures._bytes == sum(len(each.data) for each in pictures._kept.values())
    for each in ids[1:]:
        pictures.encoded(each, "full")
    assert pictures.encoded(ids[0], "full") is not first


def test_however_many_ask_it_is_encoded_once(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = pictures_of(ready)
    image = str(open_images(ready).ids[0])
    asked, calls = threading.Barrier(8), []
    real = Pictures._encode

    def slow(self: Pictures, image: str, size: Size) -> Encoded:
        calls.append(size)
        asked.wait(10)
        time.sleep(0.2)  # the other seven ask while this one is at it
        return real(self, image, size)

    def ask(number: int) -> Encoded:
        if number:
            asked.wait(10)
        return pictures.encoded(image, "full")

    monkeypatch.setattr(Pictures, "_encode", slow)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ask, 0)
        while not calls:
            pass
        others = [pool.submit(ask, number) for number in range(1, 8)]
        results = [each.result(20) for each in [first, *others]]
    assert calls == ["full"]
    assert all(each is results[0] for each in results)


def test_a_failure_is_told_to_all_and_tried_again(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = pictures_of(ready)
    image = str(open_images(ready).ids[0])
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "_encode", lambda *_: (_ for _ in ()).throw(OSError("no disk")))
        with pytest.raises(OSError, match="no disk"):
            pictures.encoded(image, "tile")
    assert pictures.encoded(image, "tile").data


def test_addresses_are_signed_image_by_image(ready: Workspace) -> None:
    images = open_images(ready)
    one, other = images.ids[:2].tolist()
    pictures = pictures_of(ready)
    address = pictures.address(one, "tile")
    path, _, size = address.partition("?")
    assert size == "size=tile"
    assert path.startswith(f"/likewise/images/{one}.")
    signature = path.rpartition(".")[2]
    assert pictures.signed(one, signature)
    assert not pictures.signed(other, signature)
    assert not pictures.signed(one, signature[:-1])
    assert not pictures.signed(one, "é")
    stranger = Pictures(images, images.sizes, b"another key")
    assert not stranger.signed(one, signature)
    about = pictures.about(one)
    assert [about[each] for each in LONG_SIDES] == [
        pictures.address(one, each) for each in LONG_SIDES
    ]
