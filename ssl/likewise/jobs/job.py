"""A job: commands run one after the other in the background, and its state as a file.

``jobs/NUMBER/`` holds ``job.json`` (steps and state), ``log.txt`` (what the commands said),
``result-N.json`` (what step N returned) and ``alive``, a file that the job's processes keep locked.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from likewise.errors import LikewiseError
from likewise.files import read_json
from likewise.seals import read_sealed_json, write_sealed_json
from likewise.workspace import Workspace

FORMAT = 2
"""Since 2 with a seal."""
Status = Literal["running", "stopping", "done", "failed", "stopped", "lost"]
ACTIVE: tuple[Status, ...] = ("running", "stopping")
Steps = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Process:
    """A process of the job."""

    pid: int
    mark: str | None
    """As `mark_of` gave it when the process was started."""


@dataclass(frozen=True)
class Job:
    """A job as its file says, or "lost" where none of its processes is left to finish it."""

    folder: Path
    steps: Steps
    """Command lines without the program's name."""
    started: datetime
    status: Status = "running"
    step: int = 0
    """Which step runs, or ran last."""
    step_started: datetime | None = None
    ended: datetime | None = None
    error: str = ""
    """One line, if it failed."""
    runner: Process | None = None
    """The process that starts the steps; None for a moment at the start."""
    worker: Process | None = None
    """The process of the present step."""

    @property
    def number(self) -> int:
        """The folder's name."""
        return int(self.folder.name)

    @property
    def active(self) -> bool:
        """Whether it still works."""
        return self.status in ACTIVE

    @property
    def command(self) -> str:
        """The name of the present or last command."""
        return self.steps[self.step][0]

    @property
    def log_file(self) -> Path:
        """What the commands said."""
        return self.folder / "log.txt"

    def result_file(self, step: int) -> Path:
        """What a step returned."""
        return self.folder / f"result-{step + 1}.json"

    def result(self, step: int) -> dict[str, Any] | None:
        """What a step returned; None if it has returned nothing.

        Raises:
            LikewiseError: the file is damaged.
        """
        file = self.result_file(step)
        if not file.is_file() or not file.stat().st_size:  # empty if the command was killed
            return None
        told: dict[str, Any] = read_json(file)
        return told


def jobs_folder(workspace: Workspace) -> Path:
    """Where the jobs of a workspace lie."""
    return workspace.path / "jobs"


def jobs_of(workspace: Workspace) -> list[Job]:
    """All jobs of the workspace, oldest first.

    Raises:
        LikewiseError: the state of one is damaged.
    """
    return [read_job(folder) for folder in _folders(workspace)]


def newest_job(workspace: Workspace) -> Job | None:
    """The job that was started last.

    Raises:
        LikewiseError: its state is damaged.
    """
    folders = _folders(workspace)
    return read_job(folders[-1]) if folders else None


def _folders(workspace: Workspace) -> list[Path]:
    folders = (file.parent for file in jobs_folder(workspace).glob("*/job.json"))
    numbered = [folder for folder in folders if folder.name.isdecimal()]
    return sorted(numbered, key=lambda each: int(each.name))


def read_job(folder: Path) -> Job:
    """The state of a job now.

    Raises:
        LikewiseError: ``job.json`` is missing, damaged or of another format.
    """
    job = _as_job(folder, _saved(folder))
    if not job.active or is_alive(folder):
        return job
    job = _as_job(folder, _saved(folder))  # it may have ended in between
    return replace(job, status="lost") if job.active else job


def write_job(job: Job) -> None:
    """Write the state of a job, whole or not at all.

    Raises:
        LikewiseError: the file could not be written.
    """
    saved = {
        "format": FORMAT,
        "steps": job.steps,
        "status": job.status,
        "step": job.step,
        "started": job.started.isoformat(),
        "step_started": job.step_started and job.step_started.isoformat(),
        "ended": job.ended and job.ended.isoformat(),
        "error": job.error,
        "runner": job.runner and vars(job.runner),
        "worker": job.worker and vars(job.worker),
    }
    write_sealed_json(job.folder / "job.json", saved)


def _saved(folder: Path) -> dict[str, Any]:
    return read_sealed_json(folder / "job.json", FORMAT, f"remove {folder}")


def _as_job(folder: Path, saved: Any) -> Job:
    try:
        if saved["format"] > FORMAT:
            raise LikewiseError(f"{folder} has format {saved['format']}; upgrade Likewise")
        if saved["status"] not in get_args(Status):
            raise ValueError(saved["status"])
        return Job(
            folder=folder,
            steps=tuple(tuple(map(str, step)) for step in saved["steps"]),
            started=datetime.fromisoformat(saved["started"]),
            status=saved["status"],
            step=saved["step"],
            step_started=_time(saved["step_started"]),
            ended=_time(saved["ended"]),
            error=saved["error"],
            runner=Process(**saved["runner"]) if saved["runner"] else None,
            worker=Process(**saved["worker"]) if saved["worker"] else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise LikewiseError(f"{folder / 'job.json'} is damaged; remove {folder}") from error


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


# The job's processes inherit one open file with a lock on it. The system drops the lock when the
# last of them ends, however it ends, so a lock that is free means that nobody works any more.


def hold_alive(folder: Path) -> int:
    """Lock the folder's ``alive`` for this process and those that inherit the descriptor."""
    import fcntl  # not on Windows

    descriptor = os.open(folder / "alive", os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_alive(folder: Path) -> bool:
    """Whether a process of the job is left, on whatever machine or in whatever container."""
    import fcntl  # not on Windows

    try:
        descriptor = os.open(folder / "alive", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        with suppress(OSError):
            os.close(descriptor)
    return False
