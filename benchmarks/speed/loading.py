"""Input: from photos to two normalised views each, on one core.

Ours starts from the prepared store, as every epoch does; lightly's `LightlyDataset` with
`SimSiamTransform` from the files, as its documentation has it.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from benchmarks.speed.photos import photos
from benchmarks.speed.table import Row, in_turn
from likewise.api import Workspace
from likewise.images.augmentation import Views
from likewise.images.store import Images, open_images
from likewise.models.backbones import Architecture, Backbone
from likewise.training.batches import epoch_rows, view_batches
from likewise.workspace import Workspace as Folder

BATCH = 32
CASES = (
    ("32x32 JPEG, 32 px", 32, 32, 32, 640),
    ("400x500 JPEG, 64 px", 400, 500, 64, 320),
    ("500x375 JPEG, 224 px", 500, 375, 224, 128),
    ("12 megapixels (4000x3000) JPEG, 224 px", 4000, 3000, 224, 32),
)
"""What, width, height, side of a view, and how many photos."""


def rows(scratch: Path, short: bool) -> Iterator[Row]:
    """Images (two views each) per second."""
    from lightly.data import LightlyDataset
    from lightly.transforms.simsiam_transform import SimSiamTransform

    torch.set_num_threads(1)
    for what, width, height, size, usual in CASES:
        count = max(BATCH, usual // 4) if short else usual
        folder = photos(scratch / f"{width}x{height}", count, width, height)
        workspace = Workspace(scratch / f"workspace{width}x{height}")
        workspace.ingest(folder)
        images = open_images(Folder(workspace.path))
        dataset = LightlyDataset(str(folder), transform=SimSiamTransform(input_size=size))
        ours, theirs = partial(_ours, images, size), partial(_lightly, dataset)
        repeats = 2 if short else 5
        yield in_turn(f"two views, {what}", "images/s", "lightly", ours, theirs, repeats)


def _ours(images: Images, size: int) -> float:
    net = Backbone(Architecture("none", size), torch.nn.Identity(), 1)
    every = np.arange(len(images))
    batches = view_batches(
        images,
        Views("natural", size),
        lambda epoch: epoch_rows(every, BATCH, 0, epoch),
        count=2,
        epochs=1,
        seed=0,
    )
    started, done = time.perf_counter(), 0
    for _, views in batches:
        for each in views:
            net.normalise(each)
        done += views.shape[1]
    return done / (time.perf_counter() - started)


def _lightly(dataset: Any) -> float:
    started, done = time.perf_counter(), 0
    for (one, _), *_ in DataLoader(dataset, BATCH, shuffle=True, drop_last=True):
        done += len(one)
    return done / (time.perf_counter() - started)
