"""A sheet of what a search found: the query, and beside it the results, most similar first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

from likewise.evaluation.sheets import ASKED, INK, Rgb, as_png, blank, cut, font, tile

_SIDE, _GAP = 200, 20
_COLUMNS = 5
_FIGURE, _NAME = 22, 16
"""Font sizes in pixels."""
_CAPTION = _FIGURE + _NAME + 22
_QUIET = (107, 114, 128)


@dataclass(frozen=True)
class Captioned:
    """A picture with what is written below it."""

    picture: Rgb
    figure: str
    """Large: a similarity."""
    name: str
    """Small: a file's name; cut where there is no room."""


def found_sheet(query: Captioned, results: Sequence[Captioned]) -> bytes:
    """A PNG: the query, twice as large if there are two rows or more, then five results a row."""
    columns = max(1, min(_COLUMNS, len(results)))
    rows = max(1, math.ceil(len(results) / columns))
    step, height = _SIDE + _GAP, _SIDE + _CAPTION + _GAP
    large = _SIDE + (height if rows > 1 else 0)
    left = large + 2 * _GAP
    sheet = blank(left + columns * step - _GAP, rows * height - _GAP)
    draw = ImageDraw.Draw(sheet)
    sheet.paste(tile(query.picture, large, ASKED), (0, 0))
    _write(draw, query, 0, large, large, ASKED)
    for place, each in enumerate(results):
        x, y = left + place % columns * step, place // columns * height
        sheet.paste(tile(each.picture, _SIDE), (x, y))
        _write(draw, each, x, y + _SIDE, _SIDE, INK)
    return as_png(sheet)


def _write(
    draw: ImageDraw.ImageDraw, each: Captioned, x: int, y: int, room: int, colour: tuple[int, ...]
) -> None:
    """The caption of the tile whose lower left corner is (x, y)."""
    draw.text((x, y + 8), cut(each.figure, room, _FIGURE), colour, font(_FIGURE), anchor="la")
    name = cut(each.name, room, _NAME)
    draw.text((x, y + 14 + _FIGURE), name, _QUIET, font(_NAME), anchor="la")
