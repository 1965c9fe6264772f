"""Work that must stop in time, so that it fits into commands of limited length."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """So many minutes from now on; None: as many as it takes."""

    def __init__(self, minutes: float | None) -> None:
        self.end = None if minutes is None else time.monotonic() + 60 * minutes

    @property
    def left(self) -> float:
        """Seconds."""
        return float("inf") if self.end is None else self.end - time.monotonic()

    @contextmanager
    def ctrl_c_at_the_end(self) -> Iterator[None]:
        """Within it this process gets a Ctrl-C when the time is over: jobs then save and stop."""
        if self.end is None:
            yield
            return
        timer = threading.Timer(max(self.left, 0), os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
