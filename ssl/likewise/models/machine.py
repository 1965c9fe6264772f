"""What this machine does best: device, precision, threads. Measured, shown, overridable."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from likewise import ranks
from likewise.errors import UsageError
from likewise.models.together import from_first
from likewise.settings import Precision

Chosen = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Machine:
    """Where and how the arithmetic is done."""

    device: torch.device
    precision: Chosen

    def autocast(self) -> AbstractContextManager[object]:
        """The context to run a forward pass in."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def fused(self) -> bool | None:
        """What optimizers are told: on a GPU all weights are updated by one kernel."""
        return True if self.device.type == "cuda" else None

    def __str__(self) -> str:
        return f"{self.device}, {self.precision}"


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
    device: str, precision: Precision, trial: Callable[[Machine], Tensor] | None = None
) -> Machine:
    """Choose device and precision; ``trial`` runs one step and returns its loss.

    With ``precision`` auto both precisions are timed on the trial and the faster one is taken,
    float32 unless bfloat16 gains at least a tenth. Under `torchrun` the first process tries
    for all.
    """
    place = pick_device(device)
    if place.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # shapes stay, so the quickest way is looked for
    if precision != "auto":
        return Machine(place, precision)
    return Machine(place, from_first(lambda: _faster(place, trial)))


def _faster(place: torch.device, trial: Callable[[Machine], Tensor] | None) -> Chosen:
    plain, half = Machine(place, "float32"), Machine(place, "bfloat16")
    if trial is None or not _runs(trial, half):
        return "float32"
    return "bfloat16" if _seconds(trial, half) < 0.9 * _seconds(trial, plain) else "float32"


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
