"""The embedding job: the store streams through a model, vectors and index land on disk.

Under `torchrun` each process embeds a contiguous share of the images and leaves a part on disk;
the first one joins the parts.
"""

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

from likewise import ranks
from likewise.cores import own_cores
from likewise.errors import LikewiseError, UsageError
from likewise.images.augmentation import whole_view
from likewise.images.store import Images, open_images
from likewise.models.backbones import Backbone, bare, head_on
from likewise.models.machine import Machine, pick_machine
from likewise.models.model_files import fingerprint_of, load_model
from likewise.models.runs import Run, finished_run
from likewise.models.threads import threads_for
from likewise.models.together import all_wait, from_first, require_same, together
from likewise.neighbours.parts import Part, Source, joined, next_number, parts_in
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
    with together(), workspace.lock("embeddings"):
        return _embed(workspace, images, run, load_model(run.model_file), settings)


def _embed(
    workspace: Workspace, images: Images, run: Run, backbone: Backbone, settings: Embed
) -> Embedded:
    started = time.perf_counter()
    before = _vectors_before(workspace, run, backbone)
    folder = workspace.embeddings / f".{run.fingerprint}.partial"
    there = {*before.ids}
    new = sum(str(each) not in there for each in images.ids)
    _through_the_net(images, run, backbone, folder, there, settings)
    seconds = time.perf_counter() - started

    def write() -> str:
        if before.head is None and list(before.ids) == images.ids.tolist():
            return renew(workspace, run.fingerprint, run.name)
        sources = [before, *parts_in(folder, backbone.dim)]
        written = write_embeddings(
            workspace,
            joined(images.ids, sources, backbone.dim),
            images.ids,
            backbone.dim,
            run.fingerprint,
            run.name,
            quick=before.head is not None,
        )
        shutil.rmtree(folder, ignore_errors=True)
        return written

    index = from_first(write)
    return Embedded(
        fingerprint=run.fingerprint,
        model=run.name,
        images=len(images),
        new=new,
        dim=backbone.dim,
        images_per_second=new / max(seconds, 1e-9),
        index=index,
        by_head=before.head is not None,
    )


def _through_the_net(
    images: Images,
    run: Run,
    backbone: Backbone,
    folder: Path,
    there: set[str],
    settings: Embed,
) -> None:
    """Leave parts in ``folder`` with the vectors of all images that are not ``there`` yet."""
    there = there.union(*(each.ids for each in parts_in(folder, backbone.dim)))
    missing = [row for row, each in enumerate(images.ids) if str(each) not in there]
    number, rank = next_number(folder), ranks.here()
    all_wait()  # until everyone has read what is there, and before anyone writes
    require_same((number, len(missing)), "images or vectors")
    if not missing:
        return
    threads = threads_for(settings.threads, own_cores())
    machine = machine_for(backbone, settings)
    each = f", each of {rank.count} processes a share" if rank.count > 1 else ""
    say(f"{run.name}: embedding {len(missing):,} of {len(images):,} images ({machine}{each})")
    size, own = backbone.architecture.image_size, missing[rank.share(len(missing))]
    ids = [str(images.ids[row]) for row in own]
    with (
        Part(folder, f"{number}-{rank.number}", ids) as part,
        progress("embed", len(own)) as advance,
    ):
        for views in _prefetched(
            lambda rows: whole_views(images, rows, size), own, settings.batch_size
        ):
            part.add(embed_views(backbone, machine, views))
            advance(len(views))
            threads.adapt()
    all_wait()


def machine_for(backbone: Backbone, settings: Embed) -> Machine:
    """Choose device and precision by a short trial, and move the backbone there."""
    size = backbone.architecture.image_size
    noise = torch.randint(0, 256, (16, size, size, 3), dtype=torch.uint8)

    def trial(machine: Machine) -> torch.Tensor:
        backbone.place_on(machine.device, machine.memory_format)
        with machine.autocast():
            return backbone.embed(noise.to(machine.device)).sum()

    subject = f"embed {backbone.architecture.name} at {size} px"
    machine = pick_machine(
        settings.device, settings.precision, settings.memory_format, trial, subject
    )
    backbone.place_on(machine.device, machine.memory_format)
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


def _vectors_before(workspace: Workspace, run: Run, backbone: Backbone) -> Source:
    """Vectors that are there: this model's, or its parent's for a head."""
    own, head = _done_before(workspace, run.fingerprint), head_on(backbone)
    if (
        own.ids
        or head is None
        or run.parent is None
        or fingerprint_of(bare(backbone)) != run.parent
    ):
        return own
    parents = _done_before(workspace, run.parent)
    return Source(parents.ids, parents.vectors, head) if parents.ids else own


def _done_before(workspace: Workspace, fingerprint: str) -> Source:
    """The vectors that a model gave earlier."""
    nothing = Source([], np.empty((0, 0), np.float32))
    if not (workspace.embeddings / fingerprint).is_dir():
        return nothing
    try:
        earlier = load_embeddings(workspace, fingerprint)
    except LikewiseError as damage:
        say(f"{damage}; embedding everything again")
        return nothing
    return Source(earlier.ids.tolist(), earlier.vectors)
