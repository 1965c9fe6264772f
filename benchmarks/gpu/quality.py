"""How good frozen features are: weighted kNN and a linear classifier, on a torch device.

kNN: Wu et al. 2018 (section 3.4) with k = 200 and temperature .1, as for SimSiam on CIFAR-10.
Linear: one layer on the backbone's output, scaled by a batch norm without weights of its own (which
a linear layer could do itself), SGD with cosine decay, on crops (8 to 100 % of the area) and mirror
images that are new in every epoch; tested on whole images.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from likewise.evaluation.metrics import knn_correct
from likewise.evaluation.truth import read_truth
from likewise.images.augmentation import whole_view
from likewise.images.batched_crops import BOX_DRAWS, cut, random_boxes
from likewise.images.batched_views import BatchedViews
from likewise.images.store import Images
from likewise.models.backbones import Backbone
from likewise.models.machine import Machine
from likewise.training.resident import Resident

SCALE = (0.08, 1.0)
BATCH = 512
LR = 0.1
K, TEMPERATURE = 200, 0.1


def accuracies(
    backbone: Backbone, train: Images, test: Images, machine: Machine, epochs: int, seed: int
) -> dict[str, float]:
    """``knn`` and ``linear``, 0 to 1."""
    backbone.eval().to(machine.device).to(memory_format=torch.channels_last)
    names, codes = np.unique(read_truth(train, "folders"), return_inverse=True)
    asked = np.searchsorted(names, read_truth(test, "folders"))
    known, new = (_whole_features(backbone, each, machine) for each in (train, test))
    units = [functional.normalize(each, dim=1).numpy() for each in (known, new)]
    knn = knn_correct(units[1], asked, units[0], codes, min(K, len(train)), TEMPERATURE).mean()
    layer = _linear(backbone, train, torch.from_numpy(codes), machine, epochs, seed)
    with torch.no_grad():
        right = layer(new.to(machine.device)).argmax(dim=1).cpu().numpy() == asked
    return {"knn": float(knn), "linear": float(right.mean())}


@torch.no_grad()
def _whole_features(backbone: Backbone, images: Images, machine: Machine) -> Float32[Tensor, "N D"]:
    size, found = backbone.architecture.image_size, []
    for start in range(0, len(images), BATCH):
        rows = range(start, min(start + BATCH, len(images)))
        pixels = np.stack([whole_view(images[row], size) for row in rows])
        found.append(
            _features(backbone, torch.from_numpy(pixels).to(machine.device), machine).cpu()
        )
    return torch.cat(found)


@torch.no_grad()
def _features(backbone: Backbone, pixels: Tensor, machine: Machine) -> Float[Tensor, "B D"]:
    with machine.autocast():
        features: Tensor = backbone(backbone.normalise(pixels))
    return features.float()


def _linear(
    backbone: Backbone,
    images: Images,
    codes: Int64[Tensor, " N"],
    machine: Machine,
    epochs: int,
    seed: int,
) -> nn.Module:
    size, device = backbone.architecture.image_size, machine.device
    resident = Resident(images, np.arange(len(images)), BatchedViews("natural", size), device)
    torch.manual_seed(seed)
    layer = nn.Sequential(
        nn.BatchNorm1d(backbone.dim, affine=False), nn.Linear(backbone.dim, int(codes.max()) + 1)
    ).to(device)
    batch = min(BATCH, len(images))
    optimizer = torch.optim.SGD(layer.parameters(), lr=LR * batch / 256, momentum=0.9)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: 0.5 * (1 + math.cos(math.pi * step / (epochs * (len(images) // batch)))),
    )
    codes = codes.to(device)
    for rows, pixels in _crops(resident, size, batch, epochs, seed):
        features = _features(backbone, pixels, machine)
        loss = functional.cross_entropy(layer(features), codes[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return layer.eval()


def _crops(
    resident: Resident, size: int, batch: int, epochs: int, seed: int
) -> Iterator[tuple[Int64[Tensor, " B"], Tensor]]:
    random = torch.Generator().manual_seed(seed)
    device, count = resident.device, len(resident.rows)
    for _ in range(epochs):
        order = torch.randperm(count, generator=random)
        for start in range(0, count - batch + 1, batch):
            rows = order[start : start + batch].to(device)
            draws = torch.rand(batch, BOX_DRAWS + 1, generator=random).to(device)
            starts, sizes = resident.starts[rows], resident.sizes[rows]
            boxes = random_boxes(draws[:, :BOX_DRAWS], sizes, SCALE)
            mirrored = draws[:, BOX_DRAWS] < 0.5
            views = cut(resident.pixels, starts, sizes[:, 1], boxes, mirrored, size)
            yield rows, views.round().to(torch.uint8).permute(0, 2, 3, 1)
