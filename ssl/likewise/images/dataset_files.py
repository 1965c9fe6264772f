"""A dataset of PyTorch as image files, which `likewise ingest` can then read.

A dataset that is made of files (``ImageFolder`` and its like, with ``samples`` or ``imgs``) is
these files. The images of any other are written, once, as PPM: a header and the RGB bytes, so that
the file, and with it the image's id, follows from the pixels alone, whatever the version of
Pillow or zlib. The same pixels are thus the same image in every run and on every machine.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from likewise.errors import LikewiseError
from likewise.files import digest, reason_of
from likewise.images.colour import averageable, rgb
from likewise.progress import progress

_IMAGE_KEYS, _LABEL_KEYS = ("image", "img", "pixel_values"), ("label", "labels", "target", "class")
_FORBIDDEN = frozenset('/\\:*?"<>|')


@runtime_checkable
class Indexed(Protocol):
    """What a map-style dataset can do."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def files_of(dataset: Indexed) -> tuple[Path, ...] | None:
    """The files that a dataset is made of; None where it is not, or not only, made of files."""
    listed = getattr(dataset, "samples", None) or getattr(dataset, "imgs", None)
    if not isinstance(listed, Sequence) or len(listed) != len(dataset) or not listed:
        return None
    paths = [each[0] if isinstance(each, (tuple, list)) and each else each for each in listed]
    if not all(isinstance(each, (str, os.PathLike)) for each in paths):
        return None
    return tuple(Path(each) for each in paths)


def write_dataset(dataset: Indexed, folder: Path) -> None:
    """Write the images that are not there yet to ``folder/CLASS/ID.ppm``.

    An item is an image, or (image, label, ...), or a mapping with "image" and perhaps "label". The
    class is the label's name (by ``dataset.classes`` where a label is a number), "unlabelled"
    where there is none.

    Raises:
        LikewiseError: an item is no image, or a file cannot be written.
    """
    names = getattr(dataset, "classes", None)
    with progress("Writing images", len(dataset)) as advance:
        for data, label in _encoded(dataset):
            _write_once(folder / _class_name(label, names) / f"{_hash(data)}.ppm", data)
            advance(1)


def ids_of_items(dataset: Indexed) -> list[str]:
    """The image id that each item has in any workspace that has read the dataset.

    Raises:
        LikewiseError: an item is no image, or a file cannot be read.
    """
    files = files_of(dataset)
    if files is None:
        return [_hash(data) for data, _ in _encoded(dataset)]
    try:
        return [digest(each) for each in files]
    except OSError as error:
        raise LikewiseError(f"could not read {error.filename}: {reason_of(error)}") from error


def pixels_of(image: Any) -> UInt8[np.ndarray, "H W 3"]:
    """RGB bytes of a picture of Pillow, a tensor (C, H, W) or an array (H, W, C).

    Floats count from 0 to 1.

    Raises:
        LikewiseError: it is none of these, or has values outside their range.
    """
    if isinstance(image, Image.Image):
        return np.asarray(rgb(averageable(image)))
    if hasattr(image, "detach"):  # a tensor; torch need not be loaded to know
        image = image.detach().cpu().numpy()
        image = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
    if not isinstance(image, np.ndarray):
        raise LikewiseError(f"{type(image).__name__} is no image; give Pillow's, tensors or arrays")
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not image.size:
        raise LikewiseError(f"an image of shape {image.shape} has not 1 or 3 channels")
    return np.ascontiguousarray(np.broadcast_to(_bytes(image), (*image.shape[:2], 3)))


def _bytes(values: Shaped[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W C"]:
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise LikewiseError(f"numbers of type {values.dtype}; give bytes, or floats from 0 to 1")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise LikewiseError(
            f"floats from {low:.2f} to {high:.2f}; give 0 to 1 (without Normalize), or bytes"
        )
    return np.rint(values.astype(np.float64) * 255).astype(np.uint8)


def _ppm(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    height, width = pixels.shape[:2]
    return b"P6\n%d %d\n255\n" % (width, height) + pixels.tobytes()


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _encoded(dataset: Indexed) -> Iterator[tuple[bytes, Any]]:
    """The file that each item is, and its label."""
    for index in range(len(dataset)):
        image, label = _parts(dataset[index])
        try:
            yield _ppm(pixels_of(image)), label
        except LikewiseError as error:
            raise LikewiseError(f"item {index} of the dataset: {error}") from None


def _parts(item: Any) -> tuple[Any, Any]:
    """The image of an item, and its label or None."""
    if isinstance(item, Mapping):
        found = [
            next((item[key] for key in keys if key in item), None)
            for keys in (_IMAGE_KEYS, _LABEL_KEYS)
        ]
        return found[0], found[1]
    if isinstance(item, (tuple, list)):
        return (item[0] if item else None), (item[1] if len(item) > 1 else None)
    return item, None


def _class_name(label: Any, names: Any) -> str:
    """The name of a folder for a class."""
    if label is None:
        return "unlabelled"
    if hasattr(label, "item") and getattr(label, "ndim", 0) == 0:
        label = label.item()
    if isinstance(label, int) and isinstance(names, Sequence) and 0 <= label < len(names):
        label = names[label]
    text = "".join(e if e.isprintable() and e not in _FORBIDDEN else "_" for e in str(label))
    return f"_{text[1:120]}" if text[:1] in (".", "") else text[:120]


def _write_once(file: Path, data: bytes) -> None:
    """Write a file whose name says what is in it, unless it is there."""
    try:
        if file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise LikewiseError(f"could not write {file}: {reason_of(error)}") from error
