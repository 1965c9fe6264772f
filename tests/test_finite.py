"""Numbers that are not finite stop a training before they reach the weights, also on a GPU."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from likewise.errors import LikewiseError
from likewise.training import finite
from likewise.training.batches import Request
from likewise.training.finite import Finite, FiniteOnDevice

ROWS = np.arange(1)


class Steps:
    """Steps of a small net, as the loop does them."""

    def __init__(self, kind: str, on_device: bool) -> None:
        torch.manual_seed(0)
        self.net = nn.Linear(3, 1)
        rate = {"lr": 0.02, "weight_decay": 0.01, "fused": True}
        parameters = self.net.parameters()
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(parameters, momentum=0.9, **rate)  # type: ignore[arg-type]
            if kind == "sgd"
            else torch.optim.AdamW(parameters, **rate)  # type: ignore[arg-type]
        )
        self.losses: list[float] = []
        self.watch = (
            FiniteOnDevice(self.losses.append, self.optimizer)
            if on_device
            else Finite(self.losses.append)
        )

    def step(self, number: int, factor: float = 1.0, slope: float = 1.0) -> None:
        """The loss is multiplied by ``factor``, its gradient alone by ``slope``."""
        request = Request(number // 10, number % 10, ROWS)
        x = torch.linspace(-1, 1, 12, dtype=torch.float32).view(4, 3) + number % 7 / 10
        loss = self.net(x).square().mean() * factor
        self.watch.before_backward(request, loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        assert self.net.weight.grad is not None
        self.net.weight.grad.mul_(slope)
        norm = nn.utils.get_total_norm([each.grad for each in self.net.parameters()])  # type: ignore[misc]
        self.watch.before_step(request, loss, norm)
        self.optimizer.step()
        self.watch.after_step(loss)

    def weights(self) -> Tensor:
        return self.net.weight.detach().clone()


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_both_keep_the_same_losses_and_weights(kind: str) -> None:
    here, there = Steps(kind, on_device=False), Steps(kind, on_device=True)
    for number in range(finite.EVERY + 7):
        here.step(number)
        there.step(number)
    assert len(there.losses) == finite.EVERY
    there.watch.fetch()
    there.watch.fetch()
    assert there.losses == here.losses
    assert torch.equal(there.weights(), here.weights())
    assert len(set(here.losses)) == len(here.losses)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
@pytest.mark.parametrize(
    ("factor", "slope", "what"),
    [(float("nan"), 1.0, "loss"), (float("inf"), 1.0, "loss"), (1.0, float("inf"), "gradient")],
)
def test_the_weights_of_the_last_good_step_stay(
    kind: str, factor: float, slope: float, what: str
) -> None:
    good, steps = Steps(kind, on_device=True), Steps(kind, on_device=True)
    for number in range(12):
        good.step(number)
        steps.step(number)
    steps.step(12, factor, slope)
    for number in range(13, 17):
        steps.step(number)
    assert torch.equal(steps.weights(), good.weights())
    with pytest.raises(LikewiseError, match=f"the {what} is not finite at epoch 2, step 3; the"):
        steps.watch.fetch()
    assert len(steps.losses) == 12


def test_on_the_cpu_it_is_told_at_once() -> None:
    steps = Steps("sgd", on_device=False)
    steps.step(0)
    before = steps.weights()
    with pytest.raises(LikewiseError, match="the loss is not finite at epoch 1, step 2"):
        steps.step(1, factor=float("nan"))
    with pytest.raises(LikewiseError, match="the gradient is not finite at epoch 1, step 3"):
        steps.step(2, slope=float("inf"))
    assert torch.equal(steps.weights(), before)
    assert len(steps.losses) == 1
