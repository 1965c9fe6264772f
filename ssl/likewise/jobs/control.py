"""Start a job, stop it, take it up again."""

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of
from likewise.interpreter import module_command
from likewise.jobs.job import (
    Job,
    Process,
    hold_alive,
    jobs_folder,
    newest_job,
    now,
    read_job,
    write_job,
)
from likewise.jobs.processes import mark_of
from likewise.workspace import Workspace

RUN = "{run}"
"""In a step: the name of the run that an earlier step of the job made."""
_WAIT_SECONDS = 10.0


def start(workspace: Workspace, steps: Sequence[Sequence[str]]) -> Job:
    """Run command lines one after the other in the background; return at once.

    A step is ``["pretrain", "--epochs", "50"]``. The processes outlive this one.

    Raises:
        UsageError: there are no steps.
        LikewiseError: a job runs already, or it cannot be started.
    """
    if not steps or not all(steps):
        raise UsageError("a job needs at least one command")
    folder = jobs_folder(workspace)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=_WAIT_SECONDS):
            return _start(workspace, [tuple(map(str, step)) for step in steps])
    except Timeout:
        raise LikewiseError(f"{folder} is busy; try again in a moment") from None
    except OSError as error:
        raise LikewiseError(f"could not start a job in {folder}: {reason_of(error)}") from error


def _start(workspace: Workspace, steps: list[tuple[str, ...]]) -> Job:
    last = newest_job(workspace)
    if last is not None and last.active:
        raise LikewiseError(
            f"job {last.number} ({last.command}) is at work in {workspace.path}; wait until it "
            "ends, or stop it"
        )
    numbers = [int(each.name) for each in jobs_folder(workspace).glob("[0-9]*") if each.is_dir()]
    folder = jobs_folder(workspace) / str(max(numbers, default=0) + 1)
    folder.mkdir()
    alive = hold_alive(folder)
    try:
        write_job(Job(folder, tuple(steps), now()))
        with (folder / "log.txt").open("ab") as log:
            runner = subprocess.Popen(
                [*module_command("likewise.jobs.runner"), str(folder), str(alive)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(alive,),
                env={**os.environ, "LIKEWISE_WORKSPACE": str(workspace.path)},
                start_new_session=True,  # neither Ctrl-C nor the end of this process reaches it
            )
        threading.Thread(target=runner.wait, daemon=True).start()  # leaves no zombie
    finally:
        os.close(alive)
    return read_job(folder)


def stop(job: Job) -> None:
    """Ask a job to stop as Ctrl-C does; return at once. A job that has ended stays as it is.

    The runner passes the request on to the command, which saves its state (training can be taken
    up again), and insists if need be: see `likewise.jobs.runner`.

    Raises:
        LikewiseError: none of the job's processes is on this machine.
    """
    job = _with_runner(job.folder)
    if not job.active:
        return
    for process in (job.runner, job.worker):
        if process is not None and _interrupt(process):
            return
    if read_job(job.folder).active:
        raise LikewiseError(
            f"job {job.number} runs on another machine or in another container; stop it there"
        )


def again(workspace: Workspace, job: Job) -> Job:
    """Take up a job that was stopped, failed or got lost, from the step that it was at.

    Raises:
        LikewiseError: a job runs already, or it cannot be started.
    """
    return start(workspace, steps_left(job))


def steps_left(job: Job) -> list[tuple[str, ...]]:
    """What a job has not finished: the step it was at, to be resumed, and those after it.

    ``--fresh`` is left out, as it would begin the training anew.
    """
    left = [fill_in(job, step) for step in job.steps[job.step :]]
    return [tuple(word for word in step if word != "--fresh") for step in left]


def fill_in(job: Job, step: Sequence[str]) -> tuple[str, ...]:
    """A step with the name of the run that the job made last in the place of ``RUN``."""
    run = run_made(job) or RUN
    return tuple(run if word == RUN else word for word in step)


def run_made(job: Job) -> str | None:
    """The name of the run that the job finished last, if any."""
    results = (job.result(number) or {} for number in reversed(range(len(job.steps))))
    return next((str(told["run"]) for told in results if "run" in told), None)


def _with_runner(folder: Path) -> Job:
    """The job, once its runner has said who it is (and hears signals)."""
    deadline = time.monotonic() + _WAIT_SECONDS
    job = read_job(folder)
    while job.active and job.runner is None and time.monotonic() < deadline:
        time.sleep(0.05)
        job = read_job(folder)
    return job


def _interrupt(process: Process) -> bool:
    """Send Ctrl-C's signal, but not to a later process of the same number; say if it was sent."""
    if process.mark is None or mark_of(process.pid) != process.mark:
        return False
    try:
        os.kill(process.pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True


def in_words(steps: Sequence[Sequence[str]]) -> str:
    """The steps as one would type them, a line each; NAME where a run is made only later."""
    named = [["NAME" if word == RUN else word for word in step] for step in steps]
    return "\n".join(shlex.join(("likewise", *step)) for step in named)
