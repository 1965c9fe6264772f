"""How many cores this process may use, and how many of them others are using."""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

from likewise import ranks

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_PROC = Path("/proc")


def available_cores() -> int:
    """Cores that this process may use, at least 1.

    Fewer than the machine has where it is bound to some of them (affinity), or where a container
    is given a share of the time (cgroup v2's ``cpu.max``), rounded up.
    """
    cores = len(_allowed()) or os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def own_cores() -> int:
    """The part of them, at least 1, that falls to each process of a `torchrun` on this machine."""
    return max(1, available_cores() // ranks.here().local_count)


def _allowed() -> set[int]:
    """The cores it is bound to; empty where the system does not tell (macOS, Windows)."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _quota() -> int:
    try:
        most, period = _QUOTA.read_text("ascii").split()
        return math.ceil(int(most) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 30


class Elsewhere:
    """How many cores other processes have kept busy, among those that this one may use.

    From what Linux counts in ``/proc``; elsewhere it is always 0. Processes that this one has
    started count as its own.
    """

    def __init__(self) -> None:
        self._before = self._read()

    def busy(self) -> float:
        """Cores since the last call, or since it was made: 0 to as many as there are."""
        now, before = self._read(), self._before
        self._before = now
        if now is None or before is None or now[0] - before[0] <= 0:
            return 0.0
        return max(0.0, (now[1] - before[1]) - (now[2] - before[2])) / (now[0] - before[0])

    def _read(self) -> tuple[float, float, float] | None:
        """Time, seconds in which the cores were busy in all, and with this process and its own."""
        try:
            return time.monotonic(), _seconds_busy(_allowed()), _seconds_of(os.getpid())
        except (OSError, ValueError, IndexError, AttributeError):
            return None


def _seconds_busy(cores: set[int]) -> float:
    """All that is not idling or waiting for a disk, since the machine was started."""
    ticks = 0
    for line in (_PROC / "stat").read_text("ascii").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _wait, interrupt, soft, steal = map(int, fields[:8])
            ticks += user + nice + system + interrupt + soft + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def _seconds_of(process: int) -> float:
    """Of a process and of those that it has started."""
    return sum(_ticks(each) for each in _family(process)) / os.sysconf("SC_CLK_TCK")


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        for task in (_PROC / str(process) / "task").iterdir():
            for child in (task / "children").read_text("ascii").split():
                yield from _family(int(child))
    except OSError:
        return  # it has ended


def _ticks(process: int) -> int:
    try:
        fields = (_PROC / str(process) / "stat").read_text("utf-8", "replace").rpartition(")")[2]
    except OSError:
        return 0
    return sum(map(int, fields.split()[11:15]))  # user, system, and those of ended children
