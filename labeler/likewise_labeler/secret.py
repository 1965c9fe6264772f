"""The workspace's secret: what everything that we hand to browsers is signed with."""

import contextlib
import os
import secrets
import tempfile
import threading
from pathlib import Path

from itsdangerous import URLSafeTimedSerializer

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.workspace import Workspace

SECRET_BYTES = 32

_secrets: dict[Path, bytes] = {}
_lock = threading.Lock()


def secret(workspace: Workspace | None = None) -> bytes:
    """What passes, sessions and image addresses of a workspace are signed with.

    By default the workspace that the environment names. It lies in ``WORKSPACE/secret``, readable
    by its owner alone, and is made when it is missing. Until there is a workspace it is kept in
    memory, and written when there is one.

    Raises:
        LikewiseError: it cannot be read or written.
    """
    workspace = workspace or Workspace()
    file = workspace.path / "secret"
    with _lock:
        known = _secrets.get(file)
        if known is None or (not file.exists() and workspace.exists()):
            known = known or secrets.token_bytes(SECRET_BYTES)
            if workspace.exists():
                known = _settle(file, known)
            _secrets[file] = known
        return known


def signer(purpose: str) -> URLSafeTimedSerializer:
    """Signs what is meant for one purpose, with the time; no other purpose accepts it."""
    return URLSafeTimedSerializer(secret(), salt=f"likewise.{purpose}")


def _settle(file: Path, offered: bytes) -> bytes:
    """The secret in the file; the one offered, if there was none. Several processes may try."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".secret.", dir=file.parent)  # mode 600
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(offered)
                opened.flush()
                os.fsync(opened.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(temporary, file)
        finally:
            Path(temporary).unlink()
        found = file.read_bytes()
    except OSError as error:
        raise LikewiseError(f"could not write {file}: {reason_of(error)}") from error
    if len(found) != SECRET_BYTES:
        raise LikewiseError(f"{file} is damaged; remove it and start the labeler again")
    return found
