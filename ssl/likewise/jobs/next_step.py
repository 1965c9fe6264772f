"""What would bring a workspace furthest now."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from likewise.answers.standing import Answer
from likewise.images.store import open_images
from likewise.jobs.control import RUN
from likewise.jobs.job import Steps
from likewise.jobs.records import Record, records_of
from likewise.neighbours.vectors import IDS, embedded
from likewise.settings import Common, Pretrain
from likewise.wording import counted
from likewise.workspace import Workspace

IMAGES_SEEN = 48_000
"""Images that a first model is shown, over all epochs: minutes on a laptop."""
FEWEST, MOST = 4, Pretrain.epochs
"""Epochs of a first model."""
FIRST_ANSWERS = 100
"""Before so many similar or dissimilar answers, more answers help most."""
NEW_ANSWERS = 50
"""So many, given since the last fine-tuning, are worth another one."""
LEAST_ANSWERS = 10
"""Fine-tuning refuses fewer."""


@dataclass(frozen=True)
class Holdings:
    """What a workspace holds, as far as it decides what comes next."""

    images: int = 0
    trainable: int = 0
    """Those that are not held out."""
    models: int = 0
    """Finished runs."""
    newest: str = ""
    """The newest finished run."""
    embedded: bool = False
    """Whether it has embedded images."""
    waiting: int = 0
    """Images that it has not embedded."""
    unfinished: Record | None = None
    """A pretraining that was interrupted, if nothing was trained since."""
    answers: int = 0
    """Similar and dissimilar ones."""
    new: int = 0
    """Those among them that no model has learnt from."""


@dataclass(frozen=True)
class Suggestion:
    """What to do next."""

    what: Literal["images", "pretrain", "embed", "answer", "finetune"]
    title: str
    """On the button."""
    reason: str
    steps: Steps = ()
    """What a job has to run; none where people are needed."""


def holdings_of(workspace: Workspace, answers: Sequence[Answer]) -> Holdings:
    """What a workspace holds; ``answers`` are those that fine-tuning would learn from.

    Raises:
        LikewiseError: a file is damaged.
    """
    if not workspace.exists() or not workspace.manifest_file.is_file():
        return Holdings()
    images = open_images(workspace)
    records = records_of(workspace)
    finished = [each for each in records if each.finished]
    newest = finished[-1].name if finished else ""
    embeddings = {str(meta["model"]): str(meta["fingerprint"]) for meta in embedded(workspace)}
    waiting = 0
    if newest in embeddings:
        ids = np.load(workspace.embeddings / embeddings[newest] / IDS)
        waiting = int((~np.isin(images.ids, ids)).sum())
    last = records[-1] if records else None
    tuned = [
        each.started for each in records if each.kind == "finetune" and (each.finished or each.kept)
    ]
    definite = [each for each in answers if each.verdict != "unsure"]
    return Holdings(
        images=len(images),
        trainable=int((~images.held_out).sum()),
        models=len(finished),
        newest=newest,
        embedded=newest in embeddings,
        waiting=waiting,
        unfinished=last if last and last.kind == "pretrain" and not last.finished else None,
        answers=len(definite),
        new=sum(not tuned or each.time > tuned[-1] for each in definite),
    )


def next_step(held: Holdings) -> Suggestion:
    """The one thing to do next."""
    if not held.images:
        return Suggestion("images", "Choose images", "There are no images yet.")
    if held.unfinished is not None:
        done, epochs = len(held.unfinished.rows), held.unfinished.epochs
        return Suggestion(
            "pretrain",
            f"Go on with {held.unfinished.name}",
            f"It was interrupted after {done} of {epochs} epochs.",
            (("pretrain", *flags(Pretrain(), held.unfinished.settings)), ("embed", "--model", RUN)),
        )
    if not held.models:
        return Suggestion(
            "pretrain",
            "Learn a first model",
            f"It looks at the {held.images:,} images and needs no answers.",
            first_model(held.trainable),
        )
    if not held.embedded or held.waiting:
        reason = (
            f"{held.waiting:,} new images are not embedded yet."
            if held.embedded
            else f"{held.newest} has not embedded the images yet, so it proposes no pairs."
        )
        return Suggestion("embed", "Embed the images", reason, (("embed",),))
    if held.answers < FIRST_ANSWERS or held.new < NEW_ANSWERS:
        return Suggestion("answer", "Answer more pairs", _why_answer(held))
    return Suggestion(
        "finetune",
        f"Fine-tune on {held.answers:,} answers",
        f"{held.new:,} of them are new since the last fine-tuning."
        if held.new < held.answers
        else f"No model has learnt from the {held.answers:,} answers yet.",
        (("finetune",), ("embed", "--model", RUN)),
    )


def _why_answer(held: Holdings) -> str:
    if held.answers < FIRST_ANSWERS:
        return f"{held.answers:,} of the first {FIRST_ANSWERS} answers are there."
    new = counted(held.new, "new answer")
    return f"{new} since the last fine-tuning; with {NEW_ANSWERS} another one is worth it."


def first_model(images: int) -> Steps:
    """The commands that lead from images to pairs, for about so many images."""
    return ("pretrain", "--epochs", str(first_epochs(images))), ("embed", "--model", RUN)


def first_epochs(images: int) -> int:
    """Epochs in which a first model is shown `IMAGES_SEEN` images."""
    return int(np.clip(round(IMAGES_SEEN / max(1, images)), FEWEST, MOST))


def flags(defaults: Common, chosen: dict[str, Any]) -> tuple[str, ...]:
    """The flags that turn the default settings into the chosen ones; other names are left out."""
    words: list[str] = []
    for name in [each.name for each in fields(defaults) if each.name in chosen]:
        value = chosen[name]
        if value == getattr(defaults, name) or value is None:
            continue
        flag = "--" + name.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return tuple(words)
