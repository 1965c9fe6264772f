"""How long work is said to take: nothing at first, then something that can be believed."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from likewise import progress
from likewise.progress.pace import Pace


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def after(pace: Pace, clock: Clock, seconds: float, items: int) -> float | None:
    clock.now += seconds
    pace.advance(items)
    return pace.left


def test_nothing_is_said_before_there_is_enough_to_tell() -> None:
    """Neither after a slow first step, which loads and compiles, nor after a few quick ones."""
    clock = Clock()
    pace = Pace(1_000, clock=clock)
    assert pace.left is None
    assert after(pace, clock, 60.0, 10) is None, "one step"
    assert after(pace, clock, 0.5, 10) is None, "half a second"
    assert after(pace, clock, 1.0, 10) is None
    assert after(pace, clock, 0.5, 10) == pytest.approx(960 / 15, rel=0.05), "30 in 2 s"


def test_slow_steps_are_told_from_the_second_one_on() -> None:
    clock = Clock()
    pace = Pace(10, clock=clock)
    after(pace, clock, 5.0, 1)
    assert after(pace, clock, 5.0, 1) == pytest.approx(40.0)
    clock.now += 2
    assert pace.left == pytest.approx(38.0), "time goes on between steps"


def test_what_was_done_before_is_no_speed() -> None:
    clock = Clock()
    pace = Pace(1_000, done=900, clock=clock)
    after(pace, clock, 1.0, 10)
    assert after(pace, clock, 4.0, 10) == pytest.approx(80 / 2.5)


def test_one_odd_step_changes_little_and_a_new_pace_is_soon_believed() -> None:
    clock = Clock()
    pace = Pace(100_000, clock=clock)
    for _ in range(100):
        after(pace, clock, 1.0, 100)
    steady = pace.rate
    assert steady == pytest.approx(100)
    after(pace, clock, 5.0, 100)
    assert 80 < (pace.rate or 0) < 100
    for _ in range(90):
        after(pace, clock, 1.0, 20)
    assert pace.rate == pytest.approx(20, rel=0.3)


@pytest.mark.parametrize("step", [0.01, 1.0, 40.0])
def test_even_work_is_foretold_exactly_whatever_the_step(step: float) -> None:
    clock = Clock()
    pace = Pace(1_000, clock=clock)
    for done in range(1, 1_000):
        left = after(pace, clock, step, 1)
        assert left is None or left == pytest.approx((1_000 - done) * step)
    assert left is not None


def test_a_first_line_has_no_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_SECONDS", 0.0)
    with progress.progress("embed", 2_000) as advance:
        advance(64)
    assert capsys.readouterr().err == "embed: 64/2,000 images\n"


BAR = """
import time
from likewise.progress import progress, pace
pace.SURE_AFTER = {sure}
with progress("embed", 3_000_000) as advance:
    for _ in range(4):
        time.sleep(0.3)
        advance(1)
"""


@pytest.mark.parametrize(("sure", "told"), [(1e9, False), (0.1, True)])
def test_the_bar_of_a_terminal_says_so_too(sure: float, told: bool, tmp_path: Path) -> None:
    main, terminal = pty.openpty()
    code = BAR.format(sure=sure)
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=terminal, cwd=tmp_path, env=environment
    )
    os.close(terminal)
    shown = b""
    with os.fdopen(main, "rb", buffering=0) as screen:
        try:
            while part := screen.read(1024):
                shown += part
        except OSError:  # the other end is closed: so says Linux
            pass
    assert process.wait() == 0
    assert b"left -:--:--" in shown
    assert (b"days" in shown) is told
