"""Finding images by what somebody types, and groups by their likeness."""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from likewise.answers.links import Links
from likewise.images.manifest import display
from likewise.images.store import Images
from likewise.neighbours.searcher import find
from likewise.neighbours.vectors import Embeddings

_SHORTEST_ID = 6
"""Of the beginning of an id that names an image."""
_LOOKED_AT = 5000
"""Nearest images whose group is looked up, at most."""
_CONSIDERED = 3
"""Groups whose means are compared, for each that is wanted."""
_SAMPLE = 64
"""Members of a group that its mean is taken of, at most."""


def images_named(images: Images, typed: str, limit: int = 20) -> list[str]:
    """The ids that ``typed`` may mean: an id or its beginning, else a file name or a part of one.

    Whole names come before parts; case does not matter.
    """
    wanted = typed.strip().lower()
    if not wanted:
        return []
    if wanted in images.positions:
        return [wanted]
    names = _names(images)
    same = [image for image, name in names if name == wanted]
    parts = [image for image, name in names if wanted in name and name != wanted]
    begun = [image for image, _ in names if image.startswith(wanted)]
    found = same + parts + (begun if len(wanted) >= _SHORTEST_ID else [])
    return list(dict.fromkeys(found))[:limit]


@functools.lru_cache(maxsize=2)
def _names(images: Images) -> list[tuple[str, str]]:
    return [
        (image, display(images.path(row).name).lower())
        for row, image in enumerate(images.ids.tolist())
    ]


def largest_groups(links: Links, start: int, count: int) -> tuple[int, list[list[str]]]:
    """How many groups of two or more images there are, and some of them, the largest first."""
    sizes = [(-len(links.members(root)), root) for root in links.roots()]
    several = sorted(each for each in sizes if each[0] < -1)
    page = [list(links.members(root)) for _, root in several[start : start + count]]
    return len(several), page


def nearest_images(embeddings: Embeddings, group: Sequence[str]) -> list[str]:
    """The images that are most like ``group``, by the cosine similarity to its mean vector."""
    mean = _mean(embeddings, group)
    if mean is None:
        return []
    rows, _ = find(embeddings, mean, _LOOKED_AT)
    return [str(embeddings.ids[row]) for row in rows]


def nearest_groups(
    embeddings: Embeddings, links: Links, group: Sequence[str], near: Sequence[str], count: int
) -> list[tuple[list[str], float]]:
    """The groups of several images that are most like ``group``, and how much (-1 to 1).

    That is the cosine similarity of the means of both groups' vectors, among the groups of the
    images ``near``, nearest first.
    """
    mean = _mean(embeddings, group)
    own, found = links.root(group[0]), dict[str, float]()
    for image in near if mean is not None else ():
        root = links.root(image)
        if root != own and root not in found and len(links.members(root)) > 1:
            other = _mean(embeddings, links.members(root))
            found[root] = -1.0 if other is None or mean is None else float(mean @ other)
            if len(found) >= _CONSIDERED * count:
                break
    best = sorted(found, key=lambda root: (-found[root], root))[:count]
    return [(list(links.members(root)), found[root]) for root in best]


def _mean(embeddings: Embeddings, group: Sequence[str]) -> npt.NDArray[np.float32] | None:
    every = range(0, len(group), max(1, len(group) // _SAMPLE))
    rows = [embeddings.positions.get(group[place]) for place in every]
    known = sorted(row for row in rows if row is not None)
    if not known:
        return None
    mean = np.asarray(embeddings.vectors[known], dtype=np.float32).mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)
