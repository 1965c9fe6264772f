"""The labeler's real server, for scripts that drive it with a browser."""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from likewise import serve
from likewise.workspace import Workspace


@contextmanager
def running(workspace: Workspace) -> Iterator[tuple[str, int]]:
    """The server, once it answers; yields its address and process id."""
    port = serve.free_port("127.0.0.1", 8600)
    process = subprocess.Popen(
        serve.command_for("127.0.0.1", port),
        env={**os.environ, "LIKEWISE_WORKSPACE": str(workspace.path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)
