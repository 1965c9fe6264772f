"""Views of half the side for the first epochs: progressive resizing (Howard, fast.ai, 2018).

A net with convolutions takes a quarter of the time for them, and what it learns carries over.
"""

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

from likewise.errors import UsageError
from likewise.models.backbones import Backbone

LEAST = 8
"""Pixels, of a side that is halved."""


def halved(views: UInt8[Tensor, "B S S 3"]) -> UInt8[Tensor, "B H H 3"]:
    """Views of half the side, each pixel the mean of four; an odd row at the edge is cut."""
    means = functional.avg_pool2d(views.permute(0, 3, 1, 2).float(), 2)
    return means.round_().to(torch.uint8).permute(0, 2, 3, 1)


@torch.no_grad()
def require_half(backbone: Backbone) -> None:
    """Raise unless a backbone takes images of half its side.

    Raises:
        UsageError: it does not.
    """
    size = backbone.architecture.image_size // 2
    told = f"--small-first: {backbone.architecture.name} does not take images of {size} px"
    if size < LEAST:
        raise UsageError(told)
    training = backbone.training
    try:
        backbone.eval()(torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError(f"{told}: {error}") from error
    finally:
        backbone.train(training)
