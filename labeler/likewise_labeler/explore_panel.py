"""What Explore says of an image and of those like it: decisions without widgets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import numpy as np
from jaxtyping import Float32

from likewise.answers.groups import Relation
from likewise.answers.links import Links
from likewise.neighbours.searcher import find
from likewise_labeler.catalogue import Catalogue, catalogue_of
from likewise_labeler.desk import Ready

NEAREST = 24
"""Similar images that are shown."""
MATCHES = 24
"""Images that are shown for a name."""
_WORDS: dict[Relation, str] = {"must": "same", "cannot": "different"}


@dataclass(frozen=True)
class Hit:
    """An image that was found."""

    id: str
    similarity: float
    """Cosine."""
    relation: Relation | None
    """What the answers say of it and the image that was asked about."""

    @property
    def caption(self) -> str:
        """Similarity and relation, as shown."""
        known = _WORDS.get(self.relation) if self.relation else None
        return f"{self.similarity:.3f} · {known}" if known else f"{self.similarity:.3f}"


@dataclass(frozen=True)
class Facts:
    """What is known of an image."""

    name: str
    folder: str
    """Empty where its file is gone."""
    compared: int
    """With how many others: pairs that have a verdict."""
    group: int
    """Images in its group, itself included."""

    def lines(self, width: int, height: int) -> tuple[str, str, str]:
        """How large it is, where it lies, what was answered about it."""
        group = f"in a group of {self.group:,}" if self.group > 1 else "in no group yet"
        others = "one other" if self.compared == 1 else f"{self.compared:,} others"
        told = f"Compared with {others}, {group}" if self.compared else "Not compared yet"
        where = f"Folder {self.folder}" if self.folder else "Its file is gone"
        return f"{width:,} x {height:,} pixels", where, told


def facts_of(catalogue: Catalogue, links: Links, image: str, row: int) -> Facts:
    """What is known of the image in a row of the embeddings."""
    folder = int(catalogue.folder_of[row])
    return Facts(
        name=catalogue.names[row],
        folder=catalogue.folders[folder] if folder >= 0 else "",
        compared=links.asks[image],
        group=len(links.members(links.root(image))),
    )


def nearest(
    ready: Ready, vector: Float32[np.ndarray, " D"], image: str, folder: str | None
) -> dict[str, float]:
    """The images most similar to a vector, with their cosines, most similar first.

    Without ``image`` itself ("" for a picture of somebody's own), and from one folder if given.
    """
    among = catalogue_of(ready).rows_in(folder)
    rows, similarities = find(ready.embeddings, vector, NEAREST + 1, among)
    ids = (str(ready.embeddings.ids[row]) for row in rows)
    found = {each: float(cosine) for each, cosine in zip(ids, similarities, strict=True)}
    found.pop(image, None)
    return dict(list(found.items())[:NEAREST])


def hits_of(links: Links, image: str, found: Mapping[str, float]) -> list[Hit]:
    """What was found, with what the answers say of it and ``image``."""
    return [
        Hit(each, cosine, links.relation(image, each) if image else None)
        for each, cosine in found.items()
    ]


def unseen_text(count: int) -> str:
    """Says that so many images are missing here, and what to do."""
    what = "One image has" if count == 1 else f"{count:,} images have"
    return f"{what} no place on the map yet. Embed them on the Train page, or run `likewise embed`."


def history_address(image: str, annotator: str) -> str:
    """The address of the answers about an image, on the Review page."""
    return "review?" + urlencode({"tab": "history", "image": image, "annotator": annotator})


def captioned(ready: Ready, hits: Sequence[Hit]) -> list[dict[str, object]]:
    """Cards of hits for the picker."""
    return [{**named(ready, each.id), "caption": each.caption} for each in hits]


def named(ready: Ready, image: str) -> dict[str, Any]:
    """What is shown of an embedded image, by the name that tells it from all others."""
    about = ready.pictures.about(image)
    name = catalogue_of(ready).names[ready.embeddings.positions[image]]
    return {**about, "name": name or about["name"]}
