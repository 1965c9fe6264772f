"""Batch norm over the images of all processes, as if one process had the whole batch.

SimSiam depends on it: Chen & He 2021 (section 3) use synchronised batch norm, and with the few
images of one process the statistics would be others than with one GPU.

Nets stay as they are: within `joint_norms` their calls of `torch.nn.functional.batch_norm` come
here instead. So any net will do (timm has norms with an activation inside that torch's
`convert_sync_batchnorm` would lose), and names of weights are those of one process.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch import distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules._functions import SyncBatchNorm  # what torch.nn.SyncBatchNorm calls
from torch.overrides import TorchFunctionMode

from likewise import ranks


def joint_norms() -> AbstractContextManager[object]:
    """Within it batch norms that are in training mode take the statistics of all processes.

    Every process must then run the same norms in the same order, forward and backward. Processes
    may have different numbers of images, each at least one.
    """
    return nullcontext() if ranks.here().alone else _Joint()


class _Joint(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is functional.batch_norm:
            func = joint_batch_norm
        return func(*args, **(kwargs or {}))


def joint_batch_norm(
    input: Float[Tensor, "B C *S"],  # noqa: A002 (as torch calls it)
    running_mean: Float[Tensor, " C"] | None,
    running_var: Float[Tensor, " C"] | None,
    weight: Float[Tensor, " C"] | None = None,
    bias: Float[Tensor, " C"] | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Float[Tensor, "B C *S"]:
    """`torch.nn.functional.batch_norm`; in training over the images of all processes.

    Gradients of weight and bias are those by way of this process's images: their sum over the
    processes is the gradient of the joint batch.
    """
    if not training:
        return functional.batch_norm(
            input, running_mean, running_var, weight, bias, False, momentum, eps
        )
    settings = (running_mean, running_var, eps, momentum)
    if input.is_cuda:
        world = (dist.group.WORLD, dist.get_world_size())
        normed: Tensor = SyncBatchNorm.apply(input, weight, bias, *settings, *world)
        return normed
    normed = _JointBatchNorm.apply(input, weight, bias, *settings)
    return normed


class _JointBatchNorm(torch.autograd.Function):
    """Ioffe & Szegedy 2015, with the sums over the batch taken over all processes.

    torch's own (`torch.nn.SyncBatchNorm`) is for GPUs alone. Statistics are float32 or better.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        eps: float,
        momentum: float,
    ) -> Tensor:
        mean, var, count = _joint_moments(x)
        ctx.save_for_backward(x, weight, mean, (var + eps).rsqrt(), count)
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
        return functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale, count = ctx.saved_tensors
        wide, shape = _wide(x), _per_channel(x)
        grad = grad.to(wide)
        centred = x.to(wide) - mean.view(shape)
        own = torch.stack((_sums(grad), _sums(grad * centred)))
        ours = own.clone()
        dist.all_reduce(ours)
        level, slope = (ours / count).unbind()
        grad_x = grad - level.view(shape) - centred * (slope * scale.square()).view(shape)
        grad_x *= (scale if weight is None else scale * weight).view(shape)
        grads = (None, None) if weight is None else (own[1] * scale, own[0])
        return grad_x.to(x.dtype), *grads, None, None, None, None


def _joint_moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance of each channel over all processes, and the number of values.

    Variances are combined from each process's own about its mean (Chan et al. 1979), which loses no
    digits where the mean is large.
    """
    var, mean = torch.var_mean(x.to(_wide(x)), [0, *range(2, x.dim())], correction=0)
    own = torch.cat((mean, var, mean.new_tensor([x.numel() / x.shape[1]])))
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    means, variances, counts = torch.split(torch.stack(every), [len(mean), len(mean), 1], dim=1)
    share = counts / counts.sum()
    joint = (means * share).sum(dim=0)
    spread = ((variances + (means - joint).square()) * share).sum(dim=0)
    return joint, spread, counts.sum()


def _sums(values: Tensor) -> Tensor:
    """The sum of each channel."""
    return values.sum([0, *range(2, values.dim())])


def _per_channel(x: Tensor) -> tuple[int, ...]:
    return (1, -1) + (1,) * (x.dim() - 2)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
