"""All figures of one embedding on labelled images, with their intervals."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from likewise.evaluation.bootstrap import (
    PAIRS,
    Interval,
    Pairs,
    draw_counts,
    mean_interval,
    pair_intervals,
    pairs_of,
)
from likewise.evaluation.metrics import auc, equal_error_rate, knn_correct, retrieval, roc

Metric = Literal["recall@1", "recall@5", "map@r", "auc", "eer", "knn"]
METRICS: tuple[Metric, ...] = get_args(Metric)
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"eer"})

_GRAM = 4_096
"""Up to so many images, all similarities are computed at once (64 MiB)."""
_BLOCK = 2**24
"""Vector elements gathered at once for pairs."""


@dataclass(frozen=True)
class Scores:
    """Figures from 0 to 1; NaN where the images do not allow one (a single class, say)."""

    values: dict[Metric, float]
    intervals: dict[Metric, Interval]
    """95 % bootstrap intervals, images resampled."""
    threshold: float
    """Cosine similarity at the equal error rate."""
    images: int
    """How many queries."""


def scores(
    vectors: Float32[np.ndarray, "N D"],
    labels: Shaped[np.ndarray, " N"],
    gallery: Float32[np.ndarray, "G D"] | None = None,
    gallery_labels: Shaped[np.ndarray, " G"] | None = None,
    bootstrap: int = 200,
    seed: int = 0,
) -> Scores:
    """Measure an embedding.

    recall@1, recall@5 and MAP@R rank the queries among themselves, AUC and EER look at their
    pairs; kNN votes among the gallery, or without one among the other queries. Equal seeds draw
    the same pairs and resamples, so that models can be compared.

    Args:
        vectors: Unit vectors of the queries.
        labels: Their classes, all known.
        gallery: Unit vectors of other images.
        gallery_labels: Their classes, all known.
        bootstrap: Resamples for the intervals; below 2, intervals are NaN.
        seed: Of pairs and resamples.
    """
    ranked = retrieval(vectors, labels)
    per_image: dict[Metric, Float64[np.ndarray, " N"]] = {
        "recall@1": ranked.recall[1],
        "recall@5": ranked.recall[5],
        "map@r": ranked.average_precision_at_r,
        "knn": knn_correct(vectors, labels, gallery, gallery_labels),
    }
    values: dict[Metric, float] = dict.fromkeys(METRICS, float("nan"))
    intervals: dict[Metric, Interval] = dict.fromkeys(METRICS, (float("nan"), float("nan")))
    counts = draw_counts(len(vectors), bootstrap, seed) if bootstrap > 1 else None
    for name, each in per_image.items():
        values[name] = float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")
        if counts is not None:
            intervals[name] = mean_interval(each, counts)
    pairs = pairs_of(labels, PAIRS, seed)
    threshold = float("nan")
    if pairs.same.any() and not pairs.same.all():
        similarity = pair_scores(vectors, pairs)
        curve = roc(similarity, pairs.same)
        values["auc"] = auc(curve)
        values["eer"], threshold = equal_error_rate(curve)
        if counts is not None:
            intervals["auc"], intervals["eer"] = pair_intervals(similarity, pairs, counts)
    return Scores(values, intervals, threshold, len(vectors))


def pair_scores(vectors: Float32[np.ndarray, "N D"], pairs: Pairs) -> Float32[np.ndarray, " P"]:
    """Cosine similarity of each pair."""
    if len(vectors) <= _GRAM:
        similarity: Float32[np.ndarray, "N N"] = vectors @ vectors.T
        return np.asarray(similarity[pairs.first, pairs.second])
    step = max(1, _BLOCK // vectors.shape[1])
    return np.concatenate(
        [
            np.einsum(
                "pd,pd->p",
                vectors[pairs.first[start : start + step]],
                vectors[pairs.second[start : start + step]],
            )
            for start in range(0, len(pairs.same), step)
        ]
    )
