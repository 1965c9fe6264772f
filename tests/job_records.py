"""Runs and jobs as they lie in a workspace, written down without being done."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from likewise.jobs import control
from likewise.jobs.job import (
    Job,
    Status,
    Steps,
    jobs_folder,
    newest_job,
    now,
    write_job,
)
from likewise.jobs.records import Record, records_of
from likewise.settings import Finetune, Pretrain, config_of
from likewise.workspace import Workspace

THEN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEARN: Steps = (("pretrain",), ("embed", "--model", control.RUN))


def row(epoch: int, seconds: float, **more: float) -> dict[str, Any]:
    measured = {"loss": -0.5, "projection_std": 0.9, "effective_rank": 7.0}
    return {"epoch": epoch, "steps": 10 * epoch, "seconds": seconds} | measured | more


def add_run(
    workspace: Workspace,
    name: str,
    *,
    rows: int = 0,
    finished: bool = True,
    started: datetime = THEN,
    settings: dict[str, Any] | None = None,
) -> Record:
    kind = name.partition("-")[0]
    folder = workspace.runs / name
    folder.mkdir(parents=True)
    defaults = config_of(Pretrain(epochs=12)) if kind == "pretrain" else config_of(Finetune())
    config = {
        "format": 1,
        "kind": kind,
        "settings": defaults | (settings or {}),
        "started": started.isoformat(),
    }
    (folder / "config.json").write_text(json.dumps(config))
    lines = [json.dumps(row(number + 1, 2.0 * (number + 1))) for number in range(rows)]
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in lines))
    if finished:
        (folder / "model.safetensors").touch()
    return next(each for each in records_of(workspace) if each.name == name)


def add_job(workspace: Workspace, status: Status, steps: Steps, **changes: Any) -> Job:
    last = newest_job(workspace)
    folder = jobs_folder(workspace) / str(last.number + 1 if last else 1)
    folder.mkdir(parents=True)
    job = replace(Job(folder, steps, now(), status=status, step_started=now()), **changes)
    write_job(job)
    return job
