"""Pictures of a page as data: thumbnails of the workspace's images, each of bounded size."""

import base64
import functools
import io
from collections.abc import Sequence

from PIL import Image

from likewise.evaluation.sheets import Rgb
from likewise.images.store import Images
from likewise.report.page import Html, box, escape

_SIDE = 152
"""Longest side in pixels, about twice what is shown, for screens of high density."""
_SMALL = 64
"""Images up to this side are kept to the pixel, and enlarged with crisp ones."""
_MOST = 7_000
"""Bytes of a thumbnail, at most; of these there are some 400 on a page at most."""
_QUALITIES = (84, 70, 50, 30, 12)

MARKS = {"same": "✓", "different": "✕"}
"""Signs that say it without colour."""


class Thumbnails:
    """Thumbnails of images as tiles of a page; each is made once."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._made = functools.cache(lambda row: _data(images[row]))

    def tile(self, row: int, mark: str = "", caption: str = "") -> Html:
        """An image in a frame; ``mark`` is asked, same, different or nothing."""
        return _tile(*self._made(row), self.name(row), mark, caption)

    def picture(self, pixels: Rgb, name: str) -> Html:
        """A picture that is no image of the workspace, in a frame."""
        return _tile(*_data(pixels), name)

    def strip(self, rows: Sequence[int], total: int = 0, large: bool = False) -> Html:
        """Images in a line, the last of which gives way to how many of ``total`` are not shown."""
        rows = rows if total <= len(rows) else rows[:-1]
        more = total - len(rows)
        left = f'<span class="more">+{more:,}</span>' if more > 0 else ""
        return box("strip large" if large else "strip", [*map(self.tile, rows), left])

    def pair(self, rows: Sequence[int], text: str) -> Html:
        """Two images side by side (or more, in a chain) and a line about them."""
        tiles = box("strip", [self.tile(row) for row in rows])
        return box("pair", [tiles, f"<p>{escape(text)}</p>"])

    def name(self, row: int) -> str:
        """Folder and name of an image's file."""
        return "/".join(self._images.path(row).parts[-2:])


def _tile(picture: str, small: bool, name: str, mark: str = "", caption: str = "") -> Html:
    sign = f"<b>{MARKS[mark]}</b>" if mark in MARKS else ""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    kind = ' class="small"' if small else ""
    return Html(
        f'<figure class="tile {mark}"><img{kind} src="{picture}" alt="{escape(name)}" '
        f'title="{escape(name)}">{sign}{below}</figure>'
    )


def _data(pixels: Rgb) -> tuple[str, bool]:
    """A thumbnail as a data URL, and whether it is so small that it is to be enlarged crisply."""
    picture = Image.fromarray(pixels)
    if max(picture.size) <= _SMALL:
        data = _encoded(picture, "PNG", optimize=True)
        if len(data) <= _MOST:
            return as_url(data, "png"), True
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return as_url(smallest(picture, "JPEG", _MOST), "jpeg"), False


def smallest(picture: Image.Image, kind: str, most: int) -> bytes:
    """The picture at the best quality that takes at most so many bytes, else at the worst one."""
    data = b""
    for quality in _QUALITIES:
        data = _encoded(picture, kind, quality=quality)
        if len(data) <= most:
            break
    return data


def as_url(data: bytes, kind: str) -> str:
    """A picture file as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _encoded(picture: Image.Image, kind: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
