"""Pictures that people bring along become vectors, in a child process: no torch in this one."""

import base64
import contextlib
import json
import subprocess
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from likewise.errors import LikewiseError
from likewise.interpreter import module_command
from likewise.workspace import Workspace

PATIENCE = 90.0
"""Seconds that one picture may take; the first one waits until torch is there."""
MAX_BYTES = 50 * 2**20
"""Of a picture's file."""
_COMMAND = module_command("likewise.neighbours.embedder_process")


@dataclass(frozen=True)
class Brought:
    """A picture that somebody looks for. Nothing of it is stored."""

    vector: Float32[np.ndarray, " D"]
    """Its embedding, of unit length."""
    picture: bytes
    """It, as a small PNG."""
    width: int
    """Of the file, upright, in pixels."""
    height: int


class Embedder:
    """The child process, started when it is needed; may be shared by threads.

    The child ends by itself when it has been idle for some minutes.
    """

    def __init__(self, workspace: Workspace, patience: float = PATIENCE) -> None:
        self.workspace, self.patience = workspace, patience
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def embed(self, data: bytes, fingerprint: str) -> Brought:
        """The embedding of a picture's bytes by the model with this fingerprint.

        Raises:
            LikewiseError: it is no usable picture, the model is gone, or the child failed.
        """
        if len(data) > MAX_BYTES:
            raise LikewiseError(f"the file has more than {MAX_BYTES // 2**20} MB; choose another")
        asked = {
            "workspace": str(self.workspace.path),
            "fingerprint": fingerprint,
            "bytes": len(data),
        }
        question = json.dumps(asked).encode() + b"\n" + data
        with self._lock:
            reply = self._ask(question)
        if "error" in reply:
            raise LikewiseError(str(reply["error"]))
        return Brought(
            np.array(reply["vector"], np.float32),
            base64.b64decode(reply["picture"]),
            int(reply["width"]),
            int(reply["height"]),
        )

    def stop(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def _ask(self, question: bytes) -> dict[str, Any]:
        """The child's reply. An idle child that has just ended is replaced once."""
        for fresh in (False, True):
            if fresh or self._child is None or self._child.poll() is not None:
                self._end()
                self._child = _start()
                fresh = True
            line, late = self._exchange(self._child, question)
            if line.endswith(b"\n"):
                reply: dict[str, Any] = json.loads(line)
                return reply
            self._end()
            if late:
                raise LikewiseError(
                    f"the picture took more than {self.patience:g} s; choose another"
                )
            if fresh:
                break
        raise LikewiseError("the picture could not be read: the decoder crashed on it")

    def _exchange(self, child: subprocess.Popen[bytes], question: bytes) -> tuple[bytes, bool]:
        """The line that came back, and whether the child was ended for being late."""
        if child.stdin is None or child.stdout is None:
            return b"", False
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self.patience, end)
        timer.daemon = True
        timer.start()
        try:
            child.stdin.write(question)
            child.stdin.flush()
            return child.stdout.readline(), late.is_set()
        except OSError:
            return b"", late.is_set()
        finally:
            timer.cancel()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is the app's business, whose end ends the child's stdin
    )
