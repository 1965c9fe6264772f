"""The server's memory, when pictures come and go in many threads."""

import subprocess
import sys

import pytest

PICTURES = """
import sys
import threading

import numpy as np

from likewise_labeler.allocator import give_back_what_is_freed

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

def show(kept):
    shown = [np.ones(40_000) for _ in range(200)]  # 61 MB
    kept += shown[::20]

if sys.argv[1] == "set":
    give_back_what_is_freed()
np.ones(2**24)  # freed: from now on what is smaller comes from heaps, by default
before, kept = resident(), []
for _ in range(3):
    thread = threading.Thread(target=show, args=(kept,))
    thread.start()
    thread.join()
print(resident() - before - sum(each.nbytes for each in kept) / 2**20)
"""


def freed_and_kept(how: str) -> float:
    """Megabytes that a process holds beyond what it uses."""
    command = [sys.executable, "-c", PICTURES, how]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc's allocator that is set")
def test_what_pictures_took_goes_back_to_the_system() -> None:
    assert freed_and_kept("set") < 5
    assert freed_and_kept("unset") > 20  # else this test shows nothing
