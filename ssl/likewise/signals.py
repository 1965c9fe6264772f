"""SIGTERM ends a command as Ctrl-C does, so that it cleans up behind itself; neither gets lost."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from likewise.errors import LikewiseError

STOPS = tuple(getattr(signal, each) for each in ("SIGINT", "SIGTERM"))


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the block ends; in processes forked there, until `let_go`."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_go() -> None:
    """What `held_back` has kept from a forked process comes."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a terminal that is closed) raise KeyboardInterrupt in the block.

    Where they are ignored, as under ``nohup``, or have a handler, they stay as they are. Processes
    that are forked meanwhile end at once, as they would have. An interrupt, Ctrl-C too, that a
    library turns into an error of its own, as imports may, leaves the block as KeyboardInterrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, interrupted = os.getpid(), False

    def interrupt(number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if os.getpid() != owner and number != signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        interrupted = True
        raise KeyboardInterrupt

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, each) for each in names if hasattr(signal, each)]
    before = {each: signal.getsignal(each) for each in numbers}
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    ours = {number: handler for number, handler in before.items() if handler in defaults}
    for each in ours:
        signal.signal(each, interrupt)
    try:
        yield
    except Exception as error:
        if interrupted and not isinstance(error, LikewiseError):
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
