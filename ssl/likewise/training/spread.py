"""Spread: from the images that answers placed to all images, along the neighbour graph.

How sure the outcome is, placed images tell: each is hidden once, and told from the others. One
whose group holds no other placed image is told wrongly then, as images of undiscovered groups are.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit, logit

from likewise.answers.placement import Placement
from likewise.training.flow import Arrived, arrived, neighbour_graph

ABSTAIN = -1
LEAST = 0.87
"""Confidence below which the group of an image is not told."""
_FOLDS = 4
_USUAL = np.array([0.0, 1.0, 0.0])
"""Trust before any image was hidden: confidence is the bare chance."""
_FIRMNESS = np.array([0.3, 3.0, 3.0])
"""Precisions of that belief."""


@dataclass(frozen=True)
class Trust:
    """What placed images that were hidden say about being told: logistic (Platt 1999)."""

    slopes: Float64[np.ndarray, " 3"]
    """Of one, of the logit of the chance, and of the logarithm of reach less its usual."""
    usual: float
    """Median logarithm of reach."""
    told: float = 0.0
    """Share of the images, but for those of undiscovered groups, whose group is told at least: the
    surest, however unsure."""

    def confidence(self, found: Arrived) -> Float64[np.ndarray, " N"]:
        """The chance that each image's best group is right; 0 where nothing arrives."""
        sure = expit(_evidence(found, self.usual) @ self.slopes)
        return np.where(found.reach > 0, sure, 0.0)


@dataclass(frozen=True)
class Spread:
    """The group of every image of a pool, where that can be told."""

    groups: Int64[np.ndarray, " N"]
    """Number of the group, as in the placement; -1 where it cannot be told."""
    confidence: Float64[np.ndarray, " N"]
    """Chance that this is the group, 0 to 1; 0 where it cannot be told."""


def spread(
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    placement: Placement,
    among: Bool[np.ndarray, " N"] | None = None,
    trust: Trust | None = None,
) -> Spread:
    """Say of every image to which group it belongs, and how surely; abstain where it is unclear.

    Placed images keep their group and confidence. The share ``placement.undiscovered`` of the
    others is left open: those that the groups reach least. So are, of the rest, those that have a
    confidence below `LEAST` and are not among the share ``trust.told`` of the surest.

    Args:
        neighbours: The nearest images of each, nearest first, -1 where there are fewer.
        similarities: Their cosine similarities, -1 to 1.
        placement: What the answers tell.
        among: Images that may take part; by default all. The others are left open.
        trust: By default what images of the placement say that are hidden from this very graph. A
            graph that was made with the placement needs the trust of one that was not.
    """
    count = len(neighbours)
    result = placed_alone(placement, count)
    if len(placement.rows) == 0:
        return result
    graph = neighbour_graph(neighbours, similarities, among)
    found = arrived(graph, placement)
    trust = trust or _trust_in(graph, placement)
    sure = trust.confidence(found)
    open_ = np.ones(count, dtype=bool) if among is None else among.copy()
    open_[placement.rows] = False
    candidates = np.flatnonzero(open_)
    dropped = round(placement.undiscovered * len(candidates))
    nearest = candidates[np.argsort(-found.reach[candidates], kind="stable")]
    met = nearest[: len(nearest) - dropped]
    met = met[np.argsort(-sure[met], kind="stable")]
    certain = int((sure[met] >= LEAST).sum())
    told = met[: max(certain, round(trust.told * len(met)))]
    told = told[sure[told] > 0]
    result.groups[told], result.confidence[told] = found.best[told], sure[told]
    return result


def placed_alone(placement: Placement, count: int) -> Spread:
    """Of ``count`` images only those that answers placed; the others are left open."""
    groups = np.full(count, ABSTAIN, dtype=np.int64)
    confidence = np.zeros(count)
    groups[placement.rows], confidence[placement.rows] = placement.groups, placement.confidence
    return Spread(groups, confidence)


def trust_in(
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    placement: Placement,
    among: Bool[np.ndarray, " N"] | None = None,
    seed: int = 0,
) -> Trust:
    """What images of the placement say that are hidden in turn; see `spread`."""
    return _trust_in(neighbour_graph(neighbours, similarities, among), placement, seed)


def _trust_in(graph: sparse.csr_array, placement: Placement, seed: int = 0) -> Trust:
    mixed = np.random.default_rng((seed, 6)).permutation(len(placement.rows))
    order = mixed[np.argsort(placement.groups[mixed], kind="stable")]
    seen, right, weights = [], [], []
    for each in range(min(_FOLDS, len(order)) if len(order) > 1 else 0):
        hidden = order[each::_FOLDS]
        found = arrived(graph, _without(placement, hidden))
        rows = placement.rows[hidden]
        seen.append(Arrived(found.best[rows], found.chance[rows], found.reach[rows]))
        right.append(seen[-1].best == placement.groups[hidden])
        weights.append(placement.confidence[hidden])
    if not seen:
        return Trust(_USUAL, 0.0)
    usual = float(np.median(np.log(np.maximum(np.concatenate([x.reach for x in seen]), 1e-12))))
    evidence = np.concatenate([_evidence(each, usual) for each in seen])
    told = np.concatenate(right).astype(np.float64)
    return Trust(_logistic(evidence, told, np.concatenate(weights)), usual)


def _evidence(found: Arrived, usual: float) -> Float64[np.ndarray, "n 3"]:
    """One, the logit of the chance, and the logarithm of reach less its usual."""
    chance = logit(np.clip(found.chance, 1e-4, 1 - 1e-4))
    reach = np.log(np.maximum(found.reach, 1e-12)) - usual
    return np.stack((np.ones_like(chance), chance, reach), axis=1)


def _logistic(
    seen: Float64[np.ndarray, "n 3"],
    right: Float64[np.ndarray, " n"],
    weights: Float64[np.ndarray, " n"],
) -> Float64[np.ndarray, " 3"]:
    """The likeliest slopes under a normal belief around `_USUAL`, as firm as `_FIRMNESS`."""

    def loss(slopes: Float64[np.ndarray, " 3"]) -> tuple[float, Float64[np.ndarray, " 3"]]:
        scores, away = seen @ slopes, slopes - _USUAL
        entropy = weights @ (np.logaddexp(0, scores) - right * scores)
        gradient = seen.T @ (weights * (expit(scores) - right)) + _FIRMNESS * away
        return float(entropy + (_FIRMNESS * away**2).sum() / 2), gradient

    return np.asarray(minimize(loss, _USUAL, jac=True, method="BFGS").x)


def _without(placement: Placement, hidden: Int64[np.ndarray, " h"]) -> Placement:
    return replace(
        placement,
        rows=np.delete(placement.rows, hidden),
        groups=np.delete(placement.groups, hidden),
        confidence=np.delete(placement.confidence, hidden),
    )
