"""What was acknowledged is on disk: clients are killed, servers stopped at once, writes traced."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from likewise.answers.store import AnswerStore
from likewise.answers.verification import require_unbroken
from tests.answer_writers import acknowledged, replies_acknowledged, several
from tests.breaking import Figure, times
from tests.postgresql import PostgreSQL

ROOT = Path(__file__).resolve().parents[1]


def lost_and_doubled(url: str, folder: Path) -> tuple[int, int, int, int]:
    """How many answers were acknowledged; of these lost; stored twice; stored without a word."""
    known = acknowledged(folder)
    with AnswerStore(url) as store, store.reading() as connection:
        rows = connection.execute(text("SELECT token, a, b, annotator FROM answers")).all()
        require_unbroken(connection, "the answers")
    tokens = {row[0] for row in rows}
    doubled = len(rows) - len({row[1:] for row in rows})
    return len(known), len(known - tokens), doubled, len(tokens - known)


@contextmanager
def database_on(server: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    for statement in (f"CREATE DATABASE {name}", f"DROP DATABASE {name} WITH (FORCE)"):
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()
        if statement.startswith("CREATE"):
            yield make_url(server.url).set(database=name).render_as_string(hide_password=False)


def wait_for_replies(count: int, folder: Path) -> None:
    """Until so many more were acknowledged; fails when none comes for five minutes."""
    seen = replies_acknowledged(folder)
    wanted, deadline = seen + count, time.monotonic() + 300
    while seen < wanted:
        assert time.monotonic() < deadline, "nothing moves"
        time.sleep(0.05)
        now = replies_acknowledged(folder)
        if now > seen:
            seen, deadline = now, time.monotonic() + 300


@pytest.mark.breaking
@times(reduced=8, full=500)
def test_killed_writers_lose_no_acknowledged_answer(
    tmp_path: Path, figure: Figure, times: int
) -> None:
    url, clients, wanted = f"sqlite:///{tmp_path / 'labels.db'}", 32, times * 31
    AnswerStore(url).close()
    (tmp_path / "notes").mkdir()
    given = [url, str(tmp_path / "notes"), str(clients), str(wanted), str(times), "0"]
    subprocess.run([sys.executable, "-m", "tests.answer_writers", *given], cwd=ROOT, check=True)
    known, lost, doubled, unacknowledged = lost_and_doubled(url, tmp_path / "notes")
    figure(
        f"SQLite, {clients} processes, {times} kill -9: {lost} of {known:,} acknowledged answers "
        f"lost, {doubled} doubled"
    )
    assert known >= times * 200
    assert (lost, doubled) == (0, 0)
    assert unacknowledged == 0, "what was stored and not acknowledged was sent again"


@pytest.mark.breaking
@times(reduced=2, full=50)
def test_a_server_that_stops_at_once_loses_no_acknowledged_answer(
    durable_postgresql: PostgreSQL, tmp_path: Path, figure: Figure, times: int
) -> None:
    clients, processes = (64, 4) if times > 2 else (8, 1)
    with database_on(durable_postgresql) as url:
        AnswerStore(url).close()
        parts = [range(first, clients, processes) for first in range(processes)]
        spawn = get_context("spawn")
        servers = [spawn.Process(target=several, args=(url, tmp_path, part)) for part in parts]
        for server in servers:
            server.start()
        dice = random.Random(0)
        try:
            for _ in range(times):
                wait_for_replies(times * 5, tmp_path)
                time.sleep(dice.uniform(0, 0.5))
                durable_postgresql.restart_at_once()
            wait_for_replies(max(1, times * 300 - replies_acknowledged(tmp_path)), tmp_path)
        finally:
            (tmp_path / "stop").touch()
        for server in servers:
            server.join()
        assert [server.exitcode for server in servers] == [0] * processes
        known, lost, doubled, unacknowledged = lost_and_doubled(url, tmp_path)
        figure(
            f"PostgreSQL, {clients} clients, {times} immediate stops: {lost} of {known:,} "
            f"acknowledged answers lost, {doubled} doubled"
        )
        assert (lost, doubled, unacknowledged) == (0, 0, 0)


def is_traced(process: int) -> bool:
    return "TracerPid:\t0\n" not in Path(f"/proc/{process}/status").read_text()


ANSWERS = """
import os, sys
from likewise.answers.store import AnswerStore, NewAnswer
with AnswerStore(sys.argv[1]) as store:
    for number in range(int(sys.argv[2])):
        store.add([NewAnswer("a", f"{number}", "similar", "ada")])
        os.write(1, b"acknowledged")
"""
CALL = re.compile(r"^(?P<process>\d+) +(?P<call>\w+)\((?P<what>.*)")
DONE = re.compile(r"^(?P<process>\d+) +<\.\.\. (?P<call>\w+) resumed>")


class Trace:
    """Which writes to a log had reached the disk at each acknowledgement, by the system's calls."""

    def __init__(self, log: str, acknowledgement: str) -> None:
        self.log, self.acknowledgement = log, acknowledgement
        self.unsynced = 0
        """Writes since the last sync began that is over."""
        self.acknowledged = self.too_early = self.writes = self.syncs = 0
        self._syncing: dict[str, int] = {}

    def read(self, lines: list[str]) -> "Trace":
        """Follow the calls in the order in which they began and ended."""
        for line in lines:
            if done := DONE.match(line):
                if done["call"] in ("fdatasync", "fsync"):
                    self._synced(done["process"])
            elif call := CALL.match(line):
                self._called(call["process"], call["call"], call["what"])
        return self

    def _called(self, process: str, call: str, what: str) -> None:
        if call in ("pwrite64", "pwritev", "write") and self.log in what:
            self.unsynced += 1
            self.writes += 1
        elif call in ("fdatasync", "fsync") and self.log in what:
            self._syncing[process] = self.unsynced
            if "<unfinished" not in what:
                self._synced(process)
        elif self.acknowledgement in what:
            self.acknowledged += 1
            self.too_early += bool(self.unsynced)

    def _synced(self, process: str) -> None:
        covered = self._syncing.pop(process, 0)
        self.syncs += bool(covered)
        self.unsynced -= covered


@pytest.mark.breaking
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@times(reduced=20, full=1000)
def test_the_disk_is_asked_before_an_answer_is_acknowledged(
    request: pytest.FixtureRequest, tmp_path: Path, figure: Figure, kind: str, times: int
) -> None:
    trace, calls = tmp_path / "trace", "fdatasync,fsync,pwrite64,pwritev,write,sendto"
    strace = ["strace", "-f", "-y", "-s", "100", "-e", f"trace={calls}", "-o", str(trace)]
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'labels.db'}"
        command = [*strace, sys.executable, "-c", ANSWERS, url, str(times)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seen = Trace("labels.db-wal>", "acknowledged")
    else:
        server: PostgreSQL = request.getfixturevalue("durable_postgresql")
        with database_on(server) as url:
            AnswerStore(url).close()
            tracer = subprocess.Popen([*strace, "-p", str(server.pid)], stderr=subprocess.DEVNULL)
            while not is_traced(server.pid):
                time.sleep(0.05)
            command = [sys.executable, "-c", ANSWERS, url, str(times)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            os.kill(tracer.pid, signal.SIGINT)
            tracer.wait(60)
        seen = Trace("/pg_wal/", "COMMIT")
    seen.read(trace.read_text(errors="replace").splitlines())
    figure(
        f"{kind}, traced: {seen.acknowledged:,} acknowledgements, {seen.too_early} before "
        f"the log was on disk ({seen.syncs:,} syncs)"
    )
    assert seen.acknowledged >= times
    assert seen.syncs >= times
    assert seen.too_early == 0


def test_a_trace_without_syncs_is_noticed() -> None:
    """What the test above would say of a database that does not wait for the disk."""
    write, sync, told = "7 pwrite64(3</log>, 1) = 1", "7 fdatasync(3</log>) = 0", "7 write(1, ok)"
    begun, over = "8 fdatasync(3</log> <unfinished ...>", "8 <... fdatasync resumed>) = 0"
    for lines, too_early in (
        ([write, sync, told], 0),
        ([write, told, sync], 1),
        ([write, begun, over, told], 0),
        ([write, begun, told, over], 1),
        ([begun, write, over, told], 1),
        ([write, sync, write, told], 1),
    ):
        assert Trace("/log>", "ok").read(lines).too_early == too_early, lines
