"""Files that are whole or absent: temporary name, flush, fsync, rename."""

import contextlib
import errno
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from likewise.errors import LikewiseError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and run the command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the command again",
    errno.EFBIG: "the file would be larger than is allowed here (see `ulimit -f`)",
    errno.EROFS: "the disk is read-only; choose another --workspace",
    errno.EACCES: "permission denied; choose another --workspace or change its permissions",
    errno.EPERM: "permission denied; choose another --workspace or change its permissions",
}

_IN_WORDS = re.compile(r"\(os error (\d+)\)")
"""How libraries written in Rust name the system's error number."""

_NEARLY_NOTHING = 2**20
"""Bytes left on a disk that is called full."""


def reason_of(error: BaseException, place: Path | None = None) -> str:
    """The cause of a failed read or write, in plain words with what to do.

    torch, faiss and numpy report a full disk in words of their own, so where the system's error
    number is missing the free space at ``place`` is looked at.
    """
    if getattr(error, "errno", None) is None and place is not None and _is_full(place):
        return _REASONS[errno.ENOSPC]
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    if (told := _IN_WORDS.search(str(error))) and int(told[1]) in _REASONS:
        return _REASONS[int(told[1])]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _is_full(place: Path) -> bool:
    try:
        return shutil.disk_usage(place).free < _NEARLY_NOTHING
    except OSError:
        return False


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it over ``path`` when the block ends well.

    The old file stays untouched until the new one is complete and flushed to disk, and nothing
    half-written is left behind.

    Raises:
        LikewiseError: the file could not be written (full disk, no permission, ...). torch and
            faiss report a full disk as RuntimeError, so that is caught too.
    """
    temporary = path.with_name(f".{path.name}.{_owner()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_left(path)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        reason = reason_of(error, path.parent)
        raise LikewiseError(f"could not write {path}: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; put it in the place of ``path`` when the block ends well.

    Raises:
        LikewiseError: the folder could not be written.
    """
    old = path.with_name(f".{path.name}.old")
    try:
        with temporary_folder(path) as temporary:
            if old.is_dir() and not path.exists():
                old.rename(path)  # a process was killed between the two renames below
            shutil.rmtree(old, ignore_errors=True)
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file() and not file.is_symlink():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            if path.exists():
                path.rename(old)
                temporary.rename(path)
                shutil.rmtree(old)
            else:
                temporary.rename(path)
        sync_folder(path.parent)
    except (OSError, RuntimeError) as error:
        reason = reason_of(error, path.parent)
        raise LikewiseError(f"could not write {path}: {reason}") from error


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, to be renamed; what is not is gone afterwards.

    Raises:
        OSError: it could not be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_left(path)
    made = tempfile.mkdtemp(prefix=f".{path.name}.{_owner()}-", suffix=".tmp", dir=path.parent)
    try:
        Path(made).chmod(0o755)
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _owner() -> str:
    """This process, in names of what it removes itself unless it is killed."""
    return f"{os.getpid()}-{_process_space()}"


@functools.cache
def _process_space() -> str:
    """Where a process number means the same process: this machine, or this container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - it leads to no file
    except OSError:
        space = ""
    return hashlib.blake2b(f"{platform.node()} {space}".encode(), digest_size=4).hexdigest()


def _clear_left(path: Path) -> None:
    """Remove what processes that were killed left of ``path``; of other machines' nothing is."""
    if os.name != "posix":
        return
    name = re.escape(path.name)
    pattern = re.compile(rf"\.{name}\.(\d+)-{_process_space()}(-\w+)?\.tmp")
    with contextlib.suppress(OSError):  # a folder may be written to, but not listed
        for each in os.listdir(path.parent):  # noqa: PTH208 - names alone, there may be many
            found = pattern.fullmatch(each)
            if found is None or _lives(int(found[1])):
                continue
            left = path.parent / each
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` survive a power cut (a no-op where folders cannot be opened)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        LikewiseError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LikewiseError(f"could not read {path}: {reason_of(error)}") from error


def digest(path: Path) -> str:
    """BLAKE2b-128 of a file's bytes, as 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
