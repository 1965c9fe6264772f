"""Groups of nodes that weighted pairs join: who is in which, and what ties groups to each other.

A pair's weight is the log of how much likelier its answers are if the two are the same. Images
share a group only where similar answers connect them. Which groups are best is for
`likewise.answers.moves` and `likewise.answers.contraction` to find.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Int64

_NOTHING = 1e-9


class Partition:
    """Nodes from 0 on, each in the group of one slot; slots are used again."""

    def __init__(self) -> None:
        self.weights: list[dict[int, float]] = []
        """For each node the others it was asked against."""
        self.members: list[dict[int, None]] = []
        """By slot, in the order they joined; empty for a free slot."""
        self.ties: list[dict[int, float]] = []
        """By slot: the sum of the weights to each other slot, where there is any."""
        self.slots: Int64[np.ndarray, " capacity"] = np.zeros(256, np.int64)
        """By node."""
        self.sizes: Int64[np.ndarray, " capacity"] = np.zeros(256, np.int64)
        """Members by slot."""
        self._free: list[int] = []

    @property
    def groups(self) -> int:
        """How many there are, those of one node included."""
        return len(self.members) - len(self._free)

    def add_node(self) -> int:
        """A new node in a group of its own."""
        node = len(self.weights)
        self.weights.append({})
        if node == len(self.slots):
            self.slots = np.concatenate((self.slots, np.zeros_like(self.slots)))
        self._join(node, self._empty_slot())
        return node

    def weigh(self, one: int, two: int, weight: float | None) -> None:
        """Set the weight of a pair; None takes it away. Groups stay as they are."""
        before = self.weights[one].get(two, 0.0)
        if weight is None:
            self.weights[one].pop(two, None)
            self.weights[two].pop(one, None)
        else:
            self.weights[one][two] = self.weights[two][one] = weight
        self._tie(int(self.slots[one]), int(self.slots[two]), (weight or 0.0) - before)

    def between(self, one: int, two: int) -> float:
        """Sum of the weights between two slots."""
        return self.ties[one].get(two, 0.0)

    def contested(self) -> Iterator[int]:
        """The nodes of pairs whose weight says otherwise than the groups."""
        for node, weights in enumerate(self.weights):
            slot = self.slots[node]
            if any((self.slots[o] == slot) != (w > 0) for o, w in weights.items() if w):
                yield node

    def move(self, nodes: Iterable[int], target: int | None = None) -> int:
        """Put nodes into a slot, by default an empty one; return which."""
        slot = self._empty_slot() if target is None else target
        for node in nodes:
            self._leave(node)
            self._join(node, slot)
        return slot

    def merge(self, one: int, two: int) -> list[int]:
        """Make one group of two; return the nodes that moved, those of the smaller one."""
        small, large = sorted((one, two), key=lambda slot: (len(self.members[slot]), -slot))
        moved = list(self.members[small])
        self.move(moved, large)
        return moved

    def scatter(self) -> None:
        """Put every node into a group of its own."""
        count = len(self.weights)
        self.members = [{node: None} for node in range(count)]
        self.ties = [dict(each) for each in self.weights]
        self.slots[:count] = np.arange(count)
        self.sizes = np.ones(max(256, 2 * count), np.int64)
        self.sizes[count:] = 0
        self._free = []

    def regroup(self, labels: Int64[np.ndarray, " M"]) -> None:
        """Make the nodes with the same label a group."""
        self.scatter()
        first: dict[int, int] = {}
        for node, label in enumerate(labels.tolist()):
            target = first.setdefault(label, int(self.slots[node]))
            if target != self.slots[node]:
                self.move([node], target)

    def reconnect(self, nodes: Iterable[int]) -> list[int]:
        """Split what similar answers connect no longer, where that can only part these nodes.

        All but the part that is looked through last become groups of their own; costs about as
        much as the smaller parts. Returns the nodes that left.
        """
        left: list[int] = []
        by_slot: dict[int, dict[int, None]] = {}
        for node in nodes:
            by_slot.setdefault(int(self.slots[node]), {})[node] = None
        for slot, some in by_slot.items():
            for part in self._parts(slot, list(some)):
                self.move(sorted(part))
                left += sorted(part)
        return left

    def _parts(self, slot: int, starts: list[int]) -> list[set[int]]:
        """The parts of a group that hold one of these members each, but for the last one found."""
        parts: list[set[int]] = []
        walks = [({start}, deque([start])) for start in starts]
        owner = {start: place for place, start in enumerate(starts)}
        alive = dict.fromkeys(range(len(starts)))
        while len(alive) > 1:
            for place in list(alive):
                if place not in alive or len(alive) == 1:
                    continue
                seen, queue = walks[place]
                if not queue:
                    parts.append(seen)
                    del alive[place]
                    continue
                for other, weight in self.weights[queue.popleft()].items():
                    if weight <= 0 or other in seen or self.slots[other] != slot:
                        continue
                    met = owner.get(other, place)
                    if met != place:  # two walks are one: go on with both as this one
                        there, more = walks[met]
                        seen |= there
                        queue.extend(more)
                        owner.update(dict.fromkeys(there, place))
                        del alive[met]
                    else:
                        seen.add(other)
                        queue.append(other)
                        owner[other] = place
        return parts

    def _empty_slot(self) -> int:
        while self._free:
            slot = self._free.pop()
            if not self.members[slot]:
                return slot
        self.members.append({})
        self.ties.append({})
        if len(self.members) > len(self.sizes):
            self.sizes = np.concatenate((self.sizes, np.zeros_like(self.sizes)))
        return len(self.members) - 1

    def _join(self, node: int, slot: int) -> None:
        self.slots[node] = slot
        self.sizes[slot] += 1
        self.members[slot][node] = None
        for other, weight in self.weights[node].items():
            self._tie(slot, int(self.slots[other]), weight)

    def _leave(self, node: int) -> None:
        slot = int(self.slots[node])
        for other, weight in self.weights[node].items():
            self._tie(slot, int(self.slots[other]), -weight)
        self.sizes[slot] -= 1
        del self.members[slot][node]
        if not self.members[slot]:
            self._free.append(slot)

    def _tie(self, one: int, two: int, weight: float) -> None:
        if one == two:
            return
        total = self.ties[one].get(two, 0.0) + weight
        if abs(total) > _NOTHING:
            self.ties[one][two] = self.ties[two][one] = total
        else:
            self.ties[one].pop(two, None)
            self.ties[two].pop(one, None)
