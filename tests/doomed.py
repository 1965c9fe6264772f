"""Commands that are killed at a given place; run in processes of `tests.warmed`."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from likewise import cli
from likewise.models.backbones import Backbone
from likewise.models.runs import Run
from likewise.neighbours.parts import Part
from likewise.training import checkpoint, pretrain, saving
from likewise.training.losses import simsiam_loss

Where = Literal[
    "before step",
    "after step",
    "in save",
    "in batch",
    "workers start",
    "embedded",
    "bad input",
    "bad loss",
    "bad gradient",
]


@dataclass(frozen=True)
class Doom:
    """When a process sends a signal."""

    where: Where
    count: int
    """The first time, the second time, ... that it comes there."""
    number: int
    """Of the signal."""
    group: bool = False
    """To all processes of its group, else to itself."""

    def reached(self, *_: object) -> None:
        """Send the signal, and note when."""
        Path(os.environ["TOLD"]).with_name("told.signal").write_text(str(time.time()))
        if self.group:
            os.killpg(os.getpgrp(), self.number)
        else:
            os.kill(os.getpid(), self.number)

    def arm(self) -> None:
        """Have the signal sent when its place is reached."""
        match self.where:
            case "before step" | "after step":
                before = self.where == "before step"
                for kind in (torch.optim.SGD, torch.optim.AdamW):
                    self._watch(kind, "step", before)
            case "in save":
                self._watch(checkpoint, "seal", before=True)
            case "in batch":
                self._watch(pretrain, "simsiam_loss", before=True)
            case "embedded":
                self._watch(Part, "add", before=False)
            case "bad input" | "bad loss" | "bad gradient":
                spoil(self.where, self.count)
            case "workers start":
                start: Callable[[Any], Iterator[Any]] = DataLoader.__iter__

                def started(loader: Any) -> Iterator[Any]:
                    timer = threading.Timer(self.count / 1000, self.reached)
                    timer.start()
                    return start(loader)

                DataLoader.__iter__ = started  # type: ignore[method-assign,assignment]

    def _watch(self, place: Any, name: str, before: bool) -> None:
        work, left = getattr(place, name), self.count

        def watched(*given: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if before and left == 0:
                self.reached()
            done = work(*given, **options)
            if not before and left == 0:
                self.reached()
            return done

        setattr(place, name, watched)


def spoil(what: str, count: int) -> None:
    """Let an input, the loss or a gradient not be finite at the step of this number."""
    left = count
    normalise, loss_of = Backbone.normalise, simsiam_loss

    def spoilt_input(net: Backbone, views: Tensor) -> Tensor:
        given: Tensor = normalise(net, views)
        if net.training and left == 1:
            given[0, 0, 0, 0] = math.nan
        return given

    def spoilt_loss(p: Tensor, z: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        if left == 0 and what == "bad loss":
            return loss_of(p, z) * math.inf
        if left == 0 and what == "bad gradient":
            p.register_hook(lambda gradient: gradient * math.nan)  # type: ignore[no-untyped-call]
        return loss_of(p, z)

    setattr(pretrain, "simsiam_loss", spoilt_loss)  # noqa: B010 - mypy knows it as a function
    if what == "bad input":
        Backbone.normalise = spoilt_input  # type: ignore[method-assign,assignment]


def command(
    words: Sequence[str], environment: dict[str, str], err: Path, doom: Doom | None
) -> None:
    """Run a command of `likewise`, which says what it says in a file."""
    os.environ.update(environment | {"TOLD": str(err)})
    told = os.open(err, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    torch.set_num_threads(1)
    saving.SHARE = 0  # a checkpoint after each epoch, however short
    cli._GRACE = 0.0
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if doom is not None:
        doom.arm()
    os._exit(cli.run(list(words)))


def write_checkpoints(folder: Path, heard: Path) -> None:
    """Write one after the other; say of each in a file that it is written, until killed."""
    tell = os.open(heard, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    run = Run(folder, "pretrain", {}, "", None)
    number = int(checkpoint.read_checkpoint(run)["number"]) if checkpoint.has_checkpoint(run) else 0
    while True:
        number += 1
        weights = torch.full((20_000,), float(number))
        checkpoint.write_checkpoint(run, {"number": number, "weights": weights})
        os.write(tell, f"{number}\n".encode())
