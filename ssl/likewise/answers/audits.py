"""Questions that check what is believed: where one wrong answer would do the most harm."""

from collections.abc import Collection
from itertools import islice

import numpy as np

from likewise.answers.belief import FIRST, Belief
from likewise.answers.cuts import REACH, weakest_part
from likewise.answers.pool import Proposal
from likewise.answers.standing import Pair, pair_of

AUDIT = "audit"
"""Strategy of such questions."""
FEW, MANY = 0.05, 0.2
"""Share of the questions while all answers agree, and once some don't."""
_SURE = 0.98
"""A place above this needs no check."""
_OPEN = -4.0
"""Log odds that two groups are one, below which that is settled."""
_OFTEN = (0, 1, 1, 2, 2)
"""How often each kind of audit comes first."""
_SIDE = 2
"""Images on either side of a seam, at least."""
_SEAMS = 16
"""Groups whose seams are compared, at most; fewer if they are large."""
_MEMBERS = 1000
"""Members of a group that are compared with an image, at most."""
_LOOKED_AT = 64
"""Members that stand for a group."""


def audit_share(belief: Belief) -> float:
    """Share of the questions, 0 to 1, that should be audits."""
    if len(belief.answers) < FIRST:
        return 0.0
    return MANY if belief.noisy else FEW


def next_audit(
    belief: Belief, taken: Collection[Pair], busy: Collection[str], rng: np.random.Generator
) -> Proposal | None:
    """A pair that nobody was asked about, to check a place, two groups, or the seams of a group."""
    kinds = (_misfit, _twins, _seam)
    for place in rng.permutation(_OFTEN):
        found = kinds[int(place)](belief, taken, busy, rng)
        if found is not None:
            return found
    return None


def _misfit(
    belief: Belief, taken: Collection[Pair], busy: Collection[str], rng: np.random.Generator
) -> Proposal | None:
    """The image that fits its group least, with another member of the group."""
    some = belief.asked.likeness.landmarks
    sizes = belief.asked.partition.sizes[belief.asked.partition.slots[some]]
    grouped = some[(sizes > 1) & (belief.asked.sure[some] < _SURE)]
    order = grouped[np.argsort(belief.asked.sure[grouped], kind="stable")]
    for node in order[:_LOOKED_AT].tolist():
        if belief.asked.images[node] in busy:
            continue
        slot = belief.asked.partition.slots[node]
        members = list(islice(belief.asked.partition.members[slot], _MEMBERS))
        found = nearest_open(belief, node, members, taken, busy)
        if found is not None:
            return _proposal(belief, node, found, "Does this one fit its group?")
    return None


def _twins(
    belief: Belief, taken: Collection[Pair], busy: Collection[str], rng: np.random.Generator
) -> Proposal | None:
    """The two groups that are likeliest to be one, by their most similar members."""
    partition, some = belief.asked.partition, belief.asked.likeness.landmarks
    near = some[(belief.asked.rival[some] >= 0) & (partition.sizes[partition.slots[some]] > 1)]
    slots, width = partition.slots, len(partition.members)
    keys = slots[near] * width + belief.asked.rival[near]
    kinds, places = np.unique(keys, return_inverse=True)
    weight = np.bincount(places, belief.asked.rival_sure[near], minlength=len(kinds))
    pairs = []
    for kind in kinds[np.argsort(-weight, kind="stable")][:_LOOKED_AT].tolist():
        one, two = divmod(kind, width)
        members, others = partition.members[one], partition.members[two]
        if len(others) > 1:
            small, large = (one, two) if len(members) <= len(others) else (two, one)
            small_members = partition.members[small]
            odds = partition.between(small, large)
            odds += belief.asked.group_odds(small_members, large)
            if odds > _OPEN:
                pairs.append((-odds, small, large))
    for _, small, large in sorted(set(pairs))[:8]:
        shown = list(islice(partition.members[small], _LOOKED_AT))
        asked = {
            each
            for node in shown
            for each in partition.weights[node]
            if partition.slots[each] == large
        }
        rest = list(islice(partition.members[large], _MEMBERS))
        rest = [each for each in rest if each not in asked]
        free = [
            each
            for each in shown
            if not any(partition.slots[o] == large for o in partition.weights[each])
        ]
        for node in rng.permutation(free or shown)[:4].tolist():
            found = nearest_open(belief, node, rest, taken, busy)
            if found is not None:
                return _proposal(belief, node, found, "Two groups that may be one")
    return None


def _seam(
    belief: Belief, taken: Collection[Pair], busy: Collection[str], rng: np.random.Generator
) -> Proposal | None:
    """Two images on either side of the weakest seam of some of the bigger groups."""
    partition, some = belief.asked.partition, belief.asked.likeness.landmarks
    big = some[partition.sizes[partition.slots[some]] >= 2 * _SIDE]
    drawn = dict.fromkeys(partition.slots[rng.permutation(big)].tolist())
    seams, looked = [], 0
    for slot in islice(drawn, _SEAMS):
        part, weight = weakest_part(partition, slot, _SIDE, belief.asked.group_odds)
        seams.append((weight, slot, part))
        looked += min(len(partition.members[slot]), REACH)
        if looked >= REACH:
            break
    for _, slot, part in sorted(seams, key=lambda seam: seam[:2]):
        rest = [each for each in islice(partition.members[slot], _MEMBERS) if each not in part]
        if not part or not rest:
            continue
        here, there = (
            rng.permutation(np.array(sorted(each), dtype=np.int64))[:_LOOKED_AT].tolist()
            for each in (part, rest)
        )
        for node in here[:4]:
            found = nearest_open(belief, node, there, taken, busy)
            if found is not None:
                return _proposal(belief, node, found, "Two parts of one group: still the same?")
    return None


def nearest_open(
    belief: Belief,
    node: int,
    candidates: Collection[int],
    taken: Collection[Pair],
    busy: Collection[str],
) -> int | None:
    """The most similar candidate that a node was not asked against, sure ones first."""
    if not candidates:
        return None
    others = np.array(list(candidates), dtype=np.int64)
    like = belief.asked.likeness
    near = like.vectors(others) @ like.vectors(np.array([node]))[0]
    unsure = belief.asked.sure[others] < 0.7
    for place in np.lexsort((-near, unsure)).tolist():
        other = int(others[place])
        if _is_open(belief, node, other, taken, busy):
            return other
    return None


def _is_open(
    belief: Belief, one: int, two: int, taken: Collection[Pair], busy: Collection[str]
) -> bool:
    a, b = belief.asked.images[one], belief.asked.images[two]
    return one != two and a not in busy and b not in busy and pair_of(a, b) not in taken


def _proposal(belief: Belief, one: int, two: int, reason: str) -> Proposal:
    rows = belief.pool.positions
    return belief.pool.proposal(
        rows[belief.asked.images[one]], rows[belief.asked.images[two]], AUDIT, reason
    )
