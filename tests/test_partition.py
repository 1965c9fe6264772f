import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.contraction import contract
from likewise.answers.cuts import best_cut, weakest_part
from likewise.answers.partition import Partition

Weights = dict[tuple[int, int], float]
COUNT = 8
PAIRS = list(itertools.combinations(range(COUNT), 2))
weights_of_pairs = st.dictionaries(
    st.sampled_from(PAIRS), st.sampled_from([-3.0, -1.5, 1.0, 2.5]), max_size=14
)


def partition_with(weights: Weights, count: int = COUNT) -> Partition:
    partition = Partition()
    for _ in range(count):
        partition.add_node()
    for pair, weight in weights.items():
        partition.weigh(*pair, weight)
    return partition


def groups_of(partition: Partition) -> set[frozenset[int]]:
    return {frozenset(members) for members in partition.members if members}


def parts(nodes: set[int], weights: Weights) -> set[frozenset[int]]:
    """What similar pairs connect, slowly."""
    found = [{node} for node in nodes]
    for (one, two), weight in weights.items():
        if weight > 0 and {one, two} <= nodes:
            here, there = (next(each for each in found if node in each) for node in (one, two))
            if here is not there:
                found.remove(there)
                here |= there
    return {frozenset(each) for each in found}


def nothing(partition: Partition, nodes: object, slot: int) -> float:
    return 0.0


def indifferent(nodes: object, slot: int) -> float:
    return 0.0


@given(weights=weights_of_pairs, moves=st.lists(st.tuples(*[st.integers(0, COUNT - 1)] * 2)))
@settings(deadline=None)
def test_what_ties_groups_is_the_sum_over_their_pairs(
    weights: Weights, moves: list[tuple[int, int]]
) -> None:
    partition = partition_with(weights)
    for node, other in moves:
        target = int(partition.slots[other])
        if node == other:
            partition.move([node])
        elif partition.slots[node] != target:
            partition.move([node], target)
    assert sorted(node for group in groups_of(partition) for node in group) == list(range(COUNT))
    assert partition.groups == len(groups_of(partition))
    used = [slot for slot, members in enumerate(partition.members) if members]
    for slot in used:
        assert partition.sizes[slot] == len(partition.members[slot])
        assert {int(partition.slots[node]) for node in partition.members[slot]} == {slot}
    for one, two in itertools.combinations(used, 2):
        expected = sum(
            weight
            for (a, b), weight in weights.items()
            if {int(partition.slots[a]), int(partition.slots[b])} == {one, two}
        )
        assert partition.between(one, two) == pytest.approx(expected)


@given(weights=weights_of_pairs, gone=st.sampled_from(PAIRS))
@settings(deadline=None)
def test_a_group_falls_apart_where_nothing_similar_connects_it(
    weights: Weights, gone: tuple[int, int]
) -> None:
    partition = partition_with(weights)
    whole = next(each for each in parts(set(range(COUNT)), weights) if gone[0] in each)
    first = int(partition.slots[min(whole)])
    partition.move([node for node in sorted(whole) if node != min(whole)], first)
    if gone in weights and set(gone) <= whole:
        partition.weigh(*gone, None)
    left = partition.reconnect(gone)
    rest = {pair: weight for pair, weight in weights.items() if pair != gone}
    now = {each for each in groups_of(partition) if each <= whole}
    assert now == parts(set(whole), rest)
    assert set(left) == set(whole) - set(partition.members[first])


@given(weights=weights_of_pairs)
@settings(deadline=None)
def test_after_contraction_no_two_groups_are_better_off_as_one(weights: Weights) -> None:
    partition = partition_with(weights)
    contract(partition, nothing)
    for one, two in itertools.combinations(range(len(partition.members)), 2):
        assert partition.between(one, two) <= 0
    for group in groups_of(partition):
        assert group in parts(set(group), weights)


def test_the_likeliest_mergers_come_first_and_unlikely_ones_are_refused() -> None:
    weights = {(0, 1): 2.0, (1, 2): 2.0, (0, 2): -3.0, (3, 4): 2.0}

    def odds(partition: Partition, nodes: object, slot: int) -> float:
        inside = {*partition.members[slot], *nodes}  # type: ignore[misc]
        return -4.0 if 4 in inside else 0.5 if inside == {1, 2} else 0.0

    partition = partition_with(weights, 5)
    contract(partition, odds)
    assert groups_of(partition) == {frozenset(each) for each in ({0}, {1, 2}, {3}, {4})}


def two_halves(bridge: float, denial: float) -> Partition:
    """Two groups of four, all tied inside, a bridge between 3 and 4 and a denial of 0 and 7."""
    inside = [*itertools.combinations(range(4), 2), *itertools.combinations(range(4, 8), 2)]
    weights = dict.fromkeys(inside, 2.0) | {(3, 4): bridge, (0, 7): denial}
    partition = partition_with(weights)
    partition.regroup(np.zeros(COUNT, np.int64))
    return partition


def test_a_group_is_cut_at_its_bridge_if_that_gains() -> None:
    gains, loses = two_halves(2.0, -3.0), two_halves(3.0, -2.0)
    assert best_cut(gains, 0, 7, indifferent) in ({0, 1, 2, 3}, {4, 5, 6, 7})
    assert best_cut(loses, 0, 7, indifferent) == set()
    assert best_cut(loses, 0, 7, lambda nodes, slot: -2.0) in ({0, 1, 2, 3}, {4, 5, 6, 7})


def test_the_weakest_part_hangs_on_the_bridge() -> None:
    slot = int(two_halves(1.0, -0.5).slots[0])
    partition = two_halves(1.0, -0.5)
    part, weight = weakest_part(partition, slot, 2, indifferent)
    assert part in ({0, 1, 2, 3}, {4, 5, 6, 7})
    assert weight < math.inf
    assert weakest_part(partition, slot, 5, indifferent) == (set(), math.inf)
