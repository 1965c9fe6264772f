"""What each embedded image is called and where it lies, for the Explore page."""

import os
import threading
from collections import Counter
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Bool, Int64

from likewise.images.manifest import display
from likewise.images.store import Images
from likewise.neighbours.vectors import Embeddings
from likewise_labeler.desk import Ready
from likewise_labeler.pictures import Pictures


class Catalogue:
    """Names and folders of the images of some embeddings, row by row of the vectors."""

    def __init__(self, images: Images, embeddings: Embeddings) -> None:
        self.ids: list[str] = embeddings.ids.tolist()
        rows = [images.positions.get(each, -1) for each in self.ids]
        paths = ["" if row < 0 else os.fspath(images.path(row)) for row in rows]
        self.present: Bool[np.ndarray, " N"] = np.array(rows, np.int64) >= 0
        """Whether the image is still in the workspace."""
        files = [display(os.path.basename(each)) for each in paths]  # noqa: PTH119 - 100,000
        parents = [os.path.dirname(each) for each in paths]  # noqa: PTH120 - of them
        self.folders, self.folder_of = folder_names(parents)
        """Folders by name, and the place of each image's folder among them; -1 if it is gone."""
        self.names = told_apart(files, self.folders, self.folder_of.tolist())
        self.unseen = len(images) - int(self.present.sum())
        """How many images of the workspace have no embedding yet."""

    def rows_in(self, folder: str | None) -> Int64[np.ndarray, " M"] | None:
        """Rows of the images in a folder, or of all that are there; None if that is every row."""
        if folder in self.folders:
            return np.flatnonzero(self.folder_of == self.folders.index(folder))
        return None if self.present.all() else np.flatnonzero(self.present)


def told_apart(files: Sequence[str], folders: Sequence[str], folder_of: Sequence[int]) -> list[str]:
    """File names; where several files share one, with the folder before it. Empty ones stay so."""
    shared = {file for file, count in Counter(files).items() if count > 1 and file}
    return [
        f"{folders[place]}/{file}" if file in shared else file
        for file, place in zip(files, folder_of, strict=True)
    ]


def folder_names(parents: Sequence[str]) -> tuple[list[str], Int64[np.ndarray, " N"]]:
    """Short names of the folders that occur, sorted, and the place of each parent among them.

    A name is what follows the folder that all have in common; an empty parent has place -1.
    """
    known = sorted({each for each in parents if each})
    if not known:
        return [], np.full(len(parents), -1, np.int64)
    common = os.path.commonpath(known) if len(known) > 1 else os.path.dirname(known[0])  # noqa: PTH120
    names = {each: display(os.path.relpath(each, common)) for each in known}
    if common in names:
        names[common] = display(os.path.basename(common) or common)  # noqa: PTH119
    ordered = sorted(set(names.values()))
    places = {each: ordered.index(name) for each, name in names.items()} | {"": -1}
    return ordered, np.array([places[each] for each in parents], np.int64)


_kept: WeakKeyDictionary[Pictures, Catalogue] = WeakKeyDictionary()
_lock = threading.Lock()


def catalogue_of(ready: Ready) -> Catalogue:
    """The catalogue of what is open now; made once, shared by all sessions."""
    with _lock:
        if ready.pictures not in _kept:
            _kept[ready.pictures] = Catalogue(ready.images, ready.embeddings)
        return _kept[ready.pictures]
