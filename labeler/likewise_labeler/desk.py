"""What all sessions of one workspace share: questions and pictures, reopened when files change."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from likewise.answers.proposals import proposer_for
from likewise.answers.questions import Questions
from likewise.answers.store import AnswerStore, open_answers
from likewise.errors import LikewiseError
from likewise.images.store import open_images
from likewise.neighbours.vectors import embedded, load_embeddings
from likewise.settings import Strategy
from likewise.workspace import Workspace
from likewise_labeler.pictures import Pictures

Stamp = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Ready:
    """There is something to label."""

    questions: Questions
    pictures: Pictures
    images: int
    """How many may be asked about."""
    model: str
    """Name of the run whose embedding proposes."""


@dataclass(frozen=True)
class Missing:
    """Something is missing or broken."""

    what: Literal["workspace", "embeddings", "trouble"]
    text: str
    """For "trouble": the one line that says what is wrong."""


class Desk:
    """Opens a workspace, and opens it again when a model, the images or the settings change."""

    def __init__(self, workspace: Workspace, strategy: Strategy = "cover-place") -> None:
        self.workspace, self.strategy = workspace, strategy
        self._lock = threading.Lock()
        self._store: AnswerStore | None = None
        self._stamp: Stamp | None = None
        self._state: Ready | Missing = Missing("workspace", "")

    def is_current(self) -> bool:
        """Whether `look` has nothing to load: a few calls of ``stat``."""
        return self._stamp is not None and self._stamp == self._stamp_now()

    def look(self) -> Ready | Missing:
        """The state of the workspace now."""
        with self._lock:
            if not self.is_current():
                stamp = self._stamp_now()
                self._state = self._open()
                broken = isinstance(self._state, Missing) and self._state.what == "trouble"
                self._stamp = None if broken else stamp
            return self._state

    def _open(self) -> Ready | Missing:
        try:
            if not self.workspace.exists():
                return Missing("workspace", "")
            if not embedded(self.workspace):
                return Missing("embeddings", "")
            images = open_images(self.workspace)
            embeddings = load_embeddings(self.workspace)
            hidden = set(images.ids[images.held_out].tolist())
            hidden |= embeddings.positions.keys() - images.positions.keys()
            proposer = proposer_for(self.strategy, embeddings, hidden)
            store = open_answers(self.workspace)
        except LikewiseError as error:
            return Missing("trouble", str(error))
        if self._store is not None:
            self._store.close()
        self._store = store
        shown = embeddings.positions.keys() - hidden
        questions = Questions(store, proposer, shown, embeddings.fingerprint)
        return Ready(questions, Pictures(images), len(shown), embeddings.model)

    def _stamp_now(self) -> Stamp:
        watched = (
            self.workspace.settings_file,
            self.workspace.manifest_file,
            self.workspace.embeddings,
        )
        times = tuple(_changed_at(each) for each in watched)
        try:
            return self.workspace.database_url, times
        except LikewiseError as error:
            return str(error), times


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
