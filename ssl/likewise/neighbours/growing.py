"""The neighbour graph of images of which most were in an earlier one: only what changes is sought.

An image that was there keeps its neighbours, unless one of them is gone or a new image is nearer.
So the work is that of comparing all images with the few that are new or have lost a neighbour,
and the outcome is that of comparing all with all, as far as the earlier graph was exact.
"""

import numpy as np
from jaxtyping import Bool, Float32, Int64

MOST = 0.25
"""Share of the images that are sought anew above which a graph from scratch is quicker."""
_BLOCK = 4096
_AT_ONCE = 1024

Graph = tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]
"""Rows and cosine similarities, nearest first; -1 and -1 where there are fewer."""


Earlier = tuple[Int64[np.ndarray, "M k"], Float32[np.ndarray, "M k"]]
"""The same of the images that were there before."""


def grown_graph(
    earlier: Earlier, came_from: Int64[np.ndarray, " N"], vectors: Float32[np.ndarray, "N D"]
) -> Graph | None:
    """The graph of ``vectors``; None where too much has changed to gain by the earlier one.

    Args:
        earlier: Their graph.
        came_from: Of each image now its row before, each at most once; -1 for a new one.
        vectors: Unit vectors of the images now; those that were there have the same as before.
    """
    count, k = len(vectors), earlier[0].shape[1]
    rows, similarities = _carried(earlier, came_from)
    there = earlier[0][np.maximum(came_from, 0)] >= 0
    anew = (came_from < 0) | (there & (rows < 0)).any(axis=1)
    if anew.sum() > MOST * count:
        return None
    few = np.flatnonzero(anew)
    for start in range(0, len(few), _AT_ONCE):
        part = few[start : start + _AT_ONCE]
        rows[part], similarities[part] = _nearest(vectors, part, k)
    new = np.flatnonzero(came_from < 0)
    for start in range(0, len(new), _AT_ONCE):
        _offer(rows, similarities, vectors, new[start : start + _AT_ONCE], ~anew)
    return rows, similarities


def _carried(earlier: Earlier, came_from: Int64[np.ndarray, " N"]) -> Graph:
    """What images that were there keep, in rows of now; nothing for new ones."""
    now = np.full(len(earlier[0]) + 1, -1, np.int64)  # the last place is for "none"
    kept = np.flatnonzero(came_from >= 0)
    now[came_from[kept]] = kept
    rows = np.full((len(came_from), earlier[0].shape[1]), -1, np.int64)
    similarities = np.full(rows.shape, -1, np.float32)
    rows[kept] = now[earlier[0][came_from[kept]]]
    similarities[kept] = earlier[1][came_from[kept]]
    return rows, similarities


def _nearest(
    vectors: Float32[np.ndarray, "N D"], some: Int64[np.ndarray, " n"], k: int
) -> tuple[Int64[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]:
    """The nearest of all images to some of them."""
    rows = np.full((len(some), k), -1, np.int64)
    best = np.full((len(some), k), -2, np.float32)
    mine = np.asarray(vectors[some])
    for start in range(0, len(vectors), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(vectors)))
        scores = mine @ np.asarray(vectors[block]).T
        scores[some[:, None] == block] = -2
        _keep_best(rows, best, np.broadcast_to(block, scores.shape), scores)
    missing = best < -1.5
    rows[missing], best[missing] = -1, -1
    return rows, best


def _offer(
    rows: Int64[np.ndarray, "N k"],
    similarities: Float32[np.ndarray, "N k"],
    vectors: Float32[np.ndarray, "N D"],
    new: Int64[np.ndarray, " n"],
    among: Bool[np.ndarray, " N"],
) -> None:
    """Let new images take the place of neighbours that are farther, in place."""
    theirs = np.asarray(vectors[new])
    for start in range(0, len(vectors), _BLOCK):
        part = slice(start, start + _BLOCK)
        scores = np.asarray(vectors[part]) @ theirs.T
        last = np.where(rows[part, -1] < 0, -2, similarities[part, -1])
        better = np.flatnonzero(among[part] & (scores.max(axis=1) > last)) + start
        if len(better):
            mine, best = rows[better], similarities[better]
            best[mine < 0] = -2
            offered = np.broadcast_to(new, (len(better), len(new)))
            _keep_best(mine, best, offered, scores[better - start])
            best[mine < 0] = -1
            rows[better], similarities[better] = mine, best


def _keep_best(
    rows: Int64[np.ndarray, "n k"],
    best: Float32[np.ndarray, "n k"],
    offered: Int64[np.ndarray, "n m"],
    scores: Float32[np.ndarray, "n m"],
) -> None:
    """Merge candidates into the k best, in place; of equal ones, those that were there."""
    k = rows.shape[1]
    if scores.shape[1] > k:
        place = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores = np.take_along_axis(scores, place, axis=1)
        offered = np.take_along_axis(offered, place, axis=1)
    both = np.concatenate((best, scores), axis=1)
    order = np.argsort(-both, axis=1, kind="stable")[:, :k]
    best[:] = np.take_along_axis(both, order, axis=1)
    rows[:] = np.take_along_axis(np.concatenate((rows, offered), axis=1), order, axis=1)
