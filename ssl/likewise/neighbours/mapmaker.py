"""Makes atlases in a process of their own, whoever and however many ask for one.

The process holds a lock in the workspace while it works, and leaves a file that says how far it
is; so any number of apps may look on, and the work is done once.
"""

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from likewise.errors import LikewiseError
from likewise.files import write_text
from likewise.interpreter import module_command
from likewise.neighbours.atlas import atlas_of
from likewise.neighbours.atlas_files import SEED, load_atlas, save_atlas, vectors_digest
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.workspace import Workspace

_STEP = 0.02
"""Progress is written down when it has grown by so much."""


@dataclass(frozen=True)
class Making:
    """How far a map is."""

    state: Literal["working", "done", "failed"]
    share: float = 0.0
    """Of the work, that is done, 0 to 1."""
    places: Float32[np.ndarray, "N 2"] | None = None
    """The map, when it is done."""
    text: str = ""
    """Why it failed, in one line."""


class Mapmaker:
    """Has the maps of a workspace made; may be shared by threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._known: tuple[Embeddings, Making] | None = None
        """The embeddings that were looked at last, with what is settled about their map."""

    def look(self, embeddings: Embeddings) -> Making:
        """How far the map of these embeddings is; starts making it where nobody does."""
        with self._lock:
            if self._known is not None and self._known[0] is embeddings:
                return self._known[1]
            running = self._process is not None and self._process.poll() is None
            if running or self._elsewhere():
                return Making("working", _share(self.workspace))
            failure = self._failure()
            places = load_atlas(embeddings)
            if places is not None:
                self._known = embeddings, Making("done", 1.0, places)
            elif failure:
                self._known = embeddings, Making("failed", text=failure)
            else:
                self._start(embeddings.fingerprint)
                return Making("working")
            return self._known[1]

    def again(self) -> None:
        """Forget a failure: the next look starts afresh."""
        with self._lock:
            self._known = None

    def stop(self) -> None:
        """End the process, if it runs."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.communicate()
                self._process = None

    def _start(self, fingerprint: str) -> None:
        _progress_file(self.workspace).unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [*module_command(__name__), str(self.workspace.path), fingerprint],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the app's business
        )

    def _elsewhere(self) -> bool:
        """Whether a process of another app is at it."""
        try:
            with self.workspace.lock("atlas"):
                return False
        except LikewiseError:
            return True

    def _failure(self) -> str:
        """What the process that has ended said; empty where it did not fail."""
        if self._process is None:
            return ""
        _, told = self._process.communicate()
        code, self._process = self._process.returncode, None
        lines = told.strip().splitlines()
        return "" if code == 0 else lines[-1] if lines else f"the process ended with code {code}"


def make_atlas(workspace: Workspace, fingerprint: str) -> None:
    """Make and keep the map of a model's embeddings, unless it is there.

    Raises:
        LikewiseError: another process is making one, or files cannot be read or written.
    """
    with workspace.lock("atlas"):
        made_of = vectors_digest(workspace.embeddings / fingerprint)
        embeddings = load_embeddings(workspace, fingerprint)
        if load_atlas(embeddings) is not None:
            return
        file, told = _progress_file(workspace), 0.0

        def report(share: float) -> None:
            nonlocal told
            if share - told >= _STEP:
                told = share
                write_text(file, f"{share:.3f}")

        try:
            save_atlas(embeddings, atlas_of(embeddings.vectors, SEED, report), made_of)
        finally:
            file.unlink(missing_ok=True)


def _progress_file(workspace: Workspace) -> Path:
    return workspace.path / ".atlas.progress"


def _share(workspace: Workspace) -> float:
    try:
        return float(_progress_file(workspace).read_text("utf-8"))
    except (OSError, ValueError):
        return 0.0


def main(arguments: list[str]) -> int:
    """Make one map: workspace and fingerprint are given; the last line of stderr says why not."""
    path, fingerprint = arguments
    try:
        make_atlas(Workspace(path), fingerprint)
    except Exception as error:  # whatever it is, somebody waits for one line
        sys.stderr.write(f"{str(error).strip() or type(error).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
