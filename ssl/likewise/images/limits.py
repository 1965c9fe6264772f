"""What one file may cost, whatever is in it: bytes that are read, memory, no waiting."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from likewise.images.decode import DecodeError

MEMORY = 1_400_000_000
"""Bytes that a child may take beyond what it starts with; a file that wants more is a failure."""
MAX_BYTES = 2**30
"""Of a file. More than `MAX_PIXELS` of nearly anything."""


def content_of(path: str) -> tuple[bytes, os.stat_result]:
    """A file's bytes, and what was known of it just before they were read.

    What was a file when it was found may be a pipe by now, or have grown.

    Raises:
        DecodeError: it cannot be read, is no regular file or too large.
    """
    try:
        with open(path, "rb", opener=_not_waiting) as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DecodeError("unreadable: a folder, device, pipe or socket, not a file")
            data = opened.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else None
    except OSError as error:
        why = "permission denied" if isinstance(error, PermissionError) else error.strerror
        raise DecodeError(f"unreadable: {why}") from error
    if data is None or len(data) > MAX_BYTES:
        raise DecodeError(f"more than {MAX_BYTES:,} bytes")
    return data, status


def _not_waiting(path: str, flags: int) -> int:
    """Open without waiting for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Bound it meanwhile, and no longer; see `bound_memory`."""
    before = _limits()
    bound_memory(more)
    try:
        yield
    finally:
        if before is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, before)


def _limits() -> tuple[int, int] | None:
    try:
        import resource
    except ImportError:
        return None
    return resource.getrlimit(resource.RLIMIT_DATA)


def bound_memory(more: int) -> None:
    """Let this process take so many bytes more, and no more, where the system can do that.

    Beyond that a decoder gets no memory: most say so, and one that dies of it costs this process.
    """
    try:
        import resource

        fields = Path("/proc/self/status").read_text("ascii", "replace").partition("VmData:")[2]
        limit = 1024 * int(fields.split()[0]) + more
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    except (ImportError, OSError, ValueError, IndexError):
        return  # only Linux counts what is mapped
