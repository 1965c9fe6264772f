"""The asked images: which group each is in, how sure that is, and what else it might be."""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

import numpy as np
from jaxtyping import Float32, Float64, Int64

from likewise.answers.contraction import size_odds, within_reason
from likewise.answers.likeness import Likeness
from likewise.answers.partition import Partition
from likewise.answers.placement import Placement
from likewise.answers.pool import Pool
from likewise.answers.views import Queries, Views, believe, compare, evidence_on

_BLOCK = 128
_ADDED = 4096
_GRANTED = 4.5
"""Weight of the answers on a node from which similarity need not be asked."""
_SAMPLED = 16
"""Members that stand for a group when it is compared with another, four times as many there."""


class Asked:
    """Nodes: images of a pool in the order in which they were first asked about."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.nodes: dict[str, int] = {}
        self.images: list[str] = []
        """The other way round."""
        self.likeness = Likeness(pool.vectors.shape[1])
        self.partition = Partition()
        self.undiscovered = 0.5
        """Share of the images, 0 to 1, whose group has no asked image yet."""
        self.sure: Float64[np.ndarray, " capacity"] = np.zeros(256)
        """By node: posterior probability of its group."""
        self.rival: Int64[np.ndarray, " capacity"] = np.full(256, -1)
        """By node: the likeliest other slot, or -1."""
        self.rival_sure: Float64[np.ndarray, " capacity"] = np.zeros(256)
        self._denied: Float64[np.ndarray, " capacity"] = np.zeros(256)
        """By node: how sure it is that it belongs to no known group, as answers tell."""
        self._rows: Int64[np.ndarray, " capacity"] = np.zeros(256, np.int64)
        self._node_at: Int64[np.ndarray, " N"] = np.full(len(pool.vectors), -1)

    def __len__(self) -> int:
        return len(self.images)

    def add(self, images: Collection[str]) -> None:
        """Make nodes of images of the pool that have none: sure to be alone for a start."""
        new = [each for each in dict.fromkeys(images) if each not in self.nodes]
        rows = np.array([self.pool.positions[each] for each in new], np.int64)
        for at in range(0, len(new), _ADDED):
            vectors = self.pool.half_whitened(rows[at : at + _ADDED])
            for image, vector in zip(new[at : at + _ADDED], vectors, strict=True):
                self._add(image, vector)

    def _add(self, image: str, vector: Float32[np.ndarray, " D"]) -> None:
        node = self.nodes[image] = self.partition.add_node()
        row = self.pool.positions[image]
        self.images.append(image)
        self.likeness.add(vector)
        if node == len(self.sure):
            self._grow()
        self.sure[node], self._rows[node], self._node_at[row] = 1.0, row, node

    def sizes(self) -> Int64[np.ndarray, " M"]:
        """Size of the group of each node."""
        return np.asarray(self.partition.sizes[self.partition.slots[: len(self)]])

    def views(self, rows: Int64[np.ndarray, " B"]) -> Views:
        """What is believed of rows of the pool, asked or not."""
        nodes = self._node_at[rows]
        wanted = evidence_on(nodes, self.partition)[1]
        compared = compare(
            self._queries(rows), self.likeness, self.partition, self.sure, self.undiscovered,
            wanted,
        )  # fmt: skip
        return believe(compared, nodes, self.partition)

    def refresh(self, nodes: Iterable[int]) -> None:
        """Bring up to date how sure the places of these nodes are."""
        every = np.fromiter(nodes, np.int64)
        for at in range(0, len(every), _BLOCK):
            self._refresh(every[at : at + _BLOCK])
        self._estimate_undiscovered()

    def take_for_granted(self) -> list[int]:
        """Hold nodes for sure that answers tie to their group alone, and hard; return the rest."""
        rest = list[int]()
        for node, weights in enumerate(self.partition.weights):
            slot, inside, outside = self.partition.slots[node], 0.0, False
            for other, weight in weights.items():
                if self.partition.slots[other] == slot:
                    inside += weight
                else:
                    outside = outside or weight > 0
            if outside or inside < _GRANTED:
                rest.append(node)
            else:
                self.sure[node] = 1 / (1 + math.exp(-inside))
                self.rival[node], self.rival_sure[node], self._denied[node] = -1, 0.0, 0.0
        return rest

    def placement(self) -> Placement:
        """See `likewise.answers.belief.Belief.placement`."""
        self.refresh(range(len(self)))
        known = np.array([bool(each) for each in self.partition.weights], dtype=bool)
        sure = self.sure[: len(self)]
        nodes = np.flatnonzero((self.sizes() > 1) | ((sure > 0.5) & known))
        slots, firsts, numbers, counts = np.unique(
            self.partition.slots[nodes], return_index=True, return_inverse=True, return_counts=True
        )
        rank = np.empty(len(slots), dtype=np.int64)
        rank[np.lexsort((firsts, -counts))] = np.arange(len(slots))
        return Placement(self._rows[nodes], rank[numbers], sure[nodes], self.undiscovered)

    def near(self, row: int) -> Int64[np.ndarray, " m"]:
        """Nodes that a row is compared with one by one: its neighbours, and the landmarks."""
        known = self._neighbours(np.array([row]))[0]
        known = known[(known >= 0) & (self.likeness.place[known] < 0)]
        return np.concatenate((known, self.likeness.landmarks))

    def slots_at(self, rows: Int64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
        """Slot of the group of each row of the pool, -1 for those not asked about."""
        nodes = self._node_at[rows]
        return np.where(nodes >= 0, self.partition.slots[nodes], -1)

    # The prior of `likewise.answers.moves`.

    def node_odds(self, node: int, slots: Sequence[int]) -> list[float]:
        """See `likewise.answers.moves.Prior`."""
        queries = self._queries(self._rows[node : node + 1])
        found = compare(queries, self.likeness, self.partition, self.sure, self.undiscovered, slots)
        chances = found.chances[0, np.searchsorted(found.slots, np.array(slots))]
        odds = np.log(np.maximum(chances, 1e-300)) - np.log(found.new[0])
        return [float(each) for each in odds]

    def group_odds(self, nodes: Collection[int], slot: int) -> float:
        """See `likewise.answers.moves.Prior`."""
        return self.odds_in(self.partition, nodes, slot)

    def odds_in(self, partition: Partition, nodes: Collection[int], slot: int) -> float:
        """The same for other groups of the same nodes."""
        members = partition.members[slot]
        some = np.fromiter(islice(nodes, _SAMPLED), np.int64)
        inside = int(partition.slots[some[0]]) == slot
        others = (each for each in members if not (inside and each in nodes))
        rest = np.fromiter(islice(others, 4 * _SAMPLED), np.int64)
        if not len(rest):
            return 0.0
        near = self.likeness.vectors(some) @ self.likeness.vectors(rest).T
        return within_reason(self.likeness.pair_odds(near) + size_odds(len(nodes)))

    # Inside.

    def _queries(self, rows: Int64[np.ndarray, " B"]) -> Queries:
        nodes = self._node_at[rows]
        asked = bool((nodes >= 0).all())
        vectors = self.likeness.vectors(nodes) if asked else self.pool.half_whitened(rows)
        return Queries(vectors, nodes, self._neighbours(rows))

    def _neighbours(self, rows: Int64[np.ndarray, " B"]) -> Int64[np.ndarray, "B k"]:
        """The asked ones among the known neighbours, where not all asked images are landmarks."""
        known = self.pool.neighbours
        if known is None or len(self) == len(self.likeness.landmarks):
            return np.zeros((len(rows), 0), np.int64)
        near = np.asarray(known[rows], dtype=np.int64)
        return np.where(near >= 0, self._node_at[near], -1)

    def _refresh(self, nodes: Int64[np.ndarray, " B"]) -> None:
        views = self.views(self._rows[nodes])
        slots, rows = self.partition.slots[nodes], np.arange(len(nodes))
        own = np.searchsorted(views.slots, slots)
        alone = self.partition.sizes[slots] == 1
        self.sure[nodes] = np.where(alone, views.new, views.odds[rows, own])
        self._denied[nodes] = views.denied * views.new
        views.odds[rows, own] = -1
        best = views.odds.argmax(axis=1)
        most = views.odds[rows, best]
        self.rival[nodes] = np.where(most > 0, views.slots[best], -1)
        self.rival_sure[nodes] = np.maximum(most, 0)

    def _estimate_undiscovered(self) -> None:
        """Good and Turing: the share of images that are the first of their group."""
        some = self.likeness.landmarks
        single = self.partition.sizes[self.partition.slots[some]] == 1
        alone = float(self._denied[some][single].sum())
        placed = float((~single).sum()) + alone
        self.undiscovered = (alone + 0.5) / (placed + 1)

    def _grow(self) -> None:
        self.sure = np.concatenate((self.sure, np.zeros_like(self.sure)))
        self.rival = np.concatenate((self.rival, np.full_like(self.rival, -1)))
        self.rival_sure = np.concatenate((self.rival_sure, np.zeros_like(self.rival_sure)))
        self._denied = np.concatenate((self._denied, np.zeros_like(self._denied)))
        self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)))
