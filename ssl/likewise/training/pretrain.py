"""Pretraining: SimSiam on the unlabelled images of a workspace."""

import copy
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likewise import ranks
from likewise.errors import LikewiseError, UsageError
from likewise.images.augmentation import Recipe, Views, choose_recipe, whole_view
from likewise.images.store import Images, open_images
from likewise.models.joint_norm import joint_norms
from likewise.models.machine import Machine, pick_machine
from likewise.models.model_files import save_model
from likewise.models.nets import SMALL_IMAGE, build_backbone
from likewise.models.runs import Run, discard, resumable, start_run
from likewise.models.simsiam import SimSiam
from likewise.models.threads import Threads
from likewise.models.together import (
    from_first,
    one_of_each_machine_first,
    require_same,
    together,
)
from likewise.notebook import Displayed
from likewise.progress import say
from likewise.settings import Preset, Pretrain, config_of
from likewise.training import health
from likewise.training.batches import Request, Rows, divide_cores, epoch_rows, view_batches
from likewise.training.loop import Position, Training, load_checkpoint, precision_of, train
from likewise.training.losses import simsiam_loss
from likewise.training.shares import averaging, gathered, require_enough
from likewise.wording import percent
from likewise.workspace import Workspace

WATCHED_IMAGES = 512
"""How many images the health figures are measured on."""
FIRST_STEPS = 50
"""Before so many steps a collapse may still dissolve by itself, and is not told."""


@dataclass(frozen=True)
class Pretrained(Displayed):
    """What `pretrain` did."""

    run: Run
    fingerprint: str
    epochs: int
    images_per_second: float
    metrics: list[dict[str, Any]]
    warning: str | None

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        last = self.metrics[-1]
        measured = ("embedding_std", "projection_std", "effective_rank", "neighbour_stability")
        return {
            "run": self.run.name,
            "fingerprint": self.fingerprint,
            "epochs": self.epochs,
            "images_per_second": self.images_per_second,
            "loss": last["loss"],
            "health": {key: last[key] for key in measured} | {"warning": self.warning},
        }

    def as_text(self) -> str:
        """What a person reads."""
        last = self.metrics[-1]
        lines = [
            f"{self.run.name}: {self.epochs} epochs, {self.images_per_second:,.0f} images/s, "
            f"loss {last['loss']:.3f}",
            f"health: projection std {last['projection_std']:.2f} (1 is ideal, 0 collapsed), "
            f"effective rank {last['effective_rank']:.1f}, "
            f"{percent(last['neighbour_stability'])} of the neighbours stable",
        ]
        if self.warning:
            lines.append(f"warning: {self.warning}")
        lines.append("next: `likewise embed`")
        return "\n".join(lines)


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
    if settings.lr <= 0:
        raise UsageError("--lr must be above 0")
    if 0 < settings.image_size < 8:
        raise UsageError("--image-size must be at least 8 pixels")


def _digest(images: Images, rows: Rows) -> str:
    """Changes when other images are trained on: such a run cannot be resumed."""
    return hashlib.blake2b("".join(images.ids[rows]).encode(), digest_size=16).hexdigest()


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
        usual = 2048 if self.backbone.dim >= 512 else 2 * self.backbone.dim
        width = settings.projector_dim or usual
        self.model = SimSiam(self.backbone, width, settings.predictor_dim or width // 4)
        self.model.to(memory_format=torch.channels_last)
        self.workers, threads = divide_cores(settings.workers)
        self.threads = Threads(settings.threads or threads, fixed=settings.threads > 0)
        config = config_of(settings) | {"recipe": self.recipe, "images": _digest(images, rows)}
        require_same(config, "settings or images")
        old = from_first(
            lambda: None if settings.fresh else resumable(workspace, "pretrain", config)
        )
        self.machine = self._pick_machine(old)
        self.model.to(self.machine.device)
        self.shared = averaging(self.model, self.machine.device)
        rate = settings.lr * batch_size / 256
        encoder = [*self.backbone.parameters(), *self.model.projector.parameters()]
        self.rate = rate
        self.optimizer = torch.optim.SGD(
            [{"params": encoder}, {"params": list(self.model.predictor.parameters())}],
            lr=rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        self.watched = self._watched_images()
        self.stored = from_first(
            lambda: old or start_run(workspace, "pretrain", config, name=settings.name)
        )
        self.kept: dict[str, Any] = {"precision": self.machine.precision, "neighbours": None}
        self.warned = False

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
            after_epoch=self.measure,
            threads=self.threads,
            kept=self.kept,
        )
        position = load_checkpoint(training)
        self._announce(position)
        batches = view_batches(
            self.images,
            Views(self.recipe, self.size),
            lambda epoch: epoch_rows(self.rows, self.batch_size, settings.seed, epoch),
            count=settings.views,
            epochs=settings.epochs,
            seed=settings.seed,
            start=(position.epoch, position.step),
            workers=self.workers,
            device=self.machine.device,
        )
        try:
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
        self.stored.checkpoint_file.unlink(missing_ok=True)
        return fingerprint

    def loss_of(self, request: Request, views: UInt8[Tensor, "V b S S 3"]) -> Tensor:
        """SimSiam's loss; all views go through the network as one batch."""
        count, total = len(views), len(request.rows)
        flat = views.flatten(0, 1).to(self.machine.device, non_blocking=True)
        with self.machine.autocast(), joint_norms():
            _, z, p = self.shared(self.backbone.normalise(flat))
        p, z = (each.float().unflatten(0, (count, -1)) for each in (p, z))
        return simsiam_loss(gathered(p, total), gathered(z, total))

    def set_lr(self, progress: float) -> None:
        """Cosine decay for backbone and projector, constant for the predictor.

        Chen & He 2021, section 3 (optimizer) and section 4.2 (predictor).
        """
        encoder, _predictor = self.optimizer.param_groups
        encoder["lr"] = self.rate * 0.5 * (1 + math.cos(math.pi * progress))

    @torch.no_grad()
    def measure(self, row: dict[str, Any]) -> dict[str, float]:
        """Health on a fixed sample of images, without labels; ``row`` is what is known so far."""
        self.model.eval()
        with self.machine.autocast():
            h, z, _ = self.model(self.backbone.normalise(self.watched.to(self.machine.device)))
        self.model.train()
        h, z = h.float().cpu(), z.float().cpu()
        now = health.nearest(h)
        before, self.kept["neighbours"] = self.kept["neighbours"], now
        measured = {
            "embedding_std": health.relative_std(h),
            "projection_std": health.relative_std(z),
            "effective_rank": health.effective_rank(h),
            "neighbour_stability": 0.0
            if before is None
            else health.neighbour_stability(before, now),
        }
        warning = collapse_of(row | measured)
        if warning and not self.warned:
            say(f"warning: {warning}")
            self.warned = True
        return measured

    def _pick_machine(self, old: Run | None) -> Machine:
        wanted = precision_of(old, self.settings.precision)
        return pick_machine(self.settings.device, wanted, self._trial)

    def _trial(self, machine: Machine) -> Float[Tensor, ""]:
        """One forward and backward pass of a copy of the model on noise."""
        random = torch.Generator().manual_seed(0)
        shape = (2 * min(self.batch_size, 64), self.size, self.size, 3)
        noise = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        model = copy.deepcopy(self.model).to(machine.device)
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

    def _announce(self, position: Position) -> None:
        architecture, count = self.backbone.architecture, ranks.here().count
        each = f"{count} processes with each " if count > 1 else ""
        say(
            f"{self.stored.name}: {architecture.name} at {self.size} px, "
            f"{len(self.rows):,} images, {self.settings.views} views, "
            f"{self.settings.epochs} epochs ({self.machine}, {each}"
            f"{self.threads.most} threads, {self.workers} loader processes)"
        )
        if position.epoch or position.step:
            say(f"going on at epoch {position.epoch + 1}, step {position.step + 1}")


def collapse_of(measured: Mapping[str, Any]) -> str | None:
    """A warning in plain words if an epoch's row of metrics shows a collapse."""
    if measured["steps"] < FIRST_STEPS:
        return None
    return health.collapse_warning(measured["projection_std"], measured["effective_rank"])


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
