"""Pretraining: SimSiam on the unlabelled images of a workspace."""

import copy
import hashlib
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likewise import ranks
from likewise.errors import LikewiseError, UsageError
from likewise.images.augmentation import Recipe, choose_recipe, whole_view
from likewise.images.store import Images, open_images
from likewise.models.compiling import Forward, compiled_where_it_pays, unchanged
from likewise.models.joint_norm import joint_norms
from likewise.models.machine import Machine, pick_machine
from likewise.models.model_files import save_model
from likewise.models.nets import SMALL_IMAGE, build_backbone
from likewise.models.runs import Run, discard, finished_before, resumable, start_run
from likewise.models.simsiam import SimSiam
from likewise.models.threads import threads_for
from likewise.models.together import (
    from_first,
    one_of_each_machine_first,
    require_same,
    together,
)
from likewise.progress import say
from likewise.settings import Preset, Pretrain, config_of
from likewise.training.batches import Request, Rows, divide_cores, epoch_rows
from likewise.training.checkpoint import arithmetic_of, remove_checkpoints
from likewise.training.halving import halved, require_half
from likewise.training.loop import Position, Training, load_checkpoint, train
from likewise.training.losses import simsiam_loss
from likewise.training.pretrained import Pretrained
from likewise.training.shares import averaging, gathered, require_enough
from likewise.training.view_source import ViewSource
from likewise.training.watch import WATCHED_IMAGES, Watch, collapse_of
from likewise.workspace import Workspace


def pretrain(workspace: Workspace, settings: Pretrain) -> Pretrained:
    """Train SimSiam on the images that are not held out; go on if the run was interrupted.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: too few images, or the training failed.
    """
    _check(settings)
    images = open_images(workspace.require())
    rows = np.flatnonzero(~images.held_out)
    batch_size = min(settings.batch_size, len(rows))
    if batch_size < 2:
        raise LikewiseError(
            f"{workspace.path} holds {len(rows)} image(s) to train on; SimSiam needs at least 2 "
            "(a few hundred to learn anything); add some with `likewise ingest`"
        )
    require_enough(batch_size)
    with together(), workspace.lock("runs"):
        return _Pretraining(workspace, settings, images, rows, batch_size).run()


def _check(settings: Pretrain) -> None:
    for name, least in (("views", 2), ("epochs", 1), ("batch_size", 2), ("image_size", 0)):
        if getattr(settings, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} must be at least {least}")
    if settings.threads < 0:
        raise UsageError("--threads must be 0 or more")
    if not 0 <= settings.small_first <= 0.9:
        raise UsageError("--small-first must be from 0 to 0.9")
    if settings.lr <= 0:
        raise UsageError("--lr must be above 0")
    if 0 < settings.image_size < 8:
        raise UsageError("--image-size must be at least 8 pixels")


def _digest(images: Images, rows: Rows) -> str:
    """Changes when other images are trained on: such a run cannot be resumed."""
    return hashlib.blake2b("".join(images.ids[rows]).encode(), digest_size=16).hexdigest()


def require_same_images(workspace: Workspace, run: Run) -> None:
    """Raise unless a run would be trained on the images that it was trained on.

    Raises:
        LikewiseError: it would not.
    """
    images = open_images(workspace.require())
    if run.settings["images"] != _digest(images, np.flatnonzero(~images.held_out)):
        raise LikewiseError(
            f"{workspace.path} does not hold the images that {run.name} was trained on: some were "
            "added, removed or held out since; `likewise pretrain` trains on those of today"
        )


class _Pretraining:
    """One call of `pretrain`: the pieces, built in order, and the loss that uses them."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Pretrain,
        images: Images,
        rows: Rows,
        batch_size: int,
    ) -> None:
        self.settings, self.images, self.rows, self.batch_size = settings, images, rows, batch_size
        self.recipe = pick_recipe(images, settings.preset)
        torch.manual_seed(settings.seed)
        size = settings.image_size or default_size(images, settings)
        with one_of_each_machine_first():
            self.backbone = build_backbone(settings.backbone, image_size=size, init=settings.init)
        self.size = self.backbone.architecture.image_size
        self.small_epochs = round(settings.small_first * settings.epochs)
        if self.small_epochs:
            require_half(self.backbone)
        usual = 2048 if self.backbone.dim >= 512 else 2 * self.backbone.dim
        width = settings.projector_dim or usual
        self.model = SimSiam(self.backbone, width, settings.predictor_dim or width // 4)
        self.workers, threads = divide_cores(settings.workers)
        self.threads = threads_for(settings.threads, threads)
        config = config_of(settings) | {"recipe": self.recipe, "images": _digest(images, rows)}
        require_same(config, "settings or images")
        old = from_first(
            lambda: None if settings.fresh else resumable(workspace, "pretrain", config)
        )
        before = None if old else finished_before(workspace, "pretrain", config)
        if before:
            say(
                f"{before.name} had these settings and is finished; this is another run of them "
                "(Ctrl-C stops it, other --epochs or another --seed learn something else)"
            )
        self.machine = self._pick_machine(old)
        self.model.to(self.machine.device)
        self.backbone.place_on(self.machine.device, self.machine.memory_format)
        self.shared = averaging(self.model, self.machine.device)
        rate = settings.lr * batch_size / 256
        encoder = [*self.backbone.parameters(), *self.model.projector.parameters()]
        self.rate = rate
        self.optimizer = torch.optim.SGD(
            [{"params": encoder}, {"params": list(self.model.predictor.parameters())}],
            lr=rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=self.machine.fused,
        )
        self.stored = from_first(
            lambda: old or start_run(workspace, "pretrain", config, name=settings.name)
        )
        self.kept: dict[str, Any] = {**self.machine.kept}
        self.watch = Watch(self.model, self.machine, self._watched_images(), self.kept)
        self.forward: Forward = self._plain_forward

    def run(self) -> Pretrained:
        settings, steps = self.settings, len(self.rows) // self.batch_size
        training = Training(
            run=self.stored,
            model=self.model,
            optimizer=self.optimizer,
            epochs=settings.epochs,
            steps_per_epoch=steps,
            images_per_step=self.batch_size,
            loss_of=self.loss_of,
            set_lr=self.set_lr,
            after_epoch=self.watch.measure,
            images_of=lambda request: self.images.names(request.rows),
            threads=self.threads,
            after_step=self.watch.after_step,
            kept=self.kept,
        )
        position = load_checkpoint(training)
        source = ViewSource(
            images=self.images,
            rows=self.rows,
            recipe=self.recipe,
            image_size=self.size,
            plan=lambda epoch: epoch_rows(self.rows, self.batch_size, settings.seed, epoch),
            count=settings.views,
            epochs=settings.epochs,
            seed=settings.seed,
        )
        start, device = (position.epoch, position.step), self.machine.device
        there = source.made_on(device, settings.views_on, self.kept)
        self._announce(position, there)
        try:
            batches = (
                source.batches_on(start, device)
                if there
                else source.batches_by_processes(start, self.workers, device)
            )
            self._compile((settings.epochs - position.epoch) * steps - position.step)
            train(training, position, batches)
        except LikewiseError:
            if not self.stored.checkpoint_file.is_file():
                discard(self.stored)
            raise
        fingerprint = from_first(self._save)
        images_seen = settings.epochs * steps * self.batch_size
        return Pretrained(
            run=self.stored,
            fingerprint=fingerprint,
            epochs=settings.epochs,
            images_per_second=images_seen / max(position.seconds, 1e-9),
            metrics=position.metrics,
            warning=collapse_of(position.metrics[-1]),
        )

    def _save(self) -> str:
        fingerprint = save_model(self.stored.model_file, self.backbone)
        remove_checkpoints(self.stored)
        return fingerprint

    def loss_of(self, request: Request, views: UInt8[Tensor, "V b S S 3"]) -> Tensor:
        """SimSiam's loss; all views go through the network as one batch."""
        count, total = len(views), len(request.rows)
        flat = views.flatten(0, 1)
        if request.epoch < self.small_epochs:
            flat = halved(flat)
        with self.machine.autocast(), joint_norms():
            z, p = self.forward(flat)
        p, z = (gathered(each.float().reshape(count, -1, each.shape[1]), total) for each in (p, z))
        self.watch.saw(z)
        return simsiam_loss(p, z)

    def _plain_forward(self, flat: UInt8[Tensor, "Vb S S 3"]) -> tuple[Tensor, ...]:
        _, z, p = self.shared(self.backbone.normalise(flat))
        return z, p

    def _compile(self, steps: int) -> None:
        """Let the forward pass of the ``steps`` to come be compiled where that pays.

        Not in one of several processes: `joint_norms` and the compiler don't know each other.
        """
        wanted = self.settings.compile
        if not ranks.here().alone:
            if wanted == "on":
                say("--compile on: not with several processes")
            return
        shape = (self.settings.views, self.batch_size, self.size, self.size, 3)
        request = Request(self.small_epochs, 0, self.rows[: self.batch_size])

        def attempt(forward: Forward) -> float:
            self.forward = forward
            with unchanged(self.model):
                noise = torch.randint(256, shape, dtype=torch.uint8, device=self.machine.device)
                loss = self.loss_of(request, noise)
                loss.backward()  # type: ignore[no-untyped-call]
                return loss.item()

        self.forward = compiled_where_it_pays(
            self._plain_forward, attempt, wanted, self.machine.device, steps
        )

    def set_lr(self, progress: float) -> None:
        """Cosine decay for backbone and projector, constant for the predictor.

        Chen & He 2021, section 3 (optimizer) and section 4.2 (predictor).
        """
        encoder, _predictor = self.optimizer.param_groups
        encoder["lr"] = self.rate * 0.5 * (1 + math.cos(math.pi * progress))

    def _pick_machine(self, old: Run | None) -> Machine:
        settings = self.settings
        wanted = arithmetic_of(old, settings.precision, settings.memory_format)
        subject = f"pretrain {settings.backbone} at {self.size} px, {self._tried} images"
        return pick_machine(settings.device, *wanted, self._trial, subject)

    @property
    def _tried(self) -> int:
        """Images of a trial."""
        return min(self.batch_size, 64)

    def _trial(self, machine: Machine) -> Float[Tensor, ""]:
        """One forward and backward pass of a copy of the model on noise."""
        random = torch.Generator().manual_seed(0)
        shape = (2 * self._tried, self.size, self.size, 3)
        noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        model = copy.deepcopy(self.model).to(machine.device)
        model.backbone.place_on(machine.device, machine.memory_format)
        with torch.random.fork_rng(), machine.autocast():
            _, z, p = model(model.backbone.normalise(noise.to(machine.device)))
        loss: Tensor = -(p.float() * z.float().detach()).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _watched_images(self) -> UInt8[Tensor, "N S S 3"]:
        chosen = np.random.default_rng(0).permutation(self.rows)[:WATCHED_IMAGES]
        return torch.from_numpy(
            np.stack([whole_view(self.images[int(row)], self.size) for row in chosen])
        )

    def _announce(self, position: Position, there: bool) -> None:
        architecture, count = self.backbone.architecture, ranks.here().count
        each = f"{count} processes with each " if count > 1 else ""
        small = self.small_epochs
        first = f", the first {small} at {self.size // 2} px" if small else ""
        makers = "views are made there" if there else f"{self.workers} loader processes"
        say(
            f"{self.stored.name}: {architecture.name} at {self.size} px, "
            f"{len(self.rows):,} images, {self.settings.views} views, "
            f"{self.settings.epochs} epochs{first} ({self.machine}, {each}"
            f"{self.threads.most} threads, {makers})"
        )
        if position.epoch or position.step:
            say(f"going on at epoch {position.epoch + 1}, step {position.step + 1}")


def pick_recipe(images: Images, preset: Preset) -> Recipe:
    """The augmentation recipe for these images; says why when it chose by itself."""
    if preset != "auto":
        return preset
    sample = np.random.default_rng(0).permutation(len(images))[:64]
    recipe, reason = choose_recipe([images[int(row)] for row in sample])
    say(f"preset: {recipe} ({reason}; `likewise views` shows it, --preset changes it)")
    return recipe


def default_size(images: Images, settings: Pretrain) -> int:
    """Side of a view in pixels: the images' own below 64 px; 0 leaves it to the backbone."""
    if settings.init != "random":
        return 0
    own = int(np.median(images.sizes.min(axis=1)))
    return min(own, SMALL_IMAGE if settings.backbone == "small" else 2 * SMALL_IMAGE)
