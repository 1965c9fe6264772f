"""Trainings that are killed, by the hundred: nothing is lost, and nothing is learnt otherwise."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.answers.store import NewAnswer, open_answers
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, runs_of, start_run
from likewise.neighbours.parts import parts_in
from likewise.settings import Ingest
from likewise.training.checkpoint import read_checkpoint
from likewise.workspace import Workspace
from tests import doomed
from tests.breaking import Figure, times
from tests.doomed import Doom, Where
from tests.warmed import begin, ended, environments

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
    taken: float = 0.0
    """Seconds from the last signal to the end."""
    started: float = field(default=0.0)

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
        return [ended(each) for each in begun]

    def newest(self) -> Run | None:
        kind = self.words[0]
        runs = [each for each in runs_of(self.workspace) if each.kind == kind]
        return runs[-1] if runs else None


@pytest.fixture
def job_of(
    filled: Workspace, tmp_path: Path
) -> Callable[[str, tuple[str, ...], int], Job]:
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
@times(9, 200)
def test_whoever_is_killed_ends_with_the_same_weights(
    times: int, job_of: Callable[[str, tuple[str, ...], int], Job], figure: Figure
) -> None:
    """SIGKILL and SIGTERM before, after and between steps, and while a checkpoint is written."""
    rng = random.Random(0)
    killed, runs, same = 0, 0, 0
    for number, (command, workers, processes) in enumerate(KINDS):
        job = job_of(f"job-{number}", (*command, "--workers", str(workers)), processes)
        goal = times * (number + 1) // len(KINDS)
        if killed >= goal:
            continue
        assert job.run() == [0] * processes, job.told
        whole = job.newest()
        assert whole is not None
        expected = whole.model_file.read_bytes()
        shutil.rmtree(whole.folder)
        while True:
            doom = _drawn(rng, job) if killed < goal else None
            whom = rng.randrange(processes) if doom and doom.where != "in save" else 0
            codes = job.run(doom, whom)
            if doom is not None and codes != [0] * processes:
                killed += 1
                assert codes[whom] == (-9 if doom.number == signal.SIGKILL else 1), job.told
            run = job.newest()
            if run is None or not run.finished:
                assert doom is not None, job.told
                continue
            runs += 1
            same += run.model_file.read_bytes() == expected
            shutil.rmtree(run.folder)
            if killed >= goal:
                break
    figure(f"{killed} kills, {same} of {runs} runs with the bytes of those not killed")
    assert same == runs
    assert killed >= times


def _drawn(rng: random.Random, job: Job) -> Doom:
    """A place and a signal; a long training is killed later."""
    places: tuple[Where, ...] = ("before step", "after step", "in save")
    where = rng.choices(places, (5, 5, 2))[0]
    last = {"pretrain": 5, "finetune": 30}[job.words[0]]
    count = rng.randint(1, 2) if where == "in save" else rng.randint(1, last)
    return Doom(where, count, rng.choice((signal.SIGKILL, signal.SIGTERM)))


def _seconds(work: Callable[[], list[int]]) -> tuple[list[int], float]:
    began = time.monotonic()
    return work(), time.monotonic() - began
