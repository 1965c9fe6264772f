"""A sheet of groups: a card for each, with its pictures and what is known of them."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from likewise.evaluation.sheets import FAINT, INK, PAPER, RIGHT, Colour, tile
from likewise.images.manifest import display
from likewise.inference.table_files import one_line

Rgb = npt.NDArray[np.uint8]
Cell = tuple[Rgb, str, str]
"""A picture, its name, and a line about it."""

_BACK: Colour = (240, 242, 245)
_QUIET: Colour = (107, 114, 128)
_WIDTH, _MARGIN, _PAD, _GAP = 1680, 40, 16, 16
_TILE, _COLUMNS, _LINES, _NAME_LINES = 160, 9, 2, 3
_STEP = _TILE + _GAP
_WIDEST = 4 * _STEP - _GAP
"""Room for a heading that is longer than its pictures; what is longer still is cut."""
_HEADING, _TEXT, _SMALL = 40, 21, 16
_LINE = _SMALL + 4
_TALL = _TILE + _LINE + 2 * _GAP
"""A tile, a line about it and what is between; its name comes in addition."""


@dataclass(frozen=True)
class Row:
    """A group as it is drawn."""

    name: str
    told: str
    """About the group."""
    cells: Sequence[Cell]
    """As many as there are; the first ones are drawn."""
    first: str = ""
    """A word over the first picture, which then has a green frame."""
    count: int | None = None
    """How many there are, where not all are given."""


def draw_groups(title: str, rows: Sequence[Row], more: str = "") -> bytes:
    """Draw groups as cards on a PNG, 1,680 pixels wide; small ones lie side by side.

    A group has up to two lines of nine pictures; a last tile counts the others. Names are drawn
    as they are shown in a terminal: nothing in them can do harm.
    """
    places, bottom = _places(rows, _MARGIN + _HEADING + 2 * _GAP)
    height = bottom + (_TEXT + 2 * _GAP if more else 0) + _MARGIN - _GAP
    sheet = Image.new("RGB", (_WIDTH, height), _BACK)
    draw = ImageDraw.Draw(sheet)
    draw.text((_MARGIN, _MARGIN), title, INK, _font(_HEADING, bold=True))
    for row, (left, top) in zip(rows, places, strict=True):
        _draw_card(sheet, row, left, top)
    if more:
        draw.text((_MARGIN, bottom), more, _QUIET, _font(_TEXT))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _places(rows: Sequence[Row], top: int) -> tuple[list[tuple[int, int]], int]:
    """Left and upper corner of each card, in lines from the top; and where the last line ends."""
    places = []
    left, tall = _MARGIN, 0
    for row in rows:
        width, height = _size(row)
        if left > _MARGIN and left + width > _WIDTH - _MARGIN:
            left, top, tall = _MARGIN, top + tall + _GAP, 0
        places.append((left, top))
        left, tall = left + width + _GAP, max(tall, height)
    return places, top + tall + _GAP


def _shown(row: Row) -> int:
    """How many pictures fit, a place being left for the number of others."""
    most = _COLUMNS * _LINES
    return len(row.cells) if _total(row) <= most else min(len(row.cells), most - 1)


def _total(row: Row) -> int:
    return max(row.count or 0, len(row.cells))


def _size(row: Row) -> tuple[int, int]:
    """Width and height of a card."""
    tiles = _shown(row) + (_total(row) > _shown(row))
    lines = -(-tiles // _COLUMNS)
    heading = _font(_TEXT, bold=True).getlength(row.name) + _GAP + _font(_TEXT).getlength(row.told)
    columns = max(min(tiles, _COLUMNS) * _STEP - _GAP, min(math.ceil(heading), _WIDEST))
    return columns + 2 * _PAD, 2 * _PAD + _TEXT + _GAP + lines * _tall(row) - _GAP


def _tall(row: Row) -> int:
    """A tile with what is below it: as many lines as the longest name needs, and another."""
    return _TALL + _LINE * max((len(_lines(name)) for _, name, _ in row.cells), default=1)


@cache
def _lines(name: str) -> list[str]:
    """A name on up to three lines, broken behind a sign if there is one; its end is always seen."""
    rest, font = one_line(display(name)), _font(_SMALL)
    lines: list[str] = []
    while font.getlength(rest) > _TILE and len(lines) < _NAME_LINES - 1:
        fits = next(n for n in range(len(rest), 0, -1) if font.getlength(rest[:n]) <= _TILE)
        signs = [n for n in range(fits // 2, fits + 1) if rest[n - 1] in " -_."]
        end = signs[-1] if signs else fits
        lines.append(rest[:end])
        rest = rest[end:]
    return [*lines, _cut(rest, _TILE, _SMALL, keep_end=True)]


def _draw_card(sheet: Image.Image, row: Row, left: int, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    width, height = _size(row)
    draw.rounded_rectangle((left, top, left + width, top + height), 14, PAPER, FAINT)
    x, y = left + _PAD, top + _PAD
    name = _cut(row.name, width - 2 * _PAD, _TEXT, bold=True)
    draw.text((x, y), name, INK, _font(_TEXT, bold=True))
    used = _font(_TEXT, bold=True).getlength(name) + _GAP
    told = _cut(row.told, width - 2 * _PAD - used, _TEXT)
    draw.text((x + used, y), told, _QUIET, _font(_TEXT))
    y += _TEXT + _GAP
    shown = _shown(row)
    for place, cell in enumerate(row.cells[:shown]):
        at = x + place % _COLUMNS * _STEP, y + place // _COLUMNS * _tall(row)
        _draw_cell(sheet, cell, at, row.first if place == 0 else "")
    if _total(row) > shown:
        x, y = x + shown % _COLUMNS * _STEP, y + shown // _COLUMNS * _tall(row)
        draw.rounded_rectangle((x, y, x + _TILE, y + _TILE), 8, _BACK)
        others = f"+{_total(row) - shown:,}"
        draw.text((x + _TILE // 2, y + _TILE // 2), others, _QUIET, _font(32), anchor="mm")


def _draw_cell(sheet: Image.Image, cell: Cell, at: tuple[int, int], mark: str) -> None:
    picture, name, told = cell
    draw = ImageDraw.Draw(sheet)
    left, top = at
    sheet.paste(tile(picture, _TILE, RIGHT if mark else FAINT), at)
    if mark:
        room = round(_font(_SMALL, bold=True).getlength(mark)) + 16
        draw.rounded_rectangle((left, top, left + room, top + _SMALL + 12), 6, RIGHT)
        draw.text((left + 8, top + 4), mark, PAPER, _font(_SMALL, bold=True))
    below = top + _TILE + 5
    for text in _lines(name):
        draw.text((left, below), text, INK, _font(_SMALL))
        below += _LINE
    draw.text((left, below), _cut(told, _TILE, _SMALL), _QUIET, _font(_SMALL))


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _cut(
    text: str, room: float | int, size: int, *, keep_end: bool = False, bold: bool = False
) -> str:
    """As much of a text as fits; with ``keep_end`` the middle is left out."""
    text = text[:300] if not keep_end or len(text) <= 300 else text[:150] + text[-150:]
    if _font(size, bold).getlength(text) <= room:
        return text
    for kept in range(len(text) - 1, 0, -1):
        end = kept // 2 if keep_end else 0
        short = text[: kept - end] + "…" + (text[-end:] if end else "")
        if _font(size, bold).getlength(short) <= room:
            return short
    return "…"
