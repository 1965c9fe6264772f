"""Training in several processes: each has a share of every batch, all have the same loss.

The images of a batch are cut into as many parts as there are processes. Each runs the net on its
part, with norms over the whole batch (`likewise.models.joint_norm`); the outputs are brought
together (`gathered`), so that every process computes the loss of the whole batch by the same
functions as one process alone. Gradients then flow back through each process's own outputs, and
are added up (`averaging`). So they are those of one process, up to rounding, whatever the loss.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from likewise import ranks
from likewise.errors import UsageError


def require_enough(images: int) -> None:
    """Insist on a batch that has an image for each process.

    Raises:
        UsageError: there are fewer.
    """
    count = ranks.here().count
    if images < count:
        raise UsageError(
            f"{count} processes are too many for a batch of {images} images; start at most "
            f"{images} (torchrun --nproc-per-node)"
        )


def averaging(model: nn.Module, device: torch.device) -> nn.Module:
    """``model`` with gradients that are averaged over the processes in its backward pass.

    It shares its weights with ``model``; those of the first process become everybody's.
    """
    if ranks.here().alone:
        return model
    return DistributedDataParallel(
        model,
        device_ids=[device] if device.type == "cuda" else None,
        static_graph=True,  # some nets have weights that they don't use
    )


def gathered(part: Float[Tensor, "V b D"], total: int) -> Float[Tensor, "V B D"]:
    """The outputs for all ``total`` images of a batch, from each process's for its share.

    Gradients reach this process's own part alone, since the other processes have the same loss;
    times the number of processes, since they are averaged afterwards (`averaging`).
    """
    if ranks.here().alone:
        return part
    whole: Tensor = _Gathered.apply(part, total)
    return whole


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, total: int) -> Tensor:
        ctx.own = ranks.here().share(total)
        whole = part.new_zeros(len(part), total, *part.shape[2:])
        whole[:, ctx.own] = part
        dist.all_reduce(whole)  # parts may differ in size, which all_gather does not take
        return whole

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad[:, ctx.own] * ranks.here().count, None


def share_out(
    batch: UInt8[Tensor, "V B S S 3"] | None,
    maker: int,
    shape: Sequence[int],
    device: torch.device,
) -> UInt8[Tensor, "V b S S 3"]:
    """Send a batch that the process ``maker`` has, to each process its share; return ours.

    ``shape`` is the whole batch's; the other processes have no ``batch``.
    """
    here = ranks.here()
    views, total, *image = shape
    most = -(-total // here.count)
    own = here.share(total)
    received = torch.empty((views, most, *image), dtype=torch.uint8, device=device)
    parts = None
    if batch is not None:
        batch = batch.to(device, non_blocking=True)
        parts = []
        for number in range(here.count):
            share = ranks.Rank(number, here.count).share(total)
            parts.append(torch.zeros_like(received))
            parts[-1][:, : share.stop - share.start] = batch[:, share]
    dist.scatter(received, parts, src=maker)
    return received[:, : own.stop - own.start]


def reseed(seed: int, epoch: int, step: int) -> None:
    """Give each process random numbers of its own (for dropout), the same when a run goes on.

    A process that is alone goes on with those it has.
    """
    here = ranks.here()
    if not here.alone:
        key = np.random.SeedSequence((seed, epoch, step, here.number))
        torch.manual_seed(int(key.generate_state(1)[0]))
