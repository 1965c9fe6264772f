"""What a person sees while they wait: a bar with rate and time left, always on stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

Advance = Callable[[int], None]
"""Call it with the number of items that were just finished."""

_PLAIN_EVERY_SECONDS = 10.0


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else "", style="progress.data.speed")


def say(text: str) -> None:
    """Tell the user something on stderr, so that stdout stays clean for results."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def progress(task: str, total: int, unit: str = "images", done: int = 0) -> Iterator[Advance]:
    """Show how far ``task`` is: a bar on a terminal, a line every ten seconds elsewhere.

    ``done`` items count as finished already (a resumed run).
    """
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
    yield _plain_lines(task, total, unit, done)


def _plain_lines(task: str, total: int, unit: str, done: int) -> Advance:
    started = last = time.monotonic()
    finished = 0

    def advance(count: int) -> None:
        nonlocal finished, last
        finished += count
        now = time.monotonic()
        if now - last < _PLAIN_EVERY_SECONDS:
            return
        last = now
        rate = finished / (now - started)
        left = (total - done - finished) / rate if rate else 0.0
        say(f"{task}: {done + finished:,}/{total:,} {unit}, {rate:,.0f}/s, {left:,.0f} s left")

    return advance
