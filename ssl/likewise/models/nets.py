"""The nets that there are, and how one is built.

``small`` is Likewise's own net for CPUs; every other name is torchvision's or timm's.
"""

import difflib
from pathlib import Path
from typing import cast

import torch
from torch import nn

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of
from likewise.models.backbones import IMAGENET_MEAN, IMAGENET_STD, Architecture, Backbone, Rgb
from likewise.models.small_net import SmallNet
from likewise.models.weights import CLASSIFIERS, load_weights

SMALL_IMAGE = 64
"""Below this side in pixels a net gets the small-image stem."""


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
        load_weights(backbone.net, Path(init), name)
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
    for head in CLASSIFIERS:
        if hasattr(net, head):
            setattr(net, head, nn.Flatten(1))  # ConvNeXt's are (D, 1, 1) where they come from
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
