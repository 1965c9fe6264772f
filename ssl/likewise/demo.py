"""The demo: the whole loop on sample images with a simulated annotator, and a report of it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from likewise.answers.store import open_answers
from likewise.errors import UsageError
from likewise.evaluation.annotator import simulate
from likewise.evaluation.evaluate import Evaluation
from likewise.evaluation.truth import FOLDERS, read_truth
from likewise.images.ingest import ingest
from likewise.images.samples import write_digits
from likewise.images.store import Images, open_images
from likewise.jobs.next_step import IMAGES_SEEN
from likewise.models.runs import Run, runs_of
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import embedded
from likewise.progress import say
from likewise.report.job import report
from likewise.settings import (
    Demo,
    Embed,
    Finetune,
    Ingest,
    Label,
    Pretrain,
    Report,
    Simulate,
    config_of,
)
from likewise.training.finetune import finetune
from likewise.training.pretrain import pretrain
from likewise.workspace import Workspace

HOLD_OUT = 0.2


@dataclass(frozen=True)
class Shown:
    """What the demo made."""

    evaluation: Evaluation | None
    report: Path
    workspace: Path
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        models = self.evaluation.as_json()["models"] if self.evaluation else []
        return {
            "models": models,
            "report": str(self.report),
            "workspace": str(self.workspace),
            "seconds": round(self.seconds, 1),
        }

    def as_text(self) -> str:
        """The table, and what to type next."""
        command = ".venv/bin/likewise" if Path(".venv/bin/likewise").is_file() else "likewise"
        table = [self.evaluation.as_text(), ""] if self.evaluation else []
        flag = (
            "" if self.workspace == Path.cwd() / "workspace" else f" --workspace {self.workspace}"
        )
        return "\n".join(
            (
                *table,
                f"done in {self.seconds:.0f} s; pictures: {self.report}",
                f"next: {command} label{flag}    (answer questions yourself)",
            )
        )


def demo(workspace: Workspace, settings: Demo) -> Shown:
    """Ingest, pretrain, embed, answer, fine-tune, evaluate, report; pretraining is not redone.

    Raises:
        UsageError: the workspace holds other images, or a setting makes no sense.
        LikewiseError: a step failed.
    """
    started = time.monotonic()
    if settings.answers < 10:
        raise UsageError("--answers must be at least 10")
    folder = (settings.images or Path("data") / "digits").absolute()
    if workspace.exists() and workspace.config.roots not in ((), (folder,)):
        raise UsageError(
            f"{workspace.path} holds other images ({workspace.config.roots[0]}); choose a new "
            "--workspace for the demo"
        )
    if settings.images is None:
        _step(1, "sample images")
        say(f"{write_digits(folder):,} digits of MNIST in {folder}")
    _step(2, "ingest: read every image once")
    say(ingest(workspace, Ingest(images=(folder,), hold_out=HOLD_OUT)).as_text().splitlines()[0])
    images = open_images(workspace)
    _step(3, "pretrain: no labels")
    base = _pretrained(workspace, images, settings)
    labels = _truth(images)
    if labels is None:
        say("all images lie in one folder, so there is no truth to simulate answers from")
    else:
        _step(4, f"{settings.answers} answers of a simulated annotator")
        _answered(workspace, settings)
        _step(5, "fine-tune on the answers")
        tuned = finetune(workspace, Finetune(model=base.name, hold_out=0.0, seed=settings.seed))
        say(tuned.as_text().splitlines()[0])
        embed(workspace, Embed(model=tuned.run.name))
    _step(6, "measure, and draw the report")
    truth = None if labels is None else FOLDERS
    made = report(workspace, Report(truth=truth, seed=settings.seed))
    shown = Shown(made.evaluation, made.report, workspace.path, time.monotonic() - started)
    if settings.serve:
        from likewise.serve import label

        say(shown.as_text())
        label(workspace, Label())
    return shown


def _step(number: int, text: str) -> None:
    say(f"\n[{number}/6] {text}")


def _pretrained(workspace: Workspace, images: Images, settings: Demo) -> Run:
    """The pretrained model of the demo, trained and embedded unless that was done before."""
    epochs = settings.epochs or int(
        np.clip(round(IMAGES_SEEN / max(1, (~images.held_out).sum())), 4, 200)
    )
    wanted = Pretrain(epochs=epochs, seed=settings.seed)
    config = config_of(wanted)
    done = [
        run for run in runs_of(workspace) if run.finished and config.items() <= run.settings.items()
    ]
    run = done[-1] if done else pretrain(workspace, wanted).run
    if run.fingerprint not in {meta["fingerprint"] for meta in embedded(workspace)}:
        embed(workspace, Embed(model=run.name))
    return run


def _truth(images: Images) -> npt.NDArray[Any] | None:
    """The class of each image by its folder; None unless there are several classes."""
    labels = read_truth(images, FOLDERS)
    return labels if len(set(labels.tolist()) - {""}) > 1 else None


def _answered(workspace: Workspace, settings: Demo) -> None:
    """Have the simulated annotator answer until there are as many answers as asked for."""
    with open_answers(workspace) as store:
        missing = settings.answers - store.counts()["answers"]
    if missing > 0:
        answered = simulate(workspace, Simulate(budget=missing, seed=settings.seed))
        say(answered.as_text().splitlines()[0])
