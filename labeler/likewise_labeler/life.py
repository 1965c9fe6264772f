"""The server's life: it opens the workspace at once, and ends with the process that started it."""

import os
import signal
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from likewise_labeler.allocator import give_back_what_is_freed
from likewise_labeler.desk import the_desk

WATCH = "LIKEWISE_PARENT"
"""Environment: "stdin" when standard input is a pipe that the parent holds open while it lives."""
_LAST_SECONDS = 5.0


@asynccontextmanager
async def with_parent(_app: Any) -> AsyncGenerator[None, None]:
    """Open the workspace beside; watch the parent, if the parent asked for it."""
    give_back_what_is_freed()
    threading.Thread(target=the_desk().look, name="desk", daemon=True).start()
    if os.environ.get(WATCH) == "stdin":
        threading.Thread(target=_watch, name="parent", daemon=True).start()
    yield


def _watch() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_SECONDS)  # for requests to end
    os._exit(1)
