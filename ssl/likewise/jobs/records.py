"""The training runs of a workspace as the app shows them: read from their files, without torch."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from likewise.errors import LikewiseError
from likewise.files import read_json
from likewise.models.runs import read_config
from likewise.workspace import Workspace

STEPS_PER_EPOCH = 25
"""Of fine-tuning."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What ``runs/NAME/`` says about itself."""

    folder: Path
    kind: str
    """adopt, pretrain or finetune."""
    settings: dict[str, Any]
    started: datetime

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def finished(self) -> bool:
        """Whether it left a model."""
        return (self.folder / "model.safetensors").is_file()

    @property
    def kept(self) -> bool:
        """Whether it ended without one, as its parent's stays in use."""
        return (self.folder / "kept.json").is_file()

    @property
    def epochs(self) -> int:
        """How many there will be."""
        if self.kind == "finetune":
            return math.ceil(int(self.settings["steps"]) / STEPS_PER_EPOCH)
        return int(self.settings.get("epochs", 0))

    @property
    def rows(self) -> list[Row]:
        """What each finished epoch measured."""
        return _rows(self.folder)

    @property
    def copy_rows(self) -> list[Row]:
        """The same of the copy that fine-tuning measures with, which is trained first."""
        return _rows(self.folder / "held-out")

    @property
    def copy_finished(self) -> bool:
        """Whether that copy was measured, or none is trained."""
        return self.kind != "finetune" or (self.folder / "measured.json").is_file()

    @property
    def measured(self) -> dict[str, Any] | None:
        """Fine-tuning's figures on held-out answers, "before" and "after"; None if none yet."""
        file = self.folder / "measured.json"
        if not file.is_file():
            return None
        told: dict[str, Any] = read_json(file)
        return told

    @property
    def changed(self) -> float:
        """When a file of it was last written: seconds of Unix time."""
        names = ("config.json", "metrics.jsonl", "checkpoint.pt", "model.safetensors")
        files = [self.folder / part / name for part in ("", "held-out") for name in names]
        return max(file.stat().st_mtime for file in files if file.is_file())


def records_of(workspace: Workspace) -> list[Record]:
    """All runs of the workspace, oldest first.

    Raises:
        LikewiseError: the description of one is damaged.
    """
    found = [_record(file.parent) for file in workspace.runs.glob("*/config.json")]
    return sorted(found, key=lambda each: (each.started, each.name))


def _record(folder: Path) -> Record:
    saved = read_config(folder)
    try:
        started = datetime.fromisoformat(saved["started"])
        return Record(folder, saved["kind"], saved["settings"], started)
    except (KeyError, TypeError, ValueError) as error:
        raise LikewiseError(f"{folder / 'config.json'} is damaged; remove {folder}") from error


def _rows(folder: Path) -> list[Row]:
    file = folder / "metrics.jsonl"
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def speeds(rows: Sequence[Row], batch_size: int) -> list[float]:
    """Images a second in each epoch, views not counted."""
    before = [{"steps": 0, "seconds": 0.0}, *rows]
    return [
        (row["steps"] - last["steps"]) * batch_size / max(row["seconds"] - last["seconds"], 1e-3)
        for last, row in zip(before, rows, strict=False)
    ]


def seconds_left(rows: Sequence[Row], epochs: int, since: float) -> float | None:
    """How long the epochs that remain will take; None before the first one is finished.

    By the pace of the last five epochs; ``since`` is the time in seconds since the last one ended.
    """
    if not rows:
        return None
    recent = rows[-6:]
    earlier = recent[0]["seconds"] if len(recent) > 1 else 0.0
    each = (recent[-1]["seconds"] - earlier) / max(1, len(recent) - 1)
    left = (epochs - int(rows[-1]["epoch"])) * each
    return float(max(0.0, left - min(since, each)))
