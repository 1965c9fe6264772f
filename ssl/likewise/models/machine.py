"""What this machine does best: device, precision, layout. Measured, shown, overridable."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from likewise import ranks
from likewise.errors import UsageError
from likewise.models.probes import probed
from likewise.models.together import from_first
from likewise.settings import MemoryFormat, Precision

Chosen = Literal["float32", "bfloat16"]
Layout = Literal["channels_last", "contiguous"]
WAYS: tuple[tuple[Chosen, Layout], ...] = (
    ("float32", "contiguous"),
    ("float32", "channels_last"),
    ("bfloat16", "channels_last"),
    ("bfloat16", "contiguous"),
)
"""What is tried, in this order; a later one is taken if it gains at least a tenth."""
GAIN = 1.1


@dataclass(frozen=True)
class Machine:
    """Where and how the arithmetic is done."""

    device: torch.device
    precision: Chosen
    layout: Layout = "channels_last"
    """How images lie in memory: all channels of a pixel together, or channel after channel."""
    told: str = ""
    """What was measured, for people."""

    def autocast(self) -> AbstractContextManager[object]:
        """The context to run a forward pass in."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def memory_format(self) -> torch.memory_format:
        """The layout, as torch calls it."""
        last = self.layout == "channels_last"
        return torch.channels_last if last else torch.contiguous_format

    @property
    def fused(self) -> bool | None:
        """What optimizers are told: on a GPU all weights are updated by one kernel."""
        return True if self.device.type == "cuda" else None

    @property
    def kept(self) -> dict[str, str]:
        """What checkpoints keep, so that a run that goes on computes as before."""
        return {"precision": self.precision, "memory_format": self.layout}

    def __str__(self) -> str:
        return ", ".join(filter(None, (str(self.device), self.precision, self.layout, self.told)))


def pick_device(name: str) -> torch.device:
    """The device that ``name`` means; ``auto`` prefers CUDA, then Apple's GPU, then the CPU.

    Under `torchrun` each process of a machine has a GPU of its own.

    Raises:
        UsageError: no such device here.
    """
    if not ranks.here().alone:
        return _device_of_rank(name)
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name}: {str(error).splitlines()[0]}") from error
    return device


def _device_of_rank(name: str) -> torch.device:
    rank, gpus = ranks.here(), torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not gpus):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise UsageError(
            f"--device {name}: under torchrun say cuda, and each process takes one GPU "
            "(CUDA_VISIBLE_DEVICES chooses which), or cpu"
        )
    if rank.local_count > gpus:
        raise UsageError(
            f"{rank.local_count} processes on this machine, which has {gpus} GPU(s); start "
            "one for each (torchrun --nproc-per-node), or say --device cpu"
        )
    torch.cuda.set_device(rank.local)
    return torch.device("cuda", rank.local)


def pick_machine(
    device: str,
    precision: Precision,
    layout: MemoryFormat,
    trial: Callable[[Machine], Tensor] | None = None,
    subject: str = "",
) -> Machine:
    """Choose device, precision and layout; ``trial`` runs one step and returns its loss.

    A precision of "auto" is timed on the trial, with either layout if that is "auto" too: float32
    and channel after channel unless another way gains at least a tenth. Without a trial it is
    float32, and a layout of "auto" channels_last, as it is where the precision is named: then
    nothing depends on the clock. What was measured for
    a ``subject`` (net, size, batch, purpose) is remembered on this machine
    (`likewise.models.probes`). Under `torchrun` the first process tries for all.
    """
    place = pick_device(device)
    if place.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # shapes stay, so the quickest way is looked for
    if layout == "auto" and precision != "auto":
        layout = "channels_last"
    ways = [
        (one, other)
        for one, other in WAYS
        if precision in ("auto", one) and layout in ("auto", other)
    ]
    if len(ways) == 1 or trial is None:
        given = Machine(place, "float32" if precision == "auto" else precision)
        return given if layout == "auto" else replace(given, layout=layout)
    machines = [Machine(place, *way) for way in ways]
    return from_first(lambda: _fastest(machines, trial, subject))


def _fastest(
    machines: Sequence[Machine], trial: Callable[[Machine], Tensor], subject: str
) -> Machine:
    names = [f"{each.precision} {each.layout}" for each in machines]

    def measure() -> dict[str, float]:
        usable = [_runs(trial, each) for each in machines]
        return {
            name: _seconds(trial, each)
            for name, each, runs in zip(names, machines, usable, strict=True)
            if runs
        }

    key = f"{machines[0].device} {subject}: {', '.join(names)}" if subject else ""
    times, when = probed(key, measure)
    best: str | None = None
    for name in names:
        if name in times and (best is None or times[name] * GAIN <= times[best]):
            best = name
    chosen = machines[names.index(best) if best else 0]
    slowest = max(times.values(), default=0.0)
    ratio = slowest / times[best] if best else 1.0
    told = f"{ratio:.1f} times as quick as the slowest way, {when}" if len(times) > 1 else ""
    return replace(chosen, told=told)


def _runs(trial: Callable[[Machine], Tensor], machine: Machine) -> bool:
    try:
        return bool(torch.isfinite(trial(machine)).all())
    except RuntimeError:
        return False


def _seconds(trial: Callable[[Machine], Tensor], machine: Machine, repeats: int = 3) -> float:
    trial(machine)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        trial(machine).item()
        times.append(time.perf_counter() - start)
    return min(times)
