"""The gallery of a workspace: classes that come and go without training.

A class is a name and its exemplars; one is enough. An image is given the class of its nearest
exemplar if that is near enough (`likewise.inference.naming_rule`); else it is unknown.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likewise.errors import LikewiseError, UsageError
from likewise.images.scan import scan
from likewise.inference.class_folders import class_folders
from likewise.inference.class_names import class_name
from likewise.inference.classified import Classified, Recognised
from likewise.inference.gallery_changes import GalleryAdded, GalleryListed, GalleryRemoved
from likewise.inference.gallery_editing import add_exemplars, remove_exemplars
from likewise.inference.gallery_store import Exemplar, GalleryStore
from likewise.inference.table_files import one_line
from likewise.neighbours.vectors import embedded
from likewise.progress import waiting
from likewise.settings import GalleryEvaluate
from likewise.workspace import Workspace

if TYPE_CHECKING:
    from likewise.inference.few_shot_text import FewShot
    from likewise.inference.recognition import Recogniser
    from likewise.inference.verifier import Verifier
    from likewise.neighbours.pictures import Picture

FAR = 0.05
"""Share of the images of no class that may be named."""


class Gallery:
    """The classes of a workspace; see `likewise gallery`. For one thread at a time.

    What recognition needs is opened when it is first asked for, and again when the gallery or the
    embeddings have changed, by whomever. No net is loaded to add or remove.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Open the gallery; there is one in every workspace, empty at first.

        Raises:
            LikewiseError: there is no workspace, or the gallery is damaged.
        """
        self.workspace = workspace
        self.store = GalleryStore(workspace)
        self._verifier: Verifier | None = None
        self._recogniser: Recogniser | None = None
        self._seen: tuple[int, int] | None = None

    def add(self, name: str, *images: str | Path) -> GalleryAdded:
        """Add exemplars to a class, which is made if it is new.

        Args:
            name: Any text of one line.
            images: Files, folders, or lists of them, anywhere.

        Raises:
            UsageError: the name cannot be used, or no image is given.
            LikewiseError: nothing could be added, or not be stored.
        """
        own = class_name(name)
        if not images:
            raise UsageError(f"say which images show {own!r}: files or folders")
        found = scan(map(Path, images), workspace=self.workspace.path)
        return add_exemplars(self.workspace, self.store, {own: found.files}, found.failures)

    def add_folders(self, folder: str | Path) -> GalleryAdded:
        """Add every folder with images below ``folder`` as a class; its path there is the name.

        Raises:
            UsageError: it is no folder.
            LikewiseError: nothing could be added, or not be stored.
        """
        classes, failures = class_folders(self.workspace, Path(folder))
        return add_exemplars(self.workspace, self.store, classes, failures)

    def remove(self, name: str, *images: str | Path) -> GalleryRemoved:
        """Remove exemplars of a class, or without any the whole class.

        Args:
            name: Of the class.
            images: The same files, the places where they lay, or their ids.

        Raises:
            LikewiseError: there is no such class, or one is no exemplar of it.
        """
        return remove_exemplars(self.store, name, [Path(each) for each in images])

    def classes(self) -> GalleryListed:
        """The classes with their exemplars."""
        found: dict[str, list[Exemplar]] = {}
        for each in self.store.exemplars():
            found.setdefault(each.class_name, []).append(each)
        return GalleryListed(
            {name: tuple(exemplars) for name, exemplars in found.items()},
            picture=self.store.picture,
        )

    def classify(
        self, *images: str | Path, closed_set: bool = False, far: float = FAR
    ) -> Classified:
        """Say which class images are of, or that they are of none.

        Args:
            images: Files, folders, or lists of them, in the workspace or not.
            closed_set: Always name the class of the nearest exemplar.
            far: Share of the images of no class that may be named, between 0 and 1.

        Raises:
            UsageError: ``far`` is not between 0 and 1, or no image is given.
            LikewiseError: the gallery is empty, there are no embeddings, or no image can be used.
        """
        from likewise.images.look import Look
        from likewise.neighbours.pictures import embed_pictures

        if not images:
            raise UsageError("say which images to classify: files or folders")
        if not 0 < far < 1:
            raise UsageError("--far must lie between 0 and 1, without them")
        recogniser, verifier = self._ready()
        read, failures = embed_pictures(
            self.workspace, verifier.embeddings, [Path(each) for each in images]
        )
        if not read:
            if not failures:
                raise LikewiseError(f"there is no image in {one_line(str(images[0]))}")
            more = f" (and {len(failures) - 1:,} more files)" if len(failures) > 1 else ""
            path, reason = failures[0]
            raise LikewiseError(f"{one_line(path)}: {reason}{more}")
        rule = None if closed_set else recogniser.rule(far)
        threshold = -np.inf if rule is None else rule.similarity
        return Classified(
            results=tuple(_recognised(recogniser, read, threshold)),
            failures=tuple(failures),
            rule=rule,
            classes=len(recogniser.members.names),
            exemplars=len(recogniser.members.images),
            certain_by=recogniser.certain_by,
            model=verifier.embeddings.model,
            fingerprint=verifier.embeddings.fingerprint,
            look=Look(self.workspace, verifier.images),
        )

    def evaluate(self, folder: str | Path, **settings: Any) -> "FewShot":
        """Measure recognition from few exemplars on class folders; see `gallery evaluate`.

        It draws classes and exemplars from the folder; those of the gallery do not matter.
        """
        from likewise.inference.few_shot import gallery_evaluate

        return gallery_evaluate(self.workspace, GalleryEvaluate(folder=Path(folder), **settings))

    def _ready(self) -> "tuple[Recogniser, Verifier]":
        """What recognition needs, for the gallery and the embeddings as they are now."""
        if not self.store.classes():
            raise LikewiseError(
                "the gallery is empty; `likewise gallery add NAME IMAGES` makes a class, one "
                "image is enough"
            )
        if self._verifier is None:
            with waiting("torch is loaded ..."):
                importlib.import_module("likewise.inference.verifier")
        from likewise.inference.exemplar_vectors import members_of
        from likewise.inference.recognition import Recogniser, unseen_by
        from likewise.inference.verifier import Verifier

        newest = (embedded(self.workspace) or [{}])[-1]
        verifier = self._verifier
        if verifier is None or verifier.embeddings.fingerprint != newest.get("fingerprint"):
            verifier = self._verifier = Verifier(self.workspace)
            self._recogniser = None
        version = self.store.version  # before it is read: what comes meanwhile is seen next time
        if self._recogniser is None or self._seen != version:
            members = members_of(self.workspace, self.store, verifier.embeddings)
            self._recogniser = Recogniser(
                members,
                verifier.embeddings,
                verifier.calibration,
                unseen_by(self.workspace, verifier.embeddings),
            )
            self._seen = version
        return self._recogniser, verifier


def _recognised(
    recogniser: "Recogniser", pictures: "Iterable[Picture]", threshold: float
) -> list[Recognised]:
    """Each picture with its class; a copy of an exemplar is of its class whatever the threshold."""
    from likewise.inference.recognition import nearest

    members, pictures = recogniser.members, list(pictures)
    exemplars = {image: row for row, image in enumerate(members.images)}
    found = nearest(members, np.stack([each.vector for each in pictures]))
    chances = recogniser.probabilities(found.similarities)
    results = []
    for place, each in enumerate(pictures):
        copied = exemplars.get(each.id)
        row = int(found.rows[place]) if copied is None else copied
        near = 1.0 if copied is not None else float(found.similarities[place])
        name = members.names[members.classes[row]]
        chance = None if chances is None else float(chances[place])
        results.append(
            Recognised(
                path=each.path,
                id=each.id,
                class_name=name if copied is not None or near >= threshold else None,
                nearest=name,
                exemplar=members.paths[row],
                exemplar_id=members.images[row],
                similarity=near,
                probability=chance if copied is None else 1.0,
            )
        )
    return results
