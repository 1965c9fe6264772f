"""Copies to a GPU, and views made there, while it is still busy with the step before.

A GPU works through what it was told in order. Told on a second queue (a stream of CUDA), the next
batch comes in beside the present step, not after it.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def sent_ahead(
    batches: Iterable[tuple[T, Tensor]], device: torch.device
) -> Iterator[tuple[T, Tensor]]:
    """The same batches, on ``device``. On a GPU they come there by a queue of their own."""
    if device.type != "cuda":
        for request, views in batches:
            yield request, views.to(device)
        return
    beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream(device))  # images may still be on their way
    source = iter(batches)
    while True:
        with torch.cuda.stream(beside):
            batch = next(source, None)
            if batch is None:
                return
            request, views = batch
            views = views.to(device, non_blocking=True)
        now = torch.cuda.current_stream(device)
        now.wait_stream(beside)
        views.record_stream(now)  # its memory is not used again before the step is done
        yield request, views
