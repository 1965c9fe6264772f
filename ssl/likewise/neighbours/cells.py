"""The neighbours of every image of very many: sought in cells that lie close, not among all.

FAISS's inverted lists (Jegou et al. 2011): vectors in cells of spherical k-means, and each image is
compared with the members of the cells nearest to it. In how many cells, a sample tells: its true
neighbours are found by comparing with all images, and the number is doubled until `RECALL` of them
are found. In groups or on a surface that is few; in a shapeless cloud it ends with all of them.
"""

import math
from collections.abc import Callable

import faiss
import numpy as np
from jaxtyping import Float32, Int64

EXACT_UP_TO = 20_000
"""For so many images the exact graph takes seconds too."""
RECALL = 0.97
"""Share of a sample's true neighbours, 0 to 1, that is found."""
_CELLS_BY_ROOT = 4
"""Cells for each square root of the number of images, about."""
_TRAINED_ON = 48
"""Images per cell that k-means looks at."""
_FIRST = 8
_SAMPLE = 256
_BLOCK = 4096

Graph = tuple[Int64[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]
"""Rows and cosine similarities, nearest first; -1 and -1 where there are fewer."""


def quick_graph(
    vectors: Float32[np.ndarray, "N D"],
    k: int,
    advance: Callable[[int], None] = lambda count: None,
) -> Graph:
    """The k nearest other images of every image, nearly.

    Args:
        vectors: Unit vectors.
        k: Neighbours of each, at least 1.
        advance: Told how many images are done, now and then.
    """
    index = _index_of(vectors)
    _visit_enough(index, vectors, k)
    rows = np.empty((len(vectors), k), np.int64)
    similarities = np.empty((len(vectors), k), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        some = np.arange(start, min(start + _BLOCK, len(vectors)))
        rows[some], similarities[some] = _nearest(index, vectors, some, k)
        advance(len(some))
    return rows, similarities


def _index_of(vectors: Float32[np.ndarray, "N D"]) -> faiss.Index:
    count, dim = vectors.shape
    cells = 2 ** round(math.log2(max(1.0, _CELLS_BY_ROOT * math.sqrt(count))))
    cells = max(1, min(cells, count // _TRAINED_ON))
    index: faiss.Index = faiss.index_factory(dim, f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    means = faiss.extract_index_ivf(index).cp
    means.niter, means.spherical, means.seed = 6, True, 1
    means.min_points_per_centroid, means.max_points_per_centroid = 1, _TRAINED_ON
    sample = np.random.default_rng(0).permutation(count)[: _TRAINED_ON * cells]
    index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
    for start in range(0, count, 16 * _BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + 16 * _BLOCK]))
    return index


def _visit_enough(index: faiss.Index, vectors: Float32[np.ndarray, "N D"], k: int) -> None:
    """Let questions visit as many cells as the sample's neighbours need."""
    cells = faiss.extract_index_ivf(index)
    sample = np.sort(np.random.default_rng(1).permutation(len(vectors))[:_SAMPLE])
    cells.nprobe = cells.nlist
    true = _nearest(index, vectors, sample, k)[1]
    cells.nprobe = min(_FIRST, cells.nlist)
    while cells.nprobe < cells.nlist:
        found = _nearest(index, vectors, sample, k)[1]
        if (found >= true[:, -1:]).mean() >= RECALL:
            return
        cells.nprobe = min(2 * cells.nprobe, cells.nlist)


def _nearest(
    index: faiss.Index, vectors: Float32[np.ndarray, "N D"], some: Int64[np.ndarray, " n"], k: int
) -> Graph:
    """The nearest others of some images."""
    near, found = index.search(np.ascontiguousarray(vectors[some]), k + 1)
    itself = found == some[:, None]
    itself[~itself.any(axis=1), -1] = True  # pushed out by copies: the last one goes instead
    found, near = found[~itself].reshape(-1, k), near[~itself].reshape(-1, k)
    return found, np.where(found < 0, np.float32(-1), near)
