"""`likewise rerun`: a run is trained anew from its config.json, and compared with the old one."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from likewise import __version__
from likewise.errors import LikewiseError, UsageError
from likewise.files import read_json
from likewise.models.model_files import largest_difference
from likewise.models.runs import Run, run_with, runs_of
from likewise.notebook import Displayed
from likewise.settings import Adopt, Common, Finetune, Pretrain, Rerun
from likewise.training.adopt import adopt
from likewise.training.finetune import AsOf, finetune_as_of
from likewise.training.pretrain import pretrain, require_same_images
from likewise.workspace import Workspace

Kind = TypeVar("Kind", bound=Common)
_TOLD_APART = ("recipe", "images", "answers", "parent")
"""What stands beside the settings of a run, and is no setting."""


@dataclass(frozen=True)
class Reran(Displayed):
    """What `rerun` did."""

    old: Run
    run: Run
    """The new one."""
    difference: float | None
    """The largest between two weights of the same place; None where the models are of other shape,
    or one of the runs left none."""
    why: tuple[str, ...]
    """What may have made them differ."""

    @property
    def same(self) -> bool:
        """Whether both left the same model, to the bit, or both left none."""
        if self.old.kept or self.run.kept:
            return self.old.kept and self.run.kept
        return self.old.fingerprint == self.run.fingerprint

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "of": self.old.name,
            "run": self.run.name,
            "same": self.same,
            "difference": self.difference,
            "why": list(self.why),
        }

    def as_text(self) -> str:
        """What a person reads."""
        names = f"{self.run.name} and {self.old.name}"
        if self.same:
            return f"{names}: {'no model, again' if self.run.kept else 'equal to the bit'}"
        if self.run.kept or self.old.kept:
            differ = "only one of them left a model"
        elif self.difference is None:
            differ = "the models are of other shape"
        else:
            differ = f"weights differ by up to {self.difference:.2g}"
        why = f"\nwhat may be the cause: {'; '.join(self.why)}" if self.why else ""
        return f"{names}: {differ}{why}"


def rerun(workspace: Workspace, settings: Rerun) -> Reran:
    """Train a run anew, as its config.json says, on the same images and answers, into a new run.

    Raises:
        UsageError: no such run, or the name is taken.
        LikewiseError: it is not finished, its images, answers or parent are not there any more, or
            the training failed.
    """
    old = _ended_run(workspace.require(), settings.run)
    name = settings.name or _free_name(workspace, old)
    match old.kind:
        case "pretrain":
            wanted = _settings_of(old, Pretrain, name)
            require_same_images(workspace, old)
            pretrain(workspace, wanted)
        case "finetune":
            tuning = _settings_of(old, Finetune, name)
            parent = run_with(workspace, str(old.parent))
            as_of = AsOf(datetime.fromisoformat(old.started), old.settings["answers"], old.name)
            finetune_as_of(workspace, dataclasses.replace(tuning, model=parent.name), as_of)
        case "adopt":
            adopt(workspace, _settings_of(old, Adopt, name))
    (run,) = (each for each in runs_of(workspace) if each.name == name)
    return Reran(old, run, _difference(old, run), tuple(_reasons(old)))


def _ended_run(workspace: Workspace, name: str) -> Run:
    runs = runs_of(workspace)
    found = [run for run in runs if run.name == name]
    if not found:
        known = ", ".join(run.name for run in runs) or "none yet"
        raise UsageError(f"no run {name!r} in {workspace.path} (there are: {known})")
    if not found[0].finished and not found[0].kept:
        raise LikewiseError(f"the run {name} is not finished; run its command again")
    return found[0]


def _free_name(workspace: Workspace, old: Run) -> str:
    """The run's name with "again", and a number if such runs are there and ended."""
    taken = {run.name for run in runs_of(workspace) if run.finished or run.kept}
    candidates = (f"{old.name}-again{'' if each < 2 else f'-{each}'}" for each in range(1, 10**6))
    return next(each for each in candidates if each not in taken)


def _settings_of(old: Run, kind: type[Kind], name: str) -> Kind:
    """The settings of a run under another name.

    Raises:
        LikewiseError: another version had settings that this one does not know.
    """
    saved = {key: value for key, value in old.settings.items() if key not in _TOLD_APART}
    unknown = saved.keys() - {each.name for each in dataclasses.fields(kind)}
    if unknown:
        raise LikewiseError(
            f"{old.name} was trained with {', '.join(sorted(unknown))}, which this version of "
            f"Likewise ({__version__}) does not know; take the version in its config.json"
        )
    return kind(**saved | {"name": name})


def _difference(old: Run, run: Run) -> float | None:
    if not (old.finished and run.finished):
        return None
    return largest_difference(old.model_file, run.model_file)


def _reasons(old: Run) -> Iterator[str]:
    """What lets a run come out otherwise, though all that it is made from is the same."""
    version = str(read_json(old.folder / "config.json").get("version"))
    if version != __version__:
        yield f"it was trained by version {version}, not {__version__}"
    if old.settings.get("threads") == 0:
        yield "the number of threads was not set (--threads)"
    if old.settings.get("precision") == "auto":
        yield "precision was chosen by the clock (--precision)"
    if old.settings.get("device") == "auto":
        yield "the device was whichever was there (--device)"
