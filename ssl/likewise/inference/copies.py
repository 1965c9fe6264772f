"""What `likewise duplicates` found: groups of copies, in words, as JSON and as a table."""

import math
from dataclasses import dataclass, field
from typing import Any

from likewise import notebook
from likewise.images.look import Look
from likewise.inference.keepers import Copy
from likewise.inference.near import NearGroups
from likewise.inference.table_files import one_line
from likewise.notebook import Displayed
from likewise.wording import counted, size

COLUMNS = ("group", "keep", "path", "id", "width", "height", "bytes", "sharpness", "weakest")
_SHOWN, _LINES = 10, 6
"""Groups, and files of each, that are told to a person; JSON, table and sheet hold more."""


@dataclass(frozen=True)
class DuplicateGroup:
    """Copies of one picture."""

    copies: tuple[Copy, ...]
    """The one to keep first."""
    weakest: float
    """Cosine of the least similar two; 1 where all files have the same bytes."""

    @property
    def paths(self) -> list[str]:
        """All files, the one to keep first."""
        return [path for each in self.copies for path in each.shown]

    @property
    def kind(self) -> str:
        """In words, how alike they are; the figure is rounded down."""
        if len(self.copies) == 1:
            return "same bytes"
        return f"alike from {math.floor(self.weakest * 1e4) / 1e4:.4f}"

    @property
    def spare_bytes(self) -> int:
        """Size of all files but the one to keep."""
        total = sum(each.bytes * len(each.paths) for each in self.copies)
        return total - self.copies[0].bytes


@dataclass(frozen=True)
class DuplicatesFound(Displayed):
    """What was found. No file was changed."""

    groups: tuple[DuplicateGroup, ...]
    """The largest first."""
    images: int
    """That were looked at."""
    model: str | None
    """Run whose embedding was compared; None with --exact."""
    threshold: float | None
    near: NearGroups | None
    waiting: int
    """Images without an embedding: only their bytes were compared."""
    look: Look | None = field(default=None, repr=False, compare=False)
    """Shows the pictures in a notebook."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import duplicates

        return notebook.text(self.as_text()) if self.look is None else duplicates(self, self.look)

    def summary(self) -> list[str]:
        """How many there are, and what the reader should know."""
        return [self._summary(), *self._notes()]

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "groups": [each.paths for each in self.groups],
            "details": [
                {
                    "keep": each.paths[0],
                    "ids": [copy.id for copy in each.copies],
                    "weakest": each.weakest,
                    "exact": len(each.copies) == 1,
                    "spare_bytes": each.spare_bytes,
                }
                for each in self.groups
            ],
            "images": self.images,
            "files": sum(len(each.paths) for each in self.groups),
            "spare_bytes": sum(each.spare_bytes for each in self.groups),
            "model": self.model,
            "threshold": self.threshold,
            "chained": self.near.chained if self.near else 0,
            "crowded": self.near.crowded if self.near else 0,
            "complete": self.near.complete if self.near else True,
            "waiting": self.waiting,
        }

    def records(self) -> list[dict[str, Any]]:
        """A row per file, with the `COLUMNS` of the table."""
        return [
            {
                "group": number,
                "keep": copy is group.copies[0] and path == copy.shown[0],
                "path": path,
                "id": copy.id,
                "width": copy.width,
                "height": copy.height,
                "bytes": copy.bytes,
                "sharpness": round(copy.sharpness, 3),
                "weakest": round(group.weakest, 6),
            }
            for number, group in enumerate(self.groups, 1)
            for copy in group.copies
            for path in copy.shown
        ]

    def as_text(self) -> str:
        """What a person reads."""
        lines = self.summary()
        for number, each in enumerate(self.groups[:_SHOWN], 1):
            lines.append(f"group {number} ({each.kind})")
            lines.append(f"  keep  {one_line(each.paths[0])}")
            lines += [f"        {one_line(path)}" for path in each.paths[1:_LINES]]
            if len(each.paths) > _LINES:
                lines.append(f"        ... {counted(len(each.paths) - _LINES, 'more file')}")
        if len(self.groups) > _SHOWN:
            more = counted(len(self.groups) - _SHOWN, "more group")
            lines.append(f"... {more} (--out, --sheet, --json)")
        return "\n".join(lines)

    def _summary(self) -> str:
        how = "the same bytes"
        if self.threshold is not None:
            how += f", or a similarity of {self.threshold:.4f} (embedding of {self.model})"
        if not self.groups:
            return f"no duplicates among {counted(self.images, 'image')}: {how}"
        files = sum(len(each.paths) for each in self.groups)
        spare = sum(each.spare_bytes for each in self.groups)
        return (
            f"{counted(len(self.groups), 'group')} of duplicates, {files:,} files, of which "
            f"{files - len(self.groups):,} ({size(spare)}) could go: {how}"
        )

    def _notes(self) -> list[str]:
        notes = []
        if self.waiting:
            notes.append(
                f"note: {counted(self.waiting, 'image')} without an embedding; `likewise embed`"
            )
        if self.near and self.near.chained:
            notes.append(
                f"note: {self.near.chained:,} chains of similar images were cut, so that every two "
                "of a group are similar enough and none were called dissimilar"
            )
        if self.near and not self.near.complete:
            notes.append(
                f"note: {self.near.crowded:,} images have more neighbours above the threshold than "
                "are stored, too many to compare; groups may be in parts. Raise --threshold"
            )
        return notes
