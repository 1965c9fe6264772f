"""A page as one HTML file: text escaped, pictures inside, nothing fetched, no script."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from likewise.images.manifest import display
from likewise.inference.table_files import one_line
from likewise.wording import percent

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content security policy: even a mistake in what follows could ask for nothing outside."""
_TYPED = re.compile("`([^`]+)`")


class Html(str):
    """Markup whose text was escaped: may stand in a page as it is."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    title: str
    lead: str
    """In plain words, what is seen below."""
    body: Sequence[Html] = ()


@dataclass(frozen=True)
class Card:
    """One statement at the head of the page."""

    label: str
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of plain text, a cell's second line small; cells in ``best`` (row, column) are bold."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: frozenset[tuple[int, int]] = frozenset()


def escape(text: str) -> Html:
    """Text as markup: characters that are not printable and bytes that are no text made visible."""
    return Html(html.escape(one_line(display(text))))


def render(title: str, about: str, cards: Sequence[Card], sections: Sequence[Section]) -> str:
    """The page: title, a line about it, the cards, a table of contents, the sections."""
    contents = "".join(
        f'<li><a href="#section-{number}">{escape(section.title)}</a></li>'
        for number, section in enumerate(sections, start=1)
    )
    shown = "".join(
        f"<div><h2>{escape(card.label)}</h2><p>{words(card.text)}</p></div>" for card in cards
    )
    body = "".join(
        f'<section id="section-{number}">\n<h2>{escape(section.title)}</h2>\n'
        f"{paragraph(section.lead)}{''.join(section.body)}</section>\n"
        for number, section in enumerate(sections, start=1)
    )
    style = files("likewise.report").joinpath("style.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{escape(title)}</h1>\n<p class="about">{escape(about)}</p></header>\n'
        f'<div class="cards">{shown}</div>\n<nav><ol>{contents}</ol></nav>\n{body}'
        "</main>\n</body>\n</html>\n"
    )


def chance(value: float) -> str:
    """A probability as text; nothing is quite certain."""
    return f"over {percent(0.99)}" if value > 0.99 else f"{percent(value)}"


def words(text: str) -> Html:
    """Text as markup, with what stands between backticks as something to type.

    A number and its percent sign stay on one line.
    """
    return Html(_TYPED.sub(r"<code>\1</code>", escape(text).replace(" %", "&nbsp;%")))


def paragraph(text: str, kind: str = "") -> Html:
    """A paragraph; nothing where there is no text."""
    return Html(f'<p class="{kind}">{words(text)}</p>\n' if text else "")


def heading(text: str) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{escape(text)}</h3>\n")


def commands(lines: Iterable[str]) -> Html:
    """Lines to type."""
    return Html(f"<pre>{'<br>'.join(map(escape, lines))}</pre>\n")


def definitions(terms: Iterable[tuple[str, str]]) -> Html:
    """Words and what they mean."""
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(told)}</dd>" for term, told in terms)
    return Html(f"<dl>{rows}</dl>\n")


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """Colours and what they stand for."""
    shown = "".join(
        f'<span><i style="background: {colour}"></i>{escape(name)}</span>'
        for name, colour in entries
    )
    return Html(f'<p class="legend">{shown}</p>\n')


def box(kind: str, parts: Iterable[str]) -> Html:
    """Parts in a box of some kind (a class of the style sheet)."""
    return Html(f'<div class="{kind}">{"".join(parts)}</div>\n')


def table(given: Table) -> Html:
    """A table; on a narrow screen it scrolls by itself."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in given.header)
    lines = []
    for row, cells in enumerate(given.rows):
        line = ""
        for column, cell in enumerate(cells):
            text, _, small = map(escape, cell.partition("\n"))
            shown = f"<strong>{text}</strong>" if (row, column) in given.best else text
            shown += f"<br><small>{small}</small>" if small else ""
            line += f'<th scope="row">{shown}</th>' if column == 0 else f"<td>{shown}</td>"
        lines.append(f"<tr>{line}</tr>")
    return Html(
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>\n"
    )
