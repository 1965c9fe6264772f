"""Trainings that are killed, by the hundred: nothing is lost, and nothing is learnt otherwise."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from likewise.answers.store import NewAnswer, open_answers
from likewise.images.augmentation import Views
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.models.metadata import header_length
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, runs_of, start_run
from likewise.neighbours.parts import parts_in
from likewise.settings import Ingest, Preset, Pretrain
from likewise.training import pretrain as pretrain_module
from likewise.training import watch
from likewise.training.batches import epoch_rows
from likewise.training.checkpoint import read_checkpoint
from likewise.training.pretrain import pretrain
from likewise.workspace import Workspace
from tests import doomed
from tests.breaking import Figure, times
from tests.doomed import Doom, Where
from tests.stand_ins import KINDS as KINDS_OF_IMAGES
from tests.warmed import SECONDS, begin, ended, environments

ROOT = Path(__file__).parents[1]
TINY = ("--image-size", "16", "--precision", "float32", "--threads", "1")
PRETRAIN = (
    *("pretrain", "--batch-size", "8", "--epochs", "3", "--projector-dim", "32", "--preset"),
    *("natural", "--predictor-dim", "8", *TINY),
)
"""Of 26 images: three steps an epoch."""
FINETUNE = (
    *("finetune", "--depth", "backbone", "--steps", "50", "--batch-size", "6", "--hold-out", "0"),
    *("--precision", "float32", "--threads", "1", "--lr", "1e-4"),
)
EMBED = ("embed", "--precision", "float32", "--batch-size", "2", "--threads", "1")


@dataclass
class Job:
    """A command that is run, killed, and run again."""

    folder: Path
    words: tuple[str, ...]
    processes: int = 1
    ended: float = 0.0
    """When its last process did, in Unix time."""

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder / "workspace")

    @property
    def told(self) -> str:
        return (self.folder / "told").read_text("utf-8")

    def run(self, doom: Doom | None = None, whom: int = 0) -> list[int]:
        """Exit codes of the processes; process ``whom`` is doomed."""
        words = (*self.words, "--workspace", str(self.workspace.path))
        (self.folder / "told").unlink(missing_ok=True)
        begun = [
            begin(doomed.command, words, each, self.folder / "told", doom if n == whom else None)
            for n, each in enumerate(environments(self.processes))
        ]
        codes = [ended(each) for each in begun]
        self.ended = time.time()
        return codes

    def seconds_to_end(self) -> float:
        """From the signal, which the doomed process noted, to the end of all."""
        return self.ended - float((self.folder / "told.signal").read_text())

    def launched(self, doom: Doom) -> list[int]:
        """The same by `torchrun`, which passes on the signal that it is sent."""
        plan = self.folder / "plan.json"
        plan.write_text(
            json.dumps(
                [
                    ["signal", "launcher", doom.number, doom.count],
                    ["likewise", *self.words, "--workspace", str(self.workspace.path)],
                ]
            )
        )
        launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
        with (self.folder / "told").open("w") as told:
            done = subprocess.run(
                [*launcher, "--nproc-per-node", str(self.processes), "-m", "tests.rank_job", plan],
                cwd=ROOT,
                env=os.environ
                | {"PYTHONPATH": f"{ROOT}/ssl:{ROOT}/labeler:{ROOT}"}
                | {"TOLD": str(self.folder / "told")},
                stdout=told,
                stderr=told,
                timeout=SECONDS,
                check=False,
            )
        self.ended = time.time()
        return [done.returncode]

    def clear(self) -> None:
        """Forget what was trained and embedded, but for the first model."""
        for each in runs_of(self.workspace):
            if each.kind != "adopt":
                shutil.rmtree(each.folder)
        shutil.rmtree(self.workspace.embeddings, ignore_errors=True)

    def has_saved(self, batches: int) -> bool:
        """Whether the state of a training, or the vectors of so many batches, were saved.

        And whether it was said: a training stops as a whole, while of processes that embed one may
        end alone, and the other one says so.
        """
        if self.words[0] == "embed":
            said = self.told.count("likewise: ") == self.told.count("same command again to go on")
            partial = list(self.workspace.embeddings.glob(".*.partial"))
            parts = parts_in(partial[0], 256) if len(partial) == 1 else []
            return said and sum(len(each.ids) for each in parts) >= 2 * batches
        said = self.told.count("likewise: stopped; run the same command again to go on") == 1
        run = self.newest()
        if run is None or not said:
            return False
        position = read_checkpoint(run)["position"]
        return bool(position["epoch"] or position["step"])

    def newest(self) -> Run | None:
        kind = self.words[0]
        runs = [each for each in runs_of(self.workspace) if each.kind == kind]
        return runs[-1] if runs else None


@pytest.fixture
def job_of(filled: Workspace, tmp_path: Path) -> Callable[[str, tuple[str, ...], int], Job]:
    """A command on a workspace of its own with 26 images, answers and a model."""
    images = open_images(filled)
    kinds = {str(each): int(images.path(row).stem) % 2 for row, each in enumerate(images.ids)}
    rng = np.random.default_rng(1)
    pairs = [rng.choice(images.ids, 2, replace=False).tolist() for _ in range(40)]
    with open_answers(filled) as store:
        store.add(
            [
                NewAnswer(a, b, "similar" if kinds[a] == kinds[b] else "dissimilar", "test")
                for a, b in pairs
            ]
        )
    torch.manual_seed(0)
    run = start_run(filled, "adopt", {}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=16))

    def made(name: str, words: tuple[str, ...], processes: int) -> Job:
        folder = tmp_path / name
        shutil.copytree(filled.path, folder / "workspace")
        return Job(folder, words, processes)

    return made


KINDS = [
    (PRETRAIN, 0, 1),
    (PRETRAIN, 2, 1),
    (PRETRAIN, 0, 2),
    (PRETRAIN, 2, 2),
    (FINETUNE, 0, 1),
    (FINETUNE, 2, 2),
]


@pytest.mark.breaking
@times(2, 200)
def test_whoever_is_killed_ends_with_the_same_weights(
    times: int, job_of: Callable[[str, tuple[str, ...], int], Job], figure: Figure
) -> None:
    """SIGKILL and SIGTERM before, after and between steps, and while a checkpoint is written."""
    rng = random.Random(0)
    killed, runs, same, others = 0, 0, 0, list[object]()
    for number, (command, workers, processes) in enumerate(KINDS):
        job = job_of(f"job-{number}", (*command, "--workers", str(workers)), processes)
        goal = times * (number + 1) // len(KINDS)
        if killed >= goal:
            continue
        assert job.run() == [0] * processes, job.told
        whole = job.newest()
        assert whole is not None
        expected = weights_of(whole)
        shutil.rmtree(whole.folder)
        while True:
            doom = _drawn(rng, job) if killed < goal else None
            whom = rng.randrange(processes) if doom and doom.where != "in save" else 0
            codes = job.run(doom, whom)
            if doom is not None and codes != [0] * processes:
                killed += 1
                told = (number, doom, whom, codes, job.told)
                assert codes[whom] == (-9 if doom.number == signal.SIGKILL else 1), told
            run = job.newest()
            if run is None or not run.finished:
                assert doom is not None, (number, codes, job.told)
                continue
            runs += 1
            same += weights_of(run) == expected
            if weights_of(run) != expected:
                others.append((command[0], workers, processes))
            shutil.rmtree(run.folder)
            if killed >= goal:
                break
    figure(f"{killed} kills, {same} of {runs} runs with the bytes of those not killed")
    assert not others
    assert killed >= times


def weights_of(run: Run) -> bytes:
    """The bytes of a model's weights; before them safetensors writes in any order."""
    return run.model_file.read_bytes()[header_length(run.model_file) :]


def _drawn(rng: random.Random, job: Job) -> Doom:
    """A place and a signal; a long training is killed later."""
    places: tuple[Where, ...] = ("before step", "after step", "in save")
    where = rng.choices(places, (5, 5, 2))[0]
    last = {"pretrain": 5, "finetune": 30}[job.words[0]]
    count = rng.randint(1, 2) if where == "in save" else rng.randint(1, last)
    return Doom(where, count, rng.choice((signal.SIGKILL, signal.SIGTERM)))


Whom = Literal["launcher", "group", "one"]
STOPS: list[tuple[tuple[str, ...], Where, Whom, int]] = [
    (PRETRAIN, "workers start", "group", 2),
    (PRETRAIN, "in batch", "one", 0),
    (EMBED, "embedded", "group", 0),
    (PRETRAIN, "after step", "launcher", 0),
    (PRETRAIN, "workers start", "group", 8),
    (PRETRAIN, "in batch", "group", 2),
    (EMBED, "embedded", "one", 0),
    (PRETRAIN, "after step", "group", 8),
    (PRETRAIN, "after step", "one", 2),
    (PRETRAIN, "in batch", "group", 0),
    (EMBED, "embedded", "launcher", 0),
    (PRETRAIN, "after step", "one", 8),
]
"""Command, place, who is sent SIGTERM, loader workers."""
WITHIN = 25.0
"""Seconds; `torchrun` kills after 30."""


@pytest.mark.breaking
@times(3, 100)
def test_whoever_is_told_to_end_has_saved(
    times: int, job_of: Callable[[str, tuple[str, ...], int], Job], figure: Figure
) -> None:
    """SIGTERM to torchrun, to the process group and to one of two processes."""
    rng = random.Random(1)
    jobs: dict[tuple[str, int, int], Job] = {}
    lost, slowest = list[object](), 0.0
    for number in range(times):
        command, where, whom, workers = STOPS[number % len(STOPS)]
        processes = 1 if whom == "group" else 2
        words = command if command is EMBED else (*command, "--workers", str(workers))
        key = (words[0], workers, processes)
        if key not in jobs:
            jobs[key] = job_of(f"job-{number}", words, processes)
        job = jobs[key]
        count = {"workers start": rng.randint(0, 300), "in batch": 1}.get(where, rng.randint(1, 4))
        doom = Doom(where, count, signal.SIGTERM, group=whom == "group")
        job.clear()
        codes = job.launched(doom) if whom == "launcher" else job.run(doom, processes - 1)
        slowest = max(slowest, job.seconds_to_end())
        if not (all(codes) and job.has_saved(count) and job.seconds_to_end() < WITHIN):
            lost.append((words, doom, whom, codes, job.seconds_to_end(), job.told))
    figure(f"{times - len(lost)} of {times} saved, the slowest {slowest:.1f} s after SIGTERM")
    assert not lost


BAD: tuple[Where, ...] = ("bad input", "bad loss", "bad gradient")


@pytest.mark.breaking
@times(4, 50)
def test_what_is_not_finite_never_reaches_the_weights(
    times: int, job_of: Callable[[str, tuple[str, ...], int], Job], figure: Figure
) -> None:
    """An input, the loss or a gradient, of one process or of one of two."""
    rng = random.Random(2)
    jobs = {each: job_of(f"job-{each}", (*PRETRAIN, "--workers", "0"), each) for each in (1, 2)}
    stopped = 0
    for number in range(times):
        job, step = jobs[2 if number % 4 == 3 else 1], rng.randint(4, 9)
        job.clear()
        codes = job.run(Doom(BAD[number % 3], step, 0), job.processes - 1)
        epoch, within = divmod(step - 1, 3)
        run = job.newest()
        assert run is not None
        state = read_checkpoint(run)
        told = [each for each in job.told.splitlines() if each.startswith("likewise: ")]
        images = open_images(job.workspace)
        rows = epoch_rows(np.arange(26), 8, 0, epoch)[within]
        stopped += (
            codes == [1] * job.processes
            and f"is not finite at epoch {epoch + 1}, step {within + 1};" in told[0]
            and all(each in told[0] for each in images.names(rows[:5]))
            and (job.workspace.runs / "not-finite.txt").read_text().count(".png\n") == 8
            and state["position"]["epoch"] == epoch
            and all(each.isfinite().all() for each in state["model"].values())
        )
    figure(f"{stopped} of {times} stopped before the optimizer's step, their images named")
    assert stopped == times


# Collapse.

HEALTHY: tuple[tuple[str, Preset], ...] = (
    ("photos", "natural"),
    ("strokes", "glyph"),
    ("photos", "grey"),
)
STEPS = 100
"""Within which a collapse is to be told."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Workspace]:
    """Workspaces of 64 images each; those of one of them all look the same."""
    made = {}
    for name in ("photos", "strokes", "constant"):
        folder = tmp_path_factory.mktemp(name)
        for number in range(64):
            if name == "constant":
                image = Image.new("RGB", (32, 32), (128, 128, 128))
                image.putpixel((0, 0), (number, number, number))
            else:
                image = KINDS_OF_IMAGES[name](number // 8, number)
            image.save(folder / f"{number}.png")
        made[name] = Workspace(folder / "workspace")
        ingest(made[name], Ingest(images=(folder,), workers=1))
    return made


def steps_until_told(
    workspace: Workspace, patch: pytest.MonkeyPatch, **wanted: object
) -> int | None:
    """Train for a hundred steps and a few; after how many a collapse was told."""
    steps, told = 0, list[int]()
    make = torch.optim.SGD.step

    def counted(optimizer: torch.optim.SGD) -> None:
        nonlocal steps
        make(optimizer)
        steps += 1

    def heard(text: str) -> None:
        if text.startswith("warning: "):
            told.append(steps)

    patch.setattr(torch.optim.SGD, "step", counted)
    patch.setattr(watch, "say", heard)
    settings: dict[str, Any] = {
        "batch_size": 16,
        "epochs": 26,
        "projector_dim": 32,
        "predictor_dim": 8,
        "image_size": 16,
        "precision": "float32",
        "workers": 0,
        "threads": 1,
        **wanted,
    }
    done = pretrain(workspace, Pretrain(**settings))
    shutil.rmtree(done.run.folder)
    return told[0] if told else None


def without_stop_gradient(p: Tensor, z: Tensor) -> Tensor:
    return -torch.nn.functional.cosine_similarity(p, z.flip(0), dim=-1).mean()


def unrecognisable(image: np.ndarray, size: int) -> np.ndarray:
    """A view in which nothing is left of the image."""
    return np.random.default_rng().integers(0, 256, (size, size, 3), np.uint8)


@pytest.mark.breaking
@times(3, 10)
def test_a_collapse_is_told_within_a_hundred_steps(
    times: int, drawn: dict[str, Workspace], figure: Figure
) -> None:
    """The stop-gradient removed, images all alike, views too strong to recognise."""
    found: list[int | None] = []
    for number in range(times):
        with pytest.MonkeyPatch.context() as patch:
            wanted: dict[str, object] = {"seed": number, "preset": "natural"}
            name = "photos"
            if number % 3 == 0:
                patch.setattr(pretrain_module, "simsiam_loss", without_stop_gradient)
                wanted["lr"] = 20.0
            elif number % 3 == 1:
                name = "constant"
            else:
                patch.setattr(
                    Views, "__call__", lambda views, image: unrecognisable(image, views.image_size)
                )
            found.append(steps_until_told(drawn[name], patch, **wanted))
    quick = [each for each in found if each is not None and each <= STEPS]
    figure(f"{len(quick)} of {times} told within {STEPS} steps, at the latest after {max(quick)}")
    assert len(quick) == times, found


@pytest.mark.breaking
@times(3, 10)
def test_no_collapse_is_told_where_there_is_none(
    times: int, drawn: dict[str, Workspace], figure: Figure
) -> None:
    alarms = 0
    for number in range(times):
        name, preset = HEALTHY[number % 3]
        with pytest.MonkeyPatch.context() as patch:
            told = steps_until_told(drawn[name], patch, seed=number, preset=preset)
        alarms += told is not None
    figure(f"{alarms} false alarms in {times} healthy runs")
    assert alarms == 0
