"""The embedding job against the bare net, and against lightly's way from files to vectors."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.speed.photos import photos
from benchmarks.speed.table import Row, in_turn
from likewise.api import Workspace
from likewise.models.model_files import load_model
from likewise.models.runs import finished_run
from likewise.neighbours.embedding import embed_views, machine_for
from likewise.settings import Embed
from likewise.workspace import Workspace as Folder

NET, SIZE = "resnet18", 224
BATCH = 64


def rows(scratch: Path, short: bool) -> Iterator[Row]:
    """Images per second; both with all threads, the peer with a loader process per core."""
    count, repeats = (256, 2) if short else (1024, 5)
    folder = photos(scratch / "photos", count, 500, 375)
    workspace = Workspace(scratch / "embedding")
    workspace.ingest(folder)
    weights = scratch / "net.pt"
    torch.manual_seed(0)
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), weights)
    workspace.adopt(NET, init=weights, image_size=SIZE)
    run = finished_run(Folder(workspace.path), None)
    backbone = load_model(run.model_file)
    machine = machine_for(backbone, Embed())
    noise = torch.randint(0, 256, (BATCH, SIZE, SIZE, 3), dtype=torch.uint8).numpy()

    def ours() -> float:
        for each in Folder(workspace.path).embeddings.glob("*"):
            shutil.rmtree(each)
        return workspace.embed(batch_size=BATCH).images_per_second

    def bare() -> float:
        started, done = time.perf_counter(), 0
        while done < count:
            embed_views(backbone, machine, noise)
            done += BATCH
        return done / (time.perf_counter() - started)

    yield in_turn(
        f"embed 500x375 photos, {NET}, {SIZE} px",
        "images/s",
        f"the net alone, same precision ({machine.precision})",
        ours,
        bare,
        repeats,
    )
    yield in_turn(
        f"embed 500x375 photos, {NET}, {SIZE} px",
        "images/s",
        "lightly",
        ours,
        lambda: _lightly(folder, count),
        repeats,
    )


def _lightly(folder: Path, count: int) -> float:
    """`SelfSupervisedEmbedding.embed`, with the transforms of lightly's `embed` command."""
    import torchvision
    from lightly.data import LightlyDataset
    from lightly.embedding import SelfSupervisedEmbedding
    from torchvision import transforms

    net = torchvision.models.resnet18()
    net.fc = torch.nn.Identity()
    model = torch.nn.Module()
    model.backbone = net
    encoder = SelfSupervisedEmbedding(model, None, None, None)
    transform = transforms.Compose(
        [
            transforms.Resize((SIZE, SIZE)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    dataset = LightlyDataset(str(folder), transform=transform)
    loader = torch.utils.data.DataLoader(dataset, BATCH, num_workers=2)
    started = time.perf_counter()
    encoder.embed(loader, device=torch.device("cpu"))
    return count / (time.perf_counter() - started)
