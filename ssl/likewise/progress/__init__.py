"""What a person sees while they wait: a bar with rate and time left, on stderr.

A notebook would paint stderr red and keep every line: there a line changes in place and goes.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from likewise import ranks
from likewise.progress.pace import Pace

Advance = Callable[[int], None]
"""Call it with the number of items that were just finished."""

_PLAIN_EVERY_SECONDS = 10.0
_IN_PLACE_EVERY_SECONDS = 0.5


def say(text: str) -> None:
    """Tell the user something on stderr, so that stdout stays clean for results.

    In a notebook, where results are displayed, it is an ordinary line. Of the processes of a
    `torchrun` only the first one talks.
    """
    if not ranks.here().first:
        return
    print(text, file=sys.stdout if in_notebook() else sys.stderr, flush=True)


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this process."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show ``text`` while the block runs, and nothing of it afterwards; only on a terminal."""
    on_terminal = sys.stderr.isatty() and ranks.here().first
    if on_terminal:
        sys.stderr.write(text)
        sys.stderr.flush()
    try:
        yield
    finally:
        if on_terminal:
            sys.stderr.write(f"\r{' ' * len(text)}\r")
            sys.stderr.flush()


@contextmanager
def progress(task: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Advance]:
    """Show how far ``task`` is: a bar on a terminal, a line every ten seconds elsewhere.

    In a notebook the line changes in place, and is gone at the end.

    ``done`` items count as finished already (a resumed run).
    """
    if not ranks.here().first:
        yield lambda count: None
        return
    pace = Pace(total, done)
    if in_notebook():
        with _line_in_place() as show:
            yield _lines(pace, task, unit, _IN_PLACE_EVERY_SECONDS, show)
        return
    if sys.stderr.isatty():
        from likewise.progress.terminal import terminal_bar  # rich: only where it paints

        with terminal_bar(pace, task, unit) as advance:
            yield advance
        return
    yield _lines(pace, task, unit, _PLAIN_EVERY_SECONDS, say)


@contextmanager
def _line_in_place() -> Iterator[Callable[[str], None]]:
    """A line of a notebook: what is shown takes the place of what was shown before."""
    from IPython import display as ipython

    display: Any = ipython.display
    handle: Any = None

    def show(text: str) -> None:
        nonlocal handle
        if handle is None:
            handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            handle.update({"text/plain": text}, raw=True)

    try:
        yield show
    finally:
        if handle is not None:
            handle.update({"text/plain": "", "text/html": ""}, raw=True)


def _lines(pace: Pace, task: str, unit: str, every: float, show: Callable[[str], None]) -> Advance:
    """Shows a line at most ``every`` so many seconds; `likewise.jobs.log` reads it."""
    last = time.monotonic()

    def advance(count: int) -> None:
        nonlocal last
        pace.advance(count)
        now = time.monotonic()
        if now - last < every:
            return
        last = now
        rate, left = pace.rate, pace.left
        told = "" if rate is None or left is None else f", {rate:,.0f}/s, {left:,.0f} s left"
        show(f"{task}: {pace.done:,}/{pace.total:,} {unit}{told}")

    return advance
