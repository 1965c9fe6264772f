"""The benchmark of one GPU, on a CPU: it counts right, stops, goes on and tells."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu import __main__ as benchmark
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.flops import flops_per_image, peak_of
from benchmarks.gpu.quality import accuracies
from benchmarks.gpu.report import model_of
from benchmarks.gpu.stages import OutOfTime, Plan, Stages
from likewise.api import Workspace
from likewise.models.machine import Machine
from likewise.models.nets import build_backbone

CPU = Machine(torch.device("cpu"), "float32")


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """64 images of 32 px to train on and 20 to test on, of four colours, which are the classes."""
    random = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 5)):
        for place, colour in enumerate([(200, 40, 40), (40, 200, 40), (40, 40, 200), (90, 90, 90)]):
            for number in range(count):
                noise = random.integers(0, 40, (32, 32, 3)) + np.array(colour)
                file = tmp_path / "cifar" / part / f"class-{place}" / f"{number:04}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(noise.astype(np.uint8)).save(file)
    return tmp_path / "cifar"


def test_the_flops_of_the_papers_net() -> None:
    """ResNet-18 with the small stem does .56 G multiply-adds forward, thrice that in all."""
    model = model_of(Plan())
    heads = 3 * 2 * (512 * 2048 + 2 * 2048**2 + 2 * 2048 * 512)
    first = 2 * 3 * 9 * 64 * 32 * 32  # whose input needs no gradient
    found = flops_per_image(model, 32, views=2)
    assert found == pytest.approx(2 * (3 * 2 * 0.5556e9 + heads - first), rel=0.01)
    assert flops_per_image(model, 32, views=4) == pytest.approx(2 * found)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("AMD EPYC 7B13", None),
        ("NVIDIA L400", None),
    ],
)
def test_the_peak_is_known_by_the_devices_name(name: str, peak: float | None) -> None:
    assert peak_of(name) == peak


def test_what_is_told_by_colour_is_told(cifar: Path, tmp_path: Path) -> None:
    train, test = (Workspace(tmp_path / part) for part in ("train", "test"))
    for each in (train, test):
        each.ingest(cifar / each.path.name)
    torch.manual_seed(0)
    backbone = build_backbone("small", image_size=32)
    found = accuracies(backbone, train.images(), test.images(), CPU, 30, 0)
    assert found == {"knn": 1.0, "linear": 1.0}


def test_a_budget_ends_with_ctrl_c_and_not_after_the_block() -> None:
    assert Budget(None).left == float("inf")
    with pytest.raises(KeyboardInterrupt), Budget(0.002).ctrl_c_at_the_end():
        time.sleep(30)
    with Budget(0.005).ctrl_c_at_the_end():
        pass
    time.sleep(0.5)


def test_it_stops_goes_on_and_tells(
    cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    words = ["gpu", str(cifar), "--work", str(work), "--epochs", "2", "--backbone", "small"]
    words += ["--batch-size", "16", "--projector-dim", "32", "--linear-epochs", "3"]
    words += ["--device", "cpu", "--precision", "float32", "--views-on", "device"]
    monkeypatch.setattr(sys, "argv", words)
    original, steps = torch.optim.SGD.step, []

    def step(optimizer: torch.optim.SGD) -> None:
        original(optimizer)
        steps.append(1)
        if len(steps) == 6:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", step)
        assert benchmark.main() == benchmark.MORE_TO_DO
    assert "the same command goes on" in capsys.readouterr().err
    assert not (work / "result.md").exists()
    before = json.loads((work / "measured.json").read_text())
    assert before["ingested"] == {"train": 64, "test": 20}
    assert benchmark.main() == 0
    told = capsys.readouterr()
    assert "going on at epoch 2, step 3" in told.err
    text = (work / "result.md").read_text()
    assert text.strip() in told.out
    (row,) = [line for line in text.splitlines() if line.startswith("| 2 |")]
    assert "| unknown | none |" in row
    assert (work / "curve.png").stat().st_size > 1000
    after = json.loads((work / "measured.json").read_text())
    assert after["seconds"]["epochs-2"] > before["seconds"]["epochs-2"]
    assert 0 <= after["accuracies"]["epochs-2"]["linear"] <= 1
    assert benchmark.main() == 0
    assert capsys.readouterr().out == told.out
    (work / "measured.json").write_text(json.dumps(after | {"options": {"so": 1234.0}}))
    assert benchmark.main() == 0
    assert "| so | 1,234 |" in capsys.readouterr().out


def test_settings_are_compared_once_and_only_if_there_is_time(cifar: Path, tmp_path: Path) -> None:
    plan = Plan("small", batch_size=32, projector_dim=32, device="cpu", precision="float32")
    options = {"there": {"views_on": "device"}, "here": {"views_on": "cpu"}}
    stages = Stages(tmp_path / "work", plan, Budget(None))
    stages.ingest(cifar)
    stages.compare_options(options)
    found = Stages(tmp_path / "work", plan, Budget(0.0))
    found.compare_options(options)
    assert found.measured["options"] == stages.measured["options"]
    assert set(found.measured["options"]) == {"there", "here"}
    assert all(rate > 0 for rate in found.measured["options"].values())
    with pytest.raises(OutOfTime):
        found.compare_options({"other": {}})


def test_a_folder_without_the_parts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", str(tmp_path), "--work", str(tmp_path / "work")])
    assert benchmark.main() == 1
    assert "train is no folder" in capsys.readouterr().err
