"""Fine-tuning: a model learns what people answered, with a head on its embedding or as a whole.

Two copies are trained from the same start. The first never sees the held-out answers and is
measured on them before and after; the second learns from every answer and is what is kept.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn import functional

from likewise.answers.holdout import split_answers
from likewise.answers.links import links_from
from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.files import read_json, write_json
from likewise.images.augmentation import Views
from likewise.images.store import Images, open_images
from likewise.models.backbones import Backbone, with_head
from likewise.models.machine import Machine, pick_machine
from likewise.models.runs import (
    Run,
    discard,
    finished_run,
    load_model,
    resumable,
    save_model,
    start_run,
)
from likewise.models.simsiam import SimSiam
from likewise.progress import say
from likewise.settings import Finetune, config_of
from likewise.training.answer_sampler import STEPS_PER_EPOCH, AnswerSampler
from likewise.training.answered import Basis, basis_of, learn_from, spread_answers
from likewise.training.batches import Request, divide_cores, view_batches
from likewise.training.held_out import Measures, held_out_measures
from likewise.training.loop import Training, load_checkpoint, precision_of, train
from likewise.training.losses import (
    contrastive_loss,
    simsiam_loss,
    supervised_contrastive_loss,
    triplet_loss,
)
from likewise.training.pretrain import pick_recipe
from likewise.workspace import Workspace

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
FEWEST_ANSWERS = 10
FEW_PAIRS = 20
"""Below so many pairs of a kind the figures are called rough."""
VIEWS = 2


@dataclass(frozen=True)
class Finetuned:
    """What `finetune` did."""

    run: Run
    fingerprint: str
    parent: Run
    depth: str
    """head or backbone."""
    blend: float
    """The part of the head in the new vectors, 0 to 1; 0 where there is none."""
    loss: str
    answers: int
    before: Measures
    after: Measures

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "run": self.run.name,
            "fingerprint": self.fingerprint,
            "parent": self.parent.name,
            "depth": self.depth,
            "blend": self.blend,
            "loss": self.loss,
            "answers": self.answers,
            "before": self.before,
            "after": self.after,
        }

    def as_text(self) -> str:
        """What a person reads."""
        lines = [f"{self.run.name}: {self.parent.name} tuned on {self.answers:,} answers"]
        if self.depth == "head":
            lines.append(
                f"a head counts for {self.blend:.0%} of the new embedding"
                if self.blend
                else "the embedding stays as it is: on hidden answers no head was surely better; "
                "more answers may change that"
            )
        before, after = self.before["auc"], self.after["auc"]
        kinds = {kind: self.after[kind] or 0 for kind in ("similar", "dissimilar")}
        if before is None or after is None:
            lines.append(
                "not measured: the answers held out hold too few pairs of both kinds; with more "
                "answers there will be figures"
            )
        else:
            rough = min(kinds.values()) < FEW_PAIRS
            lines.append(
                f"pair AUC on held-out answers ({kinds['similar']} similar, "
                f"{kinds['dissimilar']} dissimilar): {before:.3f} before, {after:.3f} after, "
                f"measured on a copy that was trained without them"
                + ("; so few pairs say little" if rough else "")
            )
        return "\n".join((*lines, "next: `likewise embed`"))


def finetune(workspace: Workspace, settings: Finetune) -> Finetuned:
    """Tune a pretrained model on what people agreed on; go on if the run was interrupted.

    Disputed pairs, and answers about images that are held out or gone, are left aside.

    Raises:
        UsageError: a setting makes no sense, or no such model.
        LikewiseError: too few answers, or the training failed.
    """
    _check(settings)
    images = open_images(workspace.require())
    parent = finished_run(workspace, settings.model, None if settings.model else "pretrain")
    with open_answers(workspace) as store:
        answers, standing = store.settled(), store.current()
    allowed = set(images.ids[~images.held_out].tolist())
    answers = [each for each in answers if each.verdict != "unsure" and set(each.pair) <= allowed]
    if len(answers) < FEWEST_ANSWERS:
        raise LikewiseError(
            f"{len(answers)} similar or dissimilar answers are too few to learn from (at least "
            f"{FEWEST_ANSWERS}, better 100); give some with `likewise label`"
        )
    depth = _depth(settings, parent)
    basis = (
        basis_of(workspace, images, parent, settings, standing)
        if depth == "head" or settings.spread
        else None
    )
    config = config_of(settings) | {"answers": _digest(answers), "parent": parent.fingerprint}
    with workspace.lock("runs"):
        run = resumable(workspace, "finetune", config) or start_run(
            workspace, "finetune", config, name=settings.name, parent=parent.fingerprint
        )
        try:
            if basis is not None and depth == "head":
                return _learn_head(images, answers, basis, parent, run, settings)
            return _tune(images, answers, basis, parent, run, settings)
        except LikewiseError:
            if not any(run.folder.rglob("checkpoint.pt")):
                discard(run)
            raise


def _depth(settings: Finetune, parent: Run) -> str:
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
    if settings.steps < 1 or settings.batch_size < 4:
        raise UsageError("--steps must be at least 1, --batch-size at least 4")
    if min(settings.spread, settings.simsiam) < 0:
        raise UsageError("--spread and --simsiam must not be negative")
    if min(settings.lr, settings.temperature, settings.margin) <= 0:
        raise UsageError("--lr, --temperature and --margin must be above 0")


def _digest(answers: Sequence[Answer]) -> str:
    text = "\n".join(f"{each.a} {each.b} {each.verdict}" for each in answers)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _tune(
    images: Images,
    answers: list[Answer],
    basis: Basis | None,
    parent: Run,
    run: Run,
    settings: Finetune,
) -> Finetuned:
    def taught(learnt: list[Answer]) -> list[Answer]:
        if basis is None:
            return learnt
        hidden = {image for each in answers for image in each.pair}
        return learnt + spread_answers(basis, learnt, settings.spread, hidden, settings.seed)

    def copy(learnt: list[Answer]) -> Backbone:
        copy_run = replace(run, folder=run.folder / "held-out")
        _Tuning(images, taught(learnt), parent, copy_run, settings).run()
        return load_model(copy_run.model_file)

    measured = _measured(images, answers, parent, run, settings, copy)
    fingerprint = _Tuning(images, taught(answers), parent, run, settings).run()
    return Finetuned(
        run=run,
        fingerprint=fingerprint,
        parent=parent,
        depth="backbone",
        blend=0.0,
        loss=settings.loss,
        answers=len(answers),
        before=measured["before"],
        after=measured["after"],
    )


def _learn_head(
    images: Images,
    answers: list[Answer],
    basis: Basis,
    parent: Run,
    run: Run,
    settings: Finetune,
) -> Finetuned:
    def copy(learnt: list[Answer]) -> Backbone:
        head = learn_from(basis, learnt, settings.seed).head
        return with_head(load_model(parent.model_file), head)

    measured = _measured(images, answers, parent, run, settings, copy)
    head = learn_from(basis, answers, settings.seed).head
    backbone = with_head(load_model(parent.model_file), head)
    return Finetuned(
        run=run,
        fingerprint=save_model(run.model_file, backbone),
        parent=parent,
        depth="head",
        blend=head.blend,
        loss=settings.loss,
        answers=len(answers),
        before=measured["before"],
        after=measured["after"],
    )


def _measured(
    images: Images,
    answers: list[Answer],
    parent: Run,
    run: Run,
    settings: Finetune,
    copy: Callable[[list[Answer]], Backbone],
) -> dict[str, Measures]:
    """The parent's figures on held-out answers, and those of a copy that never saw them."""
    learnt, held_out = split_answers(answers, settings.hold_out, settings.seed)
    measured_file = run.folder / "measured.json"
    if not measured_file.is_file():
        before = held_out_measures(load_model(parent.model_file), images, held_out)
        if before["auc"] is None or len(learnt) < FEWEST_ANSWERS:
            after = before | {"auc": None}
        else:
            after = held_out_measures(copy(learnt), images, held_out)
        write_json(measured_file, {"before": before, "after": after})
    told: dict[str, Measures] = read_json(measured_file)
    return told


class _Tuning:
    """One training from the parent's weights on some answers."""

    def __init__(
        self, images: Images, answers: list[Answer], parent: Run, run: Run, settings: Finetune
    ) -> None:
        self.images, self.answers, self.settings, self.stored = images, answers, settings, run
        self.links = links_from(answers)
        self.backbone = load_model(parent.model_file).train()
        self.backbone.to(memory_format=torch.channels_last)
        self.recipe = parent.settings.get("recipe") or pick_recipe(
            images, parent.settings.get("preset", "auto")
        )
        torch.manual_seed(settings.seed)
        self.workers, threads = divide_cores(settings.workers)
        torch.set_num_threads(threads)
        precision = precision_of(run, settings.precision)
        self.machine = pick_machine(settings.device, precision, self._trial)
        dim = self.backbone.dim
        self.model = (
            SimSiam(self.backbone, 2 * dim, dim // 2) if settings.simsiam else self.backbone
        )
        self.model.to(self.machine.device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=settings.lr, weight_decay=1e-4
        )
        self.sampler = AnswerSampler(answers, images.positions, settings.batch_size, settings.seed)

    def run(self) -> str:
        """Train, save, and return the fingerprint."""
        if self.stored.finished:
            return self.stored.fingerprint
        settings = self.settings
        epochs = math.ceil(settings.steps / STEPS_PER_EPOCH)
        training = Training(
            run=self.stored,
            model=self.model,
            optimizer=self.optimizer,
            epochs=epochs,
            steps_per_epoch=STEPS_PER_EPOCH,
            images_per_step=settings.batch_size,
            loss_of=self.loss_of,
            set_lr=self.set_lr,
            after_epoch=lambda row: {},
            kept={"precision": self.machine.precision},
        )
        position = load_checkpoint(training)
        say(
            f"{self.stored.folder.name}: {settings.loss} on {len(self.answers):,} answers "
            f"({self.machine})"
        )
        batches = view_batches(
            self.images,
            Views(self.recipe, self.backbone.architecture.image_size),
            self.sampler.plan,
            count=VIEWS,
            epochs=epochs,
            seed=settings.seed,
            start=(position.epoch, position.step),
            workers=self.workers,
            pin_memory=self.machine.device.type == "cuda",
        )
        train(training, position, batches)
        fingerprint = save_model(self.stored.model_file, self.backbone)
        self.stored.checkpoint_file.unlink(missing_ok=True)
        return fingerprint

    def loss_of(self, request: Request, views: UInt8[Tensor, "V B S S 3"]) -> Tensor:
        """The chosen loss on all views of the batch; views of one image are must-linked."""
        ids = [str(self.images.ids[row]) for row in request.rows]
        relations = torch.from_numpy(np.tile(self.links.relations(ids), (VIEWS, VIEWS)))
        flat = views.flatten(0, 1).to(self.machine.device, non_blocking=True)
        with self.machine.autocast():
            h = self.backbone(self.backbone.normalise(flat))
            regulariser = self._regulariser(h)
        embeddings = functional.normalize(h.float(), dim=1)
        return self._loss(embeddings, relations.to(embeddings.device)) + regulariser

    def _regulariser(self, h: Float[Tensor, "VB D"]) -> Float[Tensor, ""]:
        """SimSiam's loss between the views, weighed."""
        if not isinstance(self.model, SimSiam):
            return h.new_zeros(())
        z = self.model.projector(h)
        p = self.model.predictor(z)
        two = (VIEWS, len(h) // VIEWS, -1)
        return self.settings.simsiam * simsiam_loss(p.view(two).float(), z.view(two).float())

    def _loss(
        self, embeddings: Float[Tensor, "B D"], relations: Int8[Tensor, "B B"]
    ) -> Float[Tensor, ""]:
        match self.settings.loss:
            case "contrastive":
                return contrastive_loss(embeddings, relations, self.settings.margin)
            case "triplet":
                return triplet_loss(embeddings, relations, self.settings.margin)
            case "supcon":
                return supervised_contrastive_loss(embeddings, relations, self.settings.temperature)

    def set_lr(self, progress: float) -> None:
        """A short warm-up, then cosine decay."""
        rate = self.settings.lr * min(1.0, (progress + 1e-3) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * progress))

    def _trial(self, machine: Machine) -> Tensor:
        size = self.backbone.architecture.image_size
        noise = torch.zeros(min(self.settings.batch_size, 64), size, size, 3, dtype=torch.uint8)
        self.backbone.eval().to(machine.device)
        with torch.random.fork_rng(), machine.autocast():
            h: Tensor = self.backbone(self.backbone.normalise(noise.to(machine.device)))
        loss = h.float().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.backbone.train().zero_grad(set_to_none=True)
        return loss.detach()
