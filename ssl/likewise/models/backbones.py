"""A backbone: an image goes in, the embedding comes out, through a net and perhaps a head."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from likewise.models.heads import Head

Rgb = tuple[float, float, float]
IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build a backbone again and to feed it."""

    name: str
    """``small``, ``torchvision/NAME`` or ``timm/NAME``."""
    image_size: int
    """Side of the square input in pixels."""
    small_stem: bool = False
    """First convolution 3x3 with stride 1 and no max-pool (He et al. 2016, section 4.2)."""
    mean: Rgb = IMAGENET_MEAN
    """Of RGB in 0..1."""
    std: Rgb = IMAGENET_STD
    """Of RGB in 0..1."""
    head: int = 0
    """Rows of the linear head that answers taught; 0 where there is none."""


class LinearHead(nn.Module):
    """`likewise.models.heads.Head` on tensors; it is not trained further."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(rows, dim))
        self.register_buffer("offset", torch.zeros(rows))
        self.register_buffer("blend", torch.zeros(1))
        self.weight: Tensor
        self.offset: Tensor
        self.blend: Tensor

    def forward(self, features: Float[Tensor, "B D"]) -> Float[Tensor, "B E"]:
        """The blended unit vectors of features; in float32, as whitening magnifies errors."""
        with torch.autocast(features.device.type, enabled=False):
            unit = functional.normalize(features.float(), dim=1)
            mapped = functional.normalize(unit @ self.weight.T + self.offset, dim=1)
            both = (unit * (1 - self.blend).sqrt(), mapped * self.blend.sqrt())
            return functional.normalize(torch.cat(both, dim=1), dim=1)


class Backbone(nn.Module):
    """Maps normalised images to embeddings (before they are scaled to unit length)."""

    def __init__(self, architecture: Architecture, net: nn.Module, dim: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.net = net
        self.head = LinearHead(architecture.head, dim) if architecture.head else None
        self.dim = dim + architecture.head
        self.memory_format = torch.channels_last
        self.register_buffer("mean", _per_channel(architecture.mean), persistent=False)
        self.register_buffer("std", _per_channel(architecture.std), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def place_on(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move to a device, and lay out weights, and images from now on."""
        self.memory_format = memory_format
        self.to(device).to(memory_format=memory_format)

    def normalise(self, images: UInt8[Tensor, "B S S 3"]) -> Float[Tensor, "B 3 S S"]:
        """RGB bytes to the net's input, laid out as the net is, channels_last by default.

        Row by row and in place: arithmetic on three channels at a time takes three times as long.
        """
        side = images.shape[2]
        rows = images.flatten(2).float()
        rows.sub_(self.mean.flatten().repeat(side)).div_(self.std.flatten().repeat(side))
        pixels = rows.view(-1, images.shape[1], side, 3).permute(0, 3, 1, 2)
        return pixels.contiguous(memory_format=self.memory_format)

    def forward(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Embed normalised images."""
        features: Tensor = self.net(images)
        return features if self.head is None else self.head(features)

    @torch.no_grad()
    def embed(self, images: UInt8[Tensor, "B S S 3"]) -> Float[Tensor, "B D"]:
        """The unit-norm float32 embeddings of RGB images."""
        return functional.normalize(self(self.normalise(images)).float(), dim=1)


def with_head(backbone: Backbone, head: Head) -> Backbone:
    """The same net with a head on it, or as it is if the head has no part.

    Raises:
        ValueError: the backbone has a head already.
    """
    if backbone.architecture.head:
        raise ValueError("a head stands on the embedding of a backbone without one")
    if not head.blend:
        return backbone
    architecture = replace(backbone.architecture, head=len(head.weight))
    headed = Backbone(architecture, backbone.net, backbone.dim).train(backbone.training)
    assert headed.head is not None
    headed.head.weight.copy_(torch.from_numpy(head.weight))
    headed.head.offset.copy_(torch.from_numpy(head.offset))
    headed.head.blend.fill_(head.blend)
    return headed


def bare(backbone: Backbone) -> Backbone:
    """The same net without its head."""
    if not backbone.architecture.head:
        return backbone
    dim = backbone.dim - backbone.architecture.head
    plain = Backbone(replace(backbone.architecture, head=0), backbone.net, dim)
    return plain.train(backbone.training)


def head_on(backbone: Backbone) -> Head | None:
    """The head of a backbone, as arrays."""
    if backbone.head is None:
        return None
    weight, offset = (each.cpu().numpy() for each in (backbone.head.weight, backbone.head.offset))
    return Head(weight.astype(np.float32), offset.astype(np.float32), float(backbone.head.blend))


def _per_channel(values: Rgb) -> Tensor:
    return torch.tensor(values).view(1, 3, 1, 1) * 255
