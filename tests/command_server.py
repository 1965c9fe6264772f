"""Runs commands and code for the pages of the docs in processes that have torch loaded already.

``python -m tests.command_server SOCKET [--whole]`` waits on a Unix socket. Who connects sends a
JSON object and its standard input, output and error. A fork of this process then is the command,
and sends its exit code. Without ``--whole`` trainings are cut short.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from likewise import cli, settings

HEAVY = (
    "albumentations",
    "faiss",
    "pandas",
    "pyarrow.parquet",
    "scipy.optimize",
    "sklearn.metrics",
    "sqlalchemy",
    "timm",
    "torch",
    "torchvision",
    "likewise.api",
    *{command.job.split(":")[0] for command in cli.COMMANDS.values()},
)
SHORT: dict[type, dict[str, Any]] = {
    settings.Pretrain: {"epochs": 2, "precision": "float32", "workers": 0},
    settings.Finetune: {"steps": 10, "precision": "float32", "workers": 0},
    settings.Embed: {"precision": "float32"},
    settings.Evaluate: {"bootstrap": 20},
    settings.Verify: {"bootstrap": 20},
    settings.Ingest: {"workers": 1},
}
"""What a number is at most, and what a word is, when pages are run in short."""
DIGITS = 25
"""Images of each of the sample digits, in short."""


def main() -> None:
    """Serve until standard input ends."""
    where, *flags = sys.argv[1:]
    for name in HEAVY:
        importlib.import_module(name)
    if "--whole" not in flags:
        for kind, limits in SHORT.items():
            _shorten(kind, limits)
        _fewer_digits()
    gc.collect()
    gc.freeze()  # what is there already stays shared between the forks
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _serve(connection)
            atexit._run_exitfuncs()
            os._exit(0)  # to take down a process with torch in it takes longer than most commands
        connection.close()


def _serve(connection: socket.socket) -> None:
    """In the fork: become what was asked for."""
    message, descriptors, *_ = socket.recv_fds(connection, 1 << 20, 3)
    asked = json.loads(message)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if "arguments" in asked:
        try:
            code = cli.run(asked["arguments"])
        except SystemExit as stop:  # --help
            code = int(stop.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(str(code).encode())
        return
    space: dict[str, Any] = {"__name__": "__page__"}
    with connection.makefile("rw") as lines:
        for line in lines:
            lines.write(json.dumps(_executed(json.loads(line), space)) + "\n")
            lines.flush()


def _executed(code: str, space: dict[str, Any]) -> str:
    """Execute a block of a page; return what went wrong, or nothing."""
    try:
        exec(compile(code, "page", "exec"), space)
    except BaseException:
        return traceback.format_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return ""


def _shorten(kind: Any, limits: dict[str, Any]) -> None:
    make = kind.__init__
    usual = {name: getattr(kind(), name) for name in limits}

    def shortened(self: Any, **given: Any) -> None:
        for name, limit in limits.items():
            value = given.get(name, usual[name])
            given[name] = min(value, limit) if isinstance(limit, int) and value > 0 else limit
        make(self, **given)

    kind.__init__ = shortened


def _fewer_digits() -> None:
    from likewise.images import samples

    write_all = samples.write_digits

    def write_few(folder: Path) -> int:
        write_all(folder)
        for kind in folder.iterdir():
            for file in sorted(kind.glob("*"))[DIGITS:]:
                file.unlink()
        return 10 * DIGITS

    samples.write_digits = write_few


if __name__ == "__main__":
    main()
