"""The gate: how much of a head may count, by tests on what it was not fitted on; else nothing.

For a placed image whose answers were hidden, all images whose group is told are ranked, by the
blended vectors and, for comparison, by the untouched ones. There are two kinds of test:

- *known groups*: a third of the placed images of each group is hidden from spread and head, in
  turn;
- *new groups*: half of the groups, that is of the connected components of the answers, is hidden
  from the head as a whole, in turn.

Known groups must gain, and more surely than when the hidden images' groups are exchanged among
them: ranking large groups first gains too, and shows nothing. Gains are then weighed by the chance
that an image is of a known group or of one not discovered yet, and the largest blend passes that
keeps nearly all of the gain, and recall@1. Where answers do not follow from what images look like
(labels at random, or about something the embedding does not hold) nothing passes, and the head
gets no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64

from likewise.answers.placement import Placement
from likewise.models.heads import Head, apply_head, project, untouched
from likewise.training.head import fit_head, refine
from likewise.training.spread import ABSTAIN, Spread, spread

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Parts of the variance of the new vectors that are the head's, of which one is taken."""
FOLDS = 3
SURE = 3.0
"""Standard errors by which known groups must gain more than exchanged ones."""
LEAST = 0.01
"""Gain in average precision at R below which the vectors are better left alone."""
MAY_LOSE = 0.005
"""Recall@1, 0 to 1, that may be lost, besides two standard errors."""
_KEPT = 0.9
"""Share of the best gain that a larger part must keep."""
_TESTED = 500
"""Placed images that are tested a time, at most."""
_RANKED = 2000
"""Images that are ranked for each, at most."""


@dataclass(frozen=True)
class Trial:
    """What one part of the head gains over the untouched vectors; means over tested images."""

    share: float
    known: float
    """Average precision at R, images of known groups; -1 to 1."""
    chance: float
    """How many standard errors lie between this gain and that with exchanged groups."""
    new: float
    """The same, images of groups that the head has not seen."""
    recall: float
    """Recall@1, both kinds weighed."""
    recall_error: float
    gain: float
    """Average precision at R, both kinds weighed."""
    passed: bool


@dataclass(frozen=True)
class Learnt:
    """A head that passed the gate, or one without a part, and how it came about."""

    head: Head
    spread: Spread
    """Of all images, corrected by the head."""
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class _Gains:
    """Per tested image and share: what is gained in average precision and in recall@1."""

    precision: Float64[np.ndarray, "n S"]
    exchanged: Float64[np.ndarray, "n S"]
    """In average precision, with the groups of the tested images exchanged."""
    recall: Float64[np.ndarray, "n S"]


def learn(
    vectors: Float32[np.ndarray, "N D"],
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    placement: Placement,
    among: Bool[np.ndarray, " N"] | None = None,
    seed: int = 0,
) -> Learnt:
    """Spread, fit a head, and let as much of it count as passes the gate.

    Args:
        vectors: Unit vectors of a pool of images.
        neighbours: The nearest images of each, -1 where there are fewer.
        similarities: Their cosine similarities, -1 to 1.
        placement: What the answers tell.
        among: Images that may be learnt from; by default all.
        seed: Of the folds and samples.
    """
    whole = refine(vectors, spread(neighbours, similarities, placement, among), seed)
    head = fit_head(vectors, whole, seed=seed)
    if not len(head.weight):
        return Learnt(head, whole, ())
    known = []
    for shown, hidden in _hidden_members(placement, seed):
        told = spread(neighbours, similarities, shown, among)
        corrected = refine(vectors, told, seed)
        trial = fit_head(vectors, corrected, seed=seed)
        known.append(_gains(vectors, trial, placement, hidden, told, seed))
    new = []
    for groups, hidden in _hidden_groups(placement, seed):
        trial = fit_head(vectors, _without(whole, groups), seed=seed)
        new.append(_gains(vectors, trial, placement, hidden, whole, seed))
    trials = judge(_joined(known), _joined(new), unseen_share(placement))
    passed = [trial for trial in trials if trial.passed]
    if not passed:
        return Learnt(untouched(vectors.shape[1]), whole, trials)
    return Learnt(replace(head, blend=blend_of(head, vectors, passed[-1].share)), whole, trials)


def blend_of(head: Head, vectors: Float32[np.ndarray, "N D"], share: float) -> float:
    """The blend at which the head has this share of the new vectors' variance.

    Embeddings often lie in a narrow cone, where cosines hardly differ; the head's do.
    """
    some = np.asarray(vectors[:: max(1, len(vectors) // 4096)])
    old = 1 - float((some.mean(axis=0, dtype=np.float64) ** 2).sum())
    new = 1 - float((project(head, some).mean(axis=0, dtype=np.float64) ** 2).sum())
    return share * old / max(share * old + (1 - share) * new, 1e-12)


def unseen_share(placement: Placement) -> float:
    """Share of the images, 0 to 1, taken to be of groups not discovered yet.

    The estimate, and the share that as many placed images could have missed by chance.
    """
    return min(1.0, placement.undiscovered + 1 / (1 + len(placement.rows)))


def judge(known: _Gains, new: _Gains, unseen: float) -> tuple[Trial, ...]:
    """Which parts of a head pass; the last one that does is the largest."""
    trials = []
    for place, share in enumerate(SHARES):
        gain, _ = _mean(known.precision[:, place])
        excess, error = _mean(known.precision[:, place] - known.exchanged[:, place])
        gain_new, _ = _mean(new.precision[:, place])
        recall, recall_error = _mean(known.recall[:, place])
        recall_new, new_error = _mean(new.recall[:, place])
        weighed = (1 - unseen) * gain + unseen * gain_new
        kept = (1 - unseen) * recall + unseen * recall_new
        kept_error = float(np.hypot((1 - unseen) * recall_error, unseen * new_error))
        chance = excess / error if error > 0 else 0.0
        passed = (
            chance >= SURE and min(gain, weighed) >= LEAST and kept >= -(MAY_LOSE + 2 * kept_error)
        )
        trials.append(Trial(share, gain, chance, gain_new, kept, kept_error, weighed, bool(passed)))
    most = max((trial.gain for trial in trials), default=0.0)
    return tuple(
        replace(trial, passed=trial.passed and trial.gain >= _KEPT * most) for trial in trials
    )


def _gains(
    vectors: Float32[np.ndarray, "N D"],
    head: Head,
    placement: Placement,
    hidden: Bool[np.ndarray, " n"],
    told: Spread,
    seed: int,
) -> _Gains:
    """What hidden placed images gain when told ones are ranked for each of them."""
    rows = placement.rows[hidden]
    others = np.setdiff1d(np.flatnonzero(told.groups != ABSTAIN), rows)
    if len(others) > _RANKED:
        others = np.random.default_rng((seed, 3)).choice(others, _RANKED, replace=False)
    same = placement.groups[hidden][:, None] == told.groups[others]
    answerable = same.any(axis=1)
    rows, same = rows[answerable], same[answerable]
    exchanged = same[np.random.default_rng((seed, 4)).permutation(len(same))]
    queries, gallery = np.asarray(vectors[rows]), np.asarray(vectors[others])

    def quality(mixed: Head) -> Float64[np.ndarray, "3 q"]:
        similarity = apply_head(mixed, queries) @ apply_head(mixed, gallery).T
        order = np.argsort(-similarity, axis=1, kind="stable")
        precision, recall = _quality(np.take_along_axis(same, order, axis=1))
        return np.stack(
            (precision, _quality(np.take_along_axis(exchanged, order, axis=1))[0], recall)
        )

    before = quality(untouched(vectors.shape[1]))
    gains = []
    for share in SHARES:
        blend = blend_of(head, vectors, share) if len(head.weight) else 0.0
        gains.append(quality(replace(head, blend=blend)) - before)
    return _Gains(*np.stack(gains, axis=-1))


def _quality(hits: Bool[np.ndarray, "q n"]) -> Float64[np.ndarray, "2 q"]:
    """Average precision at R and recall@1 of each query, whose hits come nearest first."""
    relevant = hits.sum(axis=1)
    ranks = np.arange(1, hits.shape[1] + 1)
    counted = hits & (ranks <= relevant[:, None])
    precision = np.where(counted, np.cumsum(counted, axis=1) / ranks, 0).sum(axis=1)
    return np.stack((precision / np.maximum(relevant, 1), hits[:, :1].any(axis=1))).astype(float)


def _hidden_members(
    placement: Placement, seed: int
) -> list[tuple[Placement, Bool[np.ndarray, " n"]]]:
    """What is shown, and which placed images are hidden: each one of several in turn."""
    rng = np.random.default_rng((seed, 1))
    mixed = rng.permutation(len(placement.rows))
    order = mixed[np.argsort(placement.groups[mixed], kind="stable")]
    first = np.searchsorted(placement.groups[order], placement.groups[order])
    several = np.bincount(placement.groups)[placement.groups] > 1
    fold = np.empty(len(order), np.int64)
    fold[order] = (np.arange(len(order)) - first) % FOLDS
    return [
        (_part(placement, ~(hidden := several & (fold == each))), _capped(hidden, rng))
        for each in range(FOLDS)
    ]


def _hidden_groups(
    placement: Placement, seed: int
) -> list[tuple[Int64[np.ndarray, " g"], Bool[np.ndarray, " n"]]]:
    """The groups that are hidden, and their placed images: each of several images in turn."""
    rng = np.random.default_rng((seed, 2))
    sizes = np.bincount(placement.groups)
    several = rng.permutation(np.flatnonzero(sizes > 1))
    halves = (several[::2], several[1::2]) if len(several) > 3 else ()
    return [(half, _capped(np.isin(placement.groups, half), rng)) for half in halves]


def _capped(hidden: Bool[np.ndarray, " n"], rng: np.random.Generator) -> Bool[np.ndarray, " n"]:
    """At most `_TESTED` of the hidden images."""
    places = np.flatnonzero(hidden)
    some = rng.choice(places, _TESTED, replace=False) if len(places) > _TESTED else places
    tested = np.zeros_like(hidden)
    tested[some] = True
    return tested


def _part(placement: Placement, shown: Bool[np.ndarray, " n"]) -> Placement:
    return replace(
        placement,
        rows=placement.rows[shown],
        groups=placement.groups[shown],
        confidence=placement.confidence[shown],
    )


def _without(told: Spread, groups: Int64[np.ndarray, " g"]) -> Spread:
    return replace(told, groups=np.where(np.isin(told.groups, groups), ABSTAIN, told.groups))


def _joined(parts: Sequence[_Gains]) -> _Gains:
    none = np.zeros((0, len(SHARES)))
    return _Gains(
        np.concatenate([none, *(each.precision for each in parts)]),
        np.concatenate([none, *(each.exchanged for each in parts)]),
        np.concatenate([none, *(each.recall for each in parts)]),
    )


def _mean(values: Float64[np.ndarray, " n"]) -> tuple[float, float]:
    """Mean and its standard error; 0 and 0 of none, infinite error of one."""
    if len(values) < 2:
        return (float(values.sum()), float("inf") if len(values) else 0.0)
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
