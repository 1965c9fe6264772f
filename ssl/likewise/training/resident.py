"""Images that lie on the device that trains, and batches of views made there.

A GPU trains a small net on small images faster than the cores of its machine make views. Where all
images fit into its memory it makes them itself, in batches.
"""

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from likewise.errors import LikewiseError
from likewise.images.batched_views import BatchedViews
from likewise.images.store import Images
from likewise.settings import ViewsOn
from likewise.training.batches import Request, Rows

SHARE = 0.25
"""Of a GPU's free memory that images may take without being asked for; the rest is for training."""
_CHUNK = 64 << 20
"""Bytes that are sent at once."""


class Resident:
    """The pixels of some images on a torch device.

    Args:
        images: All images of a workspace.
        rows: Those that are wanted, rising.
        views: What makes views of them.
        device: Where they are put.

    Raises:
        LikewiseError: they are too large for it.
    """

    def __init__(
        self, images: Images, rows: Rows, views: BatchedViews, device: torch.device
    ) -> None:
        self.rows, self.views, self.device = rows, views, device
        sizes = torch.from_numpy(sizes_kept(images, rows, views).astype(np.int64))
        counts = sizes.prod(dim=1)
        try:
            self.pixels = torch.empty(int(counts.sum()), 3, dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError as error:
            raise LikewiseError(
                f"{int(counts.sum()) * 3 / 1e9:,.1f} GB of images do not fit into the memory of "
                f"{device}; say --views-on cpu"
            ) from error
        self.sizes, self.starts = sizes.to(device), (counts.cumsum(0) - counts).to(device)
        self._fill(images)

    def _fill(self, images: Images) -> None:
        place, waiting, count = 0, list[UInt8[np.ndarray, "n 3"]](), 0
        for row in self.rows:
            image = images[int(row)]
            if self.views.recipe == "glyph":
                image = squared(image, self.views.image_size)
            waiting.append(image.reshape(-1, 3))
            count += len(waiting[-1])
            if count * 3 >= _CHUNK or row == self.rows[-1]:
                self.pixels[place : place + count] = torch.from_numpy(np.concatenate(waiting))
                place, waiting, count = place + count, [], 0

    def views_of(self, rows: Rows, draws: Float[Tensor, "V B n"]) -> UInt8[Tensor, "V B S S 3"]:
        """Views of the images in these rows, several of each, on the device."""
        count, size = len(draws), self.views.image_size
        places = np.searchsorted(self.rows, rows)
        if (self.rows[places] != rows).any():
            raise ValueError("rows that are not here")
        chosen: Int64[Tensor, " B"] = self._send(torch.from_numpy(places))
        starts, sizes = self.starts[chosen], self.sizes[chosen]
        made = self.views.make(
            self.pixels,
            starts.repeat(count),
            sizes.repeat(count, 1),
            self._send(draws.flatten(0, 1)),
        )
        return made.view(count, len(rows), size, size, 3)

    def _send(self, values: Tensor) -> Tensor:
        """Onto the device, without waiting until it is there."""
        if self.device.type == "cuda":
            values = values.pin_memory()
        return values.to(self.device, non_blocking=True)


def squared(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """A whole image as a square, as the recipe ``glyph`` begins with."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def sizes_kept(images: Images, rows: Rows, views: BatchedViews) -> Int64[np.ndarray, "N 2"]:
    """Height and width of images as they would lie on a device."""
    if views.recipe == "glyph":
        return np.full((len(rows), 2), views.image_size, np.int64)
    return images.sizes[rows].astype(np.int64)


def bytes_kept(images: Images, rows: Rows, views: BatchedViews) -> int:
    """How much memory images take on a device."""
    return 3 * int(sizes_kept(images, rows, views).prod(axis=1).sum())


def made_on_device(wanted: ViewsOn, device: torch.device, size: int) -> bool:
    """Whether views are made on the device that trains.

    Args:
        wanted: auto: where it is a GPU of CUDA with room enough.
        device: The one that trains.
        size: Bytes of all images.
    """
    if wanted != "auto" or device.type != "cuda":
        return wanted == "device"
    free, _ = torch.cuda.mem_get_info(device)
    return size <= SHARE * free


def all_of(total: int) -> slice:
    """The share of a batch that falls to a process which trains alone."""
    return slice(total)


def resident_batches(
    resident: Resident,
    requests: Iterable[Request],
    *,
    count: int,
    seed: int,
    share: Callable[[int], slice] = all_of,
) -> Iterator[tuple[Request, UInt8[Tensor, "V b S S 3"]]]:
    """``count`` views of (our share of) the images of each request.

    They depend on seed, epoch and step alone, not on the share.
    """
    for request in requests:
        total = len(request.rows)
        draws = resident.views.draws(count * total, seed, request.epoch, request.step)
        own = share(total)
        made = resident.views_of(request.rows[own], draws.view(count, total, -1)[:, own])
        yield request, made
