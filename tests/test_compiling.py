"""torch.compile: only where it pays, never in the way."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likewise.models import compiling
from likewise.models.compiling import Forward, compiled_where_it_pays

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def plain(x: Tensor) -> tuple[Tensor, ...]:
    return (x + 1,)


class Attempts:
    """Counts attempts; what is compiled takes another time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, compiled: float) -> None:
        self.done: list[bool] = []
        self.now = 0.0
        self.compiled = compiled
        monkeypatch.setattr(torch, "compile", self.compile)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def compile(self, call: Forward, dynamic: bool) -> Forward:
        assert not dynamic
        return lambda x: call(x)

    def __call__(self, forward: Forward) -> float:
        self.done.append(forward is not plain)
        self.now += 0.1 if forward is plain else self.compiled
        return float(forward(torch.zeros(1))[0])


@pytest.mark.parametrize(
    ("wanted", "device", "steps", "taken"),
    [
        ("off", GPU, 10**6, False),
        ("auto", CPU, 10**6, False),
        ("auto", GPU, 2990, False),
        ("auto", GPU, 3010, True),
        ("on", GPU, 1, True),
        ("on", CPU, 1, True),
    ],
)
def test_when_it_is_tried(
    wanted: Any, device: torch.device, steps: int, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = Attempts(monkeypatch, compiled=0.05)
    made = compiled_where_it_pays(plain, attempts, wanted, device, steps)
    assert (made is not plain) == taken == any(attempts.done)
    assert (wanted != "off" and (wanted, device) != ("auto", CPU)) == bool(attempts.done)


def test_a_slower_one_is_left_unless_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = Attempts(monkeypatch, compiled=0.2)
    assert compiled_where_it_pays(plain, attempts, "auto", GPU, 10**6) is plain
    assert "200.0 ms, without 100.0" in capsys.readouterr().err
    assert compiled_where_it_pays(plain, attempts, "on", GPU, 10**6) is not plain


@pytest.mark.parametrize("when", ["at once", "in the first step"])
def test_a_failure_is_one_line(
    when: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempts = Attempts(monkeypatch, compiled=0.05)

    def broken(call: Forward, dynamic: bool) -> Callable[[Tensor], tuple[Tensor, ...]]:
        def fails(x: Tensor) -> tuple[Tensor, ...]:
            raise RuntimeError("no compiler here\nand much more")

        if when == "at once":
            raise RuntimeError("no compiler here\nand much more")
        return fails

    monkeypatch.setattr(torch, "compile", broken)
    assert compiled_where_it_pays(plain, attempts, "on", CPU, 1) is plain
    told = capsys.readouterr().err.split()
    assert " ".join(told) == "torch.compile failed, going on without it: no compiler here"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_real_one_gives_the_same_and_changes_no_name() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten())
    names = list(net.state_dict())
    images = torch.randn(4, 3, 8, 8)

    def forward(x: Tensor) -> tuple[Tensor, ...]:
        return (net(x),)

    def attempt(call: Forward) -> float:
        loss = call(images)[0].square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    made = compiled_where_it_pays(forward, attempt, "on", CPU, 1)
    assert made is not forward
    assert torch.allclose(made(images)[0], forward(images)[0], atol=1e-5)
    assert list(net.state_dict()) == names
    assert compiling.PAYS_FROM > 60
