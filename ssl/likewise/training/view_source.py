"""Where the views of a training come from: worker processes, or the device that trains."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likewise import ranks
from likewise.images.augmentation import Recipe, Views
from likewise.images.batched_views import BatchedViews
from likewise.images.store import Images
from likewise.models.together import from_first
from likewise.settings import ViewsOn
from likewise.training.ahead import sent_ahead
from likewise.training.batches import Request, Requests, Rows, view_batches
from likewise.training.resident import Resident, bytes_kept, made_on_device, resident_batches


@dataclass(frozen=True)
class ViewSource:
    """Which views a training sees, and in what order."""

    images: Images
    rows: Rows
    """Of all images that are trained on, rising."""
    recipe: Recipe
    image_size: int
    plan: Callable[[int], list[Rows]]
    """The images of each step of an epoch."""
    count: int
    """Views of each image."""
    epochs: int
    seed: int

    def made_on(self, device: torch.device, wanted: ViewsOn, kept: dict[str, Any]) -> bool:
        """Whether views are made on ``device``, which trains.

        Args:
            device: The one that trains.
            wanted: auto: a run that goes on stays with what it chose, since the other views would
                not be the same.
            kept: What the run's checkpoints keep; the choice is written there.
        """
        if wanted == "auto":
            wanted = kept.get("views_on", "auto")
        size = bytes_kept(self.images, self.rows, self._batched)
        there = from_first(lambda: made_on_device(wanted, device, size))
        kept["views_on"] = "device" if there else "cpu"
        return there

    def batches_by_processes(
        self, start: tuple[int, int], workers: int, device: torch.device
    ) -> Iterable[tuple[Request, Tensor]]:
        """Batches from an epoch and a step on, made on the CPU and sent to ``device``."""
        return view_batches(
            self.images,
            Views(self.recipe, self.image_size),
            self.plan,
            count=self.count,
            epochs=self.epochs,
            seed=self.seed,
            start=start,
            workers=workers,
            device=device,
        )

    def batches_on(
        self, start: tuple[int, int], device: torch.device
    ) -> Iterable[tuple[Request, Tensor]]:
        """Batches from an epoch and a step on, made on ``device``.

        Raises:
            LikewiseError: the images do not fit into its memory.
        """
        resident = Resident(self.images, self.rows, self._batched, device)
        requests = Requests(self.plan, self.epochs, start)
        made = resident_batches(
            resident, requests, count=self.count, seed=self.seed, share=ranks.here().share
        )
        return sent_ahead(made, device)

    @property
    def _batched(self) -> BatchedViews:
        return BatchedViews(self.recipe, self.image_size)
