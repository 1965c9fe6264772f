"""What a model card states: where the model comes from, on what it was taught, how good it is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from likewise.answers.ledger import Ledger
from likewise.answers.quality import Model, known_to
from likewise.answers.reserved import trainable
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError
from likewise.evaluation.evaluate import RAW_PIXELS, evaluate
from likewise.evaluation.table import ModelScores
from likewise.files import read_json
from likewise.images.manifest import display
from likewise.images.store import Images
from likewise.inference.verifier import Verifier, threshold_json
from likewise.models.runs import Run, run_with
from likewise.neighbours.vectors import embedded, load_embeddings
from likewise.settings import Evaluate
from likewise.workspace import Workspace


@dataclass(frozen=True)
class Facts:
    """What is known of a model."""

    lineage: tuple[Run, ...]
    """From the run that began with a net to the one that left the model."""
    images: int
    held_out: int
    """Of the images, never trained on."""
    folders: tuple[str, ...]
    """Names of the folders they came from, without the way to them."""
    side: tuple[int, int]
    """Median width and height of the prepared images, in pixels."""
    answers: dict[str, int]
    """Similar and dissimilar ones that may have been learnt from."""
    annotators: int
    measured: dict[str, Any] | None
    """Of a fine-tuned model: figures before and after, on answers it did not learn from."""
    scores: tuple[ModelScores, ...]
    """Of raw pixels and the models of the lineage, where a truth was given."""
    evaluated: str
    """What the scores are of, in words."""
    threshold: dict[str, Any] | None
    """Where same begins, with its error rates; None where too few answers tell it."""
    why_no_threshold: str


def facts_of(workspace: Workspace, images: Images, run: Run, truth: str | None) -> Facts:
    """Gather them; with a ``truth`` the models of the lineage are measured on it.

    Raises:
        LikewiseError: a file cannot be read, or the model has no embeddings to be measured.
    """
    lineage = lineage_of(workspace, run)
    answers, annotators = _learnt_from(workspace, lineage)
    scores, evaluated = _scores(workspace, lineage, truth)
    threshold, why = _threshold(workspace, run)
    measured = run.folder / "measured.json"
    height, width = np.median(images.sizes, axis=0).astype(int).tolist()
    return Facts(
        lineage=tuple(lineage),
        images=len(images),
        held_out=int(images.held_out.sum()),
        folders=tuple(display(each.name) for each in workspace.config.roots),
        side=(width, height),
        answers=answers,
        annotators=annotators,
        measured=read_json(measured) if measured.is_file() else None,
        scores=scores,
        evaluated=evaluated,
        threshold=threshold,
        why_no_threshold=why,
    )


def lineage_of(workspace: Workspace, run: Run) -> list[Run]:
    """The runs that led to a model, the first one first; as far as they are still there."""
    lineage = [run]
    while (parent := lineage[0].parent) is not None:
        try:
            lineage.insert(0, run_with(workspace, parent))
        except LikewiseError:
            break
    return lineage


def licence_of(first: Run) -> str:
    """What is known of the licence of the weights that a lineage began with."""
    init, backbone = str(first.settings.get("init", "random")), first.architecture["name"]
    owner, _, name = backbone.rpartition("/")
    if init == "random":
        return "No weights of others are in this model; it was trained from random ones."
    known = _timm_licence(name) if owner == "timm" else ""
    if init != "pretrained":
        published = (
            f" timm states {known} for the weights of {name} that it publishes." if known else ""
        )
        return (
            f"It began with the weights in a file, {display(Path(init).name)}, whose licence "
            f"Likewise does not know: see where the file came from.{published}"
        )
    if known:
        return f"It began with the weights that timm publishes for {name}; timm states {known}."
    return (
        f"It began with the weights that {owner} publishes for {name}; {owner} names no licence "
        "for them alone: see where they and the images they learnt from come from."
    )


def _timm_licence(name: str) -> str:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    licence = getattr(config, "license", None)
    return f"the licence {licence}" if licence else ""


def _learnt_from(workspace: Workspace, lineage: Sequence[Run]) -> tuple[dict[str, int], int]:
    """Answers by verdict, and people, that the last fine-tuning may have learnt from."""
    taught = [run for run in lineage if run.kind == "finetune"]
    if not taught:
        return {"similar": 0, "dissimilar": 0}, 0
    run = taught[-1]
    model = Model(run.name, run.fingerprint, datetime.fromisoformat(run.started), learnt=True)
    with open_answers(workspace) as store:
        history = store.history()
    learnt = [
        each
        for each in trainable(Ledger(known_to(model, history)).settled())
        if each.verdict != "unsure"
    ]
    counts = Counter(each.verdict for each in learnt)
    people = {each.annotator for each in learnt}
    return {"similar": counts["similar"], "dissimilar": counts["dissimilar"]}, len(people)


def _scores(
    workspace: Workspace, lineage: Sequence[Run], truth: str | None
) -> tuple[tuple[ModelScores, ...], str]:
    if truth is None:
        return (), ""
    run = lineage[-1]
    if run.fingerprint not in {each["fingerprint"] for each in embedded(workspace)}:
        raise LikewiseError(
            f"{run.name} has no embeddings to be measured; run `likewise embed --model {run.name}`"
        )
    found = evaluate(workspace, Evaluate(truth=truth))
    wanted = {each.fingerprint for each in lineage}
    kept = [each for each in found.models if each.name == RAW_PIXELS or each.fingerprint in wanted]
    return tuple(kept), found.explanation()


def _threshold(workspace: Workspace, run: Run) -> tuple[dict[str, Any] | None, str]:
    """The threshold of `likewise verify`, if the model's embeddings are those in use."""
    in_use = bool(embedded(workspace)) and load_embeddings(workspace).fingerprint
    if in_use != run.fingerprint:
        return None, (
            "No threshold: the embeddings in use when this was exported were of another model, or "
            "there were none."
        )
    verifier = Verifier(workspace)
    if verifier.threshold is None:
        return None, "No threshold: too few answers were kept to measure one."
    if not np.isfinite(verifier.threshold.similarity):
        return None, "No threshold: the answers allow none at a false-accept rate of 1 %."
    return threshold_json(verifier.threshold), " ".join(verifier.notes())
