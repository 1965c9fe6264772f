"""The processes of a job that `torchrun` has started work as one.

All of them run the same code. What is to be done once is done by the first one (`from_first`),
which alone writes files; the others wait and are told what came of it. Where there is one process
nothing here does anything.

Collectives on the CPU go through gloo, those on GPUs through NCCL.
"""

import atexit
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from likewise import ranks
from likewise.cores import own_cores
from likewise.errors import LikewiseError, LostContact
from likewise.files import reason_of

T = TypeVar("T")

SILENCE = timedelta(minutes=10)
"""How long a process may keep the others waiting within a step."""
PATIENCE = timedelta(days=1)
"""How long the others wait while the first one works by itself."""


@contextmanager
def together() -> Iterator[None]:
    """Within it the processes of a job work as one.

    Raises:
        LostContact: another process has ended; `torchrun` ends the rest.
        LikewiseError: the processes do not find each other.
    """
    if ranks.here().alone:
        yield
        return
    _waiting()
    try:
        yield
    except RuntimeError as error:
        if not _means_lost_contact(error):
            raise
        atexit.unregister(dist.destroy_process_group)  # it would wait for who is gone
        raise LostContact(
            "another process of this job has ended (its message, or torchrun's, says why); run the "
            "same command again to go on from what was saved"
        ) from error


def from_first(work: Callable[[], T]) -> T:
    """Let the first process do some work; return its result in all of them.

    Where the work fails in the first one, the others lose contact.
    """
    here = ranks.here()
    if here.alone:
        return work()
    box: list[Any] = [work() if here.first else None]
    dist.broadcast_object_list(box, src=0, group=_waiting())
    result: T = box[0]
    return result


def any_of_us(flag: bool) -> bool:
    """Whether ``flag`` is true in at least one process: all get the same answer."""
    if ranks.here().alone:
        return flag
    raised = torch.tensor(int(flag))
    dist.all_reduce(raised, dist.ReduceOp.MAX, group=_waiting())
    return bool(raised)


def all_wait() -> None:
    """Go on when every process has come here."""
    any_of_us(False)


@contextmanager
def one_of_each_machine_first() -> Iterator[None]:
    """What is fetched is fetched once on each machine, and found there by the others."""
    local = ranks.here().local
    if local:
        all_wait()
    yield
    if not local:
        all_wait()


def require_same(value: object, what: str) -> None:
    """Insist that all processes have an equal ``value``.

    Raises:
        LikewiseError: this one has another than the first one.
    """
    if from_first(lambda: value) != value:
        raise LikewiseError(
            f"process {ranks.here().number} of this job has {what} other than the first one's; "
            "start all with the same command, on a workspace that all machines share"
        )


@functools.cache
def _waiting() -> dist.ProcessGroup:
    """Join the other processes; the group in which they wait for each other, on the CPU.

    Raises:
        LikewiseError: they do not find each other.
    """
    here = ranks.here()
    both = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        if not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if both else "gloo", timeout=SILENCE)
            atexit.register(dist.destroy_process_group)
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise LikewiseError(
            f"process {here.number} of {here.count} did not find the others at {where} "
            f"({reason_of(error)}); start them with `torchrun`"
        ) from error
    torch.set_num_threads(own_cores())  # torchrun allows each process one, if nothing else is said
    assert isinstance(group, dist.ProcessGroup)
    return group


def _means_lost_contact(error: RuntimeError) -> bool:
    """Whether it is the network that failed: NCCL has a type for that, gloo names its files."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
