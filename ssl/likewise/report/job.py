"""The job ``report``: one HTML file about the workspace or a run, for people who don't label."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.errors import UsageError
from likewise.evaluation.evaluate import Evaluation
from likewise.files import write_text
from likewise.notebook import Displayed
from likewise.progress import progress
from likewise.report.figures import figures_section
from likewise.report.given import answers_section
from likewise.report.grouping import confusions_section, groups_section
from likewise.report.headline import Headline, headline
from likewise.report.making import making_section, words_section
from likewise.report.material import images_section
from likewise.report.next_answers import next_section
from likewise.report.page import Section, render
from likewise.report.similar import map_section, neighbours_section
from likewise.report.subject import Subject, subject_of
from likewise.report.trained import training_section
from likewise.settings import Report
from likewise.workspace import Workspace

_SECTIONS = (
    neighbours_section,
    groups_section,
    confusions_section,
    map_section,
    figures_section,
    next_section,
    answers_section,
    images_section,
    training_section,
    making_section,
)


@dataclass(frozen=True)
class Reported(Displayed):
    """What `report` wrote."""

    report: Path
    headline: Headline
    sections: tuple[str, ...]
    """Their titles."""
    bytes: int
    evaluation: Evaluation | None
    """On the known truth, where one was given."""

    def as_json(self) -> dict[str, Any]:
        """Where the file is, and what its head says."""
        return {
            "report": str(self.report),
            "title": self.headline.title,
            "headline": {card.label: card.text for card in self.headline.cards},
            "sections": list(self.sections),
            "bytes": self.bytes,
            "models": self.evaluation.as_json()["models"] if self.evaluation else [],
        }

    def as_text(self) -> str:
        """What a person reads."""
        return "\n".join(
            (
                self.headline.title,
                *(f"{card.label.lower()}: {card.text}" for card in self.headline.cards),
                f"report: {self.report} ({self.bytes / 1e6:.1f} MB, opens in any browser)",
            )
        )


def report(workspace: Workspace, settings: Report) -> Reported:
    """Write the report.

    Raises:
        UsageError: no such run, or the file's name does not say that it is a page.
        LikewiseError: no images yet, no usable truth, or a file cannot be read or written.
    """
    out = settings.out or workspace.path / "report.html"
    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {out}: the name must end in .html")
    subject = subject_of(workspace, settings)
    sections = _sections(subject)
    said = headline(subject)
    page = render(said.title, said.about, said.cards, sections)
    write_text(out, page)
    titles = tuple(each.title for each in sections)
    return Reported(out, said, titles, len(page.encode()), subject.evaluation)


def _sections(subject: Subject) -> list[Section]:
    made = []
    with progress("report", len(_SECTIONS), "sections") as advance:
        for each in _SECTIONS:
            section = each(subject)
            if section is not None:
                made.append(section)
            advance(1)
    return [*made, words_section(made)]
