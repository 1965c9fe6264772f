"""Jobs: started once, outliving their starter, stopped, taken up, and never taken for alive."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from likewise import progress
from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.jobs import runner
from likewise.jobs.control import RUN, again, fill_in, in_words, start, steps_left, stop
from likewise.jobs.job import (
    Job,
    Process,
    Status,
    hold_alive,
    jobs_folder,
    jobs_of,
    newest_job,
    now,
    read_job,
    write_job,
)
from likewise.jobs.log import Bar, bar_of, last_bar, plain_lines, tail
from likewise.jobs.processes import _mark_by_ps, mark_of
from likewise.settings import Ingest
from likewise.workspace import Workspace

TINY = (
    *("--batch-size", "8", "--image-size", "16", "--projector-dim", "32", "--predictor-dim", "8"),
    *("--preset", "natural", "--precision", "float32", "--workers", "0"),
)
NO_WORKSPACE = ("answers", "export", "nowhere.csv")
"""A command that fails fast where there is no workspace."""


@pytest.fixture(autouse=True)
def _no_job_is_left(workspace: Workspace) -> Iterator[None]:
    """A job outlives its starter, and so a test that failed."""
    yield
    for job in jobs_of(workspace):
        for process in (job.runner, job.worker):
            if job.active and process is not None and mark_of(process.pid) == process.mark:
                os.kill(process.pid, signal.SIGKILL)


def until(condition: Callable[[], bool], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"nothing happened in {seconds} s"
        time.sleep(0.03)


def ended(job: Job) -> Job:
    until(lambda: not read_job(job.folder).active)
    return read_job(job.folder)


def at_work(job: Job) -> Job:
    """The job once its first command runs."""
    until(lambda: read_job(job.folder).worker is not None)
    return read_job(job.folder)


@pytest.fixture
def source(picture: Callable[..., Path], tmp_path: Path) -> Path:
    for seed in range(26):
        picture(tmp_path / "in" / f"{seed}.png", seed)
    return tmp_path / "in"


@pytest.fixture
def made(workspace: Workspace) -> Callable[..., Job]:
    """``made(status=..., ...)`` writes the state of a job; its file is not locked."""

    def make(**changes: object) -> Job:
        folder = jobs_folder(workspace) / str(len(jobs_of(workspace)) + 1)
        folder.mkdir(parents=True)
        job = replace(Job(folder, (("ingest", "in"), ("pretrain",)), now()), **changes)  # type: ignore[arg-type]
        write_job(job)
        return job

    return make


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_job_is_stopped_taken_up_and_leads_to_pairs(workspace: Workspace, source: Path) -> None:
    ingest(workspace, Ingest(images=(source,), workers=1))
    steps = [["pretrain", "--epochs", "20", "--fresh", *TINY], ["embed", "--model", RUN]]
    job = start(workspace, steps)
    assert job.status == "running"
    run = workspace.runs / "pretrain-1"
    until((run / "metrics.jsonl").is_file)
    with pytest.raises(LikewiseError, match=r"job 1 \(pretrain\) is at work"):
        start(workspace, [["embed"]])
    stop(job)
    stopped = ended(job)
    assert (stopped.status, stopped.step, stopped.error) == ("stopped", 0, "")
    assert (run / "checkpoint.pt").is_file()
    assert not (run / "model.safetensors").exists()
    assert "the state is saved" in stopped.log_file.read_text("utf-8")
    epochs = len((run / "metrics.jsonl").read_text("utf-8").splitlines())
    assert epochs < 20

    second = again(workspace, stopped)
    assert second.number == 2
    done = ended(second)
    assert done.status == "done", tail(done.log_file)
    assert [step[0] for step in done.steps] == ["pretrain", "embed"]
    assert [each.name for each in workspace.runs.iterdir()] == ["pretrain-1"], "resumed, not new"
    assert (done.result(1) or {})["model"] == "pretrain-1"
    assert any("going on at epoch" in line for line in tail(done.log_file, 50))
    assert [each.status for each in jobs_of(workspace)] == ["stopped", "done"]
    assert newest_job(workspace) == done


def test_it_outlives_the_process_that_started_it(workspace: Workspace) -> None:
    code = (
        "import sys; from likewise.jobs.control import start; from likewise.workspace import "
        "Workspace; start(Workspace(sys.argv[1]), [sys.argv[2:], ['embed']])"
    )
    subprocess.run([sys.executable, "-c", code, str(workspace.path), *NO_WORKSPACE], check=True)
    job = newest_job(workspace)
    assert job is not None
    assert job.active
    failed = ended(job)
    assert (failed.status, failed.step) == ("failed", 0)
    assert failed.error.startswith(f"no workspace at {workspace.path}")
    assert failed.ended is not None
    assert failed.runner is not None
    assert os.getsid(0) != failed.runner.pid


def test_of_many_starts_at_once_one_wins(workspace: Workspace) -> None:
    barrier = threading.Barrier(8)

    def attempt(_: int) -> Job | str:
        barrier.wait()
        try:
            return start(workspace, [NO_WORKSPACE])
        except LikewiseError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))
    jobs = [each for each in results if isinstance(each, Job)]
    assert len(jobs) == 1
    told = {each for each in results if isinstance(each, str)}
    assert told == {
        f"job 1 (answers) is at work in {workspace.path}; wait until it ends, or stop it"
    }
    ended(jobs[0])
    assert ended(start(workspace, [NO_WORKSPACE])).number == 2


def test_a_killed_job_is_lost_and_an_orphan_is_still_at_work(workspace: Workspace) -> None:
    job = at_work(start(workspace, [["pretrain", "--epochs", "400", *TINY]]))
    assert job.runner is not None
    assert job.worker is not None
    os.kill(job.runner.pid, signal.SIGKILL)
    until(lambda: job.runner is not None and mark_of(job.runner.pid) is None)
    assert read_job(job.folder).status == "running", "its command is still there"
    with pytest.raises(LikewiseError, match="is at work"):
        start(workspace, [["embed"]])
    stop(job)
    assert ended(job).status == "lost"
    assert mark_of(job.worker.pid) is None
    assert steps_left(read_job(job.folder)) == [job.steps[0]]


@pytest.mark.parametrize("status", ["running", "stopping"])
def test_a_number_that_another_process_has_now_is_not_the_job(
    made: Callable[..., Job], sleeper: subprocess.Popen[bytes], status: Status
) -> None:
    stranger = Process(sleeper.pid, "another boot 12345")
    job = made(status=status, runner=stranger, worker=stranger)
    assert read_job(job.folder).status == "lost"
    stop(job)
    alive = hold_alive(job.folder)  # as if it ran where its processes cannot be seen
    assert read_job(job.folder).status == status
    with pytest.raises(LikewiseError, match="another machine"):
        stop(job)
    os.close(alive)
    assert sleeper.poll() is None


@pytest.mark.parametrize("status", ["done", "failed", "stopped"])
def test_a_job_that_has_ended_stays_as_it_is(made: Callable[..., Job], status: Status) -> None:
    job = made(status=status, ended=now(), error="why")
    assert read_job(job.folder) == job
    stop(job)
    assert read_job(job.folder) == job


def test_jobs_are_in_the_order_of_their_numbers(
    workspace: Workspace, made: Callable[..., Job]
) -> None:
    for _ in range(11):
        made(status="done")
    assert [each.number for each in jobs_of(workspace)] == list(range(1, 12))
    last = newest_job(workspace)
    assert last is not None
    assert last.number == 11


def test_without_jobs_there_is_none(workspace: Workspace) -> None:
    assert newest_job(workspace) is None
    assert jobs_of(workspace) == []
    with pytest.raises(UsageError, match="at least one command"):
        start(workspace, [])
    assert not workspace.path.exists()


@pytest.mark.parametrize("text", ["{", '{"format": 1}', '{"format": 9, "steps": []}', "[]"])
def test_a_damaged_state_is_told(made: Callable[..., Job], text: str) -> None:
    job = made()
    (job.folder / "job.json").write_text(text)
    with pytest.raises(LikewiseError, match=re.escape(str(job.folder))):
        read_job(job.folder)
    (job.folder / "job.json").unlink()


def test_the_run_that_was_made_is_filled_in(made: Callable[..., Job]) -> None:
    job = made(steps=(("pretrain",), ("embed", "--model", RUN)), step=1, status="stopped")
    assert fill_in(job, job.steps[1]) == ("embed", "--model", RUN), "nothing was made yet"
    job.result_file(0).write_text('{"run": "pretrain-7"}')
    assert steps_left(job) == [("embed", "--model", "pretrain-7")]
    assert in_words([("ingest", "my photos")]) == "likewise ingest 'my photos'"


# The runner in this process, with a stand-in for the command.


def run_here(job: Job, monkeypatch: pytest.MonkeyPatch, code: str, stop_at: str = "") -> Job:
    """Run the job; it is asked to stop when its log says ``stop_at``."""
    monkeypatch.setattr(runner, "COMMAND", (sys.executable, "-c", code))
    request = runner.Stop()
    ended = threading.Event()

    def ask() -> None:
        until(lambda: ended.is_set() or stop_at in tail(job.log_file))
        request.ask()

    watching = threading.Thread(target=ask)
    if stop_at:
        watching.start()
    alive = hold_alive(job.folder)
    try:
        return runner.run_job(job.folder, alive, request)
    finally:
        os.close(alive)
        ended.set()
        if stop_at:
            watching.join()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import json; print(json.dumps({'error': 'no such model'})); raise SystemExit(1)",
         "no such model"),
        ("raise ValueError('odd\\nlines')", "lines"),
        ("import os; os.kill(os.getpid(), 9)",
         "likewise ingest was ended by SIGKILL; the machine may be short of memory"),
        ("raise SystemExit(3)", "likewise ingest ended with exit code 3"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch, code: str, error: str
) -> None:
    job = run_here(made(), monkeypatch, code)
    assert (job.status, job.step, job.error) == ("failed", 0, error)
    assert read_job(job.folder) == job
    job.result(0)  # what a killed command leaves is not damage


def test_steps_run_in_order_until_one_fails(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        'import sys; print(\'{"words": "%s"}\' % sys.argv[1:]); '
        "sys.exit(sys.argv[1] == 'pretrain')"
    )
    job = run_here(made(steps=(("ingest", "in"), ("pretrain",), ("embed",))), monkeypatch, code)
    assert (job.status, job.step) == ("failed", 1)
    assert job.result(0) == {"words": "['ingest', 'in', '--json']"}
    assert job.result(2) is None


def test_a_stop_is_ctrl_c_first(made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys, time\n"
        "try:\n    print('up', file=sys.stderr, flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    print('saved', file=sys.stderr)\n    sys.exit(1)"
    )
    job = run_here(made(), monkeypatch, code, stop_at="up")
    assert (job.status, job.step) == ("stopped", 0)
    assert tail(job.log_file) == ["up", "saved"]


def test_a_stop_is_insisted_on(made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "INTERRUPT_SECONDS", 1.0)
    monkeypatch.setattr(runner, "TERMINATE_SECONDS", 1.0)
    code = (
        "import signal, sys, time\n"
        "for each in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(each, lambda n, f: print(n, file=sys.stderr, flush=True))\n"
        "print('deaf', file=sys.stderr, flush=True)\n"
        "while True: time.sleep(1)"
    )
    job = run_here(made(), monkeypatch, code, stop_at="deaf")
    assert job.status == "stopped"
    assert tail(job.log_file) == ["deaf", "2", "15"]


def test_a_step_that_ends_well_before_the_stop_is_not_done_again(
    made: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "print('up', file=sys.stderr, flush=True)\n"
        "signal.sigwait({signal.SIGINT})\nprint('{}')"
    )
    job = run_here(made(), monkeypatch, code, stop_at="up")
    assert (job.status, job.step) == ("stopped", 1)
    assert steps_left(job) == [("pretrain",)]


# Processes and logs.


def test_a_process_has_a_mark_of_its_own(sleeper: subprocess.Popen[bytes]) -> None:
    own = mark_of(os.getpid())
    assert own is not None
    assert own == mark_of(os.getpid())
    assert own != mark_of(sleeper.pid) is not None
    sleeper.kill()
    until(lambda: mark_of(sleeper.pid) is None)  # a zombie, as nobody has waited for it
    sleeper.wait()
    assert mark_of(sleeper.pid) is None


def test_ps_knows_marks_too(sleeper: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(FileNotFoundError):  # no ps in small containers
        assert _mark_by_ps(sleeper.pid) is not None
        sleeper.kill()
        until(lambda: _mark_by_ps(sleeper.pid) is None)


def test_a_bars_drawings_leave_its_last_state() -> None:
    text = (
        "preset: grey\r\n\x1b[?25l\rpretrain-1 \x1b[35m━━╸\x1b[0m 10/50\r\x1b[2K"
        "pretrain-1 ━━━━ 50/50\n\x1b[?25h\x1b]8;;x\x07tab\there\x07\n\n"
    )
    assert plain_lines(text) == ["preset: grey", "pretrain-1 ━━━━ 50/50", "tab here"]


@given(some.text())
def test_lines_are_plain_whatever_was_said(text: str) -> None:
    assert all(line.isprintable() and line.strip() for line in plain_lines(text))


@given(some.lists(some.text("abc äß:", min_size=1).filter(str.strip)))
def test_plain_lines_are_kept(lines: list[str]) -> None:
    assert plain_lines("\n".join(lines)) == [line.rstrip() for line in lines]


def test_the_tail_of_a_long_log(tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    assert tail(file) == []
    file.write_text("".join(f"line {number}\n" for number in range(50_000)))
    assert tail(file, 3) == ["line 49997", "line 49998", "line 49999"]


def test_a_progress_line_is_understood(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PLAIN_EVERY_SECONDS", 0.0)
    with progress.progress("pretrain-1", 2_000, "images", done=500) as advance:
        advance(1_000)
    lines = plain_lines(capsys.readouterr().err)
    bar = last_bar(lines)
    assert bar is not None
    assert (bar.task, bar.done, bar.total, bar.unit) == ("pretrain-1", 1_500, 2_000, "images")
    assert last_bar([*lines, "embed: something else"]) is None
    assert last_bar([]) is None
    line = "ingest: 5/10 files, 1,200/s, 3,600 s left"
    assert bar_of(line) == Bar("ingest", 5, 10, "files", 1_200, 3_600.0)
    assert bar_of("ingest: 5/10 files") == Bar("ingest", 5, 10, "files", None, None)
