"""The head step: a linear map beside the parent's embedding, from stored vectors, in seconds."""

from collections.abc import Sequence

from likewise.answers.holdout import split_answers
from likewise.answers.rivals import save_rivals
from likewise.answers.standing import Answer
from likewise.files import write_json
from likewise.models.backbones import with_head
from likewise.models.heads import apply_head
from likewise.models.model_files import load_model, save_model
from likewise.models.runs import Run, keep_parent
from likewise.settings import Finetune
from likewise.training.answered import FEWEST_ANSWERS, Basis, learn_from
from likewise.training.finetuned import Finetuned
from likewise.training.held_out import Measures, measures_of, pair_scores

WHY_KEPT = "on hidden answers no head was surely better"


def teach_head(
    answers: Sequence[Answer], basis: Basis, parent: Run, run: Run, settings: Finetune
) -> Finetuned:
    """Fit a head to the answers; save a model with it, or keep the parent if the gate is shut."""
    before, after = _measured(answers, basis, settings)
    write_json(run.folder / "measured.json", {"before": before, "after": after})
    learnt = learn_from(basis, answers, settings.seed)
    head = learnt.head
    if learnt.rivals is not None:
        save_rivals(learnt.rivals, basis.folder)
    if head.blend:
        backbone = with_head(load_model(parent.model_file), head)
        fingerprint = save_model(run.model_file, backbone)
    else:
        keep_parent(run, parent, WHY_KEPT)
        fingerprint = parent.fingerprint
    return Finetuned(
        run=run if head.blend else parent,
        fingerprint=fingerprint,
        parent=parent,
        depth="head",
        blend=head.blend,
        loss=settings.loss,
        answers=len(answers),
        before=before,
        after=after,
        why_kept="" if head.blend else WHY_KEPT,
    )


def _measured(
    answers: Sequence[Answer], basis: Basis, settings: Finetune
) -> tuple[Measures, Measures]:
    """The parent's figures on held-out answers, and those of a head that never saw them."""
    learnt, held_out = split_answers(answers, settings.hold_out, settings.seed)
    vectors, rows = basis.pool.vectors, basis.pool.positions
    before = measures_of(pair_scores(vectors, rows, held_out), held_out)
    if before["auc"] is None or len(learnt) < FEWEST_ANSWERS:
        return before, before | {"auc": None}
    head = learn_from(basis, learnt, settings.seed).head
    images = sorted({image for each in held_out for image in each.pair})
    mapped = apply_head(head, vectors[[rows[each] for each in images]])
    places = {image: row for row, image in enumerate(images)}
    return before, measures_of(pair_scores(mapped, places, held_out), held_out)
