"""`likewise finetune`: a model learns what people answered, with a head or as a whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from likewise.answers.ledger import Ledger
from likewise.answers.reserved import reserved, trainable
from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.store import Images, open_images
from likewise.models.runs import UNTAUGHT, Run, discard, finished_run, resumable, start_run
from likewise.models.together import from_first, together
from likewise.settings import Depth, Finetune, config_of
from likewise.training.answered import FEWEST_ANSWERS, basis_of
from likewise.training.backbone_step import BackboneStep
from likewise.training.finetuned import Finetuned
from likewise.training.head_step import teach_head
from likewise.workspace import Workspace


@dataclass(frozen=True)
class AsOf:
    """The answers that an older run learnt from."""

    moment: datetime
    """When it began."""
    digest: str
    """Of what it took from them."""
    run: str


def finetune(workspace: Workspace, settings: Finetune) -> Finetuned:
    """Tune a pretrained model on what people agreed on; go on if the run was interrupted.

    Left aside are disputed pairs, those kept for calibration, and answers about images that are
    held out or gone. Where nothing surely better is found, the parent stays in use.

    Raises:
        UsageError: a setting makes no sense, or no such model.
        LikewiseError: too few answers, or the training failed.
    """
    _check(settings)
    with together():
        return _finetune(workspace, settings, None)


def finetune_as_of(workspace: Workspace, settings: Finetune, as_of: AsOf) -> Finetuned:
    """The same with the answers of another day, however many were given since.

    Raises:
        UsageError: a setting makes no sense, or no such model.
        LikewiseError: the answers of that day are not there any more, or the training failed.
    """
    _check(settings)
    return _finetune(workspace, settings, as_of)


def _finetune(workspace: Workspace, settings: Finetune, as_of: AsOf | None) -> Finetuned:
    images = open_images(workspace.require())
    parent = finished_run(workspace, settings.model, UNTAUGHT)
    settled, standing = from_first(lambda: _given(workspace, as_of))
    answers = answers_to_learn(images, settled, standing)
    if as_of is not None and _digest(answers) != as_of.digest:
        raise LikewiseError(
            f"the answers that {as_of.run} learnt from are not those that the workspace had then: "
            "some came from a file since, or are about images that are gone or held out now"
        )
    if len(answers) < FEWEST_ANSWERS:
        raise LikewiseError(
            f"{len(answers)} similar or dissimilar answers are too few to learn from (at least "
            f"{FEWEST_ANSWERS}, better 100); give some with `likewise label`"
        )
    settings = replace(settings, depth=_depth(settings, parent))
    basis = basis_of(workspace, images, parent, settings, standing)
    config = config_of(settings) | {"answers": _digest(answers), "parent": parent.fingerprint}
    with workspace.lock("runs"):
        run = from_first(
            lambda: (
                resumable(workspace, "finetune", config)
                or start_run(
                    workspace, "finetune", config, name=settings.name, parent=parent.fingerprint
                )
            )
        )

        def head_taught() -> Finetuned:
            assert basis is not None
            return teach_head(answers, basis, parent, run, settings)

        try:
            if settings.depth == "head":
                return from_first(head_taught)
            return BackboneStep(images, answers, basis, parent, run, settings).run()
        except LikewiseError:
            if not any(run.folder.rglob("checkpoint.pt")):
                discard(run)
            raise


def _given(workspace: Workspace, as_of: AsOf | None) -> tuple[Sequence[Answer], Sequence[Answer]]:
    """One answer per pair, and one per pair and annotator."""
    with open_answers(workspace) as store:
        history = store.history()
    ledger = Ledger(each for each in history if as_of is None or each.time <= as_of.moment)
    return ledger.settled(), ledger.standing.answers()


def answers_to_learn(
    images: Images, settled: Sequence[Answer], standing: Sequence[Answer]
) -> list[Answer]:
    """The similar and dissimilar answers about images that may be learnt from.

    ``settled`` has one answer per pair, ``standing`` one per pair and annotator. A pair that was
    kept for calibration by one of them is kept for calibration.
    """
    allowed = set(images.ids[~images.held_out].tolist())
    calibrating = {each.pair for each in reserved(standing)}
    return [
        each
        for each in trainable(settled)
        if each.verdict != "unsure" and set(each.pair) <= allowed and each.pair not in calibrating
    ]


def _depth(settings: Finetune, parent: Run) -> Depth:
    headed = bool(parent.architecture.get("head"))
    if settings.depth == "auto":
        return "backbone" if headed else "head"
    if settings.depth == "head" and headed:
        raise UsageError(
            f"{parent.name} has a head already; name the model under it with --model, or take "
            "--depth backbone"
        )
    return settings.depth


def _check(settings: Finetune) -> None:
    if not 0 <= settings.hold_out < 1:
        raise UsageError("--hold-out must be at least 0 and below 1")
    for name, least in (("steps", 1), ("batch_size", 4), ("rank", 1), ("threads", 0)):
        if getattr(settings, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} must be at least {least}")
    if min(settings.spread, settings.simsiam) < 0:
        raise UsageError("--spread and --simsiam must not be negative")
    if min(settings.lr, settings.temperature, settings.margin) <= 0:
        raise UsageError("--lr, --temperature and --margin must be above 0")


def _digest(answers: Sequence[Answer]) -> str:
    text = "\n".join(f"{each.a} {each.b} {each.verdict}" for each in answers)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
