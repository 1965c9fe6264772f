"""People see and trainings read what a file shows; and files that change are noticed."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from likewise.answers.standing import pair_of
from likewise.answers.store import NewAnswer, open_answers
from likewise.files import digest
from likewise.images.ingest import ingest
from likewise.images.reading import Outcome, Reading
from likewise.images.scan import File
from likewise.images.store import open_images
from likewise.settings import Ingest
from likewise.workspace import Workspace
from likewise_labeler.pictures import Pictures, full_sizes
from tests.breaking import Figure, times

Pixels = UInt8[np.ndarray, "H W 3"]


def scene(height: int = 160, width: int = 224) -> Pixels:
    """A smooth picture with a bright corner: no turn, flip or negative of it looks the same."""
    random = np.random.default_rng(3)
    coarse = random.integers(30, 226, (5, 7, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.array(image)
    pixels[: height // 3, : width // 3] = pixels[: height // 3, : width // 3] // 4 + 190
    return pixels


STORED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""How an upright picture lies in a file of each EXIF orientation (CIPA DC-008)."""


def cases(folder: Path) -> dict[Path, Pixels]:
    """Files, and the picture that each shows."""
    shown: dict[Path, Pixels] = {}
    upright = scene()

    def keep(name: str, data: bytes, expected: Pixels) -> None:
        (folder / name).write_bytes(data)
        shown[folder / name] = expected

    def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
        data = io.BytesIO()
        image.save(data, kind, **options)
        return data.getvalue()

    for orientation, lay in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        lying = np.ascontiguousarray(lay(upright))
        lying[0, 0, 0] ^= orientation  # no two files alike
        for kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
            options = {} if kind in ("PNG", "TIFF") else {"quality": 90}
            data = saved(Image.fromarray(lying), kind, exif=exif, **options)
            keep(f"turned-{orientation}.{kind.lower()}", data, upright)
        deep = np.rint(lying.astype(np.float64) * 257).astype(np.uint16)
        done, raw = cv2.imencode(".tiff", deep[..., ::-1])
        assert done
        keep(f"deep-{orientation}.tiff", _turned_tiff(raw.tobytes(), orientation), upright)

    grey = upright.mean(axis=2)
    as_rgb = np.repeat(np.rint(grey)[..., None], 3, axis=2).astype(np.uint8)
    for kind in ("PNG", "TIFF", "PPM"):
        deep = np.rint(grey * 257).astype(np.uint16)
        keep(f"grey16.{kind.lower()}", saved(Image.fromarray(deep), kind), as_rgb)
    low = np.rint(grey / 255 * 65535 / 3).astype(np.uint16)  # a dark one stays dark
    keep("dark16.png", saved(Image.fromarray(low), "PNG"), (as_rgb / 3).astype(np.uint8))
    done, raw = cv2.imencode(".png", np.rint(upright[..., ::-1] * 257.0).astype(np.uint16))
    keep("colour16.png", raw.tobytes(), upright)

    inks = np.dstack([255 - upright, np.zeros(upright.shape[:2], np.uint8)])
    for kind in ("JPEG", "TIFF"):
        keep(f"cmyk.{kind.lower()}", saved(Image.fromarray(inks, "CMYK"), kind), upright)

    alpha = np.linspace(0, 255, upright.shape[1]).round().astype(np.uint8)
    layers = np.dstack([upright, np.broadcast_to(alpha, upright.shape[:2])])
    share = layers[..., 3:] / 255
    on_white = np.rint(upright * share + 255 * (1 - share)).astype(np.uint8)
    for kind, options in (("PNG", {}), ("WEBP", {"quality": 95}), ("TIFF", {}), ("AVIF", {})):
        keep(f"alpha.{kind.lower()}", saved(Image.fromarray(layers), kind, **options), on_white)
    grey_layers = np.ascontiguousarray(np.dstack([as_rgb[..., 0], layers[..., 3]]))
    expected = np.rint(as_rgb * share + 255 * (1 - share)).astype(np.uint8)
    keep("grey-alpha.png", saved(Image.fromarray(grey_layers, "LA"), "PNG"), expected)
    palette = Image.fromarray(upright).quantize(64)
    chosen = np.asarray(palette)
    colours = np.asarray(palette.getpalette(), np.uint8).reshape(-1, 3)
    expected = colours[chosen].copy()
    expected[chosen == 5] = 255
    for kind in ("PNG", "GIF"):
        keep(f"palette.{kind.lower()}", saved(palette, kind, transparency=5), expected)
    return shown


def _turned_tiff(data: bytes, orientation: int) -> bytes:
    """A TIFF (little-endian, as OpenCV writes it) with another orientation (tag 274)."""
    order: Literal["little"] = "little"
    assert data[:2] == b"II"
    place = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[place : place + 2], order)
    entries = [data[place + 2 + 12 * n : place + 14 + 12 * n] for n in range(count)]
    tag = (274).to_bytes(2, order) + (3).to_bytes(2, order) + (1).to_bytes(4, order)
    tag += orientation.to_bytes(4, order)
    kept = [each for each in entries if each[:2] != tag[:2]] + [tag]
    kept.sort(key=lambda each: int.from_bytes(each[:2], order))
    data += b"\0" * (len(data) % 2)
    head = data[:4] + len(data).to_bytes(4, order) + data[8:]
    return head + len(kept).to_bytes(2, order) + b"".join(kept) + bytes(4)


def likeness(found: Pixels, expected: Pixels) -> tuple[float, float]:
    """Cosine of two pictures about their means, and how much of the contrast is left."""
    height, width = found.shape[:2]
    assert abs(width / height - expected.shape[1] / expected.shape[0]) < 0.03
    small = Image.fromarray(expected).resize((width, height), Image.Resampling.BICUBIC)
    ours, theirs = (np.asarray(each, np.float64) for each in (found, small))
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    scale = np.linalg.norm(ours) * np.linalg.norm(theirs)
    return float((ours * theirs).sum() / scale), float(ours.std() / theirs.std())


@pytest.mark.breaking
def test_what_is_shown_and_read_is_what_the_file_shows(
    tmp_path: Path, workspace: Workspace, figure: Figure
) -> None:
    (tmp_path / "in").mkdir()
    shown = cases(tmp_path / "in")
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1, store_size=96), reader=here)
    images = open_images(workspace)
    pictures = Pictures(images, full_sizes(workspace, images), b"key")
    worst, contrast = 1.0, 0.0
    assert len(images) == len(shown)
    for file, expected in shown.items():
        row = images.positions[digest(file)]
        seen = [np.asarray(images[row])]
        for size in ("full", "tile", "thumb"):
            data, _ = pictures.bytes_of(digest(file), size)
            seen.append(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        for each in seen:
            cosine, share = likeness(each, expected)
            assert cosine >= 0.99, (file.name, each.shape, cosine)
            assert 0.9 < share < 1.1, (file.name, each.shape, share)
            worst, contrast = min(worst, cosine), max(contrast, abs(1 - share))
    figure(
        f"{len(shown)} files, each as stored and in 3 sizes of the app: cosine at least "
        f"{worst:.4f}, contrast within {100 * contrast:.1f} %"
    )


# --- files that change between two steps


def here(files: Sequence[File], reading: Reading, workers: int) -> Iterator[Outcome]:
    """Read in this process: starting children takes a second each."""
    return map(reading, files)


def _small(random: np.random.Generator) -> bytes:
    """A picture of which every one has as many bytes as every other (no compression)."""
    data = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(data, "BMP")
    return data.getvalue()


@pytest.mark.breaking
@times(60, 1_000)
def test_changed_files_are_noticed(
    times: int, tmp_path: Path, workspace: Workspace, figure: Figure
) -> None:
    """Edits, some of which keep size and time; moves; deletions: each is told by the next step."""
    random = np.random.default_rng(0)
    folder, count = tmp_path / "in", max(40, times // 5)
    (folder / "sub").mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.bmp").write_bytes(_small(random))
    settings = Ingest(images=(folder,), workers=1)
    ingest(workspace, settings, reader=here)
    files = sorted(folder.glob("*.bmp"))
    labelled = [(digest(a), digest(b)) for a, b in zip(files[::2], files[1::2], strict=True)]
    with open_answers(workspace) as store:
        store.add([NewAnswer(*pair_of(a, b), "similar", "ada") for a, b in labelled])
        answers = len(store.history())
    changed = reported = 0
    while changed < times:
        before = {each: digest(each) for each in sorted(folder.rglob("*.bmp"))}
        expected = dict(before)
        chosen = random.permutation(len(before))[: min(10, times - changed)]
        for place in chosen:
            _change(list(before)[int(place)], folder, random, expected)
            changed += 1
        result = ingest(workspace, settings, reader=here)
        images = open_images(workspace)
        told = {p: str(images.ids[row]) for row in range(len(images)) for p in images.paths(row)}
        wrong = len(told.items() ^ expected.items())
        reported += len(chosen) - min(len(chosen), wrong)
        assert result.new == len(set(expected.values()) - set(before.values()))
        assert result.gone == len(set(before.values()) - set(expected.values()))
    with open_answers(workspace) as store:
        kept = len(store.history())
    there = set(images.ids.tolist())
    lasting = sum(all(images.find(each).size for each in pair) for pair in labelled)
    figure(
        f"{changed:,} edits, moves and deletions: {reported:,} told by the next ingest; "
        f"{kept} of {answers} answers kept, the images of {lasting} of {len(labelled)} found"
    )
    assert there == set(expected.values())
    assert reported == changed == times
    assert kept == answers
    assert lasting == len(labelled)


def _change(
    file: Path, folder: Path, random: np.random.Generator, expected: dict[Path, str]
) -> None:
    status = file.stat()
    match int(random.integers(5)):
        case 0:  # an edit that leaves size and time as they were
            file.write_bytes(_small(random))
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
            expected[file] = digest(file)
        case 1:
            file.write_bytes(_small(random))
            expected[file] = digest(file)
        case 2:  # a new name, in another folder
            to = folder / "sub" / f"{random.integers(10**9)}.bmp"
            file.rename(to)
            expected[to] = expected.pop(file)
        case 3:  # as rsync and tar do: another file in its place, with the old time
            other = file.with_suffix(".new")
            other.write_bytes(_small(random))
            os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
            other.replace(file)
            expected[file] = digest(file)
        case _:
            file.unlink()
            del expected[file]
            fresh = folder / f"{random.integers(10**9)}.bmp"
            fresh.write_bytes(_small(random))
            expected[fresh] = digest(fresh)
