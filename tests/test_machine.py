"""What the machine does best: measured once, remembered, shown, and overruled by flags."""

import json
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from likewise.errors import UsageError
from likewise.models import probes
from likewise.models.backbones import Architecture, Backbone
from likewise.models.machine import WAYS, Machine, pick_machine

PACE = {
    ("float32", "contiguous"): 0.02,
    ("float32", "channels_last"): 0.014,
    ("bfloat16", "channels_last"): 0.004,
    ("bfloat16", "contiguous"): 0.0038,
}
"""Seconds that a trial pretends to need; the last way gains less than a tenth."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(probes, "BUSY", 1e9)
    return tmp_path / "cache" / "probes.json"


class Trial:
    """Counts how often it ran, and takes its time."""

    def __init__(self) -> None:
        self.ways = list[tuple[str, str]]()

    def __call__(self, machine: Machine) -> Tensor:
        self.ways.append((machine.precision, machine.layout))
        time.sleep(PACE[machine.precision, machine.layout])
        return torch.zeros(())


def test_the_quickest_way_is_taken_and_a_small_gain_is_not_enough() -> None:
    machine = pick_machine("cpu", "auto", "auto", Trial())
    assert (machine.precision, machine.layout) == ("bfloat16", "channels_last")
    assert machine.memory_format == torch.channels_last
    assert "times as quick as the slowest way, measured now" in str(machine)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_asked_for_is_not_tried(way: tuple[str, str]) -> None:
    trial = Trial()
    machine = pick_machine("cpu", *way, trial)  # type: ignore[arg-type]
    assert (machine.precision, machine.layout) == way
    assert not trial.ways


def test_a_named_layout_leaves_the_precision_open() -> None:
    trial = Trial()
    machine = pick_machine("cpu", "auto", "contiguous", trial)
    assert (machine.precision, machine.layout) == ("bfloat16", "contiguous")
    assert {layout for _, layout in trial.ways} == {"contiguous"}


def test_with_a_named_precision_nothing_depends_on_the_clock() -> None:
    trial = Trial()
    machine = pick_machine("cpu", "float32", "auto", trial)
    assert (machine.precision, machine.layout) == ("float32", "channels_last")
    assert not trial.ways


def test_what_was_measured_is_remembered_for_that_subject_alone() -> None:
    first, second, other = Trial(), Trial(), Trial()
    made = pick_machine("cpu", "auto", "auto", first, "train small at 28 px")
    again = pick_machine("cpu", "auto", "auto", second, "train small at 28 px")
    assert not second.ways
    assert (again.precision, again.layout) == (made.precision, made.layout)
    assert "measured 20" in str(again)
    pick_machine("cpu", "auto", "auto", other, "train small at 64 px")
    assert other.ways


def test_measurements_on_a_busy_machine_are_not_remembered(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(probes, "BUSY", -1.0)
    pick_machine("cpu", "auto", "auto", Trial(), "train small at 28 px")
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": [{"x": "y"}, 1]}'])
def test_a_damaged_memory_is_measured_over(cache: Path, content: str) -> None:
    cache.parent.mkdir()
    cache.write_text(content)
    trial = Trial()
    pick_machine("cpu", "auto", "auto", trial, "train small at 28 px")
    assert trial.ways
    assert len(json.loads(cache.read_text())) == 1


def test_without_a_place_to_remember_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_CACHE", "/proc/no/such/place")
    assert pick_machine("cpu", "auto", "auto", Trial(), "x").precision == "bfloat16"


def test_a_way_that_fails_is_not_taken() -> None:
    def trial(machine: Machine) -> Tensor:
        if machine.precision == "bfloat16":
            raise RuntimeError("not implemented for bfloat16")
        return torch.tensor(torch.nan if machine.layout == "contiguous" else 0.0)

    machine = pick_machine("cpu", "auto", "auto", trial)
    assert (machine.precision, machine.layout) == ("float32", "channels_last")


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(UsageError, match="--device nowhere"):
        pick_machine("nowhere", "float32", "channels_last")


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_weights_and_images_lie_alike_and_compute_the_same(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    backbone = Backbone(Architecture("none", 9), net, 8).eval()
    images = torch.randint(256, (2, 9, 9, 3), dtype=torch.uint8)
    before = backbone.embed(images)
    backbone.place_on(torch.device("cpu"), layout)
    assert backbone.normalise(images).is_contiguous(memory_format=layout)
    weight = next(backbone.parameters())
    assert weight.is_contiguous(memory_format=layout)
    torch.testing.assert_close(backbone.embed(images), before, atol=1e-6, rtol=1e-5)
