"""`likewise label`: the app in a process of its own; beyond this machine only with a sign-in."""

import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.interpreter import module_command
from likewise.jobs.next_step import LEAST_ANSWERS
from likewise.jobs.refresh import refreshing
from likewise.people import Gate, gate_for, is_loopback
from likewise.progress import say
from likewise.settings import Label
from likewise.signals import interruptible
from likewise.workspace import Workspace

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104
"""Addresses that mean every interface, and where to find what listens there."""
_PORTS_TRIED = 50
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_STREAMLIT = {
    "server.headless": "true",  # the browser is opened here, once the app answers
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": "false",
    "server.maxUploadSize": "50",  # megabytes: as much as Explore takes
    "browser.gatherUsageStats": "false",
    "runner.postScriptGC": "false",  # a full collection per answer stalls every annotator
    "runner.magicEnabled": "false",
    "logger.level": "warning",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "theme.light.primaryColor": "#0f766e",
    "theme.dark.primaryColor": "#0d9488",
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
        UsageError: others could reach the address and nobody has to sign in there, or a setting
            will not do.
        LikewiseError: the answers cannot be opened, no port is free, or the app does not start.
    """
    check(settings)
    gate = gate_for(settings.host, workspace)
    before = _standing(workspace)
    port = free_port(settings.host, settings.port)
    if port != settings.port:
        say(f"port {settings.port} is taken, using {port}")
    url = address_of(settings.host, port, tls=settings.ssl_cert is not None)
    if gate != "open" and settings.ssl_cert is None and not is_loopback(settings.host):
        say(
            "warning: without --ssl-cert and --ssl-key names, passwords and images cross the "
            "network unencrypted"
        )
    with (
        interruptible(),
        refreshing(workspace, settings.refresh),
        _running(workspace, settings, port, gate) as process,
    ):
        try:
            _wait_until_up(process, address_of(settings.host, port, url.startswith("https"), True))
            say(f"labeler: {url} (Ctrl-C ends it; every answer is stored at once)")
            if settings.browser:
                webbrowser.open(url)
            if code := process.wait():
                raise LikewiseError(f"the labeler ended with exit code {code}; see above")
        except KeyboardInterrupt:
            pass
    total = _standing(workspace)
    return Served(url, total - before, total)


def check(settings: Label) -> None:
    """Refuse settings that cannot work.

    Raises:
        UsageError: says which and why.
    """
    if not 0 <= settings.second_share <= 1:
        raise UsageError(f"--second-share {settings.second_share}: give a share from 0 to 1")
    if settings.readers < 2:
        raise UsageError(f"--readers {settings.readers}: give 2 or more; --second-share 0 is one")
    if settings.refresh and settings.refresh < LEAST_ANSWERS:
        raise UsageError(
            f"--refresh {settings.refresh}: give {LEAST_ANSWERS} answers or more, or 0 for never"
        )
    if (settings.ssl_cert is None) != (settings.ssl_key is None):
        raise UsageError("--ssl-cert and --ssl-key belong together; give both, or neither")
    for flag, file in (("--ssl-cert", settings.ssl_cert), ("--ssl-key", settings.ssl_key)):
        if file is not None and not file.is_file():
            raise UsageError(f"{flag} {file}: there is no such file")


def address_of(host: str, port: int, tls: bool = False, nearby: bool = False) -> str:
    """What to open in a browser; with ``nearby`` always a way from this machine itself."""
    if host in _EVERYWHERE:
        host = _EVERYWHERE[host] if nearby else socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{host}:{port}"


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


def command_for(
    host: str, port: int, ssl_cert: Path | None = None, ssl_key: Path | None = None
) -> list[str]:
    """The command line that runs the app."""
    found = find_spec("likewise_labeler")
    if found is None or not found.submodule_search_locations:
        raise LikewiseError("the labeler app is not installed; run `pip install likewise`")
    app = Path(found.submodule_search_locations[0]) / "app.py"
    flags = {**_STREAMLIT, "server.address": host, "server.port": str(port)}
    if host in _EVERYWHERE:  # else Streamlit asks a server on the internet for our address
        flags["browser.serverAddress"] = socket.gethostname()
    if ssl_cert is not None and ssl_key is not None:
        flags |= {"server.sslCertFile": str(ssl_cert), "server.sslKeyFile": str(ssl_key)}
    options = [f"--{name}={value}" for name, value in flags.items()]
    return [*module_command("streamlit"), "run", str(app), *options]


@contextmanager
def _running(
    workspace: Workspace, settings: Label, port: int, gate: Gate
) -> Iterator[subprocess.Popen[bytes]]:
    """The app's process; it is ended when the block ends, however it ends.

    It reads from a pipe that this process holds: if this one is killed, the pipe closes, and the
    app ends itself.
    """
    process = subprocess.Popen(
        command_for(settings.host, port, settings.ssl_cert, settings.ssl_key),
        env={
            **os.environ,
            "LIKEWISE_WORKSPACE": str(workspace.path),
            "LIKEWISE_STRATEGY": settings.strategy,
            "LIKEWISE_SECOND_SHARE": str(settings.second_share),
            "LIKEWISE_READERS": str(settings.readers),
            "LIKEWISE_GATE": gate,
            "LIKEWISE_PARENT": "stdin",
        },
        stdin=subprocess.PIPE,
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
        assert process.stdin is not None
        process.stdin.close()


def _wait_until_up(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    trusting = ssl.create_default_context()  # it is our own child, whatever its certificate says
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LikewiseError(
                f"the labeler did not start (exit code {process.returncode}); see above"
            )
        try:
            health = f"{url}/_stcore/health"  # http or https
            with urllib.request.urlopen(health, timeout=2, context=trusting):  # nosec B310
                return
        except urllib.error.HTTPError as answer:  # the gate: it wants a sign-in
            answer.close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise LikewiseError(f"the labeler did not answer at {url} within {_START_SECONDS:.0f} s")


def _standing(workspace: Workspace) -> int:
    if not workspace.exists():
        return 0
    with open_answers(workspace) as store:
        return store.counts()["answers"]
