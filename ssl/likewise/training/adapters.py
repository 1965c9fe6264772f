"""Low-rank adapters: a net learns through a small matrix product beside each of its weights.

LoRA (Hu et al. 2022, section 4.1): W stays frozen and ``W + s B A`` is used, with A (r, columns)
random and B (rows, r) zero at first. s is ``1 / sqrt(r)``, with which the learning rate need not
change with the rank (Kalajdzievski 2023, section 3). Kernels of convolutions count as matrices of
one row per output channel.

Adapters are parametrizations of the net's own layers, so that any net takes them; `merge` leaves a
plain net.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """A weight plus a product of two small matrices."""

    def __init__(self, weight: Float[Tensor, "rows ..."], rank: int) -> None:
        super().__init__()
        rows, columns = len(weight), weight[0].numel()
        self.scale = 1 / math.sqrt(rank)
        self.down = nn.Parameter(weight.new_empty(rank, columns))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """The weight that the layer uses."""
        return weight + self.scale * (self.up @ self.down).view_as(weight)


def adapt(net: nn.Module, rank: int) -> None:
    """Freeze a net and put adapters on its linear and dense convolution layers.

    Layers of ``rank`` rows or columns and fewer stay frozen, as an adapter would be no smaller.
    The net is set to evaluation mode: its batch statistics are frozen too.
    """
    net.eval().requires_grad_(False)
    for layer in list(net.modules()):
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or getattr(layer, "groups", 1) > 1:
            continue
        if min(len(layer.weight), layer.weight[0].numel()) > rank:
            parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, rank))


@torch.no_grad()
def merge(net: nn.Module) -> None:
    """Add the adapters to the weights and remove them."""
    for layer in list(net.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
