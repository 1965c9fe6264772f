"""How far a job is: from its log and from the metrics of the run that it trains."""

from dataclasses import dataclass
from datetime import datetime

from likewise.jobs.control import run_made
from likewise.jobs.job import Job
from likewise.jobs.log import Bar, last_bar, tail
from likewise.jobs.records import Record, Row, records_of, seconds_left, speeds
from likewise.workspace import Workspace

TITLES = {
    "sample": "Write sample images",
    "ingest": "Read images",
    "pretrain": "Learn from the images",
    "finetune": "Learn from the answers",
    "embed": "Embed all images",
}
"""What the commands do, in a newcomer's words."""
TRAINING = ("pretrain", "finetune")


@dataclass(frozen=True)
class Watched:
    """How far the present or last step is."""

    text: str
    """One short line: ``epoch 3 of 12``."""
    share: float | None
    """Of the step, 0 to 1; None if not known yet."""
    seconds_left: float | None
    """Of the step; None if not known yet."""
    run: Record | None = None
    """Which run is trained, or was in the end."""
    rows: tuple[Row, ...] = ()
    """What its epochs measured so far."""
    epochs: int = 0
    speeds: tuple[float, ...] = ()
    """Images a second, an entry for each row."""


def title_of(command: str) -> str:
    """What a command does."""
    return TITLES.get(command, command)


def watch(workspace: Workspace, job: Job, trainable: int, at: datetime) -> Watched:
    """How far a job is at the time ``at``; ``trainable`` images can be learnt from.

    Raises:
        LikewiseError: a run's description is damaged.
    """
    lines = tail(job.log_file, 200)
    bar = last_bar(lines) if job.active else None
    records = records_of(workspace)
    if job.command in TRAINING:
        return _training(run_of(job, records, lines), bar, trainable, at, job.active)
    if job.status == "done" and (made := run_made(job)) is not None:
        record = next((each for each in records if each.name == made), None)
        return _training(record, None, trainable, at, False)
    if bar is None or not bar.total:
        return Watched("working" if job.active else "", None, None)
    text = f"{bar.done:,} of {bar.total:,} {bar.unit}"
    return Watched(text, bar.done / bar.total, bar.left)


def run_of(job: Job, records: list[Record], lines: list[str]) -> Record | None:
    """The run that the job's present step trains; None before it has said so.

    Runs say their name in the log; a new one has also just been written.
    """
    own = {each.name: each for each in records if each.kind == job.command}
    for line in reversed(lines):
        name = line.partition(":")[0]
        if name in own:
            return own[name]
    begun = job.step_started.timestamp() if job.step_started else float("inf")
    fresh = [each for each in own.values() if each.changed >= begun]
    return max(fresh, key=lambda each: each.changed, default=None)


def _training(
    record: Record | None, bar: Bar | None, trainable: int, at: datetime, active: bool
) -> Watched:
    if record is None:
        return Watched("starting" if active else "", None, None)
    first = not record.copy_finished
    rows = tuple(record.copy_rows if first else record.rows)
    done, epochs = int(rows[-1]["epoch"]) if rows else 0, record.epochs
    left = seconds_left(rows, epochs, at.timestamp() - record.changed) if active else None
    if left is not None and first:
        left += epochs * rows[-1]["seconds"] / done
    if left is None and bar is not None:
        left = bar.left
    parts, before = (2, 0 if first else epochs) if record.kind == "finetune" else (1, 0)
    share = (before + done) / (parts * epochs)
    if bar is not None and not rows:
        share += bar.done / bar.total / parts
    batch = int(record.settings["batch_size"])
    if record.kind == "pretrain":
        batch = min(batch, trainable) if trainable else batch
    text = f"epoch {min(done + active, epochs)} of {epochs}"
    if first:
        text += " of a copy that is measured on answers it never saw"
    return Watched(text, share, left, record, rows, epochs, tuple(speeds(rows, batch)))


def steps_shown(job: Job) -> list[tuple[str, str]]:
    """Each step's title, with its state: done, now, waiting, stopped or failed."""
    shown = []
    for number, step in enumerate(job.steps):
        if number < job.step or job.status == "done":
            state = "done"
        elif number > job.step:
            state = "waiting"
        else:
            state = "now" if job.active else "stopped" if job.status == "stopped" else "failed"
        shown.append((title_of(step[0]), state))
    return shown
