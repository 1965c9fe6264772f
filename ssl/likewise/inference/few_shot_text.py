"""Recognition from few exemplars, as text and as JSON."""

from dataclasses import dataclass
from typing import Any, Literal

from likewise.evaluation.episodes import Figure
from likewise.images.scan import Failure
from likewise.inference.gallery_changes import failure_lines, failures_json
from likewise.notebook import Displayed, line, table
from likewise.wording import counted


@dataclass(frozen=True)
class FewShotModel:
    """One line of the table."""

    name: str
    fingerprint: str
    accuracy: Figure
    """Share of the images whose nearest exemplar is of their class."""
    open_set_auc: Figure | None
    """How well similarity tells images of the classes from strangers; None without strangers."""

    def as_json(self) -> dict[str, Any]:
        """Figures with their intervals; what cannot be had is null."""
        auc = self.open_set_auc
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "accuracy": self.accuracy.value,
            "accuracy_interval": list(self.accuracy.interval),
            "open_set_auc": None if auc is None else auc.value,
            "open_set_auc_interval": None if auc is None else list(auc.interval),
        }


@dataclass(frozen=True)
class FewShot(Displayed):
    """What was measured: raw pixels first, then the newest model."""

    protocol: Literal["episodes", "omniglot runs"]
    ways: int
    shots: int
    episodes: int
    """Or runs."""
    classes: int
    images: int
    models: tuple[FewShotModel, ...]
    gain: Figure
    """Accuracy of the model above that of raw pixels, on the same episodes."""
    trained_on: int
    """Images that are in the workspace and not held out, so that the model may have seen them."""
    missing_runs: int = 0
    ambiguous: int = 0
    """Images left out because they lie in several class folders."""
    failures: tuple[Failure, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "protocol": self.protocol,
            "ways": self.ways,
            "shots": self.shots,
            "episodes": self.episodes,
            "classes": self.classes,
            "images": self.images,
            "models": [each.as_json() for each in self.models],
            "gain": self.gain.value,
            "gain_interval": list(self.gain.interval),
            "seen_in_training": self.trained_on,
            "missing_runs": self.missing_runs,
            "ambiguous": self.ambiguous,
            "failures": failures_json(self.failures),
        }

    def _repr_html_(self) -> str:
        rows = [(each.name, _told(each.accuracy), _told(each.open_set_auc)) for each in self.models]
        told = [self._explanation(), *self.notes(), *failure_lines(self.failures)]
        shown = line(self._title()) + table(("model", "accuracy", "open-set AUC"), rows)
        return shown + "".join(map(line, told))

    def as_text(self) -> str:
        """A table, and what it means."""
        width = max(len(each.name) for each in self.models)
        lines = [
            self._title(),
            "",
            f"{'model':<{width}}  {'accuracy':<21}  open-set AUC",
            "-" * (width + 44),
        ]
        lines += [
            f"{each.name:<{width}}  {_told(each.accuracy):<21}  {_told(each.open_set_auc)}"
            for each in self.models
        ]
        lines += ["", self._explanation()]
        return "\n".join([*lines, *self.notes(), *failure_lines(self.failures)])

    def _title(self) -> str:
        what = (
            f"{counted(self.episodes, 'run')} of Omniglot's one-shot task"
            if self.protocol == "omniglot runs"
            else f"{counted(self.episodes, 'episode')} from {counted(self.classes, 'class')}, "
            f"{self.images:,} images"
        )
        return f"{self.ways}-way {self.shots}-shot, {what}"

    def _explanation(self) -> str:
        resampled = "runs" if self.protocol == "omniglot runs" else "classes"
        return (
            f"ahead of raw pixels by {_told(self.gain)}. Accuracy: the nearest exemplar is of the "
            f"right class. open-set AUC: an image of another class is less similar to its nearest "
            f"exemplar. [low high]: 95 %, {resampled} resampled."
        )

    def notes(self) -> list[str]:
        """What else the reader should know."""
        notes = []
        if self.trained_on:
            notes.append(
                f"note: {counted(self.trained_on, 'image')} are of the workspace and not held "
                "out: the model may have been trained on them (without labels, or with answers), "
                "so expect less of new classes"
            )
        if self.missing_runs:
            notes.append(
                f"note: {counted(self.missing_runs, 'run')} of 20 are missing; published figures "
                "are of all 20"
            )
        if self.ambiguous:
            notes.append(
                f"note: {counted(self.ambiguous, 'image')} lie in several class folders and were "
                "left out"
            )
        return notes


def _told(figure: Figure | None) -> str:
    if figure is None:
        return "n/a"
    low, high = figure.interval
    return f"{figure.value:.3f} [{low:.3f} {high:.3f}]"
