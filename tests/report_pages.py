"""A report as a reader's program sees it: tags, links, text, and the tiles of each part."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from likewise.images.manifest import Manifest, Row, Stamp, write_manifest
from likewise.images.store import Images, open_images
from likewise.workspace import Workspace


@dataclass
class Tile:
    """An image in a frame."""

    name: str
    mark: str


@dataclass
class Part:
    """A section."""

    title: str = ""
    text: str = ""
    lines: list[list[Tile]] = field(default_factory=list)
    """Tiles strip by strip."""


class Seen(HTMLParser):
    """What is on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        """Attributes that would run something."""
        self.text = ""
        self.parts: list[Part] = []
        self._mark = ""
        self._heading = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attributes}
        self.tags.append(tag)
        self.links += [given[key] for key in ("src", "href", "srcset", "action") if key in given]
        self.handlers += [key for key in given if key.startswith("on")]
        kinds = given.get("class", "").split()
        if tag == "section":
            self.parts.append(Part())
        if self.parts and tag == "div" and "strip" in kinds:
            self.parts[-1].lines.append([])
        if tag == "figure" and "tile" in kinds:
            self._mark = "".join(kinds[1:])
        if self.parts and tag == "img" and "alt" in given and self.parts[-1].lines:
            self.parts[-1].lines[-1].append(Tile(given["alt"], self._mark))
        self._heading = tag == "h2"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.parts:
            self.parts[-1].text += data
            if self._heading:
                self.parts[-1].title += data
        self._heading = False

    def part(self, title: str) -> Part:
        """The section of a title."""
        return next(each for each in self.parts if each.title == title)


def outside(page: str) -> list[str]:
    """What a page would fetch from elsewhere."""
    own = [each for each in Seen(page).links if not each.startswith(("data:image/", "#"))]
    bare = re.sub('src="data:[^"]*"', "", page)
    return own + re.findall(r"https?:|url\(|@import|<link|<script|<iframe|<object", bare)


def stored(folder: Path, pictures: Sequence[Any], names: Sequence[str]) -> Images:
    """The images of a new workspace whose store holds these pictures, without decoding files."""
    workspace = Workspace(folder).create()
    file = folder / "images.1.pixels"
    file.write_bytes(b"".join(each.tobytes() for each in pictures))
    manifest = Manifest(file.name, 256, file.stat().st_size)
    offset = 0
    for number, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        height, width = picture.shape[:2]
        row = Row(
            id=hashlib.blake2b(str(number).encode(), digest_size=16).hexdigest(),
            bytes=picture.nbytes,
            status="ok",
            width=width,
            height=height,
            offset=offset,
            store_width=width,
            store_height=height,
        )
        manifest.add_image(f"/in/{name}", Stamp(0, "/in"), row)
        offset += picture.nbytes
    write_manifest(workspace.manifest_file, manifest)
    return open_images(workspace)
