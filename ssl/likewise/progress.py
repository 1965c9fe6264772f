"""What a person sees while they wait: a bar with rate and time left, on stderr.

A notebook would paint stderr red and keep every line: there a line changes in place and goes.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from likewise import ranks

Advance = Callable[[int], None]
"""Call it with the number of items that were just finished."""

_PLAIN_EVERY_SECONDS = 10.0
_IN_PLACE_EVERY_SECONDS = 0.5


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else "", style="progress.data.speed")


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
def progress(task: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Advance]:
    """Show how far ``task`` is: a bar on a terminal, a line every ten seconds elsewhere.

    In a notebook the line changes in place, and is gone at the end.

    ``done`` items count as finished already (a resumed run).
    """
    if not ranks.here().first:
        yield lambda count: None
        return
    if in_notebook():
        with _line_in_place() as show:
            yield _lines(task, total, unit, done, _IN_PLACE_EVERY_SECONDS, show)
        return
    if sys.stderr.isatty():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as bar:
            handle = bar.add_task(task, total=total, completed=done)
            yield lambda count: bar.advance(handle, count)
        return
    yield _lines(task, total, unit, done, _PLAIN_EVERY_SECONDS, say)


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


def _lines(
    task: str, total: int, unit: str, done: int, every: float, show: Callable[[str], None]
) -> Advance:
    """Shows a line at most ``every`` so many seconds."""
    started = last = time.monotonic()
    finished = 0

    def advance(count: int) -> None:
        nonlocal finished, last
        finished += count
        now = time.monotonic()
        if now - last < every:
            return
        last = now
        rate = finished / (now - started)
        left = (total - done - finished) / rate if rate else 0.0
        show(f"{task}: {done + finished:,}/{total:,} {unit}, {rate:,.0f}/s, {left:,.0f} s left")

    return advance
