"""What a change of the gallery did, in words and as JSON."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from likewise.images.manifest import display
from likewise.images.scan import Failure
from likewise.inference.gallery_store import Exemplar
from likewise.inference.table_files import one_line
from likewise.notebook import Displayed
from likewise.wording import counted

Rgb = npt.NDArray[np.uint8]
_SHOWN = 20
"""Lines of one kind that are told to a person; JSON holds them all."""


@dataclass(frozen=True)
class GalleryAdded(Displayed):
    """What came of adding exemplars."""

    added: Mapping[str, int]
    """New exemplars of each class that has any."""
    new_classes: frozenset[str]
    """Those of them that were not there before."""
    known: int
    """Images that were exemplars of their class already."""
    failures: tuple[Failure, ...]
    """What could not be added, and why."""
    classes: int
    """In the gallery now."""
    exemplars: int

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "added": dict(self.added),
            "new_classes": [each for each in self.added if each in self.new_classes],
            "known": self.known,
            "failures": failures_json(self.failures),
            "classes": self.classes,
            "exemplars": self.exemplars,
        }

    def as_text(self) -> str:
        """What a person reads."""
        lines = [
            f"{name}: {counted(count, 'exemplar')} added"
            f"{' (a new class)' if name in self.new_classes else ''}"
            for name, count in list(self.added.items())[:_SHOWN]
        ]
        if len(self.added) > _SHOWN:
            total = sum(self.added.values())
            lines = [
                f"{counted(total, 'exemplar')} of {counted(len(self.added), 'class')} added, "
                f"{len(self.new_classes):,} of them new"
            ]
        if self.known:
            lines.append(f"{counted(self.known, 'image')} known already")
        return "\n".join(
            [
                *lines,
                *failure_lines(self.failures),
                f"the gallery has {counted(self.classes, 'class')}, "
                f"{counted(self.exemplars, 'exemplar')}",
            ]
        )


@dataclass(frozen=True)
class GalleryRemoved(Displayed):
    """What was taken out."""

    name: str
    removed: int
    left: int
    """Exemplars that the class still has; without any it is gone."""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {"class": self.name, "removed": self.removed, "left": self.left}

    def as_text(self) -> str:
        """What a person reads."""
        left = (
            f"{counted(self.left, 'exemplar')} left"
            if self.left
            else "there is no such class any more"
        )
        return f"{self.name}: {counted(self.removed, 'exemplar')} removed, {left}"


@dataclass(frozen=True)
class GalleryListed(Displayed):
    """The classes, in the order in which they came."""

    classes: Mapping[str, tuple[Exemplar, ...]]
    sheet: str | None = None
    picture: Callable[[str], Rgb | None] | None = field(default=None, repr=False, compare=False)
    """Shows an exemplar in a notebook."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import gallery

        return gallery(self)

    def as_json(self) -> dict[str, Any]:
        """Every exemplar of every class."""
        return {
            "classes": [
                {
                    "class": name,
                    "exemplars": [
                        {"id": each.image, "path": display(each.path), "added": each.added}
                        for each in exemplars
                    ],
                }
                for name, exemplars in self.classes.items()
            ],
            "exemplars": sum(map(len, self.classes.values())),
            "sheet": self.sheet,
        }

    def as_text(self) -> str:
        """A line for each class."""
        if not self.classes:
            return (
                "the gallery is empty; `likewise gallery add NAME IMAGES` makes a class, "
                "one image is enough"
            )
        width = max(map(len, self.classes))
        lines = [
            f"{name:<{min(width, 40)}}  {len(exemplars):>4}  {one_line(exemplars[0].path)}"
            for name, exemplars in self.classes.items()
        ]
        total = sum(map(len, self.classes.values()))
        lines.append(f"{counted(len(self.classes), 'class')}, {counted(total, 'exemplar')}")
        return "\n".join(lines if self.sheet is None else [*lines, f"sheet: {self.sheet}"])


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """A line for each file that could not be used, for a person."""
    lines = [f"not used: {one_line(path)}: {reason}" for path, reason in failures[:_SHOWN]]
    if len(failures) > _SHOWN:
        lines.append(f"... {len(failures) - _SHOWN:,} more (--json lists them all)")
    return lines


def failures_json(failures: Sequence[Failure]) -> list[dict[str, str]]:
    """Path and reason of each."""
    return [{"path": display(path), "reason": reason} for path, reason in failures]


def taken_by(name: str, path: str) -> str:
    """Why an image that is an exemplar of another class cannot be added."""
    words = shlex.join([name, display(path)])
    return (
        f"it is an exemplar of {name!r}, and an image stands for one class; "
        f"`likewise gallery remove {words}` first"
    )
