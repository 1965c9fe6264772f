"""Runs the blocks of a page one after the other in a folder, as a reader would type them."""

import json
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Self

from tests.doc_blocks import Block
from tests.served import own_port

ROOT = Path(__file__).parents[1]
PATIENCE = 600
"""Seconds that a block may take."""

_SHIM = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] == ["label"]:
    os.execv({python!r}, [{python!r}, "-m", "likewise.cli", *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({server!r})
asked = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
sys.exit(int(server.recv(10) or 70))
"""


@contextmanager
def command_server(folder: Path, whole: bool = False) -> Iterator[Path]:
    """The server of `tests.command_server`; yields a folder with a ``likewise`` that asks it."""
    where = folder / "server"
    flags = ["--whole"] if whole else []
    command = [sys.executable, "-m", "tests.command_server", str(where), *flags]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as server:
        try:
            deadline = time.monotonic() + PATIENCE
            while not where.exists():
                assert server.poll() is None, "the command server ended"
                assert time.monotonic() < deadline, "the command server does not start"
                time.sleep(0.05)
            programs = folder / "bin"
            programs.mkdir()
            _program(programs / "likewise", _SHIM.format(python=sys.executable, server=str(where)))
            _program(programs / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
            launcher = f"{sys.executable} -m torch.distributed.run"
            _program(programs / "torchrun", f'#!/bin/sh\nexec {launcher} "$@"\n')
            yield programs
        finally:
            server.terminate()


def _program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


class Shell:
    """A shell and a Python session that share a folder, for the blocks of one page."""

    def __init__(self, folder: Path, programs: Path, **environment: str) -> None:
        self.folder = folder
        self.printed = ""
        """What the last block wrote, on both streams."""
        self.urls: list[str] = []
        """Where the labeler answered."""
        self._programs = programs
        self._environment = {
            **{name: os.environ[name] for name in os.environ if "LIKEWISE" not in name},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}/ssl:{ROOT}/labeler:{ROOT}",
            "HOME": str(folder),
            "BROWSER": "true",  # a program that opens nothing
            "COLUMNS": "100",
            **environment,
        }
        self._stack = ExitStack()
        self._bash: subprocess.Popen[bytes] | None = None
        self._codes: IO[bytes] | None = None
        self._python: IO[str] | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, block: Block) -> None:
        """Run one block, or compare it with what was printed before.

        Raises:
            AssertionError: it did not do what the page says.
        """
        if block.kind == "output":
            missing = unprinted(block.body, self.printed)
            assert missing is None, f"line {block.line}: not printed: {missing}\n{self.printed}"
            return
        self._count += 1
        said = self.folder / f".block-{self._count}.out"
        if block.kind == "python":
            wrong = self._execute(block.body, said)
        elif block.app:
            *before, last = block.body.strip().splitlines()
            wrong = self._type("\n".join(before), said, 0) or self._serve(last, said)
        else:
            wrong = self._type(block.body, said, block.exits)
        self.printed = said.read_text("utf-8", errors="replace")
        assert not wrong, f"line {block.line}: {wrong}\n{block.body}\n{self.printed}"

    def _type(self, text: str, said: Path, exits: int) -> str:
        if self._bash is None:
            self._start_bash()
        assert self._bash is not None
        assert self._bash.stdin is not None
        assert self._codes is not None
        script = said.with_suffix(".sh")
        script.write_text(text)
        strict = "-" if exits == 0 else "+"
        order = f"set {strict}e; source {script} >{said} 2>&1 </dev/null; echo $? >&9\n"
        self._bash.stdin.write(order.encode())
        self._bash.stdin.flush()
        if not select.select([self._codes], [], [], PATIENCE)[0]:
            return f"it takes more than {PATIENCE} s"
        code = self._codes.readline().decode().strip()
        return "" if code == str(exits) else f"it ended with {code or 'an error'}, not {exits}"

    def _start_bash(self) -> None:
        reading, writing = os.pipe()
        shell = f"exec bash --noprofile --norc 9>&{writing}"
        self._bash = subprocess.Popen(
            ["bash", "-c", shell],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            pass_fds=[writing],
            start_new_session=True,
        )
        os.close(writing)
        self._codes = os.fdopen(reading, "rb", buffering=0)
        self._stack.callback(self._codes.close)
        self._stack.callback(self._end_bash, self._bash)

    @staticmethod
    def _end_bash(bash: subprocess.Popen[bytes]) -> None:
        bash.kill()
        bash.communicate()

    def _execute(self, code: str, said: Path) -> str:
        if self._python is None:
            server = self._stack.enter_context(socket.socket(socket.AF_UNIX))
            server.connect(str(self._programs.parent / "server"))
            server.settimeout(PATIENCE)
            asked = {"folder": str(self.folder), "environment": self._environment}
            with said.open("wb") as out, Path(os.devnull).open("rb") as nothing:
                descriptors = [nothing.fileno(), out.fileno(), out.fileno()]
                socket.send_fds(server, [json.dumps(asked).encode()], descriptors)
            self._python = self._stack.enter_context(server.makefile("rw"))
            self._python_said = said
        before = self._python_said.stat().st_size
        self._python.write(json.dumps(code) + "\n")
        self._python.flush()
        wrong = str(json.loads(self._python.readline()))
        printed = self._python_said.read_bytes()[before:]
        said.write_bytes(printed) if said != self._python_said else None
        return wrong

    def _serve(self, command: str, said: Path) -> str:
        """Start the labeler, ask it, and end it by Ctrl-C."""
        port = own_port()
        with said.open("ab") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.split('#')[0]} --port {port}"],
                cwd=self.folder,
                env=self._environment,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )
        try:
            deadline = time.monotonic() + PATIENCE
            while not (found := re.search(r"labeler: (\S+)", said.read_text("utf-8"))):
                if process.poll() is not None:
                    return f"it ended with {process.returncode}"
                if time.monotonic() > deadline:
                    return "it does not start"
                time.sleep(0.05)
            self.urls.append(found[1])
            process.send_signal(signal.SIGINT)
            code = process.wait(PATIENCE)
            return "" if code == 0 else f"it ended with {code}"
        finally:
            process.kill()
            process.wait()


def unprinted(wanted: str, printed: str) -> str | None:
    """The first line of ``wanted`` that is not in ``printed`` after the line before; or None.

    Blank space counts as one blank; ``...`` stands for anything on its line.
    """
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = 0
    for line in filter(None, (" ".join(each.split()) for each in wanted.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        while at < len(lines) and not pattern.fullmatch(lines[at]):
            at += 1
        if at == len(lines):
            return line
        at += 1
    return None
