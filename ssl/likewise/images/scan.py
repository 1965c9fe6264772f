"""Which files are meant: folders walked, lists read, single files taken as named."""

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.images.decode import FORMATS
from likewise.images.lists import LIST_SUFFIXES, read_list

_OPENCV_SUFFIXES = frozenset({".exr", ".hdr", ".pic", ".pfm", ".pxm", ".sr", ".ras"})


class File(NamedTuple):
    """A file as it was found."""

    path: str
    """Absolute; bytes that are not UTF-8 as surrogates (`os.fsdecode`)."""
    size: int
    """In bytes."""
    mtime_ns: int
    """Time of last change, nanoseconds."""
    root: str
    """The folder, list or file given by the user through which it was found."""
    ctime_ns: int = 0
    """Time of last change of anything about it, which nobody can set; 0 if not known."""


class Failure(NamedTuple):
    """Something that could not be read."""

    path: str
    reason: str


@dataclass
class Found:
    """What a scan saw."""

    files: list[File] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    """Folders that cannot be listed, files that are missing or no regular files."""
    unreadable: list[str] = field(default_factory=list)
    """The folders among them."""
    roots: list[str] = field(default_factory=list)
    """The folders and lists that were walked, absolute."""
    others: Counter[str] = field(default_factory=Counter)
    """Files left aside, counted by suffix."""
    seen: set[str] = field(default_factory=set)
    """Real paths of files and folders, so that nothing is taken twice."""

    def covers(self, path: str, root: str) -> bool:
        """Whether ``path``, seen before through ``root``, would be found if it were still there."""
        if any(_inside(path, folder) for folder in self.unreadable):
            return False
        return root in self.roots or any(_inside(path, each) for each in self.roots)


def image_suffixes() -> frozenset[str]:
    """Suffixes, in lower case, of what Pillow (in the allowed formats) and OpenCV can read."""
    allowed = {*FORMATS, "MPO"}  # a JPEG with more pictures behind the first
    known = Image.registered_extensions()
    return _OPENCV_SUFFIXES | {suffix for suffix, name in known.items() if name in allowed}


def scan(sources: Iterable[Path], *, workspace: Path) -> Found:
    """List the image files that the sources stand for, in a fixed order.

    A folder is walked to any depth, in the order of names. Hidden entries and the workspace
    itself are skipped; symbolic links are followed only where they lead to something inside the
    same folder that was not seen already. A list gives the paths in its column "path". A file
    that is named, or listed, is taken whatever its suffix. Nothing but regular files is opened.

    Raises:
        LikewiseError: a source does not exist, cannot be read, or is the workspace itself.
    """
    found = Found()
    for source in sources:
        path = os.path.abspath(source)  # noqa: PTH100 - Path.absolute leaves ".." in
        if not os.path.lexists(path):
            raise LikewiseError(f"{source} does not exist; give an image, or a folder of images")
        if Path(path).is_dir():
            if os.path.realpath(path) == os.path.realpath(workspace):
                raise LikewiseError(
                    f"{source} is the workspace itself; give the folder of images, or another "
                    "--workspace"
                )
            found.roots.append(path)
            _walk(path, os.path.realpath(workspace), found)
        elif path.lower().endswith(LIST_SUFFIXES):
            found.roots.append(path)
            for listed in read_list(Path(path)):
                _take(listed, path, found)
        else:
            _take(path, path, found)
    return found


def describe_others(others: Counter[str]) -> str:
    """What was left aside, most frequent first: ``.txt (8), .pdf (2)``."""
    ranked = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{suffix or 'no suffix'} ({count:,})" for suffix, count in ranked[:5]]
    return ", ".join(shown) + (", ..." if len(ranked) > 5 else "")


def _walk(root: str, workspace: str, found: Found) -> None:
    suffixes = image_suffixes()
    real_root = os.path.realpath(root)
    folders, links = [root], list[str]()
    while folders or links:
        if folders:
            folder = folders.pop()
            real = os.path.realpath(folder)
            if real != workspace and real not in found.seen:
                found.seen.add(real)
                inner, linked = _list(folder, real, root, suffixes, found)
                folders.extend(reversed(inner))
                links.extend(linked)
            continue
        link = links.pop()  # only after everything that is really there
        real = os.path.realpath(link)
        if not _inside(real, real_root) or real in found.seen:
            continue
        if Path(real).is_dir():
            folders.append(link)
        elif _suffix(link) in suffixes:
            _take(link, root, found)


def _list(
    folder: str, real: str, root: str, suffixes: frozenset[str], found: Found
) -> tuple[list[str], list[str]]:
    """Take a folder's own image files; return its folders and its symbolic links."""
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        if folder == root:
            raise LikewiseError(f"could not read {root}: {_why(error)}") from error
        found.failures.append(Failure(folder, f"unreadable folder: {_why(error)}"))
        found.unreadable.append(folder)
        return [], []
    folders: list[str] = []
    links: list[str] = []
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            links.append(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        elif _suffix(entry.name) in suffixes:  # a pipe or socket of that name: said, never opened
            _take(entry.path, root, found, real=f"{real.rstrip(os.sep)}{os.sep}{entry.name}")
        else:
            found.others[_suffix(entry.name)] += 1
    return folders, links


def _take(path: str, root: str, found: Found, real: str | None = None) -> None:
    try:
        real = real or os.path.realpath(path)
        if real in found.seen:
            return
        found.seen.add(real)
        status = os.stat(path)  # noqa: PTH116 - a million times, and of any bytes
    except (OSError, ValueError) as error:  # a name in a list may hold a NUL
        reason = "no such file" if isinstance(error, FileNotFoundError) else _why(error)
        found.failures.append(Failure(path, reason))
        return
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device, pipe or socket"
        found.failures.append(Failure(path, f"{kind}, not a file"))
        return
    found.files.append(File(path, status.st_size, status.st_mtime_ns, root, status.st_ctime_ns))


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - for every file


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, PermissionError):
        return "permission denied"
    return reason_of(error)
