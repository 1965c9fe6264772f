"""Exemplars come and go."""

import difflib
import os
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from likewise.errors import LikewiseError
from likewise.files import digest
from likewise.images.manifest import display
from likewise.images.reading import Reading, in_children
from likewise.images.scan import Failure, File
from likewise.inference.gallery_changes import GalleryAdded, GalleryRemoved, taken_by
from likewise.inference.gallery_store import Exemplar, GalleryStore, NewExemplar
from likewise.inference.table_files import one_line
from likewise.progress import progress
from likewise.workspace import Workspace

_AT_ONCE = 100
"""Exemplars that are stored at a time: whoever stops it loses no more."""


def add_exemplars(
    workspace: Workspace,
    store: GalleryStore,
    classes: Mapping[str, Sequence[File]],
    failures: Sequence[Failure],
) -> GalleryAdded:
    """Read files and store what is new; what cannot be used is told, and the others go in.

    Args:
        workspace: Whose `store_size` the pictures have.
        store: Where they go.
        classes: Files by the (valid) name of their class.
        failures: What could not be used already.

    Raises:
        LikewiseError: no image at all could be used, or the disk is full, or the like.
    """
    before = store.classes()
    names = {file.path: name for name, files in classes.items() for file in files}
    every = [file for files in classes.values() for file in files]
    adding = _Adding(store, list(failures))
    with progress("read", len(every)) as advance:
        for outcome in in_children(every, Reading(workspace.config.store_size), 0):
            advance(1)
            if outcome.image is None:
                adding.failures.append(Failure(outcome.path, outcome.reason))
                continue
            name = names[outcome.path]
            adding.take(NewExemplar(name, outcome.id, outcome.path, outcome.image.pixels))
    adding.store_all()
    if not adding.added and not adding.known:
        raise LikewiseError(_nothing(adding.failures))
    now = store.classes()
    return GalleryAdded(
        added=dict(adding.added),
        new_classes=frozenset(adding.added.keys() - before.keys()),
        known=adding.known,
        failures=tuple(adding.failures),
        classes=len(now),
        exemplars=sum(now.values()),
    )


class _Adding:
    """Exemplars on their way into the store."""

    def __init__(self, store: GalleryStore, failures: list[Failure]) -> None:
        self.added: Counter[str] = Counter()
        self.known = 0
        self.failures = failures
        self._store = store
        self._waiting: list[NewExemplar] = []

    def take(self, exemplar: NewExemplar) -> None:
        self._waiting.append(exemplar)
        if len(self._waiting) == _AT_ONCE:
            self.store_all()

    def store_all(self) -> None:
        if not self._waiting:
            return
        new = self._store.add(self._waiting)
        standing = self._store.classes_of(each.image for each in self._waiting)
        for each in self._waiting:
            own = standing.get(each.image, each.class_name)
            if own != each.class_name:
                self.failures.append(Failure(each.path, taken_by(own, each.path)))
            elif each.image in new:
                self.added[each.class_name] += 1
                new.remove(each.image)  # the same bytes once more are known
            else:
                self.known += 1
        self._waiting.clear()


def _nothing(failures: Sequence[Failure]) -> str:
    if not failures:
        return "there is no image to add; give image files or folders of them"
    path, reason = failures[0]
    more = f" (and {len(failures) - 1:,} more files)" if len(failures) > 1 else ""
    return f"nothing was added: {one_line(display(path))}: {reason}{more}"


def remove_exemplars(store: GalleryStore, name: str, images: Sequence[Path]) -> GalleryRemoved:
    """Take some exemplars, or all, out of a class; without any left it is gone.

    Raises:
        LikewiseError: there is no such class, or one of the images is no exemplar of it; then
            nothing is removed.
    """
    own = existing_class(store, name)
    exemplars = store.exemplars(own)
    chosen = [_find(store, own, exemplars, each) for each in images] if images else exemplars
    removed = store.remove(sorted({each.image for each in chosen}))
    return GalleryRemoved(own, removed, len(exemplars) - removed)


def existing_class(store: GalleryStore, name: str) -> str:
    """The class of this name.

    Raises:
        LikewiseError: there is none; the text names the nearest one.
    """
    wanted = unicodedata.normalize("NFC", name).strip()
    classes = store.classes()
    if wanted in classes:
        return wanted
    near = difflib.get_close_matches(wanted, list(classes)[:100_000], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`likewise gallery list` shows the classes"
    raise LikewiseError(f"the gallery has no class '{one_line(wanted)}'; {hint}")


def _find(store: GalleryStore, name: str, exemplars: Sequence[Exemplar], image: Path) -> Exemplar:
    """The exemplar that a file, the place where one lay, or an id means."""
    content = digest(image) if image.is_file() else str(image)
    place = os.path.abspath(image)  # noqa: PTH100 - as it was stored
    for each in exemplars:
        if each.image == content or (each.path == place and not image.is_file()):
            return each
    other = store.classes_of([content]).get(content)
    shown = one_line(display(str(image)))
    if other is not None:
        raise LikewiseError(f"{shown} is an exemplar of {other!r}, not of {name!r}")
    raise LikewiseError(
        f"{shown} is no exemplar of {name!r}; `likewise gallery list` shows the classes, with "
        "--json every exemplar"
    )
