"""What is measured of an embedding and of groups. Pure.

Retrieval and verification are `likewise.evaluation`'s; here is what only the benchmark needs.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from likewise.evaluation.bootstrap import pairs_of
from likewise.evaluation.metrics import auc, equal_error_rate, retrieval, roc
from likewise.evaluation.scores import pair_scores

MOST = 5000
"""Images of one kind that are measured; of more, this many evenly spaced ones."""
PAIRS = 200_000


@dataclass(frozen=True)
class Grouping:
    """How good the groups of a pool are."""

    purity: float
    """Share (0 to 1) of the told images that have their group's most frequent class."""
    groups: int
    """How many hold two or more told images."""
    told: float
    """Share (0 to 1) of the pool's images whose group is told."""


@dataclass(frozen=True)
class Compared:
    """A sample of the pairs of images."""

    scores: Float32[np.ndarray, " P"]
    """Their cosine similarities."""
    same: Bool[np.ndarray, " P"]
    """Whether they are of one class."""
    weights: Float64[np.ndarray, " P"]
    """How many pairs of the images each stands for."""


def compare(
    vectors: Float32[np.ndarray, "N D"], classes: Shaped[np.ndarray, " N"], seed: int = 0
) -> Compared:
    """Pairs of the images: all of them, or `PAIRS`, half of them same (`pairs_of`)."""
    pairs = pairs_of(classes, PAIRS, seed)
    _, sizes = np.unique(classes, return_counts=True)
    all_same = int((sizes * (sizes - 1) // 2).sum())
    all_different = len(classes) * (len(classes) - 1) // 2 - all_same
    same = int(pairs.same.sum())
    weights = np.where(
        pairs.same, all_same / max(same, 1), all_different / max(len(pairs.same) - same, 1)
    )
    return Compared(pair_scores(vectors, pairs), pairs.same, weights)


def embedding_figures(
    vectors: Float32[np.ndarray, "N D"], classes: Shaped[np.ndarray, " N"], pairs: Compared
) -> dict[str, float]:
    """MAP@R, recall@1, pair AUC and EER, all from 0 to 1; NaN where the classes allow none."""
    found = retrieval(vectors, classes, ks=(1,))
    result = {
        "map@r": _mean(found.average_precision_at_r),
        "recall@1": _mean(found.recall[1]),
        "auc": float("nan"),
        "eer": float("nan"),
    }
    if pairs.same.any() and not pairs.same.all():
        curve = roc(pairs.scores, pairs.same)
        result["auc"], result["eer"] = auc(curve), equal_error_rate(curve)[0]
    return result


def grouping(groups: Int64[np.ndarray, " n"], classes: Shaped[np.ndarray, " n"]) -> Grouping:
    """Purity of the groups of a pool's images; -1 is an image whose group is not told."""
    told = groups >= 0
    if not told.any():
        return Grouping(float("nan"), 0, 0.0)
    _, codes = np.unique(classes, return_inverse=True)
    table = np.zeros((int(groups.max()) + 1, int(codes.max()) + 1), dtype=np.int64)
    np.add.at(table, (groups[told], codes[told]), 1)
    return Grouping(
        purity=float(table.max(axis=1).sum() / told.sum()),
        groups=int((table.sum(axis=1) > 1).sum()),
        told=float(told.mean()),
    )


def gap_closed(value: float, untouched: float, everything: float) -> float:
    """(value - untouched) / (everything - untouched); NaN where labels cannot help."""
    gap = everything - untouched
    return (value - untouched) / gap if abs(gap) > 1e-9 else float("nan")


def answers_needed(
    budgets: Float64[np.ndarray, " n"], values: Float64[np.ndarray, " n"], wanted: float
) -> float:
    """The least number of answers at which a rising curve reaches ``wanted``; inf if it does not.

    Linear in the logarithm of the number of answers between the measured ones.
    """
    for place, value in enumerate(values):
        if value < wanted:
            continue
        if place == 0:
            return float(budgets[0])
        before = values[place - 1]
        share = (wanted - before) / (value - before)
        low, high = np.log(budgets[place - 1]), np.log(budgets[place])
        return float(np.exp(low + share * (high - low)))
    return float("inf")


def _mean(values: Float64[np.ndarray, " n"]) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
