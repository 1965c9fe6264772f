"""Vectors, classes and splits of each data set, prepared once and kept in a cache folder.

Grey and small images are pretrained with Likewise itself, on the pool alone; photos get frozen
features of a net with ImageNet weights (`benchmarks.answers.photos`).
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from benchmarks.answers.photos import features
from benchmarks.answers.splits import Split, split
from likewise.api import Workspace
from likewise.errors import UsageError
from likewise.files import digest, replacing
from likewise.images.samples import write_digits
from likewise.neighbours.vectors import load_embeddings

SUFFIXES = frozenset({".png", ".pgm", ".jpg", ".jpeg"})


@dataclass(frozen=True)
class Recipe:
    """How a data set is split and embedded."""

    epochs: int
    """Of pretraining; 0: frozen features."""
    held: float
    """Share (0 to 1) of the images of a seen class that are held out."""
    unseen: float
    """Share (0 to 1) of the classes that are unseen."""


RECIPES = {
    "mnist": Recipe(epochs=20, held=0.2, unseen=0.0),
    "orl": Recipe(epochs=60, held=0.3, unseen=0.25),
    "omniglot": Recipe(epochs=20, held=0.25, unseen=0.4),
    "cifar10": Recipe(epochs=0, held=0.0, unseen=0.0),
}


@dataclass(frozen=True)
class Data:
    """One data set, ready to be asked about."""

    name: str
    ids: Shaped[np.ndarray, " N"]
    vectors: Float32[np.ndarray, "N D"]
    """Of unit length."""
    classes: Shaped[np.ndarray, " N"]
    parts: Split

    def part(
        self, rows: Int64[np.ndarray, " n"]
    ) -> tuple[Float32[np.ndarray, "n D"], Shaped[np.ndarray, " n"]]:
        """Vectors and classes of some rows."""
        return self.vectors[rows], self.classes[rows]


def load(name: str, cache: Path, folder: Path | None = None, limit: int = 0) -> Data:
    """The data set, from the cache if it is there.

    Args:
        name: One of `RECIPES`.
        cache: Where prepared data sets are kept.
        folder: The images, ``FOLDER/CLASS/IMAGE`` (``FOLDER/ALPHABET/CHARACTER/IMAGE``, and for
            cifar10 ``FOLDER/train/CLASS/IMAGE`` and ``FOLDER/test/...``).
        limit: Take only so many of the pool's images (and half as many held-out ones); 0: all.

    Raises:
        UsageError: there is no such data set, or it needs a folder.
        LikewiseError: an image cannot be read, or pretraining fails.
    """
    if name not in RECIPES:
        raise UsageError(f"no data set {name!r}; there are {', '.join(RECIPES)}")
    file = cache / (f"{name}-{limit}.npz" if limit else f"{name}.npz")
    if not file.exists():
        if folder is None and name == "mnist":
            folder = cache / "digits"
            write_digits(folder)
        if folder is None or not folder.is_dir():
            raise UsageError(f"{name}: name its images with --folder {name}=FOLDER")
        data = (
            _photos(name, folder, cache, limit)
            if RECIPES[name].epochs == 0
            else _pretrained(name, folder, cache)
        )
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary, temporary.open("wb") as out:
            np.savez(out, ids=data.ids, vectors=data.vectors, classes=data.classes,
                     **vars(data.parts))  # fmt: skip
    with np.load(file) as saved:
        parts = Split(saved["pool"], saved["held"], saved["unseen"])
        return Data(name, saved["ids"], saved["vectors"], saved["classes"], parts)


def _pretrained(name: str, folder: Path, cache: Path) -> Data:
    """Pretrain on the pool alone, then embed all images."""
    recipe = RECIPES[name]
    unique = {digest(file): file for file in sorted(_images(folder), reverse=True)}
    ids = sorted(unique)
    classes = [unique[each].parent.relative_to(folder).as_posix() for each in ids]
    parts = split(ids, classes, recipe.held, recipe.unseen)
    workspace = Workspace(cache / f"{name}-workspace")
    shutil.rmtree(workspace.path, ignore_errors=True)
    for rows, step in ((parts.pool, "pool"), (np.arange(len(ids)), "all")):
        copies = workspace.path.with_name(f"{name}-{step}")
        shutil.rmtree(copies, ignore_errors=True)
        for row in rows.tolist():
            place = copies / classes[row] / unique[ids[row]].name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(unique[ids[row]], place)
        workspace.ingest(copies)
        if step == "pool":
            workspace.pretrain(epochs=recipe.epochs)
    workspace.embed()
    made = load_embeddings(workspace)
    vectors = np.array(made.vectors[[made.positions[each] for each in ids]])
    return Data(name, np.array(ids), vectors, np.array(classes), parts)


def _photos(name: str, folder: Path, cache: Path, limit: int) -> Data:
    """Frozen features; ``train`` is the pool and ``test`` is held out."""
    ids, classes, vectors, counts = list[str](), list[str](), [], []
    for part, most in (("train", limit), ("test", limit // 2)):
        files = _shuffled(folder / part)[: most or None]
        if not files:
            raise UsageError(f"{name}: {folder / part} holds no images; expected CLASS/IMAGE there")
        vectors.append(features(files, cache / name / part))
        ids += [digest_of_name(file.relative_to(folder)) for file in files]
        classes += [file.parent.name for file in files]
        counts.append(len(files))
    rows = np.arange(sum(counts), dtype=np.int64)
    parts = Split(rows[: counts[0]], rows[counts[0] :], rows[:0])
    return Data(name, np.array(ids), np.concatenate(vectors), np.array(classes), parts)


def _images(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)


def _shuffled(folder: Path) -> Sequence[Path]:
    """The images below a folder, in an order that depends on their names alone."""
    return sorted(_images(folder), key=lambda file: digest_of_name(file.relative_to(folder)))


def digest_of_name(path: Path) -> str:
    """An id for an image that is known by its name: 32 hex digits."""
    return hashlib.blake2b(path.as_posix().encode(), digest_size=16).hexdigest()
