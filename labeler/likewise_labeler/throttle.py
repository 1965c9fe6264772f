"""How often somebody may guess: failures are counted per key over a minute."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

WINDOW = 60.0
"""Seconds for which a failure counts."""
_KEYS = 20_000

Key = tuple[str, ...]


class Throttle:
    """Counts failed tries; may be shared by threads. Its memory is bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[Key, deque[float]] = {}
        self._lock = threading.Lock()

    def begin(self, limits: Sequence[tuple[Key, int]]) -> float:
        """Count a try against each key; seconds to wait (0: go on) if one is at its limit.

        The try counts as failed until `forgive` says otherwise, so that many tries at the same
        moment gain nothing. A try that has to wait is not counted.
        """
        now = self._clock()
        with self._lock:
            wait = max(self._wait(key, limit, now) for key, limit in limits)
            if wait <= 0:
                if len(self._failures) > _KEYS:
                    self._forget(now)
                for key, _ in limits:
                    self._failures.setdefault(key, deque()).append(now)
            return max(0.0, wait)

    def forgive(self, keys: Sequence[Key]) -> None:
        """The try that `begin` counted last against these keys was none that failed."""
        with self._lock:
            for key in keys:
                failures = self._failures.get(key)
                if failures:
                    failures.pop()
                    if not failures:
                        del self._failures[key]

    def _wait(self, key: Key, limit: int, now: float) -> float:
        failures = self._failures.get(key)
        while failures and failures[0] <= now - WINDOW:
            failures.popleft()
        if failures is None or len(failures) < limit:
            return 0.0
        return failures[0] + WINDOW - now

    def _forget(self, now: float) -> None:
        """Drop what no longer counts; the oldest keys, if that is not enough."""
        for key in list(self._failures):
            self._wait(key, 1, now)
            if not self._failures[key]:
                del self._failures[key]
        while len(self._failures) > _KEYS:
            del self._failures[next(iter(self._failures))]
