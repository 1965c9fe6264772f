"""How fast work goes on, and when it will be done."""

import math
import time
from collections.abc import Callable

SURE_AFTER = 2.0
"""Seconds, and two steps, of which nothing is told: what they show is how work begins."""
MEMORY = 30.0
"""Seconds after which a step counts a third (1 / e) of what it did."""


class Pace:
    """Items a second, smoothed, and the time left.

    The first step is not counted: it has to load, to compile, to start processes.
    """

    def __init__(
        self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total, self.done = total, done
        self._clock = clock
        self._steps = 0
        self._begun = self._last = clock()
        self._items = self._seconds = 0.0

    def advance(self, count: int) -> None:
        """So many items were just finished."""
        now = self._clock()
        self.done += count
        self._steps += 1
        if self._steps == 1:
            self._begun = now
        else:
            fading = math.exp(-(now - self._last) / MEMORY)
            self._items = self._items * fading + count
            self._seconds = self._seconds * fading + now - self._last
        self._last = now

    @property
    def rate(self) -> float | None:
        """Items a second; None where there is not enough to tell."""
        if self._steps < 2 or self._last - self._begun < SURE_AFTER:
            return None
        return self._items / self._seconds

    @property
    def left(self) -> float | None:
        """Seconds until all is done; None where there is not enough to tell."""
        rate = self.rate
        if rate is None:
            return None
        since = self._clock() - self._last
        return max(0.0, (self.total - self.done) / rate - since)
