"""Processes of this machine: told apart from later ones of the same number."""

import os
import subprocess
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19
"""Of the fields after the name in ``/proc/PID/stat``: clock ticks from boot to start."""


def mark_of(pid: int) -> str | None:
    """What a process has for itself alone, and a later one of the same number has not.

    None where there is no such process, or only its remains (a zombie).
    """
    return _mark_by_proc(pid) if (_PROC / "self" / "stat").exists() else _mark_by_ps(pid)


def _mark_by_proc(pid: int) -> str | None:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        stat = (_PROC / str(pid) / "stat").read_text("ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # a name may hold spaces and brackets
    return None if fields[0] in "ZX" else f"{boot} {fields[_START_FIELD]}"


def _mark_by_ps(pid: int) -> str | None:
    done = subprocess.run(  # nosec B607
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        check=False,
    )
    state, _, started = done.stdout.strip().partition(" ")
    return None if not state or state[0] in "ZX" else started.strip()
