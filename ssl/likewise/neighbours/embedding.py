"""The embedding job: the store streams through a model, vectors and index land on disk."""

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from likewise.errors import LikewiseError, UsageError
from likewise.files import read_json, reason_of, write_json
from likewise.images.augmentation import whole_view
from likewise.images.store import Images, open_images
from likewise.models.backbones import Backbone, bare, head_on
from likewise.models.heads import apply_head
from likewise.models.machine import Machine, pick_machine
from likewise.models.runs import Run, fingerprint_of, finished_run, load_model
from likewise.neighbours.vectors import load_embeddings, write_embeddings
from likewise.progress import progress, say
from likewise.settings import Embed
from likewise.workspace import Workspace

Rows = list[int]
Derive = Callable[[Float32[np.ndarray, "N D"]], Float32[np.ndarray, "N E"]]
"""Makes vectors of one model from those of another."""


@dataclass(frozen=True)
class Embedded:
    """What `embed` did."""

    fingerprint: str
    model: str
    images: int
    new: int
    dim: int
    images_per_second: float
    index: str

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return dict(vars(self))

    def as_text(self) -> str:
        """What a person reads."""
        return (
            f"{self.model} ({self.fingerprint}): {self.images:,} images in {self.dim} dimensions, "
            f"{self.new:,} of them new ({self.images_per_second:,.0f} images/s)\n"
            f"index: {self.index}\n"
            "next: `likewise label`, or `likewise evaluate` where the classes are known"
        )


def embed(workspace: Workspace, settings: Embed) -> Embedded:
    """Embed every image with the newest or named model; vectors that exist are kept.

    A model that is its parent with a head needs no pass over images that the parent has embedded.

    Raises:
        UsageError: no such model, or a setting that makes no sense.
        LikewiseError: nothing to embed, or a file cannot be written.
    """
    if settings.batch_size < 1:
        raise UsageError("--batch-size must be at least 1")
    images = open_images(workspace.require())
    run = finished_run(workspace, settings.model)
    backbone = load_model(run.model_file)
    machine = machine_for(backbone, settings)
    with workspace.lock("embeddings"):
        return _embed(workspace, images, run, backbone, machine, settings.batch_size)


def _embed(
    workspace: Workspace,
    images: Images,
    run: Run,
    backbone: Backbone,
    machine: Machine,
    batch_size: int,
) -> Embedded:
    fingerprint = run.fingerprint
    known, old, derive = _vectors_before(workspace, run, backbone)
    missing = [row for row, each in enumerate(images.ids) if str(each) not in known]
    say(f"{run.name}: embedding {len(missing):,} of {len(images):,} images ({machine})")
    started = time.perf_counter()
    partial = _Partial(workspace.embeddings / f".{fingerprint}.partial", images, missing, backbone)
    size = backbone.architecture.image_size
    with partial, progress("embed", len(missing), done=partial.done) as advance:
        todo = missing[partial.done :]
        for views in _prefetched(lambda rows: whole_views(images, rows, size), todo, batch_size):
            partial.add(embed_views(backbone, machine, views))
            advance(len(views))
    seconds = time.perf_counter() - started
    fresh = {str(images.ids[row]): place for place, row in enumerate(missing)}
    new = partial.vectors()

    def chunks() -> Iterator[Float32[np.ndarray, "B D"]]:
        for start in range(0, len(images), 4096):
            part = [str(each) for each in images.ids[start : start + 4096]]
            chunk = np.empty((len(part), backbone.dim), np.float32)
            made = np.array([each in fresh for each in part])
            chunk[made] = new[[fresh[each] for each in part if each in fresh]]
            chunk[~made] = derive(old[[known[each] for each in part if each not in fresh]])
            yield chunk

    index = write_embeddings(workspace, chunks(), images.ids, backbone.dim, fingerprint, run.name)
    partial.remove()
    return Embedded(
        fingerprint=fingerprint,
        model=run.name,
        images=len(images),
        new=len(missing),
        dim=backbone.dim,
        images_per_second=len(missing) / max(seconds, 1e-9),
        index=index,
    )


def machine_for(backbone: Backbone, settings: Embed) -> Machine:
    """Choose device and precision by a short trial, and move the backbone there."""
    size = backbone.architecture.image_size
    noise = torch.randint(0, 256, (16, size, size, 3), dtype=torch.uint8)

    def trial(machine: Machine) -> torch.Tensor:
        backbone.to(machine.device)
        with machine.autocast():
            return backbone.embed(noise.to(machine.device)).sum()

    machine = pick_machine(settings.device, settings.precision, trial)
    backbone.to(machine.device)
    return machine


def embed_views(
    backbone: Backbone, machine: Machine, views: UInt8[np.ndarray, "B S S 3"]
) -> Float32[np.ndarray, "B D"]:
    """The unit-norm embeddings of a batch of whole views."""
    with machine.autocast():
        return backbone.embed(torch.from_numpy(views).to(machine.device)).cpu().numpy()


def whole_views(images: Images, rows: Rows, size: int) -> UInt8[np.ndarray, "B S S 3"]:
    """The whole views of some images."""
    return np.stack([whole_view(images[row], size) for row in rows])


def _prefetched(
    load: Callable[[Rows], UInt8[np.ndarray, "B S S 3"]], rows: Rows, batch_size: int
) -> Iterator[UInt8[np.ndarray, "B S S 3"]]:
    """Load the next batch in a thread while the present one is computed."""
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    with ThreadPoolExecutor(1) as loader:
        coming = deque(loader.submit(load, part) for part in parts[:2])
        for ahead in range(2, len(parts) + 2):
            yield coming.popleft().result()
            if ahead < len(parts):
                coming.append(loader.submit(load, parts[ahead]))


def _vectors_before(
    workspace: Workspace, run: Run, backbone: Backbone
) -> tuple[dict[str, int], Float32[np.ndarray, "N D"], Derive]:
    """Rows by image id and vectors that are there, and what makes this model's vectors of them."""
    known, old = _done_before(workspace, run.fingerprint)
    head = head_on(backbone)
    if known or head is None or run.parent is None or fingerprint_of(bare(backbone)) != run.parent:
        return known, old.reshape(len(known), backbone.dim), lambda vectors: vectors
    known, old = _done_before(workspace, run.parent)
    return known, old.reshape(len(known), head.dim_in), lambda vectors: apply_head(head, vectors)


def _done_before(
    workspace: Workspace, fingerprint: str
) -> tuple[dict[str, int], Float32[np.ndarray, "N D"]]:
    """Rows by image id, and vectors, that a model gave earlier."""
    if not (workspace.embeddings / fingerprint).is_dir():
        return {}, np.empty((0, 0), np.float32)
    try:
        earlier = load_embeddings(workspace, fingerprint)
    except LikewiseError as damage:
        say(f"{damage}; embedding everything again")
        return {}, np.empty((0, 0), np.float32)
    return earlier.positions, earlier.vectors


class _Partial:
    """Vectors of an unfinished job, flushed as they come, so that the next run goes on.

    A plain file, not a memory map: a full disk kills a process that writes to a map.
    """

    def __init__(self, folder: Path, images: Images, missing: Rows, backbone: Backbone) -> None:
        self.folder, self.dim = folder, backbone.dim
        self.file = folder / "vectors.f32"
        plan = {"ids": [str(images.ids[row]) for row in missing], "dim": backbone.dim}
        try:
            if not (folder / "plan.json").is_file() or read_json(folder / "plan.json") != plan:
                shutil.rmtree(folder, ignore_errors=True)
                write_json(folder / "plan.json", plan)
            self.out = self.file.open("ab")
            self.done = self.out.tell() // (4 * self.dim)
            self.out.truncate(4 * self.dim * self.done)
        except OSError as error:
            raise LikewiseError(f"could not write {self.file}: {reason_of(error)}") from error

    def __enter__(self) -> "_Partial":
        return self

    def __exit__(self, *_: object) -> None:
        self.out.close()

    def add(self, vectors: Float32[np.ndarray, "B D"]) -> None:
        try:
            self.out.write(np.ascontiguousarray(vectors).data)
            self.out.flush()
        except OSError as error:
            raise LikewiseError(f"could not write {self.file}: {reason_of(error)}") from error
        self.done += len(vectors)

    def vectors(self) -> Float32[np.ndarray, "M D"]:
        if not self.done:
            return np.empty((0, self.dim), np.float32)
        return np.memmap(self.file, np.float32, "r", shape=(self.done, self.dim))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
