"""Pretraining: images per second from files to weights, against lightly's documented loop.

The loop is that of lightly's "SimSiam" example in plain PyTorch, with the same net, heads, batch
size and view size as ours. Of both the steps count, with loading: not what is done once at the
start, nor, of ours, the health figures and checkpoints between epochs.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from benchmarks.speed.photos import photos
from benchmarks.speed.table import Row, in_turn
from likewise.api import Workspace
from likewise.cores import available_cores

NET, BATCH, WIDTH = "resnet18", 64, 2048
SIZES = (64, 128)


def rows(scratch: Path, short: bool) -> Iterator[Row]:
    """Images (two views each) per second, all cores."""
    count = BATCH * (4 if short else 16)
    folder = photos(scratch / "photos", count, 400, 500)
    workspace = Workspace(scratch / "workspace")
    workspace.ingest(folder)
    for size in SIZES:
        yield in_turn(
            f"pretrain {NET}, 400x500 photos, {size} px, batch {BATCH}",
            "images/s",
            "lightly",
            partial(_ours, workspace, size, count),
            partial(lightly_loop, folder, size, 1),
            1 if short else 3,
        )


def busy_rows(scratch: Path, short: bool) -> Iterator[Row]:
    """The same while another process holds a core."""
    count = BATCH * (4 if short else 8)
    folder = photos(scratch / "photos", count, 400, 500)
    workspace = Workspace(scratch / "workspace")
    workspace.ingest(folder)
    with _burning():
        yield in_turn(
            f"pretrain {NET}, 400x500 photos, {SIZES[0]} px, beside a process that holds a core",
            "images/s",
            "lightly",
            partial(_ours, workspace, SIZES[0], count),
            partial(lightly_loop, folder, SIZES[0], 1),
            1 if short else 3,
        )


@contextmanager
def _burning() -> Iterator[None]:
    """Started by a shell that ends, so that it is nobody's child."""
    command = f"{shlex.quote(sys.executable)} -c 'while True: pass' >/dev/null & echo $!"
    process = int(subprocess.check_output(["sh", "-c", command]))
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)


def _ours(workspace: Workspace, size: int, count: int) -> float:
    """Epochs after the first, by the run's own clock."""
    made = workspace.pretrain(
        backbone=NET,
        image_size=size,
        epochs=3,
        batch_size=BATCH,
        projector_dim=WIDTH,
        preset="natural",
        fresh=True,
    )
    first, *_, last = [row["seconds"] for row in made.metrics]
    return float((len(made.metrics) - 1) * count / (last - first))


def lightly_loop(folder: Path, size: int, epochs: int, workers: int | None = None) -> float:
    """Images per second of lightly's examples/pytorch/simsiam.py, without the first step.

    As many loader processes as there are cores, where the example has eight.
    """
    import torchvision
    from lightly.data import LightlyDataset
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import SimSiamPredictionHead, SimSiamProjectionHead
    from lightly.transforms.simsiam_transform import SimSiamTransform

    class SimSiam(torch.nn.Module):
        def __init__(self, backbone: torch.nn.Module) -> None:
            super().__init__()
            self.backbone = backbone
            self.projection_head = SimSiamProjectionHead(512, WIDTH, WIDTH)
            self.prediction_head = SimSiamPredictionHead(WIDTH, WIDTH // 4, WIDTH)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            f = self.backbone(x).flatten(start_dim=1)
            z = self.projection_head(f)
            p = self.prediction_head(z)
            return z.detach(), p

    resnet = torchvision.models.resnet18()
    model = SimSiam(torch.nn.Sequential(*list(resnet.children())[:-1]))
    dataset = LightlyDataset(str(folder), transform=SimSiamTransform(input_size=size))
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=workers if workers is not None else available_cores(),
    )
    criterion = NegativeCosineSimilarity()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    torch.set_num_threads(available_cores())
    started, done = 0.0, -BATCH
    for _ in range(epochs):
        for batch in loader:
            x0, x1 = batch[0]
            z0, p0 = model(x0)
            z1, p1 = model(x1)
            loss = 0.5 * (criterion(z0, p1) + criterion(z1, p0))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            done += BATCH
            if not done:
                started = time.perf_counter()
    return done / (time.perf_counter() - started)
