"""What all sessions of one workspace share: questions and pictures, reopened when files change."""

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from likewise.answers.belief import Belief
from likewise.answers.people import People
from likewise.answers.proposals import proposer_for
from likewise.answers.questions import Questions
from likewise.answers.rivals import watched_rivals
from likewise.answers.store import AnswerStore
from likewise.errors import LikewiseError
from likewise.images.store import Images, open_images
from likewise.neighbours.vectors import Embeddings, embedded, load_embeddings
from likewise.settings import Label, Strategy
from likewise.workspace import Workspace
from likewise_labeler.pictures import Pictures, full_sizes
from likewise_labeler.secret import secret

Stamp = tuple[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class Ready:
    """There is something to label."""

    questions: Questions
    store: AnswerStore
    pictures: Pictures
    images: Images
    embeddings: Embeddings
    model: str
    """Name of the run whose embedding proposes."""
    count: int
    """Images that may be asked about."""
    belief: Belief
    """Who belongs together; to be read while the ledger of ``questions`` is held."""


@dataclass(frozen=True)
class Missing:
    """Something is missing or broken."""

    what: Literal["workspace", "embeddings", "trouble"]
    text: str
    """For "trouble": the one line that says what is wrong."""


class Desk:
    """Opens a workspace, and opens it again when a model, the images or the settings change."""

    def __init__(
        self,
        workspace: Workspace,
        strategy: Strategy = Label.strategy,
        second_share: float = Label.second_share,
        readers: int = Label.readers,
    ) -> None:
        self.workspace, self.strategy = workspace, strategy
        self.second_share, self.readers = second_share, readers
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._store: tuple[str, AnswerStore, People] | None = None
        self._stamp: Stamp | None = None
        self._state: Ready | Missing = Missing("workspace", "")

    def is_current(self) -> bool:
        """Whether `look` has nothing to load: a few calls of ``stat``."""
        return self._stamp is not None and self._stamp == self._stamp_now()

    def look(self) -> Ready | Missing:
        """The state of the workspace now; the last one while another thread opens a new one."""
        if self.is_current():
            return self._state
        if isinstance(self._state, Ready) and self._lock.locked():
            return self._state
        with self._lock:
            if not self.is_current():
                stamp = self._stamp_now()
                self._state = self._open()
                broken = isinstance(self._state, Missing) and self._state.what == "trouble"
                self._stamp = None if broken else stamp
            return self._state

    def store(self) -> AnswerStore:
        """The answers, also where there is nothing to label yet.

        Raises:
            LikewiseError: there is no workspace, or the database cannot be opened.
        """
        return self._answers()[1]

    def people(self) -> People:
        """Who may sign in.

        Raises:
            LikewiseError: there is no workspace, or the database cannot be opened.
        """
        return self._answers()[2]

    def _answers(self) -> tuple[str, AnswerStore, People]:
        url = self.workspace.require().database_url
        with self._opening:
            if self._store is None or self._store[0] != url:
                store = AnswerStore(url)
                old, self._store = self._store, (url, store, People(store))
                if old is not None:
                    old[1].close()
            return self._store

    def _open(self) -> Ready | Missing:
        try:
            if not self.workspace.exists():
                return Missing("workspace", "")
            if not embedded(self.workspace):
                return Missing("embeddings", "")
            store = self.store()
            images = open_images(self.workspace)
            embeddings = load_embeddings(self.workspace)
            hidden = set(images.ids[images.held_out].tolist())
            hidden |= embeddings.positions.keys() - images.positions.keys()
            rivals = watched_rivals(embeddings.folder, len(embeddings.ids))
            proposer = proposer_for(self.strategy, embeddings, hidden, rivals=rivals)
            shown = embeddings.positions.keys() - hidden
            questions = Questions(
                store,
                proposer,
                shown,
                embeddings.fingerprint,
                second_share=self.second_share,
                readers=self.readers,
            )
            pictures = Pictures(images, full_sizes(self.workspace, images), secret(self.workspace))
            belief = questions.turns().belief
            with _uncollected(), questions.ledger() as ledger:  # takes seconds with many answers
                belief.follow(ledger)
                gc.freeze()  # what has come to stay need not be looked at in every collection
        except LikewiseError as error:
            return Missing("trouble", str(error))
        return Ready(
            questions=questions,
            store=store,
            pictures=pictures,
            images=images,
            embeddings=embeddings,
            model=embeddings.model,
            count=len(shown),
            belief=belief,
        )

    def _stamp_now(self) -> Stamp:
        watched = (
            self.workspace.settings_file,
            self.workspace.manifest_file,
            self.workspace.embeddings,
        )
        return os.environ.get("LIKEWISE_DATABASE_URL", ""), tuple(map(_changed, watched))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: nearly all that is made meanwhile stays, and it takes a third."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


_desks: dict[tuple[str, Strategy, float, int], Desk] = {}
_desks_lock = threading.Lock()


def desk_of(
    path: str,
    strategy: Strategy = Label.strategy,
    second_share: float = Label.second_share,
    readers: int = Label.readers,
) -> Desk:
    """The one desk of a workspace, shared by all sessions and routes of this process."""
    key = (path, strategy, second_share, readers)
    with _desks_lock:
        if key not in _desks:
            _desks[key] = Desk(Workspace(path), strategy, second_share, readers)
        return _desks[key]


def the_desk() -> Desk:
    """The desk that the environment names, as `likewise label` sets it."""
    return desk_of(
        str(Workspace().path),
        strategy_of(os.environ.get("LIKEWISE_STRATEGY", "")),
        share_of(os.environ.get("LIKEWISE_SECOND_SHARE", "")),
        readers_of(os.environ.get("LIKEWISE_READERS", "")),
    )


def strategy_of(name: str) -> Strategy:
    """The strategy of that name; the default one where there is none."""
    known = [each for each in get_args(Strategy) if each == name]
    return known[0] if known else Label.strategy


def share_of(text: str) -> float:
    """The share (0 to 1) that ``text`` says; the default one where it says none."""
    try:
        share = float(text)
    except ValueError:
        return Label.second_share
    return share if 0 <= share <= 1 else Label.second_share


def readers_of(text: str) -> int:
    """The number of readers that ``text`` says; the default one where it says none."""
    return int(text) if text.isdecimal() and int(text) > 1 else Label.readers


def _changed(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_mtime_ns, stat.st_size
