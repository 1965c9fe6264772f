"""Who belongs together, with what probability: answers as evidence, not as truth.

Each asked image is in the group that is likeliest given how similar it is to the members of all
groups (`likewise.answers.likeness`), the answers on it, and how often people err
(`likewise.answers.rates`). With answers that cannot be wrong the groups are those of
`likewise.answers.links`.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np
from jaxtyping import Float32, Float64, Int64

from likewise.answers.ability import Ability
from likewise.answers.consensus import REVIEW, decision
from likewise.answers.ledger import Ledger
from likewise.answers.likeness import Likeness
from likewise.answers.partition import Partition
from likewise.answers.placement import Placement
from likewise.answers.pool import Pool
from likewise.answers.rates import CERTAIN, ErrorRates, Rates, Tally, estimate_rates
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import Answer, Pair

GROWTH = 1.15
"""Rates and likeness are estimated anew when the answers have grown by this factor."""
JUDGED_AFTER = 100
"""Answers after which it is judged whether the groups are many and small."""
FIRST = 20
"""Answers before which nothing is estimated."""
_REFRESHED = 4
"""Nodes, besides the touched ones, whose sureness is brought up to date with each answer."""
_SAMPLED = 16
"""Members that stand for a group when it is compared with another."""
_DENIED = 1.0
"""Log odds below zero from which a group counts as denied."""
_SAME_GROUPS = (-4.0, -0.5)
"""Least and greatest log odds, before answers, that two groups are one."""
_REVIEWED = Rates(0.01, 0.01)
"""Of those who changed groups by hand, having seen them."""


@dataclass(frozen=True)
class Doubt:
    """An answer that is probably wrong."""

    answer: Answer
    wrong: float
    """Probability, 0 to 1."""


@dataclass(frozen=True)
class View:
    """What is believed of one image."""

    similarities: Float32[np.ndarray, " M"]
    """Cosine similarity to each asked image."""
    odds: Float64[np.ndarray, " G"]
    """Probability of each slot."""
    new: float
    """Probability of a group of its own."""
    denied: float
    """Share, 0 to 1, of what the embedding gives to known groups that answers have denied."""


class Belief:
    """Posterior groups of the asked images, kept up answer by answer.

    Args:
        pool: The images that may be asked about; answers on others count for nothing.
        rates: Error rates that are known beforehand; by default they are estimated.
    """

    def __init__(self, pool: Pool, rates: ErrorRates | None = None) -> None:
        self.pool = pool
        self._given = rates
        self._begin()

    def _begin(self) -> None:
        """Know of no answers."""
        pool, rates = self.pool, self._given
        self.nodes: dict[str, int] = {}
        """The asked images."""
        self.images: list[str] = []
        """The other way round."""
        self.likeness = Likeness(pool.vectors, pool.rows)
        self.partition = Partition(self)
        self.undiscovered = 0.5
        """Share of the images, 0 to 1, whose group has no asked image yet."""
        self.early: float | None = None
        """What that was after `JUDGED_AFTER` answered pairs."""
        self.rates = rates or estimate_rates({})
        self.sure: Float64[np.ndarray, " capacity"] = np.zeros(256)
        """By node: posterior probability of its group."""
        self.rival: Int64[np.ndarray, " capacity"] = np.full(256, -1)
        """By node: the likeliest other slot, or -1."""
        self.rival_sure: Float64[np.ndarray, " capacity"] = np.zeros(256)
        self._denied: Float64[np.ndarray, " capacity"] = np.zeros(256)
        """By node: how sure it is that it belongs to no known group, as answers tell."""
        self.answers: dict[Pair, tuple[Answer, ...]] = {}
        """The answers that count."""
        self.noisy = False
        """Whether some answers contradict the groups."""
        self._fixed = rates is not None
        self._ability: Ability | None = None
        self._ledger: Ledger | None = None
        self._read = self._fitted = self._turn = 0

    # Evidence in.

    def follow(self, ledger: Ledger) -> None:
        """Take in what has changed in a ledger since it was followed last, or all of another."""
        if self._ledger is not ledger:
            self._begin()
        self._ledger, self._ability = ledger, ledger.ability
        for pair in islice(ledger.changes, self._read, None):
            self.update(pair, ledger.answers_on(pair))
        self._read = len(ledger.changes)

    def update(self, pair: Pair, answers: Sequence[Answer]) -> None:
        """Take in all standing answers on a pair, which replace those before."""
        kept = tuple(each for each in answers if each.strategy != CALIBRATION)
        if not all(image in self.pool.positions for image in pair):
            return
        if kept:
            self.answers[pair] = kept
        elif self.answers.pop(pair, None) is None:
            return
        one, two = map(self._node, pair)
        self.partition.weigh(one, two, self._weight(kept) if kept else None)
        parted = {*self.partition.reconnect(one), *self.partition.reconnect(two)}
        self._improve({one, two, *parted})
        if not self._fixed and len(self.answers) >= max(FIRST, GROWTH * self._fitted):
            self._estimate()
        if self.early is None and len(self.answers) >= JUDGED_AFTER:
            self.early = self.undiscovered

    # Beliefs out.

    def placement(self) -> Placement:
        """The groups of all images that answers placed, and how sure each place is.

        An image that was only told apart from others is placed, as a group of its own, if that is
        likelier than not.
        """
        self._refresh(range(len(self.images)))
        sizes = self.sizes()
        nodes = np.flatnonzero((sizes > 1) | ((self.sure[: len(sizes)] > 0.5) & self._asked()))
        slots, numbers, counts = np.unique(
            self.partition.slots[nodes], return_inverse=True, return_counts=True
        )
        firsts = [min(self.partition.members[slot]) for slot in slots.tolist()]
        order = sorted(range(len(slots)), key=lambda place: (-counts[place], firsts[place]))
        rank = np.empty(len(slots), dtype=np.int64)
        rank[order] = np.arange(len(slots))
        rows = np.array([self.pool.positions[self.images[each]] for each in nodes], dtype=np.int64)
        return Placement(rows, rank[numbers], self.sure[nodes].copy(), self.undiscovered)

    def doubts(self, least: float = 0.5) -> list[Doubt]:
        """The answers that are wrong with a probability above ``least``, the surest first."""
        found = []
        for pair, answers in self.answers.items():
            one, two = (self.nodes[image] for image in pair)
            same = self.same(one, two)
            for each in answers:
                wrong = {"similar": 1 - same, "dissimilar": same}.get(each.verdict, 0.0)
                if wrong > least:
                    found.append(Doubt(each, wrong))
        return sorted(found, key=lambda each: (-each.wrong, each.answer.number))

    def same(self, one: int, two: int) -> float:
        """Probability that two asked images are the same; as sure as the less asked one's place."""
        first, second = sorted((one, two), key=lambda node: len(self.partition.weights[node]))
        slot = self.partition.slots[second]
        if slot == self.partition.slots[first]:
            return float(min(self.sure[first], self.sure[second]))
        found = [
            float(self.rival_sure[node])
            for node, there in ((first, slot), (second, self.partition.slots[first]))
            if self.rival[node] == there
        ]
        return max(found, default=0.0)

    def view(self, image: str) -> View:
        """What is believed of an image of the pool, asked or not."""
        node = self.nodes.get(image, -1)
        vector = np.asarray(self.pool.vectors[self.pool.positions[image]])
        similarities = self.likeness.similarities(vector)
        chances, new = self._chances(similarities, node)
        odds = np.log(np.maximum(chances, 1e-300)) - math.log(new)
        denied = 0.0
        if node >= 0:
            evidence = self.partition.evidence(node, len(odds))
            denied = float(chances[evidence < -_DENIED].sum() / max(chances.sum(), 1e-300))
            odds += evidence
            slot = self.partition.slots[node]
            if len(self.partition.members[slot]) == 1:
                odds[slot] = -np.inf
        top = max(0.0, float(odds.max(initial=-np.inf)))
        after = np.exp(odds - top)
        total = float(after.sum() + np.exp(-top))
        return View(similarities, after / total, float(np.exp(-top)) / total, denied)

    def conflicts(self) -> int:
        """How many pairs have an answer that the groups disagree with."""
        slots = self.partition.slots
        return sum(
            bool(slots[self.nodes[a]] == slots[self.nodes[b]]) != (each.verdict == "similar")
            for (a, b), answers in self.answers.items()
            for each in answers
            if each.verdict != "unsure"
        )

    # The prior that `Partition` asks for.

    def node_odds(self, node: int) -> Float64[np.ndarray, " G"]:
        """See `likewise.answers.partition.Prior`."""
        near = self.likeness.similarities(self.likeness.vector(node))
        chances, new = self._chances(near, node)
        odds = np.log(np.maximum(chances, 1e-300)) - math.log(new)
        return cast("Float64[np.ndarray, ' G']", odds)

    def group_odds(self, one: Collection[int], slot: int) -> float:
        """See `likewise.answers.partition.Prior`."""
        some = list(islice(one, _SAMPLED))
        others = [each for each in self.partition.members[slot] if each not in set(one)]
        if not some or not others:
            return 0.0
        vectors = np.stack([self.likeness.vector(each) for each in some])
        rest = np.array(others[: 4 * _SAMPLED])
        scale = len(others) / len(rest)
        near = vectors @ np.stack([self.likeness.vector(each) for each in rest.tolist()]).T
        odds = self.likeness.relative_density(near, self.sure[rest] * scale)
        return float(np.clip(np.mean(odds), *_SAME_GROUPS))

    # Inside.

    def _node(self, image: str) -> int:
        node = self.nodes.get(image)
        if node is None:
            node = self.nodes[image] = self.partition.add_node()
            self.images.append(image)
            self.likeness.add(np.asarray(self.pool.vectors[self.pool.positions[image]]))
            if node == len(self.sure):
                self.sure = np.concatenate((self.sure, np.zeros_like(self.sure)))
                self.rival = np.concatenate((self.rival, np.full_like(self.rival, -1)))
                self._denied = np.concatenate((self._denied, np.zeros_like(self._denied)))
                self.rival_sure = np.concatenate((self.rival_sure, np.zeros_like(self.rival_sure)))
            self.sure[node] = 1.0
        return node

    def _weight(self, answers: Sequence[Answer]) -> float:
        """Log of how much likelier the answers are on a similar pair."""
        decided = decision(answers)
        if decided:
            return {"similar": CERTAIN, "dissimilar": -CERTAIN}.get(decided.verdict, 0.0)
        total = 0.0
        for each in answers:
            reviewed = each.strategy == REVIEW and not self._fixed
            rates = _REVIEWED if reviewed else self.rates.of(each.annotator)
            total += rates.weight(each.verdict)
        return total

    def _improve(self, nodes: Iterable[int]) -> None:
        visited = self.partition.improve(nodes)
        count = len(self.images)
        if count:
            visited |= {(self._turn + step) % count for step in range(_REFRESHED)}
            self._turn = (self._turn + _REFRESHED) % count
        self._refresh(visited)
        single = self.sizes() == 1
        alone = float(self._denied[:count][single].sum())
        placed = float((~single).sum()) + alone
        self.undiscovered = (alone + 0.5) / (placed + 1)

    def _refresh(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            view = self.view(self.images[node])
            slot = int(self.partition.slots[node])
            alone = len(self.partition.members[slot]) == 1
            self.sure[node] = view.new if alone else view.odds[slot]
            self._denied[node] = view.denied * view.new
            others = view.odds.copy()
            others[slot] = -1
            best = int(np.argmax(others))
            self.rival[node] = best if others[best] > 0 else -1
            self.rival_sure[node] = max(float(others[best]), 0.0)

    def _chances(
        self, similarities: Float32[np.ndarray, " M"], node: int
    ) -> tuple[Float64[np.ndarray, " G"], float]:
        """Of each slot and of a new group, before the answers on a node (-1: not asked yet)."""
        count = self.likeness.count
        sureness = self.sure[:count]
        if node >= 0:
            sureness = sureness.copy()
            sureness[node] = 0
        slots, number = self.partition.slots[:count], len(self.partition.members)
        return self.likeness.chances(similarities, slots, sureness, number, self.undiscovered)

    def sizes(self) -> Int64[np.ndarray, " M"]:
        """Size of the group of each node."""
        slots = self.partition.slots[: len(self.images)]
        sizes = np.bincount(slots, minlength=len(self.partition.members))
        return cast("Int64[np.ndarray, ' M']", sizes[slots])

    def _asked(self) -> np.ndarray:
        return np.array([bool(each) for each in self.partition.weights], dtype=bool)

    def _estimate(self) -> None:
        """Learn rates and likeness from what is believed, and weigh all answers anew."""
        self._fitted = len(self.answers)
        self.noisy = self.conflicts() >= max(2, 0.01 * len(self.answers))
        tallies: dict[str, Tally] = {}
        for (a, b), answers in self.answers.items():
            same = self.same(self.nodes[a], self.nodes[b])
            for each in answers:
                if each.verdict != "unsure":
                    said = float(each.verdict == "similar")
                    more = Tally((1 - said) * same, same, said * (1 - same), 1 - same)
                    tallies[each.annotator] = tallies.get(each.annotator, Tally()) + more
        self.rates = estimate_rates(tallies, self._ability)
        self.likeness.calibrate(self.partition.slots[: len(self.images)], self.sizes() > 1)
        contested = []
        for (a, b), answers in self.answers.items():
            one, two, weight = self.nodes[a], self.nodes[b], self._weight(answers)
            self.partition.weigh(one, two, weight)
            if (self.partition.slots[one] == self.partition.slots[two]) != (weight > 0):
                contested += [one, two]
        self._improve(contested)


def belief_of(pool: Pool, answers: Iterable[Answer], rates: ErrorRates | None = None) -> Belief:
    """What standing answers, one per pair and annotator, add up to; taken in in order of number."""
    belief = Belief(pool, rates)
    together: dict[Pair, list[Answer]] = {}
    for each in sorted(answers, key=lambda each: each.number):
        together.setdefault(each.pair, []).append(each)
        belief.update(each.pair, together[each.pair])
    return belief
