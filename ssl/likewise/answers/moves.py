"""Better groups by local moves: a node moves, two groups merge, one is cut in two.

The groups are sought that make the sum of the weights inside groups, and of the log odds that the
embedding gives, as large as local moves can make it (iterated conditional modes; correlation
clustering with a prior).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, runtime_checkable

from likewise.answers.cuts import best_cut
from likewise.answers.partition import Partition

_BORDER = 12
"""Nodes on either side of a move that are reconsidered, at most."""
_OUTWEIGHED = 8.0
"""Weight that no similarity outweighs."""
_GAIN = 1e-9


@runtime_checkable
class Prior(Protocol):
    """What is known of the groups without the answers."""

    def node_odds(self, node: int, slots: Sequence[int]) -> list[float]:
        """Log odds of each of these slots against a group of its own."""
        ...

    def group_odds(self, nodes: Collection[int], slot: int) -> float:
        """Log odds that these nodes are the same as the (other) members of a slot."""
        ...


class Moves:
    """Local search; what one call does not get to waits for the next."""

    def __init__(self, partition: Partition, prior: Prior) -> None:
        self._partition, self._prior = partition, prior
        self._waiting: dict[int, None] = {}

    def forget(self) -> None:
        """Let nobody wait any longer."""
        self._waiting.clear()

    def improve(self, nodes: Iterable[int], visits: int) -> set[int]:
        """Move, merge and cut around these nodes and those that wait; return who was visited."""
        self._waiting = {**dict.fromkeys(nodes), **self._waiting}
        visited = set[int]()
        for _ in range(visits):
            if not self._waiting:
                break
            node = next(iter(self._waiting))
            del self._waiting[node]
            visited.add(node)
            touched = self._move(node) or self._merge(node) or self._cut(node)
            self._waiting.update(dict.fromkeys(touched))
        return visited

    def _move(self, node: int) -> list[int]:
        """Put a node into the best group that a similar answer ties it to, or on its own."""
        partition = self._partition
        here = int(partition.slots[node])
        evidence: dict[int, float] = {}
        tied: dict[int, None] = {}
        for other, weight in partition.weights[node].items():
            slot = int(partition.slots[other])
            evidence[slot] = evidence.get(slot, 0.0) + weight
            if weight > 0:
                tied[slot] = None
        alone = len(partition.members[here]) == 1
        if not tied or (len(tied) == 1 and evidence.get(here, 0.0) > _OUTWEIGHED):
            return []
        prior = self._prior.node_odds(node, list(tied))
        score = {slot: odds + evidence[slot] for slot, odds in zip(tied, prior, strict=True)}
        stays = 0.0 if alone else score.get(here, float("-inf"))
        options = [slot for slot in tied if slot != here]
        best = max(options, key=lambda slot: (score[slot], -slot), default=None)
        if best is not None and score[best] > max(stays, 0.0) + _GAIN:
            target: int | None = best
        elif not alone and stays < -_GAIN:
            target = None
        else:
            return []
        left = [
            o for o, w in partition.weights[node].items() if w > 0 and partition.slots[o] == here
        ]
        partition.move([node], target)
        return [node, *partition.weights[node], *partition.reconnect(left)]

    def _merge(self, node: int) -> list[int]:
        """Join the group of a node with another that answers tie it to."""
        partition = self._partition
        here = int(partition.slots[node])
        tied = [(-weight, other) for other, weight in partition.ties[here].items() if weight > 0]
        for negative, other in sorted(tied):
            small, large = sorted((here, other), key=lambda slot: len(partition.members[slot]))
            if self._prior.group_odds(partition.members[small], large) > negative + _GAIN:
                return [node, *partition.merge(small, large)[:_BORDER]]
        return []

    def _cut(self, node: int) -> list[int]:
        """Cut the group of a node between it and one that it was said to differ from."""
        partition = self._partition
        here = int(partition.slots[node])
        for other, weight in partition.weights[node].items():
            if weight >= 0 or partition.slots[other] != here:
                continue
            part = best_cut(partition, node, other, self._prior.group_odds)
            if part:
                partition.move(sorted(part))
                border = {o for each in part for o in partition.weights[each] if o not in part}
                return [node, other, *sorted(border)[:_BORDER]]
        return []
