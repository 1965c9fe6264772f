"""The job ``search``: the images of a workspace that are most similar to one from anywhere."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from likewise import notebook
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.found_sheet import Captioned, found_sheet
from likewise.files import replacing
from likewise.images.look import Look
from likewise.images.manifest import display
from likewise.images.store import open_images
from likewise.neighbours.pictures import Picture, embed_picture, pixels_of
from likewise.neighbours.search import search as exact_search
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.notebook import Displayed
from likewise.settings import Search
from likewise.workspace import Workspace

Nearest = Callable[
    [Float32[np.ndarray, " D"], int, Int64[np.ndarray, " M"] | None],
    tuple[Int64[np.ndarray, " k"], Float32[np.ndarray, " k"]],
]
"""From a vector, how many, and rows that may be found, to rows and similarities."""


@dataclass(frozen=True)
class Hit:
    """An image that was found."""

    path: Path
    id: str
    similarity: float
    """Cosine, -1 to 1."""


@dataclass(frozen=True)
class Hits(Displayed):
    """What a search found, most similar first."""

    query: Path
    query_id: str
    results: tuple[Hit, ...]
    model: str
    fingerprint: str
    among: int
    """Images that were looked through."""
    waiting: int
    """Images of the workspace that have no embedding yet, and so cannot be found."""
    sheet: Path | None = None
    look: Look | None = field(default=None, repr=False, compare=False)
    """Shows the pictures in a notebook."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import hits

        return notebook.text(self.as_text()) if self.look is None else hits(self, self.look)

    def notes(self) -> list[str]:
        """What else the reader should know."""
        if not self.waiting:
            return []
        return [
            f"{self.waiting:,} images have no embedding yet and cannot be found; run "
            "`likewise embed`"
        ]

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "results": [
                {"path": display(str(each.path)), "id": each.id, "similarity": each.similarity}
                for each in self.results
            ],
            "query": display(str(self.query)),
            "model": self.model,
            "fingerprint": self.fingerprint,
            "among": self.among,
            "not_embedded": self.waiting,
            "sheet": None if self.sheet is None else str(self.sheet),
        }

    def as_text(self) -> str:
        """What a person reads."""
        images = f"{self.among:,} image{'' if self.among == 1 else 's'}"
        lines = [f"most similar to {display(str(self.query))} among {images} ({self.model}):"]
        width = len(str(len(self.results)))
        lines += [
            f"  {place:{width}}  {each.similarity:6.3f}  {display(str(each.path))}"
            for place, each in enumerate(self.results, 1)
        ]
        if not self.results:
            lines.append("  there is no other image")
        lines += self.notes()
        return "\n".join(lines if self.sheet is None else [*lines, f"sheet: {self.sheet}"])


class ImageSearch:
    """Searches the images of a workspace again and again; what it needs is opened once."""

    def __init__(self, workspace: Workspace, *, once: bool = False) -> None:
        """Open the newest embeddings and their index.

        ``once`` leaves an index here alone: reading all vectors is quicker for a single question.

        Raises:
            LikewiseError: no images, no embeddings, a file is damaged, or Milvus is out of reach.
        """
        self.workspace = workspace
        self.images = open_images(workspace.require())
        self.embeddings = load_embeddings(workspace)
        positions, ids = self.images.positions, self.embeddings.ids.tolist()
        self._rows: Int64[np.ndarray, " n"] = np.array(
            [positions.get(each, -1) for each in ids], np.int64
        )
        there = int((self._rows >= 0).sum())
        self.waiting = len(self.images) - there
        self._all = there == len(ids)
        self._folders: dict[tuple[str, ...], Int64[np.ndarray, " M"]] = {}
        here = once and self.embeddings.place is None
        self._search = (_exactly if here else _with_index)(self.embeddings)

    def like(self, image: str | Path, top: int = 10, within: Sequence[str | Path] = ()) -> Hits:
        """The images most similar to a file, itself left out.

        Args:
            image: The file, in the workspace or not.
            top: How many are wanted; there may be fewer.
            within: Folders to look in; all if none is given.

        Raises:
            UsageError: ``top`` is below 1, or ``image`` is a folder or a list.
            LikewiseError: the file is missing or no usable image, its model is gone, or no image
                lies in a folder.
        """
        return self.nearest(
            embed_picture(self.workspace, self.embeddings, Path(image)), top, within
        )

    def nearest(self, picture: Picture, top: int, within: Sequence[str | Path] = ()) -> Hits:
        """The same for a picture that is embedded already."""
        if top < 1:
            raise UsageError("--top must be at least 1")
        among = self.rows_within(within)
        found, near = self._search(picture.vector, top + 1, among)
        ids = [str(each) for each in self.embeddings.ids[found]]
        hits = [
            Hit(self._path(int(row), within), each, float(cosine))
            for row, each, cosine in zip(found, ids, near, strict=True)
            if each != picture.id
        ]
        count = len(self._rows) if among is None else len(among)
        return Hits(
            query=picture.path,
            query_id=picture.id,
            results=tuple(hits[:top]),
            model=self.embeddings.model,
            fingerprint=self.embeddings.fingerprint,
            among=count - int(self._holds(picture.id, among)),
            waiting=self.waiting,
            look=Look(self.workspace, self.images),
        )

    def rows_within(self, folders: Sequence[str | Path]) -> Int64[np.ndarray, " M"] | None:
        """Rows of the embeddings whose images lie in one of the folders; None: all of them.

        A folder is an absolute path, or one from here or from a folder that was ingested.

        Raises:
            LikewiseError: no image of the workspace lies in one of them.
        """
        if not folders:
            return None if self._all else np.flatnonzero(self._rows >= 0)
        key = tuple(os.path.abspath(each) for each in folders)  # noqa: PTH100 - ".." is left in
        if key not in self._folders:
            chosen = np.zeros(len(self.images) + 1, bool)  # the last one: no such image
            for folder in folders:
                chosen[self._under(folder)] = True
            self._folders[key] = np.flatnonzero(chosen[self._rows])
        return self._folders[key]

    def _under(self, folder: str | Path) -> Int64[np.ndarray, " M"]:
        for place in (Path.cwd(), *(root.absolute() for root in self.workspace.config.roots)):
            rows = self.images.rows_under(Path(os.path.normpath(place / folder)))
            if len(rows):
                return rows
        raise LikewiseError(f"no image of {self.workspace.path} lies in {folder}")

    def _path(self, row: int, within: Sequence[str | Path]) -> Path:
        """Where an image lies; if there are several places, the one that was asked for."""
        paths = self.images.paths(int(self._rows[row]))
        folders = [os.path.abspath(each) for each in within]  # noqa: PTH100
        return next((p for p in paths if any(p.is_relative_to(f) for f in folders)), paths[0])

    def _holds(self, image: str, among: Int64[np.ndarray, " M"] | None) -> bool:
        row = self.embeddings.positions.get(image)
        return row is not None and (among is None or bool((among == row).any()))


def _exactly(embeddings: Embeddings) -> Nearest:
    return functools.partial(exact_search, embeddings)


def _with_index(embeddings: Embeddings) -> Nearest:
    return embeddings.searcher.search


def search(workspace: Workspace, settings: Search) -> Hits:
    """Find the images most similar to one.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: no embeddings, no usable image, or the sheet cannot be written.
    """
    if settings.top < 1:
        raise UsageError("--top must be at least 1")
    opened = ImageSearch(workspace, once=True)
    hits = opened.like(settings.image, settings.top, settings.within)
    if settings.sheet is None:
        return hits
    sheet = draw_hits(opened, hits)
    with replacing(settings.sheet) as temporary:
        temporary.write_bytes(sheet)
    return replace(hits, sheet=settings.sheet)


def draw_hits(opened: ImageSearch, hits: Hits) -> bytes:
    """A PNG of the query and of what was found."""
    images = opened.images
    query = Captioned(pixels_of(opened.workspace, images, hits.query), "query", _name(hits.query))
    found = [
        Captioned(images.find(each.id), f"{each.similarity:.3f}", _name(each.path))
        for each in hits.results
    ]
    return found_sheet(query, found)


def _name(path: Path) -> str:
    return display(str(Path(path.parent.name, path.name)))
