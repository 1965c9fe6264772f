"""Groups of images that are nearly the same: every two of a group are similar enough. Pure.

Images that a pair above the threshold connects, directly or in steps, form a component of the
neighbour graph. In a component a chain may lead from one picture to quite another, so each is cut
by complete linkage (Sørensen 1948): a group is kept together by its weakest pair, not its
strongest. Pairs that people called dissimilar count as infinitely far apart.

The graph holds the k nearest of each image. A pair that it lacks, of images u and v, is above the
threshold only if k others are so near to u, and k to v: such images, *crowded* ones, are compared
with each other, block by block. Shapes: N images, D dimensions, n members of a component.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from likewise.inference.linkage import Apart, NearGroup, balls, complete_linkage

LINKED_UP_TO = 2000
"""Members of a component up to which it is cut by complete linkage (memory: 8 n^2 bytes)."""
CROWDED_UP_TO = 100_000
"""Crowded images that are compared with each other, at most."""
_ROWS, _BLOCK = 65_536, 4096
_SLACK = 0.01
"""By so much the graph's own similarities may be off: a large index keeps 8 bits a number."""
_STRICTEST = 0.99999
"""Greatest threshold that is chosen: float32 rounds beyond."""


@dataclass(frozen=True)
class NearGroups:
    """What was found."""

    groups: list[NearGroup]
    chained: int
    """Components that were cut, as a chain connected what is not similar, or people said so."""
    crowded: int
    """Images with more neighbours above the threshold than the graph keeps."""
    complete: bool
    """Whether these were few enough to be compared with each other."""


@dataclass(frozen=True)
class Graph:
    """Vectors and the nearest neighbours of each."""

    vectors: Float32[np.ndarray, "N D"]
    """Unit vectors, may be memory-mapped."""
    neighbours: Int[np.ndarray, "N k"]
    """Nearest first, -1 where there are fewer."""
    similarities: Float32[np.ndarray, "N k"]
    """Their cosines, about."""


def usual_threshold(similarities: Float32[np.ndarray, "N k"]) -> float:
    """The cosine of a third of the usual distance to the nearest other image, -1 to 1.

    No fixed cosine fits: the nearest *other* picture is at .97 in one embedding and at .9986 in the
    next. Copies lie much nearer than that; a third of the median distance told them from others
    on digits, faces and photos (docs/decisions/0019). Where more than half of all images have a
    copy, it is too strict.

    Args:
        similarities: Cosines of the nearest images of each, nearest first.
    """
    if not similarities.size:
        return _STRICTEST
    median = float(np.median(similarities[:, 0]))
    return min(_STRICTEST, 1 - (1 - median) / 9)  # squared distance is 2 - 2 cosine


def near_groups(
    graph: Graph,
    threshold: float,
    among: Bool[np.ndarray, " N"] | None = None,
    apart: Apart = lambda rows: None,
) -> NearGroups:
    """Find the groups of two or more; the result does not depend on the order of the pairs.

    Args:
        graph: The images. Where similarities tie, those in earlier rows are joined first.
        threshold: Cosine that every pair of a group has at least, -1 to 1.
        among: Images that may take part; by default all.
        apart: Tells pairs that may not share a group.
    """
    rows = np.arange(len(graph.vectors)) if among is None else np.flatnonzero(among)
    crowded = _crowded(graph, threshold, rows)
    found: list[NearGroup] = []
    chained = 0
    for members in components(graph, threshold, rows):
        parts = list(_cut(graph, members, threshold, apart))
        chained += not (len(parts) == 1 and len(parts[0].rows) == len(members))
        found += parts
    found.sort(key=lambda each: (-len(each.rows), int(each.rows[0])))
    return NearGroups(found, chained, len(crowded), len(crowded) <= CROWDED_UP_TO)


def components(
    graph: Graph, threshold: float, rows: Int64[np.ndarray, " M"]
) -> Iterator[Int64[np.ndarray, " n"]]:
    """The connected components of two or more rows, each ascending."""
    labels = np.arange(len(graph.vectors))
    taking = np.zeros(len(labels) + 1, bool)
    taking[rows] = True  # and the last one, which -1 stands for, is not
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        near = graph.neighbours[part]
        place, column = np.nonzero((graph.similarities[part] >= threshold - _SLACK) & taking[near])
        labels = _joined(labels, *_passing(graph, part[place], near[place, column], threshold))
    crowded = _crowded(graph, threshold, rows)
    if len(crowded) <= CROWDED_UP_TO:
        labels = _join_crowded(graph, threshold, crowded, labels)
    shared = rows[np.bincount(labels)[labels[rows]] > 1]
    order = shared[np.argsort(labels[shared], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    yield from (each for each in np.split(order, starts) if len(each))


def _crowded(
    graph: Graph, threshold: float, rows: Int64[np.ndarray, " M"]
) -> Int64[np.ndarray, " m"]:
    """Rows whose list of neighbours ends above the threshold, although there are more images."""
    kept = graph.neighbours.shape[1]
    if not kept or kept >= len(graph.vectors) - 1:
        return rows[:0]
    last, cosines = graph.neighbours[rows, -1], graph.similarities[rows, -1]
    maybe = np.flatnonzero((last >= 0) & (cosines >= threshold - _SLACK))
    return _passing(graph, rows[maybe], last[maybe], threshold)[0]


def _passing(
    graph: Graph, ones: Int64[np.ndarray, " E"], twos: Int[np.ndarray, " E"], threshold: float
) -> tuple[Int64[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """The pairs whose similarity, computed anew, reaches the threshold."""
    kept = np.zeros(len(ones), bool)
    for start in range(0, len(ones), _ROWS):
        part = slice(start, start + _ROWS)
        cosines = np.einsum("nd,nd->n", graph.vectors[ones[part]], graph.vectors[twos[part]])
        kept[part] = cosines >= threshold
    return ones[kept], twos[kept]


def _join_crowded(
    graph: Graph,
    threshold: float,
    crowded: Int64[np.ndarray, " m"],
    labels: Int64[np.ndarray, " N"],
) -> Int64[np.ndarray, " N"]:
    for start in range(0, len(crowded), _BLOCK):
        ones = crowded[start : start + _BLOCK]
        first = np.asarray(graph.vectors[ones])
        for other in range(start, len(crowded), _BLOCK):
            twos = crowded[other : other + _BLOCK]
            near = first @ graph.vectors[twos].T >= threshold
            near &= labels[ones][:, None] != labels[twos]
            one, two = np.nonzero(near)
            if len(one):
                labels = _joined(labels, ones[one], twos[two])
    return labels


def _joined(
    labels: Int64[np.ndarray, " N"], ones: Int[np.ndarray, " e"], twos: Int[np.ndarray, " e"]
) -> Int64[np.ndarray, " N"]:
    """Labels of the components after these pairs were joined."""
    count = int(labels.max(initial=-1)) + 1
    pairs = (np.ones(len(ones), bool), (labels[ones], labels[twos]))
    _, merged = connected_components(sparse.coo_array(pairs, (count, count)), directed=False)
    return np.asarray(merged[labels], np.int64)


def _cut(
    graph: Graph, members: Int64[np.ndarray, " n"], threshold: float, apart: Apart
) -> Iterator[NearGroup]:
    """The groups of a component."""
    if len(members) <= LINKED_UP_TO:
        yield from complete_linkage(graph.vectors, members, threshold, apart)
        return
    tighter = float(np.sqrt((1 + threshold) / 2))  # half the angle
    for part in components(graph, tighter, members):
        if len(part) <= LINKED_UP_TO:
            yield from complete_linkage(graph.vectors, part, threshold, apart)
        else:
            yield from balls(graph.vectors, part, tighter, apart)
