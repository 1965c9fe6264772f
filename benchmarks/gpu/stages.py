"""What is done, stage by stage; each is done once, and found done by the next call."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.budget import Budget
from benchmarks.gpu.quality import accuracies
from likewise.api import Workspace
from likewise.errors import LikewiseError
from likewise.files import write_json
from likewise.images.store import open_images
from likewise.models.machine import pick_machine
from likewise.models.model_files import load_model
from likewise.models.runs import Run, runs_of
from likewise.settings import Compile, Precision, ViewsOn

PARTS = ("train", "test")
ENOUGH = 120.0
"""Seconds that must be left for a stage that does not go on where it was."""


@dataclass(frozen=True)
class Plan:
    """How is trained: by default as in the paper's appendix D (Chen & He 2021)."""

    backbone: str = "resnet18"
    batch_size: int = 512
    projector_dim: int = 2048
    linear_epochs: int = 100
    device: str = "auto"
    precision: Precision = "auto"
    views_on: ViewsOn = "auto"
    compile: Compile = "auto"
    seed: int = 0

    def settings(self, **changes: Any) -> dict[str, Any]:
        """For `Workspace.pretrain`."""
        common = ("device", "precision", "views_on", "compile", "seed")
        return {
            "backbone": self.backbone,
            "batch_size": self.batch_size,
            "projector_dim": self.projector_dim,
            "image_size": 32,
            "preset": "natural",
            "lr": 0.03,
            "weight_decay": 5e-4,
            **{name: getattr(self, name) for name in common},
            **changes,
        }


class OutOfTime(Exception):
    """The stage would not fit into what is left; the next call does it."""


class Stages:
    """The benchmark's state in a folder: two workspaces and what was measured."""

    def __init__(self, folder: Path, plan: Plan, budget: Budget) -> None:
        self.plan, self.budget = plan, budget
        self.workspaces = {part: Workspace(folder / part) for part in PARTS}
        self.file = folder / "measured.json"
        self.measured: dict[str, Any] = (
            json.loads(self.file.read_text("utf-8")) if self.file.exists() else {}
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        """Count the seconds spent on something, over all calls."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = self.measured.setdefault("seconds", {})
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
            write_json(self.file, self.measured)

    def ingest(self, images: Path) -> None:
        """Prepare ``images/train`` and ``images/test``."""
        if self.measured.get("ingested"):
            return
        for part in PARTS:
            if not (images / part).is_dir():
                raise LikewiseError(f"{images / part} is no folder; it should hold CLASS/NNNN.jpg")
        with self._timed("ingest"):
            counts = {part: self.workspaces[part].ingest(images / part).images for part in PARTS}
        self.measured["ingested"] = counts
        write_json(self.file, self.measured)

    def compare_options(self, options: dict[str, dict[str, Any]]) -> None:
        """Images per second with each of several settings, of the second of two epochs."""
        found = self.measured.setdefault("options", {})
        for name, changes in options.items():
            if name not in found:
                self._require(ENOUGH)
                done = self.workspaces["train"].pretrain(
                    **self.plan.settings(epochs=2, fresh=True, **changes)
                )
                first, second = (row["seconds"] for row in done.metrics)
                steps = done.metrics[0]["steps"]
                found[name] = steps * self._batch_size / max(second - first, 1e-9)
                write_json(self.file, self.measured)

    def pretrain(self, epochs: int) -> Run:
        """Train so long, over as many calls as it takes."""
        name = f"epochs-{epochs}"
        run = self._run(name)
        if run is None or not run.finished:
            with self._timed(name):
                self.workspaces["train"].pretrain(**self.plan.settings(epochs=epochs, name=name))
            run = self._run(name)
        assert run is not None
        return run

    def _run(self, name: str) -> Run | None:
        return next((run for run in runs_of(self.workspaces["train"]) if run.name == name), None)

    def judge(self, run: Run) -> None:
        """Accuracy by kNN and by a linear layer of a model on the test images."""
        found = self.measured.setdefault("accuracies", {})
        if run.name in found:
            return
        self._require(ENOUGH)
        machine = pick_machine(self.plan.device, self._precision, "channels_last")
        train, test = (open_images(self.workspaces[part]) for part in PARTS)
        with self._timed(f"judge {run.name}"):
            found[run.name] = accuracies(
                load_model(run.model_file),
                train,
                test,
                machine,
                self.plan.linear_epochs,
                self.plan.seed,
            )

    @property
    def _precision(self) -> Precision:
        """bfloat16 on GPUs unless something is said."""
        if self.plan.precision != "auto":
            return self.plan.precision
        machine = pick_machine(self.plan.device, "float32", "channels_last")
        return "bfloat16" if machine.fused else "float32"

    @property
    def _batch_size(self) -> int:
        return min(self.plan.batch_size, int(self.measured["ingested"]["train"]))

    def rate(self, run: Run) -> float:
        """Images per second of training proper, without health figures and checkpoints."""
        last = run.metrics()[-1]
        return float(last["steps"] * self._batch_size / last["seconds"])

    def _require(self, seconds: float) -> None:
        if self.budget.left < seconds:
            raise OutOfTime
