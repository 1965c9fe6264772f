"""How results look in a notebook: text, tables and pictures as HTML that needs nothing else.

Tables place the pictures, since viewers of notebooks remove style sheets; pictures are part of the
page. All text is escaped.
"""

import base64
import html
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Rgb = npt.NDArray[np.uint8]

SIDE = 96
"""Longer side of a picture on the page, in CSS pixels."""
_KEPT = 144
"""Longer side of a picture in the file: sharp on most screens, and a few kilobytes."""
_LETTERS = 18
"""Of a line below a picture, so that it is about as wide."""
_COMMAND_NEXT = ("next: likewise ", "next: `likewise ")


@runtime_checkable
class _Told(Protocol):
    def as_text(self) -> str: ...


class Displayed:
    """A result that a notebook displays as the command prints it, unless it has pictures.

    IPython in a terminal, and viewers without HTML, have the text.
    """

    def _repr_html_(self: _Told) -> str:
        return text(self.as_text())

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Not a method: IPython asks a dataclass's own repr before what is inherited.
        setattr(cls, "_repr_pretty_", _pretty)  # noqa: B010 - mypy knows no such attribute


def _pretty(result: _Told, printer: Any, cycle: bool) -> None:
    printer.text(local(result.as_text()))


@dataclass(frozen=True)
class Cell:
    """A picture and what is written below it."""

    picture: "Rgb | None"
    """None: there is none any more."""
    lines: tuple[str, ...] = ()


def text(words: str) -> str:
    """Lines as the command prints them, without the command to type next."""
    lines = local(words).splitlines()
    if lines and lines[-1].startswith(_COMMAND_NEXT):
        lines.pop()
    return f'<pre style="white-space: pre-wrap">{html.escape(chr(10).join(lines))}</pre>'


def line(words: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(local(words))}</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; a cell that is a `Markup` goes in as it is."""
    titles = "".join(f"<th>{html.escape(each)}</th>" for each in head)
    body = "".join(f"<tr>{''.join(f'<td>{_inner(e)}</td>' for e in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tiles(cells: Sequence[Cell], columns: int = 8) -> Markup:
    """Pictures with their captions, line by line."""
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return Markup(
        "<table>"
        + "".join(f"<tr>{''.join(f'<td>{_tile(each)}</td>' for each in row)}</tr>" for row in rows)
        + "</table>"
    )


def strip(cells: Sequence[Cell]) -> Markup:
    """Pictures side by side, to go into a cell of a table."""
    return Markup(" ".join(_picture(each.picture, SIDE // 2) for each in cells))


def drawing(png: bytes, width: int) -> str:
    """A drawing, shown at most so many CSS pixels wide."""
    return f'<img src="data:image/png;base64,{_encoded(png)}" width="{width}">'


def sheet(png: bytes, width: int) -> str:
    """A sheet of photographs: as JPEG of a third of the size."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((width, 10 * width))
    return f'<img src="data:image/jpeg;base64,{_encoded(_jpeg(image))}" width="{image.width}">'


def brief(path: str | Path) -> str:
    """A path from here if it lies below, else its folder and name: no page tells whose machine."""
    given = Path(os.path.abspath(path))  # noqa: PTH100 - links are left alone
    if given.is_relative_to(Path.cwd()):
        return str(given.relative_to(Path.cwd()))
    return str(Path(given.parent.name, given.name))


def local(words: str) -> str:
    """A text with its paths told from here, where they lie below."""
    return words.replace(f"{Path.cwd()}{os.sep}", "")


def _inner(cell: Any) -> str:
    return cell if isinstance(cell, Markup) else html.escape(str(cell))


def _tile(cell: Cell) -> str:
    captions = "".join(f"<br><small>{html.escape(_cut(each))}</small>" for each in cell.lines)
    return _picture(cell.picture, SIDE) + captions


def _cut(words: str) -> str:
    """The end of a line says more: it is a file's name."""
    return words if len(words) <= _LETTERS else f"…{words[1 - _LETTERS :]}"


def _picture(picture: "Rgb | None", side: int) -> str:
    """An <img>: pictures of few pixels as they are, larger ones as small JPEG."""
    from PIL import Image

    if picture is None:
        return "(gone)"
    image = Image.fromarray(picture)
    scale = side / max(image.size)
    width, height = (max(1, round(scale * each)) for each in image.size)
    if max(image.size) <= SIDE // 2:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        source = f"data:image/png;base64,{_encoded(buffer.getvalue())}"
        style = ' style="image-rendering: pixelated"'
    else:
        image.thumbnail((_KEPT * side // SIDE, _KEPT * side // SIDE))
        source, style = f"data:image/jpeg;base64,{_encoded(_jpeg(image))}", ""
    return f'<img src="{source}" width="{width}" height="{height}"{style}>'


def _jpeg(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
