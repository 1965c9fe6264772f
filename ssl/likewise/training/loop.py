"""The one training loop: pretraining and fine-tuning run it with another loss.

Under `torchrun` every process runs it, step by step together; the first one writes.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from likewise import ranks
from likewise.models.runs import Run
from likewise.models.threads import Threads
from likewise.models.together import any_of_us, from_first
from likewise.progress import progress, say
from likewise.training.batches import Request
from likewise.training.checkpoint import has_checkpoint, read_checkpoint, write_checkpoint
from likewise.training.finite import finite_for, naming_images
from likewise.training.saving import Saving
from likewise.training.shares import reseed


@dataclass
class Position:
    """How far a run is, and what it has measured."""

    epoch: int = 0
    step: int = 0
    """Within the epoch."""
    seconds: float = 0.0
    """Spent in training so far."""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    """One row per finished epoch."""
    losses: list[float] = field(default_factory=list)
    """Of the steps of the present epoch."""


@dataclass(frozen=True)
class Training:
    """What the loop needs: a model, its optimizer, and what to do at each turn."""

    run: Run
    model: nn.Module
    optimizer: Optimizer
    epochs: int
    steps_per_epoch: int
    images_per_step: int
    loss_of: Callable[[Request, Tensor], Tensor]
    """The loss of one batch, from (our share of) its views."""
    set_lr: Callable[[float], None]
    """Set the learning rates for a progress between 0 and 1."""
    after_epoch: Callable[[dict[str, Any]], dict[str, float]]
    """Measures to add to the epoch's row, which it is given."""
    images_of: Callable[[Request], list[str]]
    """Paths of a request's images, to name them."""
    threads: Threads
    after_step: Callable[[int], None] = lambda steps: None
    """Is told how many steps were made in all."""
    kept: dict[str, Any] = field(default_factory=dict)
    """Further plain values and tensors that checkpoints keep and bring back."""


def train(
    training: Training, position: Position, batches: Iterable[tuple[Request, Tensor]]
) -> None:
    """Train from ``position`` to the end, saving after epochs and when interrupted.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the state was saved.
        LikewiseError: the loss is not finite, or a file cannot be written.
    """
    total = training.epochs * training.steps_per_epoch
    done = position.epoch * training.steps_per_epoch + position.step
    unit, size = "images", training.images_per_step
    watch, saving = (
        finite_for(training.optimizer, lambda loss: position.losses.append(loss)),
        Saving(),
    )
    with (
        _stop_requests() as stopped,
        progress(training.run.name, total * size, unit, done * size) as advance,
        _tensorboard(training.run) as board,
        naming_images(training.images_of, training.run),
    ):
        started = time.perf_counter()
        for request, views in batches:
            training.set_lr((position.epoch * training.steps_per_epoch + position.step) / total)
            reseed(training.run.settings["seed"], position.epoch, position.step)
            loss = training.loss_of(request, views)
            watch.before_backward(request, loss)
            training.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.get_total_norm(
                [each.grad for each in training.model.parameters() if each.grad is not None]
            )
            watch.before_step(request, loss, norm)
            training.optimizer.step()
            watch.after_step(loss)
            position.step += 1
            training.after_step(position.epoch * training.steps_per_epoch + position.step)
            advance(size)
            training.threads.adapt()
            if position.step == training.steps_per_epoch:
                watch.fetch()
                now = time.perf_counter()
                position.seconds += now - started
                _finish_epoch(training, position, board, saving)
                started = time.perf_counter()
            if any_of_us(stopped.is_set()):
                watch.fetch()
                position.seconds += time.perf_counter() - started
                save_checkpoint(training, position)
                raise KeyboardInterrupt


def _finish_epoch(training: Training, position: Position, board: Any, saving: Saving) -> None:
    row = {
        "epoch": position.epoch + 1,
        "loss": math.fsum(position.losses) / len(position.losses),
        "lr": training.optimizer.param_groups[0]["lr"],
        "steps": (position.epoch + 1) * training.steps_per_epoch,
        "seconds": round(position.seconds, 3),
    }
    row |= from_first(lambda: training.after_epoch(row))
    position.metrics.append(row)
    position.epoch, position.step, position.losses = position.epoch + 1, 0, []
    last = position.epoch == training.epochs
    if from_first(lambda: last or saving.due()):
        with saving.writing():
            save_checkpoint(training, position)
    from_first(lambda: training.run.write_metrics(position.metrics))
    for key, value in row.items():
        if board and key not in ("epoch", "steps", "seconds"):
            board.add_scalar(key, value, row["epoch"])


def save_checkpoint(training: Training, position: Position) -> None:
    """Write everything that a resumed run needs; no process goes on before it is written.

    Raises:
        LikewiseError: the file could not be written; the old one is kept.
    """
    from_first(lambda: _write_checkpoint(training, position))


def _write_checkpoint(training: Training, position: Position) -> None:
    state = {
        "model": training.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "position": vars(position),
        "random": torch.get_rng_state(),
        "kept": training.kept,
    }
    write_checkpoint(training.run, state)


def load_checkpoint(training: Training) -> Position:
    """Restore an interrupted training; a fresh position if it has no checkpoint.

    Raises:
        LikewiseError: the checkpoint cannot be read, nor is there one before it.
    """
    if not from_first(lambda: has_checkpoint(training.run)):
        return Position()
    saved = read_checkpoint(training.run)
    training.model.load_state_dict(saved["model"])
    for group, own in zip(
        saved["optimizer"]["param_groups"], training.optimizer.param_groups, strict=True
    ):
        group["fused"] = own["fused"]  # the run may have begun on another device
    training.optimizer.load_state_dict(saved["optimizer"])
    training.kept.update(saved["kept"])
    torch.set_rng_state(saved["random"])
    return Position(**saved["position"])


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, so that a step is never cut in half.

    A second Ctrl-C stops at once.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def request(number: int, frame: object) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()
        say("stopping after this step; the state is saved ...")

    old = {each: signal.signal(each, request) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _tensorboard(run: Run) -> Iterator[Any]:
    if not ranks.here().first:
        yield None
        return
    from torch.utils.tensorboard.writer import SummaryWriter

    writer = SummaryWriter(str(run.folder / "tensorboard"))
    try:
        yield writer
    finally:
        writer.close()
