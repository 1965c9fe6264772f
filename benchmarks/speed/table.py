"""Rows of the one table: ours, the peer's, and the ratio, both measured in turn in one run."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """Things per second, over repeats."""

    mean: float
    spread: float
    """Standard deviation of the repeats; 0 of a single one."""

    def __str__(self) -> str:
        return f"{_three_digits(self.mean)} ± {_three_digits(self.spread)}"


@dataclass(frozen=True)
class Row:
    """One line: the same work, done by us and by a peer."""

    work: str
    unit: str
    ours: Rate
    peer: str
    """Whose code is compared with."""
    theirs: Rate

    @property
    def ratio(self) -> float:
        """How many times as quick ours is."""
        return self.ours.mean / self.theirs.mean


HEAD = "| work | unit | ours | peer | theirs | ratio |\n|---|---|---|---|---|---|"


def line_of(row: Row) -> str:
    """A row of the Markdown table below `HEAD`."""
    return f"| {row.work} | {row.unit} | {row.ours} | {row.peer} | {row.theirs} | {row.ratio:.1f} |"


def in_turn(
    work: str,
    unit: str,
    peer: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    repeats: int,
) -> Row:
    """Call both in turn, so that a machine that slows down slows down both.

    Args:
        work: What is done.
        unit: What is counted, per second.
        peer: Whose ``theirs`` is.
        ours: Does the work and returns how much of it was done per second.
        theirs: The same with the peer's code.
        repeats: Of both.
    """
    mine, other = list[float](), list[float]()
    for _ in range(repeats):
        mine.append(ours())
        other.append(theirs())
    return Row(work, unit, _rate(mine), peer, _rate(other))


def _rate(values: Sequence[float]) -> Rate:
    return Rate(statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0)


def _three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
