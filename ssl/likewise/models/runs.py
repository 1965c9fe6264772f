"""Runs: one folder per training run, and the model that it left behind.

``runs/NAME/`` holds ``config.json`` (kind, settings, parent), ``metrics.jsonl`` (one line per
epoch), ``checkpoint.pt`` and ``checkpoint.before.pt`` (to resume; gone when the run is finished),
``model.safetensors`` (weights, architecture and fingerprint) or ``kept.json`` (why there is
none), and ``tensorboard/``.
"""

import dataclasses
import json
import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from likewise import __version__, ranks
from likewise.errors import LikewiseError, UsageError
from likewise.files import read_json, write_json, write_text
from likewise.models.metadata import read_metadata
from likewise.seals import read_sealed_json, write_sealed_json
from likewise.workspace import Workspace

FORMAT = 2
"""Since 2 with a seal."""
KEPT = "kept.json"
Kind = Literal["adopt", "pretrain", "finetune"]
UNTAUGHT: tuple[Kind, ...] = ("adopt", "pretrain")
"""Kinds whose models have learnt from no answers."""


@dataclass(frozen=True)
class Run:
    """One training run of a workspace."""

    folder: Path
    kind: Kind
    settings: dict[str, Any]
    """As `likewise.settings.config_of` gives them."""
    started: str
    """Time, ISO 8601, UTC."""
    parent: str | None
    """Fingerprint of the model it started from."""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def model_file(self) -> Path:
        """The finished model."""
        return self.folder / "model.safetensors"

    @property
    def checkpoint_file(self) -> Path:
        """What an unfinished run resumes from."""
        return self.folder / "checkpoint.pt"

    @property
    def checkpoint_before(self) -> Path:
        """The checkpoint before that one, in case it is damaged."""
        return self.folder / "checkpoint.before.pt"

    @property
    def metrics_file(self) -> Path:
        """One JSON object per epoch."""
        return self.folder / "metrics.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the run left a model."""
        return self.model_file.is_file()

    @property
    def kept(self) -> bool:
        """Whether the run ended without a model, as its parent's is to stay in use."""
        return (self.folder / KEPT).is_file()

    @property
    def fingerprint(self) -> str:
        """Of the finished model.

        Raises:
            LikewiseError: the model cannot be read.
        """
        return str(read_metadata(self.model_file)["fingerprint"])

    @property
    def architecture(self) -> dict[str, Any]:
        """The finished model's `Architecture`, as a mapping.

        Raises:
            LikewiseError: the model cannot be read.
        """
        described: dict[str, Any] = json.loads(read_metadata(self.model_file)["architecture"])
        return described

    def metrics(self) -> list[dict[str, Any]]:
        """What was reported so far, oldest first."""
        if not self.metrics_file.is_file():
            return []
        return [json.loads(line) for line in self.metrics_file.read_text("utf-8").splitlines()]

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace the metrics file."""
        write_text(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))


def runs_of(workspace: Workspace) -> list[Run]:
    """All runs of the workspace, oldest first."""
    found = [_open_run(file.parent) for file in workspace.runs.glob("*/config.json")]
    return sorted(found, key=lambda run: (run.started, run.name))


def _open_run(folder: Path) -> Run:
    saved = read_config(folder)
    return Run(folder, saved["kind"], saved["settings"], saved["started"], saved["parent"])


def read_config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` in a run's folder says.

    Raises:
        LikewiseError: it is damaged or of another format.
    """
    advice = f"remove {folder} and train again"
    saved = read_sealed_json(folder / "config.json", FORMAT, advice)
    if saved["format"] > FORMAT:
        raise LikewiseError(f"{folder} has format {saved['format']}; upgrade Likewise")
    return saved


def start_run(
    workspace: Workspace,
    kind: Kind,
    settings: dict[str, Any],
    *,
    name: str | None,
    parent: str | None = None,
) -> Run:
    """Make the folder of a new run.

    Raises:
        UsageError: the name is taken or cannot be a folder's.
        LikewiseError: the folder cannot be written.
    """
    taken = {run.name for run in runs_of(workspace)}
    if name is None:
        numbers = [int(each.split("-")[1]) for each in taken if re.fullmatch(rf"{kind}-\d+", each)]
        name = f"{kind}-{max(numbers, default=0) + 1}"
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"--name {name!r}: use letters, digits, '.', '_' and '-'")
    if name in taken:
        raise UsageError(f"a run {name!r} exists already; choose another --name")
    run = Run(
        workspace.runs / name,
        kind,
        settings,
        datetime.now(UTC).isoformat(timespec="microseconds"),
        parent,
    )
    saved = dataclasses.asdict(run) | {"format": FORMAT, "version": __version__}
    del saved["folder"]
    write_sealed_json(run.folder / "config.json", saved)
    return run


def resumable(workspace: Workspace, kind: Kind, settings: dict[str, Any]) -> Run | None:
    """The newest interrupted run of a kind with these settings."""
    same = _newest_first(workspace, kind, settings)
    return next((run for run in same if not run.finished and not run.kept), None)


def finished_before(workspace: Workspace, kind: Kind, settings: dict[str, Any]) -> Run | None:
    """The newest finished run of a kind with these settings: another one would learn the same."""
    return next((run for run in _newest_first(workspace, kind, settings) if run.finished), None)


def _newest_first(workspace: Workspace, kind: Kind, settings: dict[str, Any]) -> Iterator[Run]:
    """The runs of a kind with these settings."""
    runs = reversed(runs_of(workspace))
    return (run for run in runs if run.kind == kind and run.settings == settings)


def discard(run: Run) -> None:
    """Remove a run that came to nothing."""
    if ranks.here().first:
        shutil.rmtree(run.folder, ignore_errors=True)


def keep_parent(run: Run, parent: Run, why: str) -> None:
    """End a run without a model: its parent's stays in use.

    Raises:
        LikewiseError: the note could not be written.
    """
    shutil.rmtree(run.folder / "held-out", ignore_errors=True)
    write_json(run.folder / KEPT, {"model": parent.name, "why": why})


def finished_run(
    workspace: Workspace, name: str | None, kinds: Collection[Kind] = get_args(Kind)
) -> Run:
    """The named run, else the newest finished one of these kinds.

    Raises:
        UsageError: no run of that name.
        LikewiseError: no finished run, or the named one has no model yet.
    """
    runs = runs_of(workspace)
    if name is not None:
        for run in runs:
            if run.name == name:
                if run.kept:
                    model = read_json(run.folder / KEPT)["model"]
                    raise LikewiseError(f"the run {name} left no model: {model} stays in use")
                if not run.finished:
                    raise LikewiseError(f"the run {name} is not finished; run its command again")
                return run
        known = ", ".join(run.name for run in runs) or "none yet"
        raise UsageError(f"--model: no run {name!r} in {workspace.path} (there are: {known})")
    finished = [run for run in runs if run.finished and run.kind in kinds]
    if not finished:
        raise LikewiseError(f"{workspace.path} has no trained model yet; run `likewise pretrain`")
    return finished[-1]


def run_with(workspace: Workspace, fingerprint: str) -> Run:
    """The run that left the model of this fingerprint.

    Raises:
        LikewiseError: there is none any more.
    """
    for run in reversed(runs_of(workspace)):
        if run.finished and run.fingerprint == fingerprint:
            return run
    raise LikewiseError(
        "the model of these embeddings is gone; run `likewise embed` with one that is there"
    )
