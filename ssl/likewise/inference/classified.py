"""What came of recognising images: in words, as JSON, as a table."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from likewise import notebook
from likewise.images.look import Look
from likewise.images.manifest import display
from likewise.images.scan import Failure
from likewise.inference.class_names import UNKNOWN
from likewise.inference.gallery_changes import failure_lines, failures_json
from likewise.inference.naming_rule import NamingRule
from likewise.inference.table_files import one_line
from likewise.notebook import Displayed
from likewise.wording import counted, percent

COLUMNS = ("path", "class", "similarity", "probability", "nearest", "exemplar", "id")
_SHOWN = 40
"""Images that are told to a person; JSON, table and sheet hold more."""


@dataclass(frozen=True)
class Recognised:
    """An image with its class."""

    path: Path
    id: str
    class_name: str | None
    """None: unknown."""
    nearest: str
    """Class of the nearest exemplar, near enough or not."""
    exemplar: str
    """Where that exemplar lay when it was added."""
    exemplar_id: str
    similarity: float
    """Cosine to the nearest exemplar, -1 to 1."""
    probability: float | None
    """That `nearest` is its class, 0 to 1; None where nothing tells it."""

    def record(self) -> dict[str, Any]:
        """Its row in the table, and in JSON."""
        return {
            "path": display(str(self.path)),
            "class": self.class_name or UNKNOWN,
            "similarity": self.similarity,
            "probability": self.probability,
            "nearest": self.nearest,
            "exemplar": display(self.exemplar),
            "id": self.id,
        }


@dataclass(frozen=True)
class Classified(Displayed):
    """All images that were to be recognised."""

    results: tuple[Recognised, ...]
    failures: tuple[Failure, ...]
    rule: NamingRule | None
    """None if every image was to be named."""
    classes: int
    exemplars: int
    certain_by: str | None
    """What probabilities rest on: "answers", "exemplars", or None."""
    model: str
    fingerprint: str
    out: Path | None = None
    sheet: Path | None = None
    look: Look | None = field(default=None, repr=False, compare=False)
    """Shows the pictures in a notebook."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import classified

        return notebook.text(self.as_text()) if self.look is None else classified(self, self.look)

    def notes(self) -> tuple[str, ...]:
        """What else the reader should know."""
        notes = list(self.rule.notes) if self.rule is not None else []
        if copies := sum(each.id == each.exemplar_id for each in self.results):
            notes.append(f"{counted(copies, 'image')} among them are exemplars themselves")
        if self.certain_by == "exemplars":
            notes.append(
                "probabilities come from the exemplars, each held against the others; they count "
                "on half of the images being of no class"
            )
        elif self.certain_by is None:
            notes.append(
                "no probabilities: they take answers on pairs drawn to measure (`likewise label`), "
                "or two exemplars and more of several classes"
            )
        return tuple(notes)

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract; a figure that cannot be had is null."""
        rule = NamingRule(float("inf"), "nothing", 1.0) if self.rule is None else self.rule
        return {
            "results": [each.record() for each in self.results],
            "failures": failures_json(self.failures),
            "closed_set": self.rule is None,
            **rule.as_json(),
            "probabilities_from": self.certain_by,
            "classes": self.classes,
            "exemplars": self.exemplars,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes()),
            "out": None if self.out is None else str(self.out),
            "sheet": None if self.sheet is None else str(self.sheet),
        }

    def as_text(self) -> str:
        """What a person reads."""
        lines = _table(self.results[:_SHOWN])
        if len(self.results) > _SHOWN:
            lines.append(f"... {len(self.results) - _SHOWN:,} more images (--out, --sheet, --json)")
        lines += self.summary()
        written = (("written", self.out), ("sheet", self.sheet))
        return "\n".join([*lines, *(f"{what}: {file}" for what, file in written if file)])

    def summary(self) -> list[str]:
        """How many were named, by which rule, and what the reader should know."""
        counts = Counter(each.class_name for each in self.results)
        unknown = counts.pop(None, 0)
        lines = [
            f"{counted(len(self.results), 'image')}: {counts.total():,} named "
            f"({counted(len(counts), 'class')}), {unknown:,} unknown; gallery of "
            f"{counted(self.classes, 'class')}, {counted(self.exemplars, 'exemplar')} "
            f"({self.model})"
        ]
        if self.rule is not None:
            lines.append(self.rule.as_text())
        lines += [f"note: {each}" for each in self.notes()]
        return [*lines, *failure_lines(self.failures)]


def _table(results: Sequence[Recognised]) -> list[str]:
    """A line for each image; the probability only where something tells it."""
    sure = any(each.probability is not None for each in results)
    cells = [("class", "similarity", *(["probability"] if sure else []), "image")]
    for each in results:
        name = each.class_name or f"{UNKNOWN} (nearest: {each.nearest})"
        chance = "" if each.probability is None else percent(each.probability, 1)
        figures = [f"{each.similarity:.3f}", *([chance] if sure else [])]
        cells.append((name, *figures, one_line(display(str(each.path)))))
    widths = [min(60, max(map(len, column))) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row[:-1], widths, strict=False))
        )
        + f"  {row[-1]}"
        for row in cells
    ]
