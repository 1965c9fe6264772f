"""Training a net, or adapters in it, on answers: contrastive, triplet or supcon loss."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor
from torch.nn import functional

from likewise.answers.links import links_from
from likewise.answers.standing import Answer
from likewise.images.augmentation import Recipe, Views
from likewise.images.store import Images
from likewise.models.backbones import Backbone
from likewise.models.joint_norm import joint_norms
from likewise.models.machine import Machine, pick_machine
from likewise.models.model_files import save_model
from likewise.models.runs import Run
from likewise.models.simsiam import SimSiam
from likewise.models.threads import threads_for
from likewise.models.together import from_first, require_same
from likewise.progress import say
from likewise.settings import Finetune
from likewise.training.adapters import adapt, merge
from likewise.training.answer_sampler import STEPS_PER_EPOCH, AnswerSampler
from likewise.training.batches import Request, divide_cores, view_batches
from likewise.training.checkpoint import arithmetic_of, remove_checkpoints
from likewise.training.loop import Training, load_checkpoint, train
from likewise.training.losses import (
    contrastive_loss,
    simsiam_loss,
    supervised_contrastive_loss,
    triplet_loss,
)
from likewise.training.shares import averaging, gathered, require_enough

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""
VIEWS = 2


class Tuning:
    """One training of a net on some answers, from the weights that it has."""

    def __init__(
        self,
        images: Images,
        answers: Sequence[Answer],
        start: Backbone,
        recipe: Recipe,
        run: Run,
        settings: Finetune,
    ) -> None:
        self.images, self.answers, self.settings, self.stored = images, answers, settings, run
        self.recipe = recipe
        self.links = links_from(answers)
        require_same([(each.pair, each.verdict) for each in answers], "answers")
        self.backbone = start.train()
        torch.manual_seed(settings.seed)
        if settings.depth == "adapters":
            adapt(self.backbone, settings.rank)
        self.workers, threads = divide_cores(settings.workers)
        self.threads = threads_for(settings.threads, threads)
        wanted = arithmetic_of(run, settings.precision, settings.memory_format)
        architecture = self.backbone.architecture
        subject = f"finetune {architecture.name} at {architecture.image_size} px"
        self.machine = pick_machine(
            settings.device, *wanted, self._trial, f"{subject}, {self._tried} images"
        )
        dim = self.backbone.dim
        self.model = (
            SimSiam(self.backbone, 2 * dim, dim // 2) if settings.simsiam else self.backbone
        )
        self.model.to(self.machine.device)
        self.backbone.place_on(self.machine.device, self.machine.memory_format)
        self.shared = averaging(self.model, self.machine.device)
        learning = [each for each in self.model.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(
            learning, lr=settings.lr, weight_decay=1e-4, fused=self.machine.fused
        )
        self.sampler = AnswerSampler(answers, images.positions, settings.batch_size, settings.seed)
        require_enough(self.sampler.fewest)

    def run(self) -> str:
        """Train, save, and return the fingerprint."""
        if from_first(lambda: self.stored.finished):
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
            images_of=lambda request: self.images.names(request.rows),
            threads=self.threads,
            kept=self.machine.kept,
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
            device=self.machine.device,
        )
        train(training, position, batches)
        merge(self.backbone)
        return from_first(self._save)

    def _save(self) -> str:
        fingerprint = save_model(self.stored.model_file, self.backbone)
        remove_checkpoints(self.stored)
        return fingerprint

    def loss_of(self, request: Request, views: UInt8[Tensor, "V b S S 3"]) -> Tensor:
        """The chosen loss on all views of the batch; views of one image are must-linked."""
        ids = [str(self.images.ids[row]) for row in request.rows]
        relations = torch.from_numpy(np.tile(self.links.relations(ids), (VIEWS, VIEWS)))
        flat = views.flatten(0, 1).to(self.machine.device, non_blocking=True)
        with self.machine.autocast(), joint_norms():
            given = self.shared(self.backbone.normalise(flat))
        outputs = given if isinstance(given, tuple) else (given,)
        h, *projected = (
            gathered(each.float().unflatten(0, (VIEWS, -1)), len(request.rows)) for each in outputs
        )
        embeddings = functional.normalize(h.flatten(0, 1), dim=1)
        loss = self._loss(embeddings, relations.to(embeddings.device))
        if projected:
            z, p = projected
            loss = loss + self.settings.simsiam * simsiam_loss(p, z)
        return loss

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

    @property
    def _tried(self) -> int:
        """Images of a trial."""
        return min(self.settings.batch_size, 64)

    def _trial(self, machine: Machine) -> Tensor:
        size = self.backbone.architecture.image_size
        noise = torch.zeros(self._tried, size, size, 3, dtype=torch.uint8)
        training = self.backbone.training
        self.backbone.eval().place_on(machine.device, machine.memory_format)
        with torch.random.fork_rng(), machine.autocast():
            h: Tensor = self.backbone(self.backbone.normalise(noise.to(machine.device)))
        loss = h.float().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self.backbone.train(training).zero_grad(set_to_none=True)
        return loss.detach()
