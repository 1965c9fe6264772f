"""How many cores this process may use."""

import os


def available_cores() -> int:
    """Cores that this process may run on, at least 1; fewer than the machine has in a container."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
