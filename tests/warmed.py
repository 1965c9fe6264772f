"""Processes that have torch loaded already when they begin, to be killed by the hundred."""

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

SECONDS = 900.0
"""How long a process may take on a busy machine."""
LOADED = (
    "torch.distributed",
    "torch.utils.tensorboard.writer",
    "albumentations",
    "timm",
    "likewise.training.pretrain",
    "likewise.training.finetune",
    "likewise.neighbours.embedding",
    "tests.doomed",
)


def begin(work: Callable[..., None], *given: Any) -> BaseProcess:
    """Start ``work(*given)`` in a process that leads a process group of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LOADED))
    process = context.Process(target=_in_own_group, args=(work, *given))
    process.start()
    return process


def _in_own_group(work: Callable[..., None], *given: Any) -> None:
    os.setpgid(0, 0)
    multiprocessing.set_start_method("fork", force=True)  # as in a process of its own
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work(*given)


def ended(process: BaseProcess, seconds: float = SECONDS) -> int:
    """Wait for its end; return its exit code."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        pytest.fail(f"it has not ended within {seconds} s")
    return process.exitcode


def environments(count: int) -> list[dict[str, str]]:
    """What `torchrun` would say to each of ``count`` processes."""
    if count == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    numbers = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [where | numbers | {"RANK": str(each), "LOCAL_RANK": str(each)} for each in range(count)]
