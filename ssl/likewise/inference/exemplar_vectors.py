"""The exemplars of a gallery with their vectors, all by the same model."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from likewise.inference.gallery_store import GalleryStore
from likewise.neighbours.pictures import Net
from likewise.neighbours.vectors import Embeddings, embedded
from likewise.progress import progress
from likewise.workspace import Workspace

_KEEP_EVERY = 256
"""Vectors that are stored at a time: whoever stops it loses no more."""


@dataclass(frozen=True)
class Members:
    """The gallery as a model sees it."""

    names: tuple[str, ...]
    """Of the classes."""
    classes: Int64[np.ndarray, " M"]
    """Of each exemplar, the place of its class in `names`."""
    images: tuple[str, ...]
    """Id of each exemplar."""
    paths: tuple[str, ...]
    """Where each lay when it was added."""
    vectors: Float32[np.ndarray, "M D"]


def members_of(workspace: Workspace, store: GalleryStore, embeddings: Embeddings) -> Members:
    """All exemplars with the vectors of one model; what has none yet is embedded now.

    Vectors of another model are never taken; those of models whose embeddings are gone are removed.

    Raises:
        LikewiseError: the model is gone, or an exemplar is damaged.
    """
    exemplars = store.exemplars()
    dim = embeddings.vectors.shape[1]
    vectors = store.vectors(embeddings.fingerprint, dim)
    missing = [each.image for each in exemplars if each.image not in vectors]
    if missing:
        vectors |= _embed(workspace, store, embeddings, missing)
        store.forget_models({str(meta["fingerprint"]) for meta in embedded(workspace)})
    exemplars = [each for each in exemplars if each.image in vectors]  # not removed meanwhile
    names = tuple(dict.fromkeys(each.class_name for each in exemplars))
    places = {name: place for place, name in enumerate(names)}
    found = np.empty((len(exemplars), dim), np.float32)
    for row, each in enumerate(exemplars):
        found[row] = vectors[each.image]
    return Members(
        names,
        np.array([places[each.class_name] for each in exemplars], np.int64),
        tuple(each.image for each in exemplars),
        tuple(each.path for each in exemplars),
        found,
    )


def _embed(
    workspace: Workspace, store: GalleryStore, embeddings: Embeddings, missing: list[str]
) -> dict[str, Float32[np.ndarray, " D"]]:
    """Vectors of exemplars: of those that are images of the workspace they are there."""
    net = Net(workspace, embeddings.fingerprint)
    rows = embeddings.positions
    made: dict[str, Float32[np.ndarray, " D"]] = {}
    with progress("embed the gallery", len(missing), "exemplars") as advance:
        for start in range(0, len(missing), _KEEP_EVERY):
            part = missing[start : start + _KEEP_EVERY]
            for image in part:
                if image not in rows and (picture := store.picture(image)) is not None:
                    net.take(image, picture)
            fresh = net.vectors()
            fresh |= {
                each: np.array(embeddings.vectors[rows[each]]) for each in part if each in rows
            }
            store.keep_vectors(embeddings.fingerprint, fresh)
            made |= fresh
            advance(len(part))
    return made
