"""The process that runs the steps of one job: ``python -m likewise.jobs.runner FOLDER``.

It belongs to no terminal and to no server. Asked to stop (SIGINT or SIGTERM), it sends the command
at work SIGINT, SIGTERM after `INTERRUPT_SECONDS`, and SIGKILL `TERMINATE_SECONDS` later.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from likewise.files import replacing
from likewise.interpreter import module_command
from likewise.jobs.control import fill_in
from likewise.jobs.job import Job, Process, now, read_job, write_job
from likewise.jobs.log import last_line
from likewise.jobs.processes import mark_of

INTERRUPT_SECONDS = 30.0
"""For a command to save its state."""
TERMINATE_SECONDS = 10.0
GIVE_WAY = 5
"""How far the job's priority is lowered, so that answers are served first."""
COMMAND = module_command("likewise.cli")
_POLL_SECONDS = 0.1


class Stop:
    """Whether the job was asked to stop, and since when."""

    def __init__(self) -> None:
        self.since: float | None = None

    def ask(self, *_: object) -> None:
        """Take note of the first request; also a signal handler."""
        self.since = self.since or time.monotonic()

    @property
    def asked(self) -> bool:
        """Whether it was."""
        return self.since is not None

    def due(self) -> Iterator[signal.Signals | None]:
        """At each look, the signal that is due now, each once and in this order."""
        for number, after in (
            (signal.SIGINT, 0.0),
            (signal.SIGTERM, INTERRUPT_SECONDS),
            (signal.SIGKILL, INTERRUPT_SECONDS + TERMINATE_SECONDS),
        ):
            while self.since is None or time.monotonic() - self.since < after:
                yield None
            yield number
        while True:
            yield None


def run_job(folder: Path, alive: int, stop: Stop) -> Job:
    """Run the job's steps to the end, the first failure, or a request to stop."""
    job = replace(read_job(folder), runner=Process(os.getpid(), mark_of(os.getpid())))
    write_job(job)
    for step in range(len(job.steps)):
        if stop.asked:
            return _end(replace(job, status="stopped", step=step))
        job = replace(job, step=step, step_started=now(), worker=None)
        job, code = _run_step(job, alive, stop)
        if stop.asked and code:
            return _end(replace(job, status="stopped"))
        if code:
            return _end(replace(job, status="failed", error=why(job, code)))
    return _end(replace(job, status="done"))


def why(job: Job, code: int) -> str:
    """One line on why the present step failed; a negative code is the signal that ended it."""
    with suppress(ValueError, OSError):
        told = json.loads(job.result_file(job.step).read_text("utf-8"))
        if "error" in told:
            return str(told["error"])
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the machine may be short of memory" if code == -signal.SIGKILL else ""
        return f"likewise {job.command} was ended by {name}{hint}"
    return last_line(job.log_file) or f"likewise {job.command} ended with exit code {code}"


def _run_step(job: Job, alive: int, stop: Stop) -> tuple[Job, int]:
    with (
        replacing(job.result_file(job.step)) as result,
        result.open("wb") as out,
        job.log_file.open("ab") as log,
    ):
        process = _spawn(fill_in(job, job.steps[job.step]), alive, out, log)
        job = replace(job, worker=Process(process.pid, mark_of(process.pid)))
        write_job(job)
        for signal_due in stop.due():
            if signal_due is not None:
                job = replace(job, status="stopping")
                write_job(job)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal_due)
            with suppress(subprocess.TimeoutExpired):
                return job, process.wait(_POLL_SECONDS)
        raise AssertionError("due() never ends")


def _spawn(
    step: tuple[str, ...], alive: int, out: IO[bytes], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *step, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=log,
        pass_fds=(alive,),
        process_group=0,  # so that Ctrl-C's signal reaches it and its children, once
    )


def _end(job: Job) -> Job:
    ended = replace(job, ended=now())
    write_job(ended)
    return ended


def main(arguments: list[str]) -> None:
    """Run the job of a folder; ``alive`` is the descriptor that was locked for it."""
    folder, alive = Path(arguments[0]), int(arguments[1])
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop.ask)
    os.nice(GIVE_WAY)
    run_job(folder, alive, stop)


if __name__ == "__main__":
    main(sys.argv[1:])
