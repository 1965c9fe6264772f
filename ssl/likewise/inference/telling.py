"""The group of every image: from answers where there are some, spread where that is sure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64

from likewise.answers.duels import likeliest_asked
from likewise.answers.ledger import Ledger
from likewise.answers.placement import Placement, with_calibrated
from likewise.answers.rates import ErrorRates as AnnotatorRates
from likewise.answers.reserved import reserved, unspoilt
from likewise.answers.standing import Answer
from likewise.errors import LikewiseError
from likewise.evaluation.prospects import belief_on, pairs_behind
from likewise.images.store import Images
from likewise.inference.tempering import NOTHING_CHECKED, Checked, tempered
from likewise.models.runs import run_with
from likewise.neighbours.vectors import Embeddings, embedded, load_embeddings
from likewise.training.spread import (
    ABSTAIN,
    LEAST,
    Spread,
    Trust,
    placed_alone,
    spread,
    trust_in,
)
from likewise.workspace import Workspace

_NEAREST = 10
"""Neighbours that an image's loneliness is the mean distance to."""
_FENCE = 1.5


@dataclass(frozen=True)
class Told:
    """Of each image with an embedding its group, how sure that is, and how lonely it is."""

    rows: Int64[np.ndarray, " N"]
    """Of `Images`."""
    groups: Int64[np.ndarray, " N"]
    """0 to G - 1, the largest first, each of two images or more; -1 where there is none."""
    alone: Bool[np.ndarray, " N"]
    """By answers like no other image so far, so in no group."""
    confidence: Float64[np.ndarray, " N"]
    """Chance that this is the group, or that there is none, 0 to 1; 0 where it cannot be told."""
    answered: Bool[np.ndarray, " N"]
    """Whether answers placed it; the others follow from the embedding."""
    similarity: Float64[np.ndarray, " N"]
    """Mean cosine to the nearest ten images, -1 to 1."""
    outlier: Bool[np.ndarray, " N"]
    """In no group, and unusually far from everything."""
    undiscovered: float
    """Estimated share of images whose group has no answer yet (Good-Turing), 0 to 1."""
    checked: int = 0
    """Answers kept for calibration on pairs that spreading put into one group."""
    agreed: int = 0
    """How many of these are "similar"."""


def tell(workspace: Workspace, images: Images, embeddings: Embeddings, ledger: Ledger) -> Told:
    """Say of every image of the workspace, held-out ones too, which group it is in.

    Raises:
        LikewiseError: embeddings cannot be read.
    """
    ids = [str(each) for each in embeddings.ids]
    here = np.fromiter((each in images.positions for each in ids), bool, len(ids))
    gone = [each for each, there in zip(ids, here, strict=True) if not there]
    belief, settled = belief_on(embeddings, ledger, gone), ledger.settled()
    placement = belief.placement()
    neighbours, similarities = embeddings.neighbours()
    answered = np.zeros(len(ids), bool)
    answered[placement.rows] = True
    if likeliest_asked(each for pair in ledger.answered() for each in ledger.answers_on(pair)):
        # Placed images lay near each other already: they cannot tell of others.
        found, checked = placed_alone(placement, len(ids)), NOTHING_CHECKED
    else:
        trust = _earlier_trust(workspace, embeddings, placement)
        found = spread(neighbours, similarities, placement, here, trust)
        checked = _checked(workspace, embeddings, settled, found.groups, belief.rates)
        found = _sure_enough(found, answered, tempered(found.confidence, answered, checked))
    placement = _with_measuring(placement, embeddings, settled)
    found.groups[placement.rows] = placement.groups
    found.confidence[placement.rows] = placement.confidence
    answered[placement.rows] = True
    near = mean_similarity(neighbours, similarities, here)
    outlier = (found.groups == ABSTAIN) & far_out(near, here)
    kept = np.flatnonzero(here)
    groups, alone = of_several(found.groups[kept])
    return Told(
        rows=np.array([images.positions[ids[row]] for row in kept.tolist()], np.int64),
        groups=by_size(groups),
        alone=alone,
        confidence=found.confidence[kept],
        answered=answered[kept],
        similarity=near[kept],
        outlier=outlier[kept],
        undiscovered=float(placement.undiscovered),
        checked=len(checked.same),
        agreed=int(checked.same.sum()),
    )


def _checked(
    workspace: Workspace,
    embeddings: Embeddings,
    answers: Sequence[Answer],
    groups: Int64[np.ndarray, " N"],
    rates: AnnotatorRates,
) -> Checked:
    """The answers that measure, on pairs that are told to be in one group."""
    rows = embeddings.positions
    known = [each for each in unspoilt(answers) if rows.keys() >= set(each.pair)]
    ends = np.array([[rows[image] for image in each.pair] for each in known], np.int64)
    ends = ends.reshape(-1, 2)
    together = (groups[ends[:, 0]] >= 0) & (groups[ends[:, 0]] == groups[ends[:, 1]])
    used = [known[place] for place in np.flatnonzero(together).tolist()]
    return Checked(
        rows=ends[together],
        same=np.array([each.verdict == "similar" for each in used], bool),
        errors=rates.of_each(each.annotator for each in used),
        weights=pairs_behind(workspace, used, ()),
    )


def _sure_enough(
    found: Spread, placed: Bool[np.ndarray, " N"], confidence: Float64[np.ndarray, " N"]
) -> Spread:
    """What is still told with this confidence."""
    kept = placed | (confidence >= LEAST)
    return Spread(np.where(kept, found.groups, ABSTAIN), np.where(kept, confidence, 0.0))


def _with_measuring(
    placement: Placement, embeddings: Embeddings, answers: Sequence[Answer]
) -> Placement:
    """What all answers tell, those that measure too."""
    rows = embeddings.positions
    similar = (each for each in reserved(answers) if each.verdict == "similar")
    pairs = ((rows[each.a], rows[each.b]) for each in similar if rows.keys() >= set(each.pair))
    return with_calibrated(placement, pairs)


def _earlier_trust(
    workspace: Workspace, embeddings: Embeddings, placement: Placement
) -> Trust | None:
    """What hidden images say on the graph of the model before, if this one learnt from answers.

    On its own graph what it learnt from lies too well, so that hidden images are told too easily.
    None where the model learnt nothing, or its parent's embeddings are gone.
    """
    runs = {str(meta["fingerprint"]) for meta in embedded(workspace)}
    parent = _parent(workspace, embeddings.fingerprint)
    if parent is None or parent not in runs or not len(placement.rows):
        return None
    earlier = load_embeddings(workspace, parent)
    moved = [earlier.positions.get(str(embeddings.ids[row])) for row in placement.rows.tolist()]
    kept = np.array([row is not None for row in moved], bool)
    if not kept.any():
        return None
    _, groups = np.unique(placement.groups[kept], return_inverse=True)
    same = Placement(
        np.array([row for row in moved if row is not None], np.int64),
        groups.astype(np.int64),
        placement.confidence[kept],
        placement.undiscovered,
    )
    return trust_in(*earlier.neighbours(), same)


def _parent(workspace: Workspace, fingerprint: str) -> str | None:
    try:
        return run_with(workspace, fingerprint).parent
    except LikewiseError:
        return None  # its run was removed


def of_several(
    groups: Int64[np.ndarray, " N"],
) -> tuple[Int64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """The groups of two images or more, and whose group had nobody else."""
    known = groups >= 0
    counts = np.bincount(groups[known], minlength=1)
    alone = known & (counts[groups] == 1)
    return np.where(alone, ABSTAIN, groups), alone


def by_size(groups: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """The same groups, numbered anew: the largest 0; of equal ones the one that comes first."""
    known = groups >= 0
    names, first, counts = np.unique(groups[known], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    numbers = np.empty(len(names), np.int64)
    numbers[order] = np.arange(len(names))
    renamed = np.full(len(groups), ABSTAIN, np.int64)
    renamed[known] = numbers[np.searchsorted(names, groups[known])]
    return renamed


def mean_similarity(
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float32[np.ndarray, "N k"],
    among: Bool[np.ndarray, " N"],
) -> Float64[np.ndarray, " N"]:
    """Mean cosine of each image to its nearest ten; -1 where it has no neighbour."""
    near = neighbours[:, :_NEAREST]
    known = (near >= 0) & among[near]
    total = np.where(known, similarities[:, :_NEAREST], 0).sum(axis=1, dtype=np.float64)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), -1.0)


def far_out(
    similarity: Float64[np.ndarray, " N"], among: Bool[np.ndarray, " N"]
) -> Bool[np.ndarray, " N"]:
    """Images beyond the upper fence of the logarithm of the mean distance (Tukey 1977).

    Distance to the nearest few as a measure of outliers: Ramaswamy et al. (2000). The fence is one
    and a half times the distance between the quartiles, above the upper one.
    """
    if not among.any():
        return among.copy()
    distance = np.log(np.maximum(1 - similarity, 1e-9))
    low, high = np.quantile(distance[among], (0.25, 0.75))
    return np.asarray(among & (distance > high + _FENCE * (high - low)))
