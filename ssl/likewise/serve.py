"""`likewise label`: the app in a process of its own, on this machine only."""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.neighbours.vectors import embedded
from likewise.progress import say
from likewise.settings import Label
from likewise.workspace import Workspace

_PORTS_TRIED = 50
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_STREAMLIT = {
    "server.headless": "true",  # the browser is opened here, once the app answers
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "browser.gatherUsageStats": "false",
    "runner.postScriptGC": "false",  # a full collection per answer stalls every annotator
    "runner.magicEnabled": "false",
    "logger.level": "warning",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "theme.light.primaryColor": "#0f766e",
    "theme.dark.primaryColor": "#2dd4bf",
    "theme.baseRadius": "0.6rem",
}


@dataclass(frozen=True)
class Served:
    """What happened while the app ran."""

    url: str
    answers: int
    """Standing answers given (less those undone) meanwhile."""
    total: int
    """Standing answers in all."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the result."""
        return {"url": self.url, "answers": self.answers, "total": self.total}

    def as_text(self) -> str:
        """What a person reads."""
        return f"labeler ended: {self.answers:+,} answers, {self.total:,} in all"


def label(workspace: Workspace, settings: Label) -> Served:
    """Serve the app until it is interrupted (Ctrl-C or SIGTERM).

    Raises:
        UsageError: the address is not on this machine.
        LikewiseError: there is nothing to label yet, the answers cannot be opened, no port is
            free, or the app does not start.
    """
    refuse_strangers(settings.host)
    if not embedded(workspace.require()):
        raise LikewiseError(
            f"{workspace.path} has no embeddings yet; run `likewise pretrain`, then "
            "`likewise embed`"
        )
    before = _standing(workspace)
    port = free_port(settings.host, settings.port)
    if port != settings.port:
        say(f"port {settings.port} is taken, using {port}")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    with _interruptible(), _running(workspace, settings, port) as process:
        try:
            _wait_until_up(process, url)
            say(f"labeler: {url} (Ctrl-C ends it; every answer is stored at once)")
            if settings.browser:
                webbrowser.open(url)
            if code := process.wait():
                raise LikewiseError(f"the labeler ended with exit code {code}; see above")
        except KeyboardInterrupt:
            pass
    total = _standing(workspace)
    return Served(url, total - before, total)


def refuse_strangers(host: str) -> None:
    """Insist on a loopback address, as there is no sign-in.

    Raises:
        UsageError: others could reach the app at ``host``.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"--host {host}: the labeler has no sign-in yet, so it listens on this machine only; "
            "use 127.0.0.1 and, from elsewhere, an SSH tunnel"
        )


def free_port(host: str, wanted: int) -> int:
    """The first port from ``wanted`` upward on which nobody listens.

    Raises:
        LikewiseError: none of the next fifty is free, or the address is not this machine's.
    """
    reason = ""
    for port in range(wanted, min(wanted + _PORTS_TRIED, 65536)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = error.strerror or str(error)
            else:
                return port
    raise LikewiseError(f"cannot listen on {host}, port {wanted} or above: {reason}")


def command_for(host: str, port: int) -> list[str]:
    """The command line that runs the app."""
    found = find_spec("likewise_labeler")
    if found is None or not found.submodule_search_locations:
        raise LikewiseError("the labeler app is not installed; run `pip install likewise`")
    app = Path(found.submodule_search_locations[0]) / "app.py"
    flags = {**_STREAMLIT, "server.address": host, "server.port": str(port)}
    options = [f"--{name}={value}" for name, value in flags.items()]
    return [sys.executable, "-m", "streamlit", "run", str(app), *options]


@contextmanager
def _running(workspace: Workspace, settings: Label, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The app's process; it is ended when the block ends, however it ends."""
    process = subprocess.Popen(
        command_for(settings.host, port),
        env={
            **os.environ,
            "LIKEWISE_WORKSPACE": str(workspace.path),
            "LIKEWISE_STRATEGY": settings.strategy,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the app
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LikewiseError(
                f"the labeler did not start (exit code {process.returncode}); see above"
            )
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise LikewiseError(f"the labeler did not answer at {url} within {_START_SECONDS:.0f} s")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _standing(workspace: Workspace) -> int:
    with open_answers(workspace) as store:
        return store.counts()["answers"]
