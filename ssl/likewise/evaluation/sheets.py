"""Sheets of pictures: what the network sees, who it takes for neighbours, where images lie.

Drawn with Pillow as PNG bytes: hundreds of small pictures are slow and soft in a plotting library.
Pictures are RGB arrays of any size; small ones are enlarged so that their pixels stay crisp.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont, ImageOps

Rgb = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (38, 43, 51)
FAINT: Colour = (208, 213, 220)
ASKED: Colour = (59, 91, 219)
RIGHT: Colour = (18, 140, 106)
WRONG: Colour = (214, 64, 69)

_GAP = 8
_FRAME = 5
_TEXT, _LARGE = 22, 34
"""Font sizes, on sheets about 1,500 and 2,000 pixels wide."""


@dataclass(frozen=True)
class Neighbours:
    """What one model finds nearest to each query."""

    title: str
    images: Sequence[Sequence[Rgb]]
    """For each query its neighbours, nearest first."""
    right: Sequence[Sequence[bool]] | None = None
    """Whether each has the query's class; None if that is not known."""


@dataclass(frozen=True)
class Map:
    """Where one model puts the images."""

    title: str
    points: npt.NDArray[np.floating]
    """(N, 2), in any unit."""


def contact_sheet(
    rows: Sequence[Sequence[Rgb]], captions: Sequence[str] = (), headings: Sequence[str] = ()
) -> bytes:
    """A table of pictures, with a text over each column and beside each row where given."""
    columns = max(map(len, rows), default=1)
    side = _side(columns, 1500)
    left = max((_width(each) for each in captions), default=0) + (2 * _GAP if captions else 0)
    top = _TEXT + 2 * _GAP if any(headings) else 0
    sheet = blank(left + columns * (side + _GAP), top + len(rows) * (side + _GAP))
    draw = ImageDraw.Draw(sheet)
    for column, text in enumerate(headings):
        x = left + column * (side + _GAP) + side // 2
        draw.text((x, top - _GAP), cut(text, side), INK, font(), anchor="ms")
    for row, pictures in enumerate(rows):
        y = top + row * (side + _GAP)
        if row < len(captions):
            draw.text((left - _GAP, y + side // 2), captions[row], INK, font(), anchor="rm")
        for column, picture in enumerate(pictures):
            sheet.paste(tile(picture, side), (left + column * (side + _GAP), y))
    return as_png(sheet)


def neighbour_grid(queries: Sequence[Rgb], models: Sequence[Neighbours]) -> bytes:
    """One row per query: the query, then what each model finds nearest to it.

    A right neighbour has a green frame, a wrong one a red frame and a cross.
    """
    counts = [max(map(len, model.images), default=0) for model in models]
    between = 4 * _GAP
    side = _side(1 + sum(counts), 1500 - between * len(models))
    step = side + _GAP
    starts = [step + between]
    for count in counts:
        starts.append(starts[-1] + count * step + between)
    top = _TEXT + 2 * _GAP
    sheet = blank(starts[-1] - between, top + len(queries) * step)
    draw = ImageDraw.Draw(sheet)
    draw.text((0, top - _GAP), "query", INK, font(), anchor="ls")
    for model, start, count in zip(models, starts[:-1], counts, strict=True):
        text = cut(f"{model.title}: nearest first", count * step)
        draw.text((start, top - _GAP), text, INK, font(), anchor="ls")
    for row, query in enumerate(queries):
        y = top + row * step
        sheet.paste(tile(query, side, ASKED), (0, y))
        for model, start in zip(models, starts[:-1], strict=True):
            for column, picture in enumerate(model.images[row]):
                right = None if model.right is None else bool(model.right[row][column])
                sheet.paste(_judged(picture, side, right), (start + column * step, y))
    return as_png(sheet)


def embedding_map(
    maps: Sequence[Map], images: Sequence[Rgb], labels: Sequence[str] | None = None
) -> bytes:
    """Every image as a thumbnail at its point, one map beside the other.

    The frame's colour is the class, where known, with a legend up to ten classes.
    """
    side, gap = 960, 3 * _GAP
    thumbnail = int(min(64, max(18, 0.62 * side / math.sqrt(max(1, len(images))))))
    names = sorted(set(labels)) if labels is not None else []
    colours = {name: _PALETTE[place % len(_PALETTE)] for place, name in enumerate(names)}
    legend = _LARGE + 3 * _GAP if 0 < len(names) <= len(_PALETTE) else 0
    top = _LARGE + 2 * _GAP
    sheet = blank(len(maps) * (side + gap) - gap, top + side + legend)
    draw = ImageDraw.Draw(sheet)
    tiles = [
        tile(image, thumbnail, colours[labels[row]] if labels is not None else FAINT, frame=2)
        for row, image in enumerate(images)
    ]
    for place, each in enumerate(maps):
        x = place * (side + gap)
        title = cut(each.title, side, _LARGE)
        draw.text((x + side // 2, top - 2 * _GAP), title, INK, font(_LARGE), anchor="ms")
        draw.rectangle((x, top, x + side - 1, top + side - 1), outline=FAINT)
        for corner, picture in zip(_corners(each.points, side, thumbnail), tiles, strict=True):
            sheet.paste(picture, (x + int(corner[0]), top + int(corner[1])))
    if legend:
        _draw_legend(draw, colours, top + side + 2 * _GAP, sheet.width)
    return as_png(sheet)


def tile(picture: Rgb, side: int, colour: Colour = FAINT, frame: int | None = None) -> Image.Image:
    """The whole picture inside a framed square of ``side`` pixels, its proportions kept."""
    width = (_FRAME if colour != FAINT else 1) if frame is None else frame
    inner = side - 2 * width
    image = Image.fromarray(picture)
    scale = inner / max(image.size)
    fitted = tuple(max(1, round(scale * each)) for each in image.size)
    if scale > 1:
        times = math.ceil(scale)
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
        image = image.resize((fitted[0], fitted[1]), Image.Resampling.BOX)
    else:
        image = image.resize((fitted[0], fitted[1]), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (side, side), colour)
    square.paste((244, 245, 247), (width, width, side - width, side - width))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


_PALETTE: tuple[Colour, ...] = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (110, 110, 110),
    (170, 170, 20),
    (23, 190, 207),
)


def _judged(picture: Rgb, side: int, right: bool | None) -> Image.Image:
    if right is None:
        return tile(picture, side)
    framed = tile(picture, side, RIGHT if right else WRONG)
    if not right:
        size = max(14, side // 6)
        draw = ImageDraw.Draw(framed)
        draw.rectangle((side - size, 0, side, size), fill=WRONG)
        low, high = size // 4, size - size // 4
        for ends in ((low, low, high, high), (low, high, high, low)):
            x0, y0, x1, y1 = ends
            draw.line((side - size + x0, y0, side - size + x1, y1), PAPER, max(2, size // 8))
    return framed


def _corners(
    points: npt.NDArray[np.floating], side: int, thumbnail: int
) -> npt.NDArray[np.floating]:
    """Top left corners that fill the square; the axes of such a map mean nothing by themselves."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    room = side - thumbnail - 4
    return np.asarray((points - (low + high) / 2) / span * room + room / 2 + 2)


def _draw_legend(draw: ImageDraw.ImageDraw, colours: dict[str, Colour], y: int, room: int) -> None:
    each = room // len(colours)
    for place, (name, colour) in enumerate(colours.items()):
        x = place * each
        draw.rectangle((x, y, x + _LARGE, y + _LARGE), fill=colour)
        text = cut(name, each - _LARGE - 3 * _GAP, _LARGE)
        draw.text((x + _LARGE + _GAP, y + _LARGE // 2), text, INK, font(_LARGE), anchor="lm")


def _side(columns: int, room: int) -> int:
    """Side of a tile so that the columns fit into ``room`` pixels."""
    return int(min(180, max(40, room // max(1, columns) - _GAP)))


def blank(width: int, height: int) -> Image.Image:
    """An empty sheet of so many pixels."""
    return Image.new("RGB", (max(1, width), max(1, height)), PAPER)


@cache
def font(size: int = _TEXT) -> ImageFont.FreeTypeFont:
    """The font of all sheets; ``size`` in pixels."""
    import matplotlib

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), size)


def _width(text: str, size: int = _TEXT) -> int:
    return math.ceil(font(size).getlength(text))


def cut(text: str, room: int, size: int = _TEXT) -> str:
    """As much of the text as fits into ``room`` pixels."""
    if _width(text, size) <= room:
        return text
    while text and _width(text + "…", size) > room:
        text = text[:-1]
    return text + "…"


def as_png(sheet: Image.Image) -> bytes:
    """The sheet with a margin, as a PNG file."""
    buffer = io.BytesIO()
    sheet = ImageOps.expand(sheet, 2 * _GAP, PAPER)
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
