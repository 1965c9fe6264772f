"""A pretraining is watched: health on a fixed sample of images, one warning of a collapse."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from likewise import ranks
from likewise.models.machine import Machine
from likewise.models.simsiam import SimSiam
from likewise.progress import say
from likewise.training import health

WATCHED_IMAGES = 512
"""How many images the health figures are measured on."""
FIRST_STEPS = 50
"""Before so many steps a collapse may still dissolve by itself, and is not told."""
LOOK_AT = 100
"""After so many steps a collapse is looked for, however long the first epoch is."""


class Watch:
    """Measures after every epoch, and says once if the net has collapsed.

    Args:
        model: The net in training.
        machine: Where and how it runs.
        images: What the health figures are measured on.
        kept: What a checkpoint keeps; what is seen here is put into it.
    """

    def __init__(
        self,
        model: SimSiam,
        machine: Machine,
        images: UInt8[Tensor, "N S S 3"],
        kept: dict[str, Any],
    ) -> None:
        self._model, self._machine, self._images, self._kept = model, machine, images, kept
        unseen = torch.full((FIRST_STEPS,), math.nan, device=machine.device)
        kept |= {"neighbours": None, "told_apart": unseen}
        self._told_apart: Tensor = unseen[0]
        self._warned = False

    def saw(self, z: Float[Tensor, "V B P"]) -> None:
        """The projections of a step's views: can those of one image be told from others'?"""
        self._told_apart = health.told_apart(z)

    def after_step(self, steps: int) -> None:
        """Look for a collapse before the first long epoch is over, too."""
        recent = self._kept["told_apart"].to(self._machine.device)
        recent[steps % FIRST_STEPS] = self._told_apart
        self._kept["told_apart"] = recent
        if steps == LOOK_AT and ranks.here().first:
            self._warn({"steps": steps, **self._signs(*self._embedded())})

    def measure(self, row: Mapping[str, Any]) -> dict[str, float]:
        """The health figures after an epoch, without labels; ``row`` is what is known so far."""
        h, z = self._embedded()
        now = health.nearest(h)
        before, self._kept["neighbours"] = self._kept["neighbours"], now
        measured = {
            "embedding_std": health.relative_std(h),
            "neighbour_stability": 0.0
            if before is None
            else health.neighbour_stability(before, now),
            **self._signs(h, z),
        }
        self._warn({**row, **measured})
        return measured

    def _signs(self, h: Float[Tensor, "N D"], z: Float[Tensor, "N P"]) -> dict[str, float]:
        """What `collapse_of` looks at, of the images now and of the views of the last steps."""
        recent = self._kept["told_apart"]
        recent = recent[recent.isfinite()]
        error = recent.std(correction=0) / math.sqrt(len(recent))
        return {
            "projection_std": health.relative_std(z),
            "effective_rank": health.effective_rank(h),
            "told_apart": float(recent.mean()),
            "told_apart_error": float(error),
        }

    @torch.no_grad()
    def _embedded(self) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N P"]]:
        """What the net makes of the images: embeddings and projections."""
        self._model.eval()
        with self._machine.autocast():
            images = self._images.to(self._machine.device)
            h, z, _ = self._model(self._model.backbone.normalise(images))
        self._model.train()
        return h.float().cpu(), z.float().cpu()

    def _warn(self, measured: Mapping[str, Any]) -> None:
        warning = collapse_of(measured)
        if warning and not self._warned:
            say(f"warning: {warning}")
            self._warned = True


def collapse_of(measured: Mapping[str, Any]) -> str | None:
    """A warning in plain words if an epoch's row of metrics shows a collapse."""
    if measured["steps"] < FIRST_STEPS:
        return None
    collapsed = health.collapse_warning(measured["projection_std"], measured["effective_rank"])
    if collapsed or "told_apart" not in measured:
        return collapsed
    return health.guessing_warning(measured["told_apart"], measured["told_apart_error"])
