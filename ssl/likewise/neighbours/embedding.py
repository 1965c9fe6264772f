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

from likewise.cores import available_cores
from likewise.errors import LikewiseError, UsageError
from likewise.images.augmentation import whole_view
from likewise.images.store import Images, open_images
from likewise.models.backbones import Backbone, bare, head_on
from likewise.models.heads import Head, apply_head
from likewise.models.machine import Machine, pick_machine
from likewise.models.model_files import fingerprint_of, load_model
from likewise.models.runs import Run, finished_run
from likewise.models.threads import Threads
from likewise.neighbours.partial import Partial
from likewise.neighbours.vectors import load_embeddings, renew, write_embeddings
from likewise.notebook import Displayed
from likewise.progress import progress, say
from likewise.settings import Embed
from likewise.workspace import Workspace

Rows = list[int]


@dataclass(frozen=True)
class Embedded(Displayed):
    """What `embed` did."""

    fingerprint: str
    model: str
    images: int
    new: int
    dim: int
    images_per_second: float
    index: str
    by_head: bool = False
    """Whether the model's head mapped vectors that its parent had made."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return dict(vars(self))

    def as_text(self) -> str:
        """What a person reads."""
        if self.new:
            how = f"{self.new:,} of them new ({self.images_per_second:,.0f} images/s)"
        else:
            how = "mapped by its head at once" if self.by_head else "none of them new"
        return (
            f"{self.model} ({self.fingerprint}): {self.images:,} images in {self.dim} dimensions, "
            f"{how}\n"
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
    if settings.threads < 0:
        raise UsageError("--threads must be 0 or more")
    images = open_images(workspace.require())
    run = finished_run(workspace, settings.model)
    with workspace.lock("embeddings"):
        return _embed(workspace, images, run, load_model(run.model_file), settings)


def _embed(
    workspace: Workspace, images: Images, run: Run, backbone: Backbone, settings: Embed
) -> Embedded:
    started = time.perf_counter()
    fingerprint = run.fingerprint
    known, old, head = _vectors_before(workspace, run, backbone)
    missing = [row for row, each in enumerate(images.ids) if str(each) not in known]
    partial = workspace.embeddings / f".{fingerprint}.partial"
    new = _through_the_net(images, run, backbone, partial, missing, settings)
    seconds = time.perf_counter() - started
    fresh = {str(images.ids[row]): place for place, row in enumerate(missing)}

    def chunks() -> Iterator[Float32[np.ndarray, "B D"]]:
        for start in range(0, len(images), 4096):
            part = [str(each) for each in images.ids[start : start + 4096]]
            chunk = np.empty((len(part), backbone.dim), np.float32)
            made = np.array([each in fresh for each in part])
            chunk[made] = new[[fresh[each] for each in part if each in fresh]]
            there = old[[known[each] for each in part if each not in fresh]]
            chunk[~made] = there if head is None else apply_head(head, there)
            yield chunk

    if head is None and list(known) == images.ids.tolist():
        index = renew(workspace, fingerprint, run.name)
    else:
        quick = head is not None
        index = write_embeddings(
            workspace, chunks(), images.ids, backbone.dim, fingerprint, run.name, quick=quick
        )
    shutil.rmtree(partial, ignore_errors=True)
    return Embedded(
        fingerprint=fingerprint,
        model=run.name,
        images=len(images),
        new=len(missing),
        dim=backbone.dim,
        images_per_second=len(missing) / max(seconds, 1e-9),
        index=index,
        by_head=head is not None,
    )


def _through_the_net(
    images: Images,
    run: Run,
    backbone: Backbone,
    folder: Path,
    missing: Rows,
    settings: Embed,
) -> Float32[np.ndarray, "M D"]:
    """The vectors of images that have none yet; those made by an interrupted job are kept."""
    if not missing:
        return np.empty((0, backbone.dim), np.float32)
    threads = Threads(settings.threads or available_cores(), fixed=settings.threads > 0)
    machine = machine_for(backbone, settings)
    say(f"{run.name}: embedding {len(missing):,} of {len(images):,} images ({machine})")
    size = backbone.architecture.image_size
    partial = Partial(folder, [str(images.ids[row]) for row in missing], backbone.dim)
    with partial, progress("embed", len(missing), done=partial.done) as advance:
        for views in _prefetched(
            lambda rows: whole_views(images, rows, size),
            missing[partial.done :],
            settings.batch_size,
        ):
            partial.add(embed_views(backbone, machine, views))
            advance(len(views))
            threads.adapt()
    return partial.vectors()


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
) -> tuple[dict[str, int], Float32[np.ndarray, "N D"], Head | None]:
    """Rows by image id, and vectors that are there: this model's, or its parent's for a head."""
    known, old = _done_before(workspace, run.fingerprint)
    head = head_on(backbone)
    if known or head is None or run.parent is None or fingerprint_of(bare(backbone)) != run.parent:
        return known, old.reshape(len(known), backbone.dim), None
    known, old = _done_before(workspace, run.parent)
    if not known:
        return known, np.empty((0, backbone.dim), np.float32), None
    return known, old.reshape(len(known), head.dim_in), head


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
