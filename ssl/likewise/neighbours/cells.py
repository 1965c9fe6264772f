"""The neighbours of every image in seconds: sought in cells that lie close, not among all.

Cells are those of spherical k-means (as in an inverted index: Jegou et al. 2011). All images of a
cell are compared at once with those of the `PROBED` nearest cells, which is one product of
matrices. Nearly all neighbours are found where images form groups, as they do under a head (99.7
of 100 on digits), and about seven of eight in a shapeless cloud. The exact graph of 100,000 images
takes ten times as long.
"""

import faiss
import numpy as np
import torch
from jaxtyping import Float32, Int64

EXACT_UP_TO = 20_000
"""For so many images the exact graph takes seconds too."""
PROBED = 16
"""Cells in which the neighbours of an image are sought."""
_CELLS_BY_ROOT = 1.6
"""Cells for each square root of the number of images."""
_BLOCK = 8192


def quick_graph(
    vectors: Float32[np.ndarray, "N D"], k: int
) -> tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]:
    """The k nearest other images of every image, nearly: rows and cosine similarities.

    Nearest first; places that nothing fills hold row -1, similarity -1.
    """
    rows = np.full((len(vectors), k), -1, np.int64)
    similarities = np.full((len(vectors), k), -1.0, np.float32)
    if len(vectors) < 2:
        return rows, similarities
    centres = _centres(vectors)
    cells = _cells(vectors, centres)
    near = np.argsort(-(centres @ centres.T), axis=1, kind="stable")[:, :PROBED]
    for cell, members in enumerate(cells):
        if len(members):
            others = np.concatenate([cells[each] for each in {cell, *near[cell].tolist()}])
            found, scores = _nearest(vectors, members, others, k)
            rows[members, : found.shape[1]] = found
            similarities[members, : found.shape[1]] = scores
    return rows, similarities


def _centres(vectors: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "C D"]:
    count = max(1, round(_CELLS_BY_ROOT * len(vectors) ** 0.5))
    count = min(count, len(vectors))
    means = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=6,
        seed=1,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=48,
    )
    means.train(np.ascontiguousarray(vectors))
    return np.asarray(means.centroids, dtype=np.float32)


def _cells(
    vectors: Float32[np.ndarray, "N D"], centres: Float32[np.ndarray, "C D"]
) -> list[Int64[np.ndarray, " n"]]:
    """The rows of each cell."""
    own = [
        (np.asarray(vectors[start : start + _BLOCK]) @ centres.T).argmax(axis=1)
        for start in range(0, len(vectors), _BLOCK)
    ]
    cell = np.concatenate(own)
    order = np.argsort(cell, kind="stable")
    return np.split(order, np.searchsorted(cell[order], np.arange(1, len(centres))))


def _nearest(
    vectors: Float32[np.ndarray, "N D"],
    members: Int64[np.ndarray, " m"],
    others: Int64[np.ndarray, " o"],
    k: int,
) -> tuple[Int64[np.ndarray, "m f"], Float32[np.ndarray, "m f"]]:
    """Of each member the nearest of the others, itself left out."""
    scores = torch.from_numpy(vectors[members] @ vectors[others].T)
    best, place = torch.topk(scores, min(k + 1, len(others)), dim=1)
    found = others[place.numpy()]
    itself = found == members[:, None]
    itself[~itself.any(axis=1), -1] = True  # pushed out by copies: the last one goes instead
    kept = ~itself
    shape = len(members), found.shape[1] - 1
    return found[kept].reshape(shape), best.numpy()[kept].reshape(shape)
