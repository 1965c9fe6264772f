"""The progress bar of a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from likewise.progress.pace import Pace


class _Rate(ProgressColumn):
    def __init__(self, pace: Pace, unit: str) -> None:
        super().__init__()
        self.pace, self.unit = pace, unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or self.pace.rate
        return Text(f"{speed:,.0f} {self.unit}/s" if speed else "", style="progress.data.speed")


class _Left(ProgressColumn):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:
        left = 0.0 if task.finished else self.pace.left
        shown = "-:--:--" if left is None else str(timedelta(seconds=round(left)))
        return Text(f"left {shown}", style="progress.remaining")


@contextmanager
def terminal_bar(pace: Pace, task: str, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr with rate and time left; see `likewise.progress.progress`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(pace, unit),
        TimeElapsedColumn(),
        _Left(pace),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        handle = bar.add_task(task, total=pace.total, completed=pace.done)

        def advance(count: int) -> None:
            pace.advance(count)
            bar.advance(handle, count)

        yield advance
