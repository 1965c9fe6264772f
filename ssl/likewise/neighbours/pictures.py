"""Picture files from anywhere to vectors that can be compared with those of a workspace."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from likewise.errors import LikewiseError, UsageError
from likewise.files import digest
from likewise.images.augmentation import whole_view
from likewise.images.lists import LIST_SUFFIXES
from likewise.images.reading import Reading, in_children
from likewise.images.scan import Failure, scan
from likewise.images.store import Images
from likewise.models.backbones import Backbone
from likewise.models.machine import Machine, pick_machine
from likewise.models.model_files import load_model
from likewise.models.runs import run_with
from likewise.neighbours.embedding import embed_views
from likewise.neighbours.vectors import Embeddings
from likewise.progress import progress
from likewise.workspace import Workspace

BATCH = 64
"""Pictures that go through the net at once."""


@dataclass(frozen=True)
class Picture:
    """A picture file and its embedding."""

    path: Path
    id: str
    """Hash of its content: the id that it has, or would have, in a workspace."""
    vector: Float32[np.ndarray, " D"]
    """Unit-norm, by the model of the embeddings it is compared with."""


class Pictures(NamedTuple):
    """What came of some files."""

    read: list[Picture]
    """In the order of the files."""
    failures: list[Failure]
    """Files that could not be read, and why."""


def embed_pictures(
    workspace: Workspace,
    embeddings: Embeddings,
    sources: Iterable[Path],
    look: Callable[[str, UInt8[np.ndarray, "H W 3"]], None] | None = None,
) -> Pictures:
    """Embed files as `likewise ingest` and `likewise embed` would.

    An image of the workspace is recognised by its content, wherever the file lies, and has its
    vector already; the net is loaded only for others.

    Args:
        workspace: Where the model and its embeddings are.
        embeddings: What the vectors are to be compared with.
        sources: Image files, folders, or CSV/Parquet/Arrow lists with a "path" column.
        look: Is shown id and pixels of every image; then those of the workspace are decoded too.

    Raises:
        LikewiseError: a source does not exist, or the model of the embeddings is gone.
    """
    found = scan(sources, workspace=workspace.path)
    rows = embeddings.positions
    known = frozenset(rows) if look is None else frozenset[str]()
    reading = Reading(workspace.config.store_size, known)
    net = Net(workspace, embeddings.fingerprint)
    ids: dict[Path, str] = {}
    failures = list(found.failures)
    with progress("read", len(found.files)) as advance:
        for outcome in in_children(found.files, reading, 0):
            advance(1)
            if outcome.reason:
                failures.append(Failure(outcome.path, outcome.reason))
                continue
            ids[Path(outcome.path)] = outcome.id
            if outcome.image is None:
                continue
            if outcome.id not in rows:
                net.take(outcome.id, outcome.image.pixels)
            if look is not None:
                look(outcome.id, outcome.image.pixels)
    vectors = net.vectors()
    return Pictures(
        [
            Picture(
                path,
                each,
                np.array(embeddings.vectors[rows[each]]) if each in rows else vectors[each],
            )
            for path, each in ids.items()
        ],
        failures,
    )


def embed_picture(workspace: Workspace, embeddings: Embeddings, file: Path) -> Picture:
    """Embed one file.

    Raises:
        UsageError: it is a folder, or a list of files.
        LikewiseError: there is no such file, it is no usable picture, or the model is gone.
    """
    if file.is_dir() or file.name.lower().endswith(LIST_SUFFIXES):
        raise UsageError(f"{file} is not an image file; give one image")
    if (known := _known(embeddings, file)) is not None:
        return known
    read, failures = embed_pictures(workspace, embeddings, [file])
    if failures:
        raise LikewiseError(f"{file}: {failures[0].reason}")
    return read[0]


def pixels_of(workspace: Workspace, images: Images, file: Path) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels of a file as the workspace keeps, or would keep, them: RGB, upright, small.

    Raises:
        LikewiseError: there is no such file, or it is no usable picture.
    """
    found = scan([file], workspace=workspace.path)
    reading = Reading(workspace.config.store_size, frozenset(images.positions))
    for outcome in in_children(found.files, reading, 1):
        if outcome.image is not None:
            return outcome.image.pixels
        if outcome.reason:
            raise LikewiseError(f"{file}: {outcome.reason}")
        return images.find(outcome.id)
    raise LikewiseError(f"{file}: {found.failures[0].reason}")


def _known(embeddings: Embeddings, file: Path) -> Picture | None:
    """The picture, if the file is an image of the workspace; no child process is started."""
    try:
        image = digest(file) if file.is_file() else ""
    except OSError:
        return None  # whoever reads it says why
    row = embeddings.positions.get(image)
    if row is None:
        return None
    return Picture(Path(os.path.abspath(file)), image, np.array(embeddings.vectors[row]))  # noqa: PTH100


class Net:
    """The model of some embeddings, loaded when the first picture needs it."""

    def __init__(self, workspace: Workspace, fingerprint: str) -> None:
        self._workspace, self._fingerprint = workspace, fingerprint
        self._loaded: tuple[Backbone, Machine] | None = None
        self._waiting: dict[str, UInt8[np.ndarray, "S S 3"]] = {}
        self._vectors: dict[str, Float32[np.ndarray, " D"]] = {}

    def take(self, image_id: str, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        """Embed a picture, together with others.

        Raises:
            LikewiseError: the model is gone or damaged.
        """
        if self._loaded is None:
            backbone = load_model(run_with(self._workspace, self._fingerprint).model_file)
            self._loaded = backbone, pick_machine("auto", "float32", "channels_last")
            backbone.to(self._loaded[1].device)
        size = self._loaded[0].architecture.image_size
        self._waiting[image_id] = whole_view(pixels, size)
        if len(self._waiting) == BATCH:
            self._through()

    def vectors(self) -> dict[str, Float32[np.ndarray, " D"]]:
        """The vectors of the pictures that were taken since the last time."""
        self._through()
        made, self._vectors = self._vectors, {}
        return made

    def _through(self) -> None:
        if self._waiting and self._loaded is not None:
            made = embed_views(*self._loaded, np.stack(list(self._waiting.values())))
            self._vectors |= dict(zip(self._waiting, made, strict=True))
            self._waiting.clear()
