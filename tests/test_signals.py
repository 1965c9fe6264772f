"""A command that is asked to end cleans up behind itself."""

import signal
import subprocess
import sys
import threading

import pytest

from likewise.errors import LikewiseError
from likewise.signals import interruptible


@pytest.mark.usefixtures("hang_up_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_the_block_and_nothing_else(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def interrupted(number: signal.Signals, told: Exception) -> None:
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        raise told from None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_a_library_makes_an_error_of_is_one_still(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        interrupted(number, RecursionError("as a half-imported numpy has it"))


@pytest.mark.parametrize("error", [LikewiseError, RecursionError])
def test_errors_are_what_they_are(error: type[Exception]) -> None:
    with pytest.raises(error), interruptible():
        raise error("no interrupt")
    with pytest.raises(LikewiseError, match="said better"), interruptible():
        interrupted(signal.SIGINT, LikewiseError("stopped; said better"))


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_what_others_have_arranged_stays(handler: signal.Handlers) -> None:
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_may_use_it_too() -> None:
    done: list[bool] = []

    def work() -> None:
        with interruptible():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


FORK = """
import os, signal
from likewise.signals import interruptible
with interruptible():
    child = os.fork()
    if child == 0:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            os._exit(3)
    print(os.waitpid(child, 0)[1])
"""


def test_a_forked_process_ends_at_once() -> None:
    """A loader's worker has nothing to clean up, and would print a traceback."""
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (str(int(signal.SIGTERM)), "")
