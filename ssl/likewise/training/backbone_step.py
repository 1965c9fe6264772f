"""The backbone step: the whole net is tuned on the answers, and kept if it is surely better.

Two copies are trained from the same start. The first never sees the held-out answers and is judged
on them (`likewise.training.backbone_gate`); the second learns from every answer, and is trained
only if the first one passed.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
from jaxtyping import Float64

from likewise.answers.holdout import split_answers
from likewise.answers.standing import Answer
from likewise.files import read_json, write_json
from likewise.images.augmentation import Recipe
from likewise.images.store import Images
from likewise.models.backbones import Backbone
from likewise.models.model_files import load_model
from likewise.models.runs import Run, keep_parent
from likewise.models.together import from_first
from likewise.settings import Finetune
from likewise.training.answered import FEWEST_ANSWERS, Basis, learn_from, spread_answers
from likewise.training.backbone_gate import Judged, found_by_views, judge, some_images
from likewise.training.finetuned import Finetuned
from likewise.training.held_out import Measures, measures_of, scores_by
from likewise.training.pretrain import pick_recipe
from likewise.training.tuning import Tuning


class BackboneStep:
    """Tunes the net of ``parent`` on ``answers``; ``basis`` tells which images belong together.

    Under `torchrun` all processes tune; what is read off the basis and judged is the first one's.
    """

    def __init__(
        self,
        images: Images,
        answers: Sequence[Answer],
        basis: Basis | None,
        parent: Run,
        run: Run,
        settings: Finetune,
    ) -> None:
        self.images, self.answers, self.basis = images, answers, basis
        self.parent, self.stored, self.settings = parent, run, settings
        self.recipe: Recipe = parent.settings.get("recipe") or pick_recipe(
            images, parent.settings.get("preset", "auto")
        )

    def run(self) -> Finetuned:
        """Train, judge, and save a model or keep the parent."""
        before, after, judged = self._measured()
        why = "" if judged is None or judged.passed else _why(judged)
        if why:
            from_first(lambda: keep_parent(self.stored, self.parent, why))
            fingerprint = self.parent.fingerprint
        else:
            fingerprint = self._train(self.answers, self.stored)
        return Finetuned(
            run=self.parent if why else self.stored,
            fingerprint=fingerprint,
            parent=self.parent,
            depth=self.settings.depth,
            blend=0.0,
            loss=self.settings.loss,
            answers=len(self.answers),
            before=before,
            after=after,
            why_kept=why,
        )

    def _train(self, learnt: Sequence[Answer], run: Run) -> str:
        taught = list(learnt)
        if self.settings.spread:
            taught += from_first(lambda: self._spread(learnt))
        start = load_model(self.parent.model_file)
        return Tuning(self.images, taught, start, self.recipe, run, self.settings).run()

    def _spread(self, learnt: Sequence[Answer]) -> list[Answer]:
        assert self.basis is not None
        hidden = {image for each in self.answers for image in each.pair}
        return spread_answers(self.basis, learnt, self.settings.spread, hidden, self.settings.seed)

    def _measured(self) -> tuple[Measures, Measures, Judged | None]:
        """Figures on held-out answers before and after; not judged where none are held out."""
        file = self.stored.folder / "measured.json"
        if not from_first(file.is_file):
            measured = self._measure()
            from_first(lambda: write_json(file, measured))
        told = from_first(lambda: read_json(file))
        judged = Judged(**told["judged"]) if told.get("judged") else None
        return told["before"], told["after"], judged

    def _measure(self) -> dict[str, object]:
        learnt, held_out = split_answers(self.answers, self.settings.hold_out, self.settings.seed)
        parent = load_model(self.parent.model_file)
        scores = from_first(lambda: scores_by(parent, self.images, held_out))
        before = measures_of(scores, held_out)
        if before["auc"] is None or len(learnt) < FEWEST_ANSWERS:
            return {"before": before, "after": before | {"auc": None}}
        copy_run = replace(self.stored, folder=self.stored.folder / "held-out")
        self._train(learnt, copy_run)
        return from_first(lambda: self._judge(parent, copy_run, scores, learnt, held_out))

    def _judge(
        self,
        parent: Backbone,
        copy_run: Run,
        scores: Float64[np.ndarray, " n"],
        learnt: Sequence[Answer],
        held_out: Sequence[Answer],
    ) -> dict[str, object]:
        copy = load_model(copy_run.model_file)
        tuned = scores_by(copy, self.images, held_out)
        seed = self.settings.seed
        rows = some_images(np.flatnonzero(~self.images.held_out), seed)
        groups = self._groups(learnt)[rows]
        found = [
            found_by_views(each, self.images, rows, groups, self.recipe, seed).astype(float)
            for each in (parent, copy)
        ]
        judged = judge(scores, tuned, held_out, found[1] - found[0], seed)
        before, after = (measures_of(each, held_out) for each in (scores, tuned))
        return {"before": before, "after": after, "judged": asdict(judged)}

    def _groups(self, learnt: Sequence[Answer]) -> np.ndarray:
        """The group of every image of the store, as far as ``learnt`` answers tell."""
        assert self.basis is not None
        told = learn_from(self.basis, learnt, self.settings.seed).spread.groups
        place = {image: row for row, image in enumerate(self.basis.pool.ids)}
        return np.array([told[place[str(each)]] for each in self.images.ids], dtype=np.int64)


def _why(judged: Judged) -> str:
    """Why a tuned net is not used."""
    if judged.better:
        return "the tuned net no longer tells images apart by their own views"
    surely = "" if judged.gain <= 0 else "surely "
    return f"on answers that it had not seen the tuned net was not {surely}better"
