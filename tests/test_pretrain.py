"""Pretraining: it learns, it resumes exactly, it tells what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.models.machine import Machine
from likewise.models.model_files import load_model
from likewise.models.runs import runs_of
from likewise.settings import Ingest, Pretrain
from likewise.training import pretrain as pretrain_module
from likewise.training.checkpoint import read_checkpoint
from likewise.training.losses import simsiam_loss
from likewise.training.pretrain import pretrain
from likewise.training.resident import Resident
from likewise.workspace import Workspace

TINY = {
    "batch_size": 8,
    "epochs": 3,
    "projector_dim": 32,
    "predictor_dim": 8,
    "preset": "natural",
    "image_size": 16,
    "precision": "float32",
    "workers": 0,
    "threads": 1,
}


def tiny(**changes: object) -> Pretrain:
    return Pretrain(**(TINY | changes))  # type: ignore[arg-type]


def break_fifth_loss(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make the loss of the fifth step NaN; return a list that gets an entry with each step."""
    steps: list[int] = []

    def broken(p: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        steps.append(1)
        return simsiam_loss(p, z) * (float("nan") if len(steps) == 5 else 1)

    monkeypatch.setattr(pretrain_module, "simsiam_loss", broken)
    return steps


def test_a_run_leaves_model_metrics_and_tensorboard(filled: Workspace) -> None:
    done = pretrain(filled, tiny(seed=2))
    told = done.as_json()
    assert told["run"] == "pretrain-1"
    assert told["epochs"] == 3
    assert told["images_per_second"] > 0
    assert -1 <= told["loss"] < 0
    assert 0 < told["health"]["projection_std"] < 1.1
    rows = [json.loads(line) for line in done.run.metrics_file.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert list((done.run.folder / "tensorboard").glob("events*"))
    assert not done.run.checkpoint_file.exists()
    assert load_model(done.run.model_file).architecture.image_size == 16
    assert done.run.fingerprint == told["fingerprint"]
    assert not list(done.run.folder.glob(".*"))


def test_the_same_seed_gives_the_same_weights(filled: Workspace) -> None:
    one, two = pretrain(filled, tiny(epochs=2)), pretrain(filled, tiny(epochs=2))
    other = pretrain(filled, tiny(epochs=2, seed=1))
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert [row["loss"] for row in one.metrics] == [row["loss"] for row in two.metrics]


class _Interrupts:
    """Raises a stop request after a number of optimizer steps, as Ctrl-C does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
        self.left = after
        self.original = torch.optim.SGD.step
        monkeypatch.setattr(torch.optim.SGD, "step", lambda optimizer: self.step(optimizer))

    def step(self, optimizer: torch.optim.SGD) -> None:
        self.original(optimizer)
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("views", "small"), [(2, 0.0), (3, 0.0), (2, 0.4)])
def test_an_interrupted_run_goes_on_exactly(filled: Workspace, views: int, small: float) -> None:
    settings = tiny(views=views, small_first=small)
    whole = pretrain(filled, settings)
    for stop in (2, 2, 3):  # twice within the first epoch of three steps
        with pytest.MonkeyPatch.context() as patch:
            _Interrupts(patch, after=stop)
            with pytest.raises(KeyboardInterrupt):
                pretrain(filled, settings)
    assert [run.finished for run in runs_of(filled)] == [True, False]
    resumed = pretrain(filled, settings)
    assert resumed.run.name == "pretrain-2"
    assert resumed.fingerprint == whole.fingerprint
    assert [row["loss"] for row in resumed.metrics] == [row["loss"] for row in whole.metrics]


@pytest.mark.parametrize("preset", ["natural", "glyph"])
def test_views_made_on_the_device_that_trains_go_on_exactly(
    filled: Workspace, preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {"views_on": "device", "preset": preset, "epochs": 2}
    whole = pretrain(filled, tiny(**wanted))
    assert "views are made there" in capsys.readouterr().err
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=4)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny(**wanted))
    resumed = pretrain(filled, tiny(**wanted))
    assert resumed.run.name == "pretrain-2"
    assert resumed.fingerprint == whole.fingerprint
    assert pretrain(filled, tiny(**wanted | {"views_on": "cpu"})).fingerprint != whole.fingerprint


def test_a_run_that_chose_where_views_are_made_stays_with_it(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "likewise.training.view_source.made_on_device", lambda wanted, device, size: True
    )
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=4)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny())
    monkeypatch.undo()
    resumed = pretrain(filled, tiny())
    assert resumed.run.name == "pretrain-1"
    assert resumed.fingerprint == pretrain(filled, tiny(views_on="device")).fingerprint


def test_images_too_large_for_the_device_leave_no_run(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(resident: object, images: object) -> None:
        raise LikewiseError("they do not fit")

    monkeypatch.setattr(Resident, "_fill", full)
    with pytest.raises(LikewiseError, match="do not fit"):
        pretrain(filled, tiny(views_on="device"))
    assert runs_of(filled) == []


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optimizers of one kernel, and losses that are fetched in bulk, as on a GPU."""
    monkeypatch.setattr(Machine, "fused", True)


def test_as_on_a_gpu_the_same_is_learnt(filled: Workspace, fused: None) -> None:
    there = pretrain(filled, tiny())
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=5)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny())
    assert pretrain(filled, tiny()).fingerprint == there.fingerprint
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "fused", None)
        here = pretrain(filled, tiny())
    for one, other in zip(there.metrics, here.metrics, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)


def test_a_run_goes_on_elsewhere(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a GPU to a CPU and back: the optimizer is told anew what to do."""
    for number, fused in enumerate((True, None, True)):
        monkeypatch.setattr(Machine, "fused", fused)
        with pytest.MonkeyPatch.context() as patch:
            _Interrupts(patch, after=2 + number % 2)
            with pytest.raises(KeyboardInterrupt):
                pretrain(filled, tiny())
        (run,) = runs_of(filled)
        groups = read_checkpoint(run)["optimizer"]["param_groups"]
        assert [group["fused"] for group in groups] == [fused, fused]
    assert len(pretrain(filled, tiny()).metrics) == 3


def test_as_on_a_gpu_a_loss_that_is_not_finite_is_told(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch, fused: None
) -> None:
    steps = break_fifth_loss(monkeypatch)
    with pytest.raises(LikewiseError, match="the loss is not finite at epoch 2, step 2"):
        pretrain(filled, tiny())
    assert len(steps) == 6  # told at the end of the epoch
    state = read_checkpoint(runs_of(filled)[-1])
    assert state["position"]["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_compiling_changes_neither_names_nor_what_goes_on(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = pretrain(filled, tiny(epochs=2))
    calls = []

    def compile_to_itself(call: Callable[..., object], dynamic: bool) -> Callable[..., object]:
        def made(*given: object) -> object:
            calls.append(1)
            return call(*given)

        return made

    monkeypatch.setattr(torch, "compile", compile_to_itself)
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=4)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny(epochs=2, compile="on"))
    state = read_checkpoint(runs_of(filled)[-1])
    assert not [name for name in state["model"] if "_orig_mod" in name]
    assert len(calls) == 4 + 4  # attempts and steps
    assert pretrain(filled, tiny(epochs=2, compile="on")).fingerprint == plain.fingerprint


def test_a_compiler_that_fails_is_told_and_done_without(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(call: object, dynamic: bool) -> object:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", broken)
    plain, other = pretrain(filled, tiny(epochs=1)), pretrain(filled, tiny(epochs=1, compile="on"))
    assert "torch.compile failed, going on without it: no compiler" in capsys.readouterr().err
    assert other.fingerprint == plain.fingerprint


def test_a_finished_run_begun_again_is_told(
    filled: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(filled, tiny(epochs=1))
    assert "had these settings" not in capsys.readouterr().err
    assert pretrain(filled, tiny(epochs=1)).as_json()["run"] == "pretrain-2"
    assert "pretrain-1 had these settings and is finished" in capsys.readouterr().err
    pretrain(filled, tiny(epochs=1, seed=1))
    assert "had these settings" not in capsys.readouterr().err


def test_other_settings_or_images_start_another_run(
    filled: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=4)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny())
    assert pretrain(filled, tiny(lr=0.1)).run.name == "pretrain-2"
    picture(tmp_path / "in" / "new.png", 99)
    ingest(filled, Ingest(workers=1))
    assert pretrain(filled, tiny(epochs=1)).run.name == "pretrain-3"


def test_a_killed_process_goes_on(filled: Workspace) -> None:
    arguments = [
        *("--workspace", str(filled.path), "--batch-size", "8", "--epochs", "400"),
        *("--projector-dim", "32", "--predictor-dim", "8", "--image-size", "16"),
        *("--preset", "natural", "--precision", "float32", "--workers", "2"),
    ]
    command = [sys.executable, "-m", "likewise.cli", "pretrain", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    run = filled.runs / "pretrain-1"
    for _ in _until(200):
        if (run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_text()) > 500:
            break
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert out == ""
    assert "run the same command again to go on" in err
    assert "Traceback" not in err
    saved = torch.load(run / "checkpoint.pt", weights_only=True)["position"]
    assert saved["epoch"] >= 1


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)
    raise AssertionError(f"nothing happened in {seconds} s")


def test_collapse_is_named_with_advice(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_stop_gradient(p: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.cosine_similarity(p, z.flip(0), dim=-1).mean()

    monkeypatch.setattr(pretrain_module, "simsiam_loss", without_stop_gradient)
    done = pretrain(filled, tiny(epochs=60, lr=20.0))
    assert done.warning is not None
    assert "collapsed" in done.as_text()
    assert "warning" in capsys.readouterr().err
    monkeypatch.setattr(pretrain_module, "simsiam_loss", simsiam_loss)
    assert pretrain(filled, tiny(epochs=30, seed=5)).warning is None


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_fifth_loss(monkeypatch)
    with pytest.raises(LikewiseError, match="not finite at epoch 2, step 2"):
        pretrain(filled, tiny())
    run = runs_of(filled)[-1]
    state = read_checkpoint(run)
    assert state["position"]["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in state["model"].values())


def test_a_run_that_fails_at_once_leaves_nothing(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pretrain_module, "simsiam_loss", lambda p, z: simsiam_loss(p, z) * float("inf")
    )
    with pytest.raises(LikewiseError, match="epoch 1, step 1"):
        pretrain(filled, tiny())
    assert runs_of(filled) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"views": 1}, "--views"),
        ({"epochs": 0}, "--epochs"),
        ({"lr": 0.0}, "--lr"),
        ({"image_size": 4}, "--image-size"),
        ({"small_first": 1.0}, "--small-first"),
        ({"small_first": 0.5, "image_size": 14}, "images of 7 px"),
        ({"small_first": 0.5, "backbone": "vit_tiny_patch16_224", "image_size": 32}, "of 16 px"),
        ({"threads": -1}, "--threads"),
        ({"backbone": "resnet81"}, "did you mean"),
        ({"device": "cuda:7"}, "--device"),
        ({"init": "nowhere.pt"}, "--init"),
    ],
)
def test_wrong_settings_are_told(filled: Workspace, changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        pretrain(filled, tiny(**changes))
    assert runs_of(filled) == []


def test_a_damaged_checkpoint_is_told(filled: Workspace) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=4)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny())
    file = runs_of(filled)[-1].checkpoint_file
    for each in (file, runs_of(filled)[-1].checkpoint_before):
        each.write_bytes(each.read_bytes()[:1000])
    with pytest.raises(LikewiseError, match="could not read the checkpoint"):
        pretrain(filled, tiny())


def test_a_damaged_checkpoint_makes_room_for_the_one_before(
    filled: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = pretrain(filled, tiny())
    with pytest.MonkeyPatch.context() as patch:
        _Interrupts(patch, after=5)
        with pytest.raises(KeyboardInterrupt):
            pretrain(filled, tiny())
    file = runs_of(filled)[-1].checkpoint_file
    file.write_bytes(file.read_bytes()[:-1])
    capsys.readouterr()
    assert pretrain(filled, tiny()).fingerprint == whole.fingerprint
    told = capsys.readouterr().err
    assert told.count("checkpoint.pt is damaged; going on from the checkpoint before it") == 1
    assert not list(filled.runs.glob("*/checkpoint*"))
