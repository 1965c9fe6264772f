"""Threads that compute, fewer of them while other processes need the cores.

Threads that share a step wait for each other at its end. Where another process holds a core, every
step waits for the thread that lost it: two threads on two cores of which one is busy are many
times slower than one thread alone. So while others are busy there is a thread for each core that
they leave.
"""

import time

import torch

from likewise import ranks
from likewise.cores import Elsewhere
from likewise.progress import say

EVERY = 3.0
"""Seconds between two looks at the machine."""
PATIENCE = 3
"""Looks in a row that must find more room before more threads are used; fewer are at once."""


class Threads:
    """As many threads as there is room for.

    Sums come out in another order with another number of threads, so that results then differ in
    their last digits; with a number that is ``fixed`` they are the same to the bit. Processes of
    a `torchrun` divide the cores among them and keep to that, as each is busy beside the others.

    Args:
        most: Threads on an idle machine, at least 1.
        fixed: Never use another number.
    """

    def __init__(self, most: int, *, fixed: bool = False) -> None:
        self.most, self.fixed = most, fixed or not ranks.here().alone
        torch.set_num_threads(most)
        self._now, self._roomier = most, 0
        self._elsewhere = Elsewhere()
        self._looked = time.monotonic()

    def adapt(self) -> None:
        """To be called after every step: now and then it looks, and changes the number."""
        now = time.monotonic()
        if self.fixed or self.most == 1 or now - self._looked < EVERY:
            return
        self._looked = now
        room = max(1, min(self.most, round(self.most - self._elsewhere.busy())))
        self._roomier = self._roomier + 1 if room > self._now else 0
        if room < self._now or self._roomier >= PATIENCE:
            say(f"{room} of {self.most} threads: {_why(room, self.most)}")
            self._now, self._roomier = room, 0
            torch.set_num_threads(room)


def threads_for(wanted: int, usual: int) -> Threads:
    """What ``--threads`` means: ``wanted`` for good, or with 0 up to ``usual`` of them."""
    return Threads(wanted or usual, fixed=wanted > 0)


def _why(room: int, most: int) -> str:
    if room == most:
        return "the machine is free again"
    return "other processes keep the machine busy"
