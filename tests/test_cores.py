"""How many cores there are, how many others use, and how many threads that leaves."""

import os
import sys
import time
from pathlib import Path

import pytest
import torch

from likewise import cores
from likewise.models.threads import EVERY, PATIENCE, Threads

TICKS = os.sysconf("SC_CLK_TCK")
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's /proc")


class Machine:
    """A made-up /proc: two cores that we may use and one that we may not."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.now, self.children = folder, 0.0, [7]
        self.busy = {0: 0.0, 1: 0.0, 2: 0.0}
        self.own = {os.getpid(): 0.0, 7: 0.0}
        monkeypatch.setattr(cores, "_PROC", folder)
        monkeypatch.setattr(cores, "_allowed", lambda: {0, 1})
        monkeypatch.setattr("likewise.cores.time.monotonic", lambda: self.now)
        self.write()

    def passes(self, seconds: float, elsewhere: float, own: float, child: float = 0.0) -> None:
        """Others use so many cores for a while, and so do we."""
        self.now += seconds
        self.busy[0] += seconds * (elsewhere + own + child) / 2
        self.busy[1] += seconds * (elsewhere + own + child) / 2
        self.busy[2] += seconds
        self.own[os.getpid()] += seconds * own
        self.own[7] += seconds * child
        self.write()

    def write(self) -> None:
        lines = ["cpu  1 2 3 4 5 6 7 8 0 0"] + [
            f"cpu{core} {round(busy * TICKS)} 0 0 99 99 0 0 0 0 0"
            for core, busy in self.busy.items()
        ]
        (self.folder / "stat").write_text("\n".join((*lines, "intr 1 2")), "ascii")
        for process, used in self.own.items():
            task = self.folder / str(process) / "task" / str(process)
            task.mkdir(parents=True, exist_ok=True)
            mine = self.children if process == os.getpid() else []
            (task / "children").write_text(" ".join(map(str, mine)), "ascii")
            fields = ["0"] * 11 + [str(round(used * TICKS)), "0", "0", "0", "0"]
            (self.folder / str(process) / "stat").write_text(
                f"{process} (a ) name) {' '.join(fields)}", "utf-8"
            )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@linux
def test_only_what_others_do_on_our_cores_counts(machine: Machine) -> None:
    elsewhere = cores.Elsewhere()
    machine.passes(3, elsewhere=0.0, own=1.5, child=0.5)
    assert elsewhere.busy() == pytest.approx(0, abs=0.02)
    machine.passes(2, elsewhere=0.75, own=0.5, child=0.25)
    assert elsewhere.busy() == pytest.approx(0.75, abs=0.02)
    assert elsewhere.busy() == 0  # no time has passed


@linux
def test_a_child_that_has_ended_is_still_ours(machine: Machine) -> None:
    machine.passes(1, elsewhere=0.0, own=0.5, child=1.0)
    elsewhere = cores.Elsewhere()
    machine.children = [8]  # it was never there
    machine.passes(1, elsewhere=0.0, own=0.5)
    assert elsewhere.busy() >= 0


@linux
def test_the_real_proc_can_be_read() -> None:
    elsewhere = cores.Elsewhere()
    assert elsewhere._before is not None
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    after = elsewhere._read()
    assert after is not None
    assert after[2] - elsewhere._before[2] == pytest.approx(0.2, abs=0.05)
    assert 0 <= elsewhere.busy() <= len(os.sched_getaffinity(0))


def test_where_nothing_is_told_nobody_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "_PROC", tmp_path / "none")
    assert cores.Elsewhere().busy() == 0


@pytest.mark.parametrize(
    ("text", "most"),
    [("150000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 4), (None, 4), ("x", 4)],
)
def test_a_container_has_as_many_cores_as_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, most: int
) -> None:
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores, "_allowed", lambda: {0, 1, 2, 3})
    if text is not None:
        (tmp_path / "cpu.max").write_text(text, "ascii")
    assert cores.available_cores() == most


class Clock:
    """Time, and how busy others are, as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.others = 0.0, 0.0
        monkeypatch.setattr("likewise.models.threads.time.monotonic", lambda: self.now)
        monkeypatch.setattr(cores.Elsewhere, "busy", lambda _: self.others)

    def look(self, others: float, number: Threads) -> int:
        self.now, self.others = self.now + EVERY, others
        number.adapt()
        return torch.get_num_threads()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    chosen = [torch.get_num_threads()]
    monkeypatch.setattr(torch, "set_num_threads", lambda n: chosen.append(n))
    monkeypatch.setattr(torch, "get_num_threads", lambda: chosen[-1])
    return Clock(monkeypatch)


def test_threads_give_way_at_once_and_come_back_slowly(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    number = Threads(4)
    assert clock.look(0.3, number) == 4
    assert clock.look(1.2, number) == 3
    assert clock.look(9.0, number) == 1
    assert "1 of 4 threads" in capsys.readouterr().err
    assert [clock.look(2.0, number) for _ in range(PATIENCE)] == [1] * (PATIENCE - 1) + [2]
    assert clock.look(0.0, number) == 2
    assert clock.look(2.0, number) == 2  # no longer: patience begins again
    assert [clock.look(0.0, number) for _ in range(PATIENCE)] == [2] * (PATIENCE - 1) + [4]
    assert "free again" in capsys.readouterr().err


def test_it_looks_only_now_and_then(clock: Clock) -> None:
    number = Threads(2)
    clock.others = 2.0
    for _ in range(100):
        clock.now += EVERY / 101
        number.adapt()
    assert torch.get_num_threads() == 2
    assert clock.look(2.0, number) == 1


def test_a_fixed_number_stays(clock: Clock) -> None:
    number = Threads(3, fixed=True)
    assert [clock.look(9.0, number) for _ in range(5)] == [3] * 5
