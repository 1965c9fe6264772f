"""Sheets of pictures: what the network sees, and where images lie.

Drawn with Pillow as PNG bytes: hundreds of small pictures are slow and soft in a plotting library.
Pictures are RGB arrays of any size; small ones are enlarged so that their pixels stay crisp.
"""

import io
import math
from collections.abc import Sequence
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

_GAP = 8
_FRAME = 5
_TEXT = 22
"""Font size, on sheets about 1,500 pixels wide."""


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


def embedding_map(
    points: npt.NDArray[np.floating], images: Sequence[Rgb], names: Sequence[str]
) -> Image.Image:
    """Every image as a thumbnail at its point, on a transparent square.

    Args:
        points: (N, 2), in any unit.
        images: The pictures.
        names: What each is, which gives its frame a colour (see `palette_of`); "" for none.
    """
    side = 960
    thumbnail = int(min(64, max(20, 0.62 * side / math.sqrt(max(1, len(images))))))
    colours = palette_of(names)
    sheet = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    corners = _corners(points, side, thumbnail)
    for picture, name, corner in zip(images, names, corners, strict=True):
        framed = tile(picture, thumbnail, colours.get(name, FAINT), frame=2 if name else 1)
        sheet.paste(framed, (int(corner[0]), int(corner[1])))
    return sheet


def palette_of(names: Sequence[str]) -> dict[str, Colour]:
    """A colour for each name, in the order of the names; beyond ten they repeat."""
    known = sorted(set(names) - {""})
    return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(known)}


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


PALETTE: tuple[Colour, ...] = (
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


def _corners(
    points: npt.NDArray[np.floating], side: int, thumbnail: int
) -> npt.NDArray[np.floating]:
    """Top left corners that fill the square; the axes of such a map mean nothing by themselves."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    room = side - thumbnail - 4
    return np.asarray((points - (low + high) / 2) / span * room + room / 2 + 2)


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
