"""A quick look at a folder before it is read: how many images there are, and a few of them."""

import heapq
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from likewise.errors import LikewiseError
from likewise.files import reason_of
from likewise.images.scan import describe_others, image_suffixes

SECONDS = 3.0
"""After so long the count is broken off."""
EXAMPLES = 12


@dataclass(frozen=True)
class Survey:
    """What a look at a folder found."""

    folder: Path
    images: int
    """Files with an image suffix."""
    complete: bool
    """False where time ran out: there are more."""
    examples: tuple[Path, ...]
    """Some of them, drawn evenly, in the order of names."""
    others: str
    """What else lies there, by suffix."""
    closed: int
    """Folders in it that may not be read."""


def survey(
    folder: str,
    workspace: Path,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Survey:
    """Count the image files in a folder and those below it.

    Hidden entries, symbolic links and the workspace are passed over, as `scan` does but for links
    inside the folder.

    Raises:
        LikewiseError: there is no such folder, it cannot be read, or it holds no images.
    """
    path = _folder(folder, workspace)
    deadline = clock() + seconds
    random_order = random.Random(0)
    suffixes = image_suffixes()
    others: Counter[str] = Counter()
    closed: list[str] = []
    count, complete = 0, True
    drawn: list[tuple[float, str]] = []
    for entry in _files(path, os.path.realpath(workspace), closed):
        suffix = os.path.splitext(entry)[1].lower()  # noqa: PTH122 - for every file
        if suffix in suffixes:
            count += 1
            ticket = (random_order.random(), entry)
            if len(drawn) < EXAMPLES:
                heapq.heappush(drawn, ticket)
            else:
                heapq.heappushpop(drawn, ticket)
        else:
            others[suffix] += 1
        if clock() > deadline:
            complete = False
            break
    if str(path) in closed:
        raise LikewiseError(f"{path} cannot be read: permission denied")
    if not count and complete:
        there = f" but {describe_others(others)}" if others else ""
        raise LikewiseError(f"{path} holds no images{there}; give another folder")
    examples = tuple(sorted(Path(each) for _, each in drawn))
    return Survey(path, count, complete, examples, describe_others(others), len(closed))


def _folder(given: str, workspace: Path) -> Path:
    text = given.strip().strip("\"'")
    if not text.isprintable() or not text:
        raise LikewiseError("type the path of a folder of images")
    try:
        path = Path(text).expanduser()
        if not path.is_absolute():
            raise LikewiseError(f"{text} is not a full path; it should begin at the root")
        if not path.exists():
            raise LikewiseError(f"{text} does not exist")
    except (OSError, RuntimeError, ValueError) as error:
        raise LikewiseError(f"{text} cannot be looked at: {reason_of(error)}") from error
    if not path.is_dir():
        raise LikewiseError(f"{text} is a file; give the folder that it is in")
    if os.path.realpath(path) == os.path.realpath(workspace):
        raise LikewiseError(f"{text} is the workspace itself; give the folder of images")
    return path


def _files(root: Path, workspace: str, closed: list[str]) -> Iterator[str]:
    """The files below a folder; folders that cannot be read go to ``closed``."""
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.name.startswith(".") or entry.is_symlink():
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if os.path.realpath(entry.path) != workspace:
                            folders.append(entry.path)
                    else:
                        yield entry.path
        except OSError:
            closed.append(folder)
