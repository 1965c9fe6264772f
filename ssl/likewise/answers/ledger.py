"""What the rows of the history add up to: verdicts, links, disputes, contradictions.

Each pair has at most one verdict, the consensus on it; the links follow from these verdicts, in
the order of the oldest answers that bear them. A pair that people disagree on implies nothing.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from likewise.answers.ability import Ability, dawid_skene, overlaps_enough
from likewise.answers.consensus import decision, disputed, settled_by
from likewise.answers.links import Links, Step
from likewise.answers.readings import Readings
from likewise.answers.standing import Answer, Entry, Pair, Standing, Verdict, pair_of

GROWTH = 1.2
"""Abilities are estimated anew when the pairs they are estimated from have grown by this factor."""


@dataclass(frozen=True)
class Dispute:
    """A pair that some call similar and others dissimilar, and that nobody has decided."""

    pair: Pair
    answers: tuple[Answer, ...]
    """All that stand, oldest first."""
    verdict: Verdict | None
    """What it counts as meanwhile."""


@dataclass(frozen=True)
class Evidence:
    """A settled pair in a chain, and who said so."""

    a: str
    b: str
    """In the direction of the chain."""
    verdict: Verdict
    answers: tuple[Answer, ...]
    """All answers that stand on the pair, oldest first; some may say otherwise."""

    @property
    def pair(self) -> Pair:
        """The two images, in order."""
        return pair_of(self.a, self.b)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the answers that bear the verdict: without them it falls."""
        return tuple(each.number for each in self.answers if each.verdict == self.verdict)


@dataclass(frozen=True)
class Conflict:
    """A settled pair against a chain of older ones from its first image to its second."""

    claim: Evidence
    chain: tuple[Evidence, ...]
    """Holds one dissimilar pair if the claim is similar, none if it is dissimilar."""


class Ledger:
    """What follows from the history so far; rows are added in order of number."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.standing = Standing()
        self.links = Links()
        """What follows from the verdicts; always the same object."""
        self.readings = Readings(self.standing)
        self.ability: Ability | None = None
        """How annotators err; None until they overlap enough."""
        self.changes: list[Pair] = []
        """The pairs whose answers changed, one entry a change, oldest first; only grows."""
        self._settled: dict[Pair, Answer] = {}
        self._linked: dict[Pair, tuple[int, Verdict]] = {}
        self._disputed: dict[Pair, None] = {}
        self._fitted = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take in the next row.

        An undo, a correction or a dispute costs no more than the groups it touches.
        """
        pair = self.standing.add(entry)
        if pair is None:
            return
        self.changes.append(pair)
        self.readings.update(pair)
        self._settle(pair)
        shared = len(self.readings.shared)
        if shared >= GROWTH * self._fitted and overlaps_enough(self.readings.overlap):
            self._estimate()

    def verdict(self, pair: Pair) -> Verdict | None:
        """What a pair counts as; None if it is unanswered or disputed."""
        settled = self._settled.get(pair)
        return settled.verdict if settled else None

    def answers_on(self, pair: Pair) -> list[Answer]:
        """The standing answers on a pair, one per annotator, oldest first."""
        return self.standing.on(pair)

    def answered(self) -> Collection[Pair]:
        """The pairs on which an answer stands: a live view."""
        return self.standing.pairs()

    def settled(self) -> list[Answer]:
        """For each pair with a verdict the oldest answer that bears it, oldest first."""
        return sorted(self._settled.values(), key=lambda each: each.number)

    def linked(self, pair: Pair) -> tuple[int, Verdict] | None:
        """With which number and verdict a pair is in ``links``; None if nobody answered it."""
        return self._linked.get(pair)

    def disputes(self) -> list[Dispute]:
        """The pairs that people disagree on and nobody has decided, the longest waiting first."""
        found = [
            Dispute(pair, tuple(self.standing.on(pair)), self.verdict(pair))
            for pair in self._disputed
        ]
        return sorted(found, key=lambda each: each.answers[-1].number)

    def contradictions(self) -> list[Conflict]:
        """The verdicts that disagree with what older ones imply, oldest first."""
        return [
            Conflict(
                self._evidence((each.a, each.b, each.verdict)),
                tuple(self._evidence(step) for step in each.chain),
            )
            for each in self.links.contradictions
        ]

    def awaiting(self, annotator: str, share: float, readers: int = 2) -> Iterable[Pair]:
        """Pairs for one more reading by this annotator: fewer than ``readers`` others answered.

        About ``share`` (0 to 1) of all pairs are ever chosen, by a hash of the pair.
        """
        return self.readings.awaiting(annotator, share, readers)

    def gold_for(self, annotator: str) -> Iterable[Pair]:
        """Pairs whose truth is known and that this annotator has not answered."""
        return self.readings.gold_for(annotator)

    def groups(self) -> list[list[str]]:
        """Every image with a verdict, in groups of the same; the largest group first."""
        return self.links.groups()

    def _settle(self, pair: Pair) -> None:
        """Bring verdict and links of a pair in line with the answers on it."""
        answers = self.standing.on(pair)
        settled = settled_by(answers, self.ability)
        if settled:
            self._settled[pair] = settled
        else:
            self._settled.pop(pair, None)
        if disputed(answers):
            self._disputed[pair] = None
        else:
            self._disputed.pop(pair, None)
        wanted: tuple[int, Verdict] | None = None
        if settled:
            wanted = settled.number, settled.verdict
        elif answers:
            wanted = answers[0].number, "unsure"
        linked = self._linked.get(pair)
        if linked == wanted:
            return
        if linked:
            self.links.remove(self._linked.pop(pair)[0])
        if wanted:
            number, verdict = self._linked[pair] = wanted
            self.links.add(*pair, verdict, number)

    def _estimate(self) -> None:
        """Estimate abilities from the shared pairs, and settle the disputes by them."""
        pairs = list(self.readings.shared)
        self._fitted = len(pairs)
        decided = [decision(self.standing.on(pair)) for pair in pairs]
        known = [each.verdict if each else None for each in decided]
        self.ability = dawid_skene([self.readings.latest(pair) for pair in pairs], known)
        for pair in list(self._disputed):
            self._settle(pair)

    def _evidence(self, step: Step) -> Evidence:
        a, b, verdict = step
        return Evidence(a, b, verdict, tuple(self.standing.on(pair_of(a, b))))
