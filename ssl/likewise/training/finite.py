"""Losses and gradients that are not finite stop a training before they reach the weights.

To look at a number that a GPU computes is to wait for it, and while one waits the GPU gets nothing
to do. So there the GPU looks itself: the optimizer is told by a number on the GPU to leave the
weights alone (as `torch.amp.GradScaler` does), and losses are fetched many at a time.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

from likewise import ranks
from likewise.errors import LikewiseError
from likewise.files import write_text
from likewise.models.runs import Run
from likewise.training.batches import Request

EVERY = 50
"""Steps after which losses are fetched from a GPU."""
NAMED = 5
"""Images that are named in a message."""


class NotFinite(LikewiseError):
    """The loss or a gradient is not finite."""

    def __init__(self, what: str, request: Request) -> None:
        super().__init__(
            f"the {what} is not finite at epoch {request.epoch + 1}, step {request.step + 1}; the "
            "weights of the last checkpoint are kept. Try half the --lr, or --precision float32"
        )
        self.request = request


@contextmanager
def naming_images(images_of: Callable[[Request], list[str]], run: Run) -> Iterator[None]:
    """Name the images of the step at which something is not finite: one of them may be the cause.

    Where they are many the first ones are named, and a file beside the runs names all.
    """
    try:
        yield
    except NotFinite as error:
        paths = images_of(error.request)
        told = ", ".join(paths[:NAMED])
        if len(paths) > NAMED:
            runs = next(each for each in run.folder.parents if each.name == "runs")
            file = runs / "not-finite.txt"
            if ranks.here().first:
                write_text(file, f"{error}\n\n" + "\n".join(paths) + "\n")
            told += f" and {len(paths) - NAMED} more, see {file}"
        raise LikewiseError(f"{error}. The images of this step: {told}") from error


class Finite:
    """Watches each step, and keeps the losses.

    Args:
        keep: Takes the loss of each step, in order.
    """

    def __init__(self, keep: Callable[[float], None]) -> None:
        self.keep = keep

    def before_backward(self, request: Request, loss: Tensor) -> None:
        """Look at the loss.

        Raises:
            LikewiseError: it is not finite.
        """
        if not torch.isfinite(loss).all():
            raise NotFinite("loss", request)

    def before_step(self, request: Request, loss: Tensor, norm: Tensor) -> None:
        """Look at the norm of the gradient.

        Raises:
            LikewiseError: it is not finite.
        """
        if not torch.isfinite(norm).all():
            raise NotFinite("gradient", request)

    def after_step(self, loss: Tensor) -> None:
        """Write down the loss."""
        self.keep(loss.item())

    def fetch(self) -> None:
        """Write down all losses so far."""


def finite_for(optimizer: Optimizer, keep: Callable[[float], None]) -> Finite:
    """What watches the steps of an optimizer; see `Finite` and `FiniteOnDevice`."""
    if all(group.get("fused") for group in optimizer.param_groups):
        return FiniteOnDevice(keep, optimizer)
    return Finite(keep)


class FiniteOnDevice(Finite):
    """The same for an optimizer with ``fused=True``, without waiting.

    From the first step on whose loss or gradient is not finite the weights stay as they are; it is
    told when the losses are fetched.
    """

    def __init__(self, keep: Callable[[float], None], optimizer: Optimizer) -> None:
        super().__init__(keep)
        self.optimizer = optimizer
        self.broken = torch.zeros((), device=_weight_of(optimizer).device)
        self.waiting: list[tuple[Request, Tensor, Tensor]] = []

    def before_backward(self, request: Request, loss: Tensor) -> None:
        """Nothing: `before_step` looks at both."""

    def before_step(self, request: Request, loss: Tensor, norm: Tensor) -> None:
        """Let the device look; the optimizer asks it."""
        kept = loss.detach().float()
        wrong = 1 - (kept + norm).isfinite().float()
        self.broken = torch.maximum(self.broken, wrong)
        self.optimizer.found_inf = self.broken  # type: ignore[attr-defined]
        self.waiting.append((request, kept, wrong))

    def after_step(self, loss: Tensor) -> None:
        """Fetch the losses now and then.

        Raises:
            LikewiseError: one of them, or of the gradients, was not finite.
        """
        if len(self.waiting) == EVERY:
            self.fetch()

    def fetch(self) -> None:
        """Fetch all losses so far.

        Raises:
            LikewiseError: one of them, or of the gradients, was not finite.
        """
        if not self.waiting:
            return
        requests, losses, wrong = zip(*self.waiting, strict=True)
        self.waiting = []
        both = torch.stack((torch.stack(losses), torch.stack(wrong)), dim=1).tolist()
        for request, (loss, bad) in zip(requests, both, strict=True):
            if bad:
                raise NotFinite("gradient" if math.isfinite(loss) else "loss", request)
            self.keep(loss)


def _weight_of(optimizer: Optimizer) -> Tensor:
    weight: Tensor = optimizer.param_groups[0]["params"][0]
    return weight
