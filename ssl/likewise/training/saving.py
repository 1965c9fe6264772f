"""When a checkpoint is due."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

SHARE = 20
"""Writing checkpoints takes at most one part in so many of the time."""


class Saving:
    """After each epoch, unless epochs are so short that writing would take much of the time.

    On a GPU an epoch of small images takes seconds, and a checkpoint of a large net does so too.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def due(self) -> bool:
        """Whether one should be written now."""
        return time.monotonic() >= self._next

    @contextmanager
    def writing(self) -> Iterator[None]:
        """To be around the writing of one."""
        began = time.monotonic()
        yield
        now = time.monotonic()
        self._next = now + SHARE * (now - began)
