"""`torch.compile` where it pays, and never in the way.

What is compiled is a call, not a module, so that names of weights, checkpoints and model files are
what they were.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from likewise.files import reason_of
from likewise.progress import say
from likewise.settings import Compile

Forward = Callable[[Tensor], tuple[Tensor, ...]]

PAYS_FROM = 300.0
"""Seconds of training from which on a minute of compiling is worth a try."""


def compiled_where_it_pays(
    plain: Forward,
    attempt: Callable[[Forward], float],
    wanted: Compile,
    device: torch.device,
    steps: int,
) -> Forward:
    """``plain``, or what `torch.compile` makes of it.

    Args:
        plain: The forward pass.
        attempt: Does a whole step by the forward pass that it is given, waits for it, and undoes
            what it changed.
        wanted: auto: on CUDA, if the ``steps`` take long enough and come out quicker.
        device: Where it runs.
        steps: How many are to be done.
    """
    if wanted == "off" or (wanted == "auto" and device.type != "cuda"):
        return plain
    before = _seconds(plain, attempt)
    if wanted == "auto" and before * steps < PAYS_FROM:
        return plain
    began = time.perf_counter()
    try:
        made: Forward = torch.compile(plain, dynamic=False)
        after = _seconds(made, attempt)
    except Exception as error:  # compilers of many makers
        say(f"torch.compile failed, going on without it: {reason_of(error)}")
        return plain
    told = (
        f"torch.compile: a step takes {1000 * after:,.1f} ms, without {1000 * before:,.1f} "
        f"({time.perf_counter() - began:,.0f} s to find out)"
    )
    if wanted == "auto" and after > before:
        say(f"{told}; going on without it")
        return plain
    say(told)
    return made


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """What is done to a model within it, and to the random numbers, is undone; gradients go."""
    before = [(each, each.clone()) for each in model.buffers()]
    gpus = {each.device for each in model.parameters() if each.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(gpus)):
        yield
    for buffer, value in before:
        buffer.copy_(value)
    model.zero_grad(set_to_none=True)


def _seconds(forward: Forward, attempt: Callable[[Forward], float], repeats: int = 3) -> float:
    attempt(forward)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        attempt(forward)
        times.append(time.perf_counter() - start)
    return min(times)
