"""Groups of the greatest weight: nodes joined by weighted pairs, moved, merged and split.

A pair's weight is the log of how much likelier its answers are if the two are the same. The groups
are sought that make the sum of the weights inside groups, and of the log odds that the embedding
gives, as large as local moves can make it (iterated conditional modes; correlation clustering
with a prior). Images share a group only where similar answers connect them.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int64

_VISITS = 200
"""Nodes that are reconsidered after a change, at most."""
_CUTS = 12
"""Pairs of a path that are tried as the place to cut a group."""
_GAIN = 1e-9


@runtime_checkable
class Prior(Protocol):
    """What is known of the groups without the answers."""

    def node_odds(self, node: int) -> Float64[np.ndarray, " G"]:
        """Log odds of each slot against a group of its own."""
        ...

    def group_odds(self, one: Collection[int], slot: int) -> float:
        """Log odds that these nodes, a group, are the same as the one of a slot."""
        ...


class Partition:
    """Nodes from 0 on, each in the group of one slot; slots are used again."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self.weights: list[dict[int, float]] = []
        """For each node the others it was asked against."""
        self.members: list[dict[int, None]] = []
        """By slot, in the order they joined; empty for a free slot."""
        self.slots: Int64[np.ndarray, " capacity"] = np.zeros(256, np.int64)
        """By node."""
        self._free: list[int] = []

    def add_node(self) -> int:
        """A new node in a group of its own."""
        node = len(self.weights)
        self.weights.append({})
        if node == len(self.slots):
            self.slots = np.concatenate((self.slots, np.zeros_like(self.slots)))
        self._put(node, self._empty_slot())
        return node

    def weigh(self, one: int, two: int, weight: float | None) -> None:
        """Set the weight of a pair; None takes it away. Groups stay until `improve`."""
        if weight is None:
            self.weights[one].pop(two, None)
            self.weights[two].pop(one, None)
        else:
            self.weights[one][two] = self.weights[two][one] = weight

    def improve(self, nodes: Iterable[int]) -> set[int]:
        """Move, merge and split around these nodes until nothing helps; return who was visited."""
        queue, visited = deque(dict.fromkeys(nodes)), set[int]()
        for _ in range(_VISITS):
            if not queue:
                break
            node = queue.popleft()
            visited.add(node)
            touched = self._move(node) or self._merge(node) or self._split(node)
            for each in touched:
                if each not in queue:
                    queue.append(each)
        return visited

    def evidence(self, node: int, slots: int) -> Float64[np.ndarray, " G"]:
        """Sum of the weights between a node and the members of each slot."""
        found = np.zeros(slots)
        for other, weight in self.weights[node].items():
            found[self.slots[other]] += weight
        return found

    def _move(self, node: int) -> list[int]:
        """Put a node into the best group that a similar answer ties it to, or on its own."""
        here = int(self.slots[node])
        tied = {int(self.slots[o]) for o, weight in self.weights[node].items() if weight > 0}
        if not tied and len(self.members[here]) == 1:
            return []
        count = len(self.members)
        score = self._prior.node_odds(node) + self.evidence(node, count)
        alone = len(self.members[here]) == 1
        stays = 0.0 if alone else float(score[here]) if here in tied else -np.inf
        options = [slot for slot in tied if slot != here]
        best = max(options, key=lambda slot: (float(score[slot]), -slot), default=None)
        if best is not None and score[best] > max(stays, 0.0) + _GAIN:
            target = best
        elif not alone and stays < -_GAIN:
            target = self._empty_slot()
        else:
            return []
        self._take(node)
        self._put(node, target)
        return [node, *self.weights[node], *self._fall_apart(here)]

    def _merge(self, node: int) -> list[int]:
        """Join the group of a node with another that similar answers of the node tie it to."""
        here = int(self.slots[node])
        others = {int(self.slots[o]) for o, weight in self.weights[node].items() if weight > 0}
        for other in sorted(others - {here}):
            small, large = sorted((here, other), key=lambda slot: (len(self.members[slot]), slot))
            gain = self.between(self.members[small], large)
            if gain + self._prior.group_odds(self.members[small], large) > _GAIN:
                moved = list(self.members[small])
                for each in moved:
                    self._take(each)
                    self._put(each, large)
                return [node, *moved[:_CUTS]]
        return []

    def _split(self, node: int) -> list[int]:
        """Cut the group of a node between it and one that it was said to differ from."""
        here = int(self.slots[node])
        for other, weight in self.weights[node].items():
            if weight >= 0 or self.slots[other] != here:
                continue
            part = self._best_cut(node, other)
            if part:
                target = self._empty_slot()
                for each in part:
                    self._take(each)
                    self._put(each, target)
                border = {o for each in part for o in self.weights[each] if o not in part}
                return [node, other, *sorted(border)[:_CUTS]]
        return []

    def _best_cut(self, node: int, other: int) -> set[int]:
        """The smaller part of the group after the best cut between two nodes; empty if none."""
        here = int(self.slots[node])
        parents, best, least = self._tree(node), set[int](), -_GAIN
        path = [other]
        while path[-1] != node and path[-1] in parents:
            path.append(parents[path[-1]])
        links = sorted(pairwise(path), key=lambda pair: self.weights[pair[0]][pair[1]])
        for far, _ in links[:_CUTS]:
            beyond = _below(parents, far)
            part = beyond if 2 * len(beyond) <= len(self.members[here]) else (
                set(self.members[here]) - beyond
            )  # fmt: skip
            cost = sum(
                weight
                for each in part
                for o, weight in self.weights[each].items()
                if self.slots[o] == here and o not in part
            )
            if len(part) > 1 or len(self.members[here]) > 2:
                cost += self._prior.group_odds(part, here)
            if cost < least:
                best, least = part, cost
        return best

    def weakest_part(self, slot: int, least: int) -> set[int]:
        """The part of a group that the least weight ties to the rest; empty if there is none.

        What the embedding says counts, and how many images would be misplaced. The parts are those
        beyond one pair of the tree from the oldest member, of the most even ones, with at least
        ``least`` nodes on either side.
        """
        count = len(self.members[slot])
        parents = self._tree(next(iter(self.members[slot])))
        below = dict.fromkeys(parents, 1)
        for node in reversed(parents):
            if parents[node] != node:
                below[parents[node]] += below[node]
        sides = {node: min(size, count - size) for node, size in below.items()}
        even = sorted((node for node in parents if sides[node] >= least), key=lambda n: -sides[n])
        best, weakest = set[int](), np.inf
        for node in even[:_CUTS]:
            part = _below(parents, node)
            rest = [each for each in self.members[slot] if each not in part]
            small, large = (part, set(rest)) if len(part) <= len(rest) else (set(rest), part)
            weight = sum(
                (w for each in small for o, w in self.weights[each].items() if o in large), 0.0
            )
            weight += self._prior.group_odds(small, slot) - float(np.log(len(small)))
            if weight < weakest:
                best, weakest = small, weight
        return best

    def between(self, nodes: Collection[int], slot: int) -> float:
        """Sum of the weights between some nodes and the members of a slot."""
        weights = (
            weight
            for node in nodes
            for other, weight in self.weights[node].items()
            if self.slots[other] == slot
        )
        return sum(weights, 0.0)

    def reconnect(self, node: int) -> list[int]:
        """Split the group of a node where no similar answer connects it any more."""
        return self._fall_apart(int(self.slots[node]))

    def _fall_apart(self, slot: int) -> list[int]:
        """Make a group of each connected part of a slot; return those that left."""
        rest, parts = dict(self.members[slot]), []
        while rest:
            part = set(self._tree(next(iter(rest))))
            parts.append(part)
            for node in part:
                rest.pop(node, None)
        parts.sort(key=len, reverse=True)
        left: list[int] = []
        for part in parts[1:]:
            target = self._empty_slot()
            for node in sorted(part):
                self._take(node)
                self._put(node, target)
                left.append(node)
        return left

    def _tree(self, start: int) -> dict[int, int]:
        """The nodes of a group that similar answers tie to one, with the node before each."""
        here = self.slots[start]
        parents, queue = {start: start}, deque([start])
        while queue:
            node = queue.popleft()
            for other, weight in self.weights[node].items():
                if weight > 0 and other not in parents and self.slots[other] == here:
                    parents[other] = node
                    queue.append(other)
        return parents

    def _empty_slot(self) -> int:
        while self._free:
            slot = self._free.pop()
            if not self.members[slot]:
                return slot
        self.members.append({})
        return len(self.members) - 1

    def _put(self, node: int, slot: int) -> None:
        self.slots[node] = slot
        self.members[slot][node] = None

    def _take(self, node: int) -> None:
        slot = int(self.slots[node])
        del self.members[slot][node]
        if not self.members[slot]:
            self._free.append(slot)


def _below(parents: dict[int, int], node: int) -> set[int]:
    """The nodes of a tree (in order from its root) that hang on one, itself included."""
    return set(_hanging(parents, node))


def _hanging(parents: dict[int, int], node: int) -> Iterator[int]:
    found = {node}
    yield node
    for each, before in parents.items():
        if each not in found and before in found and each != before:
            found.add(each)
            yield each
