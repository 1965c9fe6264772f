"""A report as one HTML file: pictures inside, nothing fetched, light or dark as is preferred."""

import base64
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likewise.evaluation.scores import METRICS, Metric
from likewise.evaluation.table import ModelScores, best_of
from likewise.files import write_text

TITLES: dict[Metric, str] = {
    "recall@1": "recall@1",
    "recall@5": "recall@5",
    "map@r": "MAP@R",
    "auc": "AUC",
    "eer": "EER (lower is better)",
    "knn": "kNN accuracy",
}
"""The metrics as people write them."""


@dataclass(frozen=True)
class Picture:
    """A PNG with the words that stand in for it and under it."""

    png: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of plain text, a cell's second line small; cells in ``best`` (row, column) are bold."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph in plain words, then pictures, then a table."""

    title: str
    lead: str
    pictures: Sequence[Picture] = ()
    table: Table | None = None


def write_report(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Write the report, whole or not at all.

    Raises:
        LikewiseError: the file cannot be written.
    """
    write_text(path, render(title, lead, sections))


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """The report's HTML. All text is escaped; pictures are data URLs."""
    contents = "".join(
        f'<li><a href="#section-{number}">{_text(section.title)}</a></li>'
        for number, section in enumerate(sections, start=1)
    )
    body = "".join(_section(number, each) for number, each in enumerate(sections, start=1))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{_text(title)}</h1>\n<p class="lead">{_text(lead)}</p>\n'
        f"<nav><ol>{contents}</ol></nav>\n{body}</main>\n</body>\n</html>\n"
    )


def scores_table(models: Sequence[ModelScores]) -> Table:
    """Every model's figures with their 95 % intervals; the best of each column is marked."""
    rows, best = [], set()
    for row, model in enumerate(models):
        cells = [model.name]
        for column, metric in enumerate(METRICS, start=1):
            value = model.scores.values[metric]
            low, high = model.scores.intervals[metric]
            spread = "" if math.isnan(low) else f"\n{low:.3f} to {high:.3f}"
            cells.append("n/a" if math.isnan(value) else f"{value:.3f}{spread}")
            if value == best_of(metric, models):
                best.add((row, column))
        rows.append(cells)
    header = ["model", *(TITLES[metric] for metric in METRICS)]
    return Table(header, rows, frozenset(best))


def _section(number: int, section: Section) -> str:
    pictures = "".join(map(_picture, section.pictures))
    table = _table(section.table) if section.table else ""
    return (
        f'<section id="section-{number}">\n<h2>{_text(section.title)}</h2>\n'
        f"<p>{_text(section.lead)}</p>\n{pictures}{table}</section>\n"
    )


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    caption = f"<figcaption>{_text(picture.caption)}</figcaption>" if picture.caption else ""
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{_text(picture.alt)}">'
        f"{caption}</figure>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in table.header)
    lines = []
    for row, cells in enumerate(table.rows):
        line = ""
        for column, cell in enumerate(cells):
            text, _, small = map(_text, cell.partition("\n"))
            text = f"<strong>{text}</strong>" if (row, column) in table.best else text
            text += f"<br><small>{small}</small>" if small else ""
            line += f'<th scope="row">{text}</th>' if column == 0 else f"<td>{text}</td>"
        lines.append(f"<tr>{line}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>\n"
    )


def _text(text: str) -> str:
    """Escaped, and with bytes of file names that are no text replaced."""
    return html.escape(text.encode("utf-8", "replace").decode("utf-8"))


_STYLE = """
:root { --ink: #20252d; --quiet: #5d6673; --paper: #f6f7f9; --card: #ffffff; --line: #dfe3e8;
        --mark: #3b5bdb; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ee; --quiet: #a3acb9; --paper: #14171c; --card: #1d2129; --line: #343b46;
          --mark: #8ea6ff; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 8px; }
h2 { font-size: 1.35rem; margin: 0 0 4px; }
p { max-width: 46em; margin: 0 0 16px; }
.lead { font-size: 1.15rem; color: var(--quiet); }
nav ol { display: flex; flex-wrap: wrap; gap: 4px 24px; list-style: none; padding: 0;
         margin: 0 0 24px; }
a { color: var(--mark); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
          padding: 24px; margin: 0 0 24px; }
figure { margin: 0 0 16px; }
img { display: block; max-width: 100%; height: auto; border-radius: 8px; background: #fff;
      padding: 8px; margin: 0 auto; }
figcaption { color: var(--quiet); font-size: 0.92rem; margin-top: 8px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; }
th, td { text-align: left; padding: 8px 12px 8px 0; border-bottom: 1px solid var(--line);
         font-variant-numeric: tabular-nums; vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 600; white-space: nowrap; }
strong { color: var(--mark); }
small { color: var(--quiet); white-space: nowrap; }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""
