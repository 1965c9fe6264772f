"""What a job's commands said, in plain lines; and how far the last line says they are."""

import re
from dataclasses import dataclass
from pathlib import Path

_READ = 64 * 1024
"""Bytes that are read from the end of a log."""
_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links
    r"|\x1b[@-Z\\-_]"
)
_BAR = re.compile(
    r"(?P<task>[^:]+): (?P<done>[\d,]+)/(?P<total>[\d,]+) (?P<unit>\w+)"
    r"(, (?P<rate>[\d,]+)/s, (?P<left>[\d,]+) s left)?"
)


@dataclass(frozen=True)
class Bar:
    """A line of `likewise.progress`, taken apart."""

    task: str
    done: int
    total: int
    unit: str
    rate: int | None
    """A second; None where there was not enough to tell."""
    left: float | None
    """Seconds."""


def tail(file: Path, count: int = 20) -> list[str]:
    """The last lines of a log, oldest first; none where there is no log."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(max(0, size - _READ))
            text = opened.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return plain_lines(text)[-count:]


def last_line(file: Path) -> str:
    """The last line of a log, or an empty one."""
    return "".join(tail(file, 1))


def plain_lines(text: str) -> list[str]:
    """Lines as they stand on a screen in the end, without control characters and empty lines.

    A progress bar redraws its line after a carriage return: only the last drawing is kept.
    """
    lines = []
    for raw in _CONTROL.sub("", text).split("\n"):
        drawings = (_printable(part) for part in raw.split("\r"))
        drawn = [each for each in drawings if each]
        lines += drawn[-1:]
    return lines


def _printable(text: str) -> str:
    return "".join(each for each in text.replace("\t", " ") if each.isprintable()).rstrip()


def bar_of(line: str) -> Bar | None:
    """The figures of a progress line; None if the line is something else."""
    found = _BAR.fullmatch(line)
    if found is None:
        return None
    rate, left = found["rate"], found["left"]
    return Bar(
        task=found["task"],
        done=_number(found["done"]),
        total=_number(found["total"]),
        unit=found["unit"],
        rate=None if rate is None else _number(rate),
        left=None if left is None else float(_number(left)),
    )


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def last_bar(lines: list[str]) -> Bar | None:
    """The newest progress line, unless another task has begun to speak since."""
    return bar_of(lines[-1]) if lines else None
