"""The app on the real server, for tests that ask it over the network."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from itertools import count
from typing import IO, Self

import pytest

from likewise import serve
from likewise.workspace import Workspace

_ports = count(9_000 + os.getpid() % 400 * 50)


def own_port(host: str = "127.0.0.1") -> int:
    """A port that no other test and no other run of the tests takes, nor any connection."""
    return serve.free_port(host, next(_ports))


class Server:
    """The app on a port of its own, which can be stopped or killed and started again."""

    def __init__(self, workspace: Workspace, **environment: str) -> None:
        self.workspace = workspace
        self.port = own_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = serve.command_for("127.0.0.1", self.port)
        self._environment = {
            **{name: os.environ[name] for name in os.environ if "LIKEWISE" not in name},
            "LIKEWISE_WORKSPACE": str(workspace.path),
            "LIKEWISE_PARENT": "stdin",  # it ends itself if the tests are killed
            **environment,
        }
        self.log: IO[bytes] | None = None
        """Where it says what it says, if not on stderr; set before it is started."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            self.command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self.log or subprocess.DEVNULL,
            stderr=self.log,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self._process.poll() is None, "the app ended; see what it says"
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=10):
                    return
            except urllib.error.HTTPError as answer:  # it wants a sign-in
                answer.close()
                return
            except OSError:
                time.sleep(0.05)
        pytest.fail("the app does not answer")

    def stop(self) -> None:
        """Let it end as Ctrl-C does."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """End it in the middle of whatever it does (SIGKILL)."""
        self._end(subprocess.Popen.kill)

    def signal(self, number: int) -> None:
        """Send it a signal (SIGSTOP: it stands still; SIGCONT: it goes on)."""
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, end: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        end(process)
        try:
            process.wait(60)
        finally:
            process.kill()
            process.communicate()
