"""Retrieval, classification and verification metrics on arrays.

Shapes: Q queries, G gallery images, D dimensions, k neighbours, P pairs. Vectors are unit vectors;
similarity is the cosine. Where queries and gallery are the same images an image is never its own
neighbour (left out by position, so a byte-different twin still counts). A query with no other
image of its class in the gallery cannot be answered and is left out, as in pytorch-metric-learning
and the metric-learning papers. Equal similarities come in the order FAISS leaves them in.
Queries go through in blocks, so memory stays bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import faiss
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int64, Shaped

_BLOCK = 2**22
"""Neighbours held at once: 48 MiB of row numbers and similarities."""


@dataclass(frozen=True)
class Retrieval:
    """What each query found; NaN for a query that has no positive."""

    recall: dict[int, Float64[np.ndarray, " Q"]]
    """By k: 1 where one of the k nearest has the query's class, else 0."""
    average_precision_at_r: Float64[np.ndarray, " Q"]


@dataclass(frozen=True)
class Roc:
    """Error rates of "same if the similarity is at least t" over falling thresholds t."""

    thresholds: Float64[np.ndarray, " T"]
    false_accept: Float64[np.ndarray, " T"]
    """Share of the different pairs taken for same, 0 to 1, rising."""
    true_accept: Float64[np.ndarray, " T"]
    """Share of the same pairs taken for same, 0 to 1, rising."""


def retrieval(
    queries: Float32[np.ndarray, "Q D"],
    query_labels: Shaped[np.ndarray, " Q"],
    gallery: Float32[np.ndarray, "G D"] | None = None,
    gallery_labels: Shaped[np.ndarray, " G"] | None = None,
    ks: tuple[int, ...] = (1, 5),
) -> Retrieval:
    """Rank the gallery for each query: recall@k and average precision at R.

    Without a gallery each query is ranked against the other queries. Their means over the
    queries that are not NaN are recall@k (Jégou et al. 2011: the share of queries with a hit among
    the k nearest) and MAP@R (Musgrave et al. 2020, "A Metric Learning Reality Check", section 3.2).
    """
    same_set = gallery is None
    gallery, gallery_labels = _gallery(queries, query_labels, gallery, gallery_labels)
    query_codes, gallery_codes, classes = _codes(query_labels, gallery_labels)
    relevant = np.bincount(gallery_codes, minlength=classes)[query_codes] - int(same_set)
    recall = {k: np.full(len(queries), np.nan) for k in ks}
    precision = np.full(len(queries), np.nan)
    depth = max(*ks, int(relevant.max(initial=1)))
    for rows, found, _ in _nearest(queries, gallery, depth, same_set):
        answerable = relevant[rows] > 0
        hits = (gallery_codes[found] == query_codes[rows, None])[answerable]
        block = rows[answerable]
        for k in ks:
            recall[k][block] = hits[:, :k].any(axis=1)
        precision[block] = average_precision_at_r(hits, relevant[block])
    return Retrieval(recall=recall, average_precision_at_r=precision)


def average_precision_at_r(
    hits: Bool[np.ndarray, "Q k"], relevant: Int64[np.ndarray, " Q"]
) -> Float64[np.ndarray, " Q"]:
    """(1/R) sum over i <= R of hit_i x precision at i, 0 to 1, for each query.

    Musgrave et al. 2020, eq. 1. ``hits`` says of each neighbour, nearest first, whether it has
    the query's class; R = ``relevant``, at least 1, is how many such images the gallery holds.
    """
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precision = np.cumsum(counted, axis=1) / ranks
    total = np.where(counted, precision, 0.0).sum(axis=1)
    return np.asarray(total / relevant, dtype=np.float64)


def knn_correct(
    queries: Float32[np.ndarray, "Q D"],
    query_labels: Shaped[np.ndarray, " Q"],
    gallery: Float32[np.ndarray, "G D"] | None = None,
    gallery_labels: Shaped[np.ndarray, " G"] | None = None,
    k: int = 20,
    temperature: float = 0.07,
) -> Float64[np.ndarray, " Q"]:
    """1 where the k nearest vote for the query's class, 0 where not, NaN without a positive.

    Each neighbour votes for its class with weight exp(similarity / temperature): Wu et al. 2018,
    "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", section 3.4, with
    their temperature. They use k = 200 on ImageNet; 20 is DINO's choice (Caron et al. 2021) and
    fits classes of some dozens of images. Without a gallery: leave-one-out among the queries.
    """
    same_set = gallery is None
    gallery, gallery_labels = _gallery(queries, query_labels, gallery, gallery_labels)
    query_codes, gallery_codes, classes = _codes(query_labels, gallery_labels)
    relevant = np.bincount(gallery_codes, minlength=classes)[query_codes] - int(same_set)
    correct = np.full(len(queries), np.nan)
    for rows, found, similarity in _nearest(queries, gallery, k, same_set):
        weights = np.exp((similarity - similarity[:, :1]) / temperature)
        cell = np.arange(len(rows))[:, None] * classes + gallery_codes[found]
        votes = np.bincount(cell.ravel(), weights.ravel(), minlength=len(rows) * classes)
        winner = votes.reshape(len(rows), classes).argmax(axis=1)
        answerable = relevant[rows] > 0
        correct[rows[answerable]] = (winner == query_codes[rows])[answerable]
    return correct


def roc(
    scores: Float[np.ndarray, " P"],
    same: Bool[np.ndarray, " P"],
    weights: Float[np.ndarray, " P"] | None = None,
) -> Roc:
    """The ROC curve of pairs, one point per distinct score, from (0, 0) to (1, 1).

    Args:
        scores: Similarity of each pair.
        same: Whether the pair truly is the same class; both kinds must occur.
        weights: How often each pair counts; by default once.

    Raises:
        ValueError: only one kind of pair.
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    counts = np.ones(len(scores)) if weights is None else weights[order]
    accepted_same = np.cumsum(counts * same[order])[last]
    accepted_other = np.cumsum(counts * ~same[order])[last]
    if accepted_same[-1] == 0 or accepted_other[-1] == 0:
        raise ValueError("a ROC curve needs pairs of both kinds")
    return Roc(
        thresholds=np.concatenate(([np.inf], scores[order][last])).astype(np.float64),
        false_accept=np.concatenate(([0.0], accepted_other / accepted_other[-1])),
        true_accept=np.concatenate(([0.0], accepted_same / accepted_same[-1])),
    )


def auc(curve: Roc) -> float:
    """Area under the ROC curve: the chance that a same pair scores above a different one.

    0 to 1; 0.5 is guessing. A tie counts half.
    """
    return float(np.trapezoid(curve.true_accept, curve.false_accept))


def equal_error_rate(curve: Roc) -> tuple[float, float]:
    """Where false accepts are as frequent as false rejects: (rate 0 to 1, threshold).

    Linear between the two thresholds around the crossing. The threshold is the nearer of the two,
    at which a similarity counts as the same.
    """
    gap = curve.false_accept - (1 - curve.true_accept)
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    rise = curve.false_accept[after] - curve.false_accept[before]
    rate = curve.false_accept[before] + share * rise
    nearer = after if before == 0 or share >= 0.5 else before
    return float(rate), float(curve.thresholds[nearer])


def _gallery(
    queries: Float32[np.ndarray, "Q D"],
    query_labels: Shaped[np.ndarray, " Q"],
    gallery: Float32[np.ndarray, "G D"] | None,
    gallery_labels: Shaped[np.ndarray, " G"] | None,
) -> tuple[Float32[np.ndarray, "G D"], Shaped[np.ndarray, " G"]]:
    if gallery is None or gallery_labels is None:
        return queries, query_labels
    return gallery, gallery_labels


def _codes(
    query_labels: Shaped[np.ndarray, " Q"], gallery_labels: Shaped[np.ndarray, " G"]
) -> tuple[Int64[np.ndarray, " Q"], Int64[np.ndarray, " G"], int]:
    """The labels as numbers from 0, and how many classes there are."""
    names, codes = np.unique(np.concatenate((query_labels, gallery_labels)), return_inverse=True)
    return codes[: len(query_labels)], codes[len(query_labels) :], len(names)


def _nearest(
    queries: Float32[np.ndarray, "Q D"],
    gallery: Float32[np.ndarray, "G D"],
    k: int,
    same_set: bool,
) -> Iterator[tuple[Int64[np.ndarray, " b"], Int64[np.ndarray, "b k"], Float32[np.ndarray, "b k"]]]:
    """Blocks of queries with their nearest gallery rows and similarities, nearest first."""
    k = min(k, len(gallery) - int(same_set))
    if k < 1:
        return
    step = max(1, _BLOCK // (k + 1))
    for start in range(0, len(queries), step):
        rows = np.arange(start, min(start + step, len(queries)))
        similarity, found = faiss.knn(
            queries[rows], gallery, k + int(same_set), metric=faiss.METRIC_INNER_PRODUCT
        )
        if same_set:
            others = found != rows[:, None]
            others[others.all(axis=1), -1] = False
            similarity, found = (each[others].reshape(-1, k) for each in (similarity, found))
        yield rows, found, similarity
