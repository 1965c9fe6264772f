"""Where a group may come apart: its parts, and how strongly they are tied to the rest.

A part is what hangs on one pair of a tree of similar answers.
"""

import math
from collections import deque
from collections.abc import Callable, Collection
from itertools import pairwise

from likewise.answers.partition import Partition

REACH = 500
"""Nodes of a group that are looked at, at most: those that the fewest answers lead to."""
_WORTH = 0.5
"""Log odds that a cut must gain, so that it and a merger don't alternate."""
_TRIED = 12
"""Pairs that are tried as the place to cut."""

GroupOdds = Callable[[Collection[int], int], float]
"""Log odds that these nodes are the same as the rest of the group of a slot, without answers."""


def best_cut(partition: Partition, node: int, other: int, odds: GroupOdds) -> set[int]:
    """The part whose leaving gains the most, and parts two nodes of a group; empty if none gains.

    Only parts of at most half the group, and of up to `REACH` nodes, are found.
    """
    best, least = set[int](), -_WORTH
    for root, end in ((node, other), (other, node)):
        parents = tree(partition, root, REACH)
        if end not in parents:
            continue
        path = [end]
        while path[-1] != root:
            path.append(parents[path[-1]])
        links = sorted(pairwise(path), key=lambda pair: partition.weights[pair[0]][pair[1]])
        for far, _ in links[:_TRIED]:
            part = below(parents, far)
            cost = _cost(partition, part, odds, least) if len(part) < REACH else 0.0
            if cost < least:
                best, least = part, cost
    return best


def _cost(partition: Partition, part: set[int], odds: GroupOdds, least: float) -> float:
    """What leaving costs a part; 0 for more than half a group, or one that goes on elsewhere."""
    slot = int(partition.slots[next(iter(part))])
    count, cost = len(partition.members[slot]), 0.0
    if 2 * len(part) > count:
        return 0.0
    for each in part:
        for other, weight in partition.weights[each].items():
            if partition.slots[other] == slot and other not in part:
                cost += weight
    return cost + odds(part, slot) if count > 2 and cost < least + 4 else cost


def weakest_part(
    partition: Partition, slot: int, least: int, odds: GroupOdds
) -> tuple[set[int], float]:
    """The part of a group that the least weight ties to the rest, and that weight.

    Empty, and infinite, if there is none. What the embedding says counts, and how many images
    would be misplaced. Tried are the most even parts with at least ``least`` nodes on either side.
    """
    members = partition.members[slot]
    parents = tree(partition, next(iter(members)), REACH)
    count = len(parents)
    sizes = dict.fromkeys(parents, 1)
    for node in reversed(parents):
        if parents[node] != node:
            sizes[parents[node]] += sizes[node]
    sides = {node: min(size, count - size) for node, size in sizes.items()}
    even = sorted((node for node in parents if sides[node] >= least), key=lambda n: -sides[n])
    best, weakest = set[int](), float("inf")
    for node in even[:_TRIED]:
        part = below(parents, node)
        small = part if 2 * len(part) <= count else set(parents) - part
        weight = odds(small, slot) - math.log(len(small))
        for each in small:
            for other, more in partition.weights[each].items():
                if other not in small and partition.slots[other] == slot:
                    weight += more
        if weight < weakest:
            best, weakest = small, weight
    return best, weakest


def tree(partition: Partition, start: int, most: int) -> dict[int, int]:
    """Up to ``most`` nodes that similar answers tie to one, each with the node before it."""
    here = partition.slots[start]
    parents, queue = {start: start}, deque([start])
    while queue and len(parents) < most:
        node = queue.popleft()
        for other, weight in partition.weights[node].items():
            if weight > 0 and other not in parents and partition.slots[other] == here:
                parents[other] = node
                queue.append(other)
    return parents


def below(parents: dict[int, int], node: int) -> set[int]:
    """The nodes of a tree (in order from its root) that hang on one, itself included."""
    found, passed = {node}, False
    for each, before in parents.items():
        passed = passed or each == node
        if passed and before in found and each != before:
            found.add(each)
    return found
