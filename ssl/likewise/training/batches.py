"""Batches of views: which images at which step, made in worker processes, the same from a seed.

A batch is known by (epoch, step), so its views do not depend on the number of workers or on where
a run was interrupted. Nor do they depend on the number of processes under `torchrun`: those make
whole batches in turn, and share each of them out.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from likewise import ranks
from likewise.cores import own_cores
from likewise.errors import LikewiseError
from likewise.images.augmentation import Views
from likewise.images.store import Images
from likewise.signals import held_back, let_go
from likewise.training.ahead import sent_ahead
from likewise.training.shares import share_out

Rows = npt.NDArray[np.int64]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Request:
    """The images of one step."""

    epoch: int
    step: int
    """Within the epoch."""
    rows: Rows
    """Positions in the collection of images."""


def epoch_rows(rows: Rows, batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """Shuffle ``rows`` and cut them into full batches; the remainder waits for another epoch."""
    shuffled = np.random.default_rng((seed, epoch)).permutation(rows)
    count = len(rows) // batch_size
    return [shuffled[n * batch_size : (n + 1) * batch_size] for n in range(count)]


class Requests(Sampler[Request]):
    """Every request of a run from a given point on."""

    def __init__(
        self, plan: Callable[[int], list[Rows]], epochs: int, start: tuple[int, int]
    ) -> None:
        self.plan, self.epochs, self.start = plan, epochs, start

    def __iter__(self) -> Iterator[Request]:
        first_epoch, first_step = self.start
        for epoch in range(first_epoch, self.epochs):
            for step, rows in enumerate(self.plan(epoch)):
                if epoch > first_epoch or step >= first_step:
                    yield Request(epoch, step, rows)


class _Turns(Sampler[Request]):
    """Those requests whose batches this process makes."""

    def __init__(self, requests: Requests) -> None:
        self.requests = requests

    def __iter__(self) -> Iterator[Request]:
        rank = ranks.here()
        return islice(self.requests, rank.number, None, rank.count)


class _ViewBatches(Dataset[tuple[Request, Tensor] | LikewiseError]):
    def __init__(self, images: Images, views: Views, count: int, seed: int) -> None:
        self.images, self.views, self.count, self.seed = images, views, count, seed

    def __getitem__(
        self, request: Request
    ) -> tuple[Request, UInt8[Tensor, "V B S S 3"]] | LikewiseError:
        """A batch; what is wrong with it is handed over, as torch makes a traceback of errors."""
        try:
            return self._made(request)
        except LikewiseError as error:
            return error

    def _made(self, request: Request) -> tuple[Request, UInt8[Tensor, "V B S S 3"]]:
        self.views.seed(self.seed, request.epoch, request.step)
        size = self.views.image_size
        batch = np.empty((self.count, len(request.rows), size, size, 3), np.uint8)
        for place, row in enumerate(request.rows):
            image = self.images[int(row)]
            for view in range(self.count):
                batch[view, place] = self.views(image)
        return request, torch.from_numpy(batch)


def view_batches(
    images: Images,
    views: Views,
    plan: Callable[[int], list[Rows]],
    *,
    count: int,
    epochs: int,
    seed: int,
    start: tuple[int, int] = (0, 0),
    workers: int = 0,
    device: torch.device = CPU,
) -> Iterable[tuple[Request, Tensor]]:
    """Load ``count`` views of the images that ``plan(epoch)`` names, from ``start`` on.

    Yields ``(request, views)``, views as RGB bytes of shape (V, B, S, S, 3); under `torchrun` this
    process's share (V, b, S, S, 3) of the request's images. ``device`` is where they are used.
    """
    requests, rank = Requests(plan, epochs, start), ranks.here()
    loader = DataLoader(
        _ViewBatches(images, views, count, seed),
        batch_size=None,
        sampler=requests if rank.alone else _Turns(requests),
        num_workers=workers,
        prefetch_factor=(4 if rank.alone else 2) if workers else None,
        worker_init_fn=_quiet_worker,
        pin_memory=device.type == "cuda",
    )
    made = _told(loader)
    if rank.alone:
        return sent_ahead(made, device)
    return _shared_out(requests, made, (count, views.image_size), device)


def _told(
    loader: Iterable[tuple[Request, Tensor] | LikewiseError],
) -> Iterator[tuple[Request, Tensor]]:
    """Raise here what went wrong in a worker; no signal meets one before it ignores signals."""
    with held_back():
        batches = iter(loader)
    for batch in batches:
        if isinstance(batch, LikewiseError):
            raise batch
        yield batch


def _shared_out(
    requests: Iterable[Request],
    made: Iterable[tuple[Request, Tensor]],
    shape: tuple[int, int],
    device: torch.device,
) -> Iterator[tuple[Request, Tensor]]:
    """Our share of every batch, of which each process has ``made`` its turns."""
    (count, size), rank = shape, ranks.here()
    own, coming = iter(made), None
    for number, request in enumerate(requests):
        maker = number % rank.count
        if maker == 0:
            coming = next(own, None)  # there is none if the run ends before our turn
        batch = coming[1] if coming is not None and maker == rank.number else None
        whole = (count, len(request.rows), size, size, 3)
        yield request, share_out(batch, maker, whole, device)


def divide_cores(workers: int) -> tuple[int, int]:
    """Loader processes and compute threads for this machine's cores, which its ranks divide.

    ``workers`` -1 chooses. On up to two cores the training process makes the views itself: a
    further busy process makes torch's threads wait for each other (the digits of the demo: 670
    images/s with one, 720 without).
    """
    cores = own_cores()
    if workers < 0:
        workers = 0 if cores <= 2 else min(8, cores // 2)
    return workers, max(1, cores - workers)


def _quiet_worker(_: int) -> None:
    """Leave signals to the main process, which saves first; one thread per worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    let_go()
    torch.set_num_threads(1)
