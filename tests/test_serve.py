"""`likewise label`: the app's process, from its start to its end."""

import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from likewise import serve
from likewise.answers.people import People
from likewise.answers.store import NewAnswer, open_answers
from likewise.cli import run
from likewise.errors import LikewiseError, UsageError
from likewise.images.store import open_images
from likewise.settings import Label
from likewise.workspace import Workspace
from tests.served import own_port

MAIN = "from likewise.__main__ import main; main()"


@contextmanager
def labelling(workspace: Workspace, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own."""
    words = ["label", "--no-browser", "--workspace", str(workspace.path), *flags]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("labeler: "), line
    return line.split()[1]


def answers_at(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_stcore/health", timeout=30, context=context) as said:
            return bool(said.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_labeler_ends_cleanly_and_says_what_was_done(
    ready: Workspace, stop: signal.Signals
) -> None:
    """A port in use is stepped over, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with labelling(ready, "--port", port) as process:
            assert process.stderr is not None
            assert process.stdout is not None
            assert f"port {port} is taken" in process.stderr.readline()
            url = address(process)
            assert answers_at(url)
            with open_answers(ready) as store:
                a, b = open_images(ready).ids[:2].tolist()
                store.add([NewAnswer(a, b, "similar", "ada")])
            process.send_signal(stop)
            assert process.wait(60) == 0
            assert process.stdout.read() == "labeler ended: +1 answers, 1 in all\n"
            assert "Traceback" not in process.stderr.read()
            assert not answers_at(url)


def test_a_killed_command_takes_the_app_with_it(workspace: Workspace) -> None:
    """Nobody can clean up after SIGKILL; the app notices by itself. No workspace is needed."""
    port = own_port()
    with labelling(workspace, "--port", str(port)) as process:
        url = address(process)
        assert answers_at(url)
        process.kill()
        process.wait()
        for _ in range(600):
            if not answers_at(url):
                break
            time.sleep(0.1)
        assert not answers_at(url)
        assert serve.free_port("127.0.0.1", port) == port
    assert not workspace.path.exists(), "looking makes nothing"


def test_with_a_certificate_it_speaks_tls_and_asks_for_a_password(
    ready: Workspace, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=localhost", "-days", "2"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    with open_answers(ready) as store:
        People(store).add("ada", "correct horse")
    port = own_port("0.0.0.0")
    flags = ("--host", "0.0.0.0", "--port", str(port), "--ssl-cert", certificate, "--ssl-key", key)
    with labelling(ready, *map(str, flags)) as process:
        assert address(process) == f"https://{socket.gethostname()}:{port}", "and no warning"
        context = ssl.create_default_context(cafile=certificate)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"https://localhost:{port}/_stcore/health", context=context)
        assert refused.value.code == 401
        refused.value.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_nobody_is_let_in_unasked(
    ready: Workspace, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--no-browser", "--host", host, "--workspace", str(ready.path)]
    assert run(["label", *flags]) == 2
    told = capsys.readouterr().err
    assert "likewise people add" in told
    assert len(told.splitlines()) == 1


def test_settings_that_cannot_work_are_refused(tmp_path: Path, workspace: Workspace) -> None:
    file = tmp_path / "cert.pem"
    file.touch()
    for settings, said in (
        (Label(second_share=1.5), "from 0 to 1"),
        (Label(second_share=-0.1), "from 0 to 1"),
        (Label(readers=1), "give 2 or more"),
        (Label(ssl_cert=file), "belong together"),
        (Label(ssl_key=file), "belong together"),
        (Label(ssl_cert=file, ssl_key=tmp_path / "none"), "no such file"),
    ):
        with pytest.raises(UsageError, match=said):
            serve.label(workspace, settings)


def test_the_next_free_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve.free_port("127.0.0.1", port) > port
    assert serve.free_port("127.0.0.1", port) == port
    with pytest.raises(LikewiseError, match="cannot listen"):
        serve.free_port("203.0.113.1", 8501)


def test_addresses_are_ones_that_can_be_opened() -> None:
    here = socket.gethostname()
    assert serve.address_of("127.0.0.1", 1) == "http://127.0.0.1:1"
    assert serve.address_of("::1", 1, tls=True) == "https://[::1]:1"
    assert serve.address_of("0.0.0.0", 1) == f"http://{here}:1"
    assert serve.address_of("0.0.0.0", 1, nearby=True) == "http://127.0.0.1:1"
    assert serve.address_of("::", 1, nearby=True) == "http://[::1]:1"


def test_the_app_is_found_and_quiet() -> None:
    command = serve.command_for("127.0.0.1", 8501)
    assert Path(command[5]).is_file()
    assert "--browser.gatherUsageStats=false" in command
    assert "--runner.postScriptGC=false" in command
    assert not any("ssl" in each for each in command)
    everywhere = serve.command_for("0.0.0.0", 8501)
    assert f"--browser.serverAddress={socket.gethostname()}" in everywhere
    with_tls = serve.command_for("::1", 8501, Path("c.pem"), Path("k.pem"))
    assert with_tls[-2:] == ["--server.sslCertFile=c.pem", "--server.sslKeyFile=k.pem"]
