"""Where a head is of another mind than the embedding it was taught on; kept beside that embedding.

A refresh leaves them there, and the questions look whether there are newer ones.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from likewise.files import replacing

FILE = "rivals.npz"
BOLDEST = 0.4
"""Share of the rivals that are drawn from: those about which the head is surest."""
_PARTS = ("rows", "untouched", "learnt", "margin")


@dataclass(frozen=True)
class Rivals:
    """Images whose nearest one differs between the untouched vectors and a head."""

    rows: Int64[np.ndarray, " n"]
    """Rows of the pool."""
    untouched: Int64[np.ndarray, " n"]
    """Row nearest to each by the untouched vectors."""
    learnt: Int64[np.ndarray, " n"]
    """Row nearest to each by the blended ones."""
    margin: Float64[np.ndarray, " n"]
    """How much nearer, in cosine, the latter is to it by the blended vectors."""

    def boldest(self) -> "Rivals":
        """The share `BOLDEST` of them with the greatest margins."""
        kept = np.argsort(-self.margin, kind="stable")[: int(np.ceil(BOLDEST * len(self.rows)))]
        return Rivals(self.rows[kept], self.untouched[kept], self.learnt[kept], self.margin[kept])


def save_rivals(rivals: Rivals, folder: Path) -> None:
    """Keep them beside an embedding, instead of those before.

    Raises:
        LikewiseError: the file could not be written.
    """
    with replacing(folder / FILE) as path, path.open("wb") as file:
        np.savez(file, **{part: getattr(rivals, part) for part in _PARTS})


def watched_rivals(folder: Path, count: int) -> Callable[[], Rivals | None]:
    """A look at the newest rivals beside an embedding of ``count`` images.

    None where there are none, or none that fit: the next refresh makes others.
    """
    seen: tuple[int, Rivals | None] = (0, None)

    def look() -> Rivals | None:
        nonlocal seen
        try:
            changed = (folder / FILE).stat().st_mtime_ns
        except OSError:
            changed = 0
        if changed != seen[0]:
            seen = (changed, _read(folder / FILE, count) if changed else None)
        return seen[1]

    return look


def _read(path: Path, count: int) -> Rivals | None:
    try:
        with path.open("rb") as file, np.load(file) as saved:
            found = Rivals(*(saved[part] for part in _PARTS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    rows = (found.rows, found.untouched, found.learnt)
    whole = all(each.dtype == np.int64 and each.shape == found.margin.shape for each in rows)
    return found if whole and all(((each >= 0) & (each < count)).all() for each in rows) else None
