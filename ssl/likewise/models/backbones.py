"""Backbones: an image goes in, the embedding comes out.

``small`` is Likewise's own net for CPUs; every other name is torchvision's or timm's.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of
from likewise.models.heads import Head

Rgb = tuple[float, float, float]
IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)
SMALL_IMAGE = 64
"""Below this side in pixels a net gets the small-image stem."""


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
        self.register_buffer("mean", _per_channel(architecture.mean), persistent=False)
        self.register_buffer("std", _per_channel(architecture.std), persistent=False)
        self.mean: Tensor
        self.std: Tensor

    def normalise(self, images: UInt8[Tensor, "B S S 3"]) -> Float[Tensor, "B 3 S S"]:
        """RGB bytes to the net's input; the result is channels_last in memory."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std

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


def resolve(name: str) -> str:
    """Say whose net a bare name means: torchvision's if it has one, else timm's.

    Raises:
        UsageError: nobody has a net of that name; the text names the nearest ones.
    """
    if name == "small" or name.startswith(("torchvision/", "timm/")):
        return name
    import timm
    from torchvision.models import list_models

    if name in list_models():
        return f"torchvision/{name}"
    if timm.is_model(name):
        return f"timm/{name}"
    near = difflib.get_close_matches(name, ["small", *list_models(), *timm.list_models()], n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "see `timm.list_models()`"
    raise UsageError(f"no backbone {name!r}; {hint}")


def build_backbone(name: str, *, image_size: int = 0, init: str = "random") -> Backbone:
    """Build a backbone with fresh or pretrained weights.

    ``image_size`` 0 takes the net's own size. ``init`` is ``random``, ``pretrained``, or a file
    of weights (safetensors, or a torch checkpoint of plain tensors). Random weights come from
    torch's global generator: seed it first.

    Raises:
        UsageError: no such net, or no such file.
        LikewiseError: weights cannot be fetched or do not fit.
    """
    name = resolve(name)
    pretrained = init == "pretrained"
    if name == "small" and pretrained:
        raise UsageError(
            "the backbone small has no pretrained weights; use --init random, or another "
            "--backbone such as resnet18"
        )
    size, mean, std = image_size, IMAGENET_MEAN, IMAGENET_STD
    if name.startswith("timm/"):
        native, mean, std = _timm_input(name.removeprefix("timm/"))
        size = size or native
    size = size or (SMALL_IMAGE if name == "small" else 224)
    small_stem = size < SMALL_IMAGE and init == "random" and name != "small"
    architecture = Architecture(name, size, small_stem, mean, std)
    backbone = assemble(architecture, pretrained=pretrained)
    if init not in ("random", "pretrained"):
        load_weights(backbone.net, Path(init))
    return backbone


def assemble(architecture: Architecture, *, pretrained: bool = False) -> Backbone:
    """Build the net that ``architecture`` describes.

    Raises:
        LikewiseError: the pretrained weights could not be fetched.
    """
    name = architecture.name
    try:
        if name == "small":
            net: nn.Module = SmallNet(architecture.image_size)
        elif name.startswith("torchvision/"):
            net = _torchvision_net(name.removeprefix("torchvision/"), pretrained)
        else:
            net = _timm_net(name.removeprefix("timm/"), architecture.image_size, pretrained)
    except OSError as error:
        raise LikewiseError(
            f"could not fetch the pretrained weights of {name} ({reason_of(error)}); give a local "
            "file with --init FILE"
        ) from error
    if architecture.small_stem:
        _use_small_stem(net)
    return Backbone(architecture, net, _output_dim(net, architecture))


def load_weights(net: nn.Module, file: Path) -> None:
    """Copy weights from a file into ``net``; a classifier's own layers in it are left out.

    Raises:
        UsageError: there is no such file.
        LikewiseError: the file cannot be read, or holds weights of another net.
    """
    if not file.is_file():
        raise UsageError(f"--init: no file {file}; say random, pretrained, or a weights file")
    state = _read_weights(file)
    own = net.state_dict()
    fitting = {key: value for key, value in state.items() if key in own}
    missing = [key for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
    misfits = [key for key, value in fitting.items() if value.shape != own[key].shape]
    if missing or misfits:
        raise LikewiseError(
            f"{file} does not fit the backbone: {len(missing)} weights are missing and "
            f"{len(misfits)} have another shape (first: {(missing + misfits)[0]}); "
            "choose the --backbone that it belongs to"
        )
    net.load_state_dict(fitting, strict=False)


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Mapping[str, Any] = load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
            for key in ("state_dict", "model", "model_state_dict"):
                loaded = loaded.get(key, loaded)
    except Exception as error:  # eight kinds of exception were seen on damaged files
        raise LikewiseError(f"could not read weights from {file}: {reason_of(error)}") from error
    prefixes = ("module.", "backbone.", "encoder.", "net.")
    state = {}
    for key, value in loaded.items():
        while key.startswith(prefixes):
            key = key.split(".", 1)[1]
        if isinstance(value, Tensor):
            state[key] = value
    return state


def _timm_input(name: str) -> tuple[int, Rgb, Rgb]:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    if config is None:
        return 224, IMAGENET_MEAN, IMAGENET_STD
    mean, std = cast(Rgb, tuple(config.mean)), cast(Rgb, tuple(config.std))
    return config.input_size[-1], mean, std


def _torchvision_net(name: str, pretrained: bool) -> nn.Module:
    from torchvision.models import get_model

    net: nn.Module = get_model(name, weights="DEFAULT" if pretrained else None)
    for head in ("fc", "classifier", "heads", "head"):
        if hasattr(net, head):
            setattr(net, head, nn.Identity())
            break
    return net


def _timm_net(name: str, image_size: int, pretrained: bool) -> nn.Module:
    import timm

    try:
        net: nn.Module = timm.create_model(
            name, pretrained=pretrained, num_classes=0, img_size=image_size
        )
    except TypeError:  # convolutional nets take any size and know no img_size
        net = timm.create_model(name, pretrained=pretrained, num_classes=0)
    return net


def _use_small_stem(net: nn.Module) -> None:
    """Give ResNet-like nets the stem of CIFAR nets; others are left as they are."""
    first = getattr(net, "conv1", None)
    if isinstance(first, nn.Conv2d) and hasattr(net, "maxpool"):
        net.conv1 = nn.Conv2d(first.in_channels, first.out_channels, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()


@torch.no_grad()
def _output_dim(net: nn.Module, architecture: Architecture) -> int:
    training = net.training
    net.eval()
    size = architecture.image_size
    shape = net(torch.zeros(1, 3, size, size)).shape
    net.train(training)
    if len(shape) != 2:
        raise UsageError(f"the backbone {architecture.name} does not give one vector per image")
    return int(shape[1])


class SmallNet(nn.Sequential):
    """A residual net for CPUs: 256 dimensions, about 24 million multiply-adds at 28 px.

    Every convolution but the last runs at stride 1 on maps whose channels fill the CPU's vector
    units; resolution falls by pixel-unshuffle and max-pool, since strided convolutions have slow
    backward passes in oneDNN. The first block sees maps of
    a quarter of the image's side (an eighth from 48 px on).
    """

    def __init__(self, image_size: int) -> None:
        fold = 2 if image_size < 48 else 4
        super().__init__(
            _Fold(fold),
            _convolution(3 * fold * fold, 64),
            nn.MaxPool2d(2, ceil_mode=True),
            _convolution(64, 128),
            _Residual(128),
            nn.MaxPool2d(2, ceil_mode=True),
            _convolution(128, 256),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )


class _Fold(nn.Module):
    """Pixel-unshuffle that pads with the mean colour up to a multiple of the fold."""

    def __init__(self, fold: int) -> None:
        super().__init__()
        self.fold = fold

    def forward(self, images: Tensor) -> Tensor:
        right, bottom = -images.shape[3] % self.fold, -images.shape[2] % self.fold
        if right or bottom:
            images = functional.pad(images, (0, right, 0, bottom))
        return functional.pixel_unshuffle(images, self.fold)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.relu(maps + self.second(self.first(maps)))


def _convolution(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )
