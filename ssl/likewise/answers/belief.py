"""Who belongs together, with what probability: answers as evidence, not as truth.

Each asked image is in the group that is likeliest given how similar it is to the members of all
groups (`likewise.answers.likeness`), the answers on it, and how often people err
(`likewise.answers.rates`). With answers that cannot be wrong the groups are those of
`likewise.answers.links`.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice

from likewise.answers.asked import Asked
from likewise.answers.contraction import contract
from likewise.answers.doubts import Doubt, doubts_of
from likewise.answers.evidence import weight_of
from likewise.answers.explaining import Explanation, Reading, explanations, score_of, tallied
from likewise.answers.ledger import Ledger
from likewise.answers.moves import Moves
from likewise.answers.placement import Placement
from likewise.answers.pool import Pool
from likewise.answers.rates import ErrorRates, estimate_rates
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import Answer, Pair

GROWTH = 1.15
"""Rates and likeness are estimated anew when the answers have grown by this factor."""
FIRST = 20
"""Answers before which nothing is estimated."""
_MANY = 100
"""More changes at once are taken in together, from scratch."""
_REFRESHED = 4
"""Nodes, besides the touched ones, whose sureness is brought up to date with each answer."""
_VISITS, _ALL_VISITS = 12, 2000
"""Nodes that are reconsidered after one change, and from scratch, at most."""
_JUDGED = 2000
"""Answers that rates are estimated from, at most."""
_SEARCHED = 1000
"""With more answers than this, other explanations are sought only when many come at once."""
_WEIGHED = 400
"""Answers that are weighed anew with each change."""
_BETTER = 1.0
"""Log density by which another explanation must be better."""


class Belief:
    """Posterior groups of the asked images, kept up answer by answer.

    Args:
        pool: The images that may be asked about; answers on others count for nothing.
        rates: Error rates that are known beforehand; by default they are estimated.
    """

    def __init__(self, pool: Pool, rates: ErrorRates | None = None) -> None:
        self.pool = pool
        self._given = rates
        self._watchers: list[set[int]] = []
        self._ledger: Ledger | None = None
        self._begin()

    def _begin(self) -> None:
        """Know of no answers."""
        self.asked = Asked(self.pool)
        for each in self._watchers:
            each.clear()
        self._moves = Moves(self.asked.partition, self.asked)
        self._early: dict[int, float] = {}
        self.rates = self._given or estimate_rates({})
        self.answers: dict[Pair, tuple[Answer, ...]] = {}
        """The answers that count."""
        self.noisy = False
        """Whether some answers contradict the groups."""
        self._unweighed: Iterator[Pair] = iter(())
        self._search: Iterator[Explanation] = iter(())
        self._found: Explanation | None = None
        self._read = self._fitted = self._turn = 0

    def watch(self) -> set[int]:
        """A set to which nodes are added whenever something changes about them."""
        self._watchers.append(set())
        return self._watchers[-1]

    # Evidence in.

    def follow(self, ledger: Ledger) -> None:
        """Take in what has changed in a ledger since it was followed last, or all of another."""
        if self._ledger is not ledger:
            self._begin()
        self._ledger = ledger
        new = len(ledger.changes) - self._read
        changes = dict.fromkeys(ledger.changes[self._read :])
        self._read += new
        if len(changes) > _MANY:
            self.load((pair, ledger.answers_on(pair)) for pair in changes)
        else:
            for pair in changes:
                self.update(pair, ledger.answers_on(pair))

    def load(self, changes: Iterable[tuple[Pair, Sequence[Answer]]]) -> None:
        """Take in the standing answers on many pairs, and find all groups from scratch."""
        changes = list(changes)
        counted = (pair for pair, answers in changes if self._asks(pair) and _counted(answers))
        self.asked.add([image for pair in counted for image in pair])
        for pair, answers in changes:
            self._record(pair, answers)
        self._settle()

    def update(self, pair: Pair, answers: Sequence[Answer]) -> None:
        """Take in all standing answers on a pair, which replace those before."""
        if not self._record(pair, answers):
            return
        nodes = [self.asked.nodes[image] for image in pair]
        parted = self.asked.partition.reconnect(nodes)
        contested = (*self._weigh_anew(_WEIGHED), *self._search_on())
        self._improve((*nodes, *parted, *contested), _VISITS)
        if self._given is None and len(self.answers) >= max(FIRST, GROWTH * self._fitted):
            self._estimate()

    # Beliefs out.

    def undiscovered_after(self, count: int) -> float | None:
        """Share of the images, 0 to 1, in groups not met yet, by the first answered pairs.

        None while there are fewer. They are looked at once, apart from the others, so that it is
        the same however many came at a time.
        """
        if count not in self._early and len(self.answers) >= count:
            first = Belief(self.pool, self._given)
            first.load(islice(self.answers.items(), count))
            self._early[count] = first.asked.undiscovered
        return self._early.get(count)

    def placement(self) -> Placement:
        """The groups of all images that answers placed, and how sure each place is.

        An image that was only told apart from others is placed, as a group of its own, if that is
        likelier than not.
        """
        return self.asked.placement()

    def doubts(self, least: float = 0.5) -> list[Doubt]:
        """The answers that are wrong with a probability above ``least``, the surest first."""
        return doubts_of(self.asked, self.answers, least)

    # Inside.

    def _asks(self, pair: Pair) -> bool:
        return all(image in self.pool.positions for image in pair)

    def _record(self, pair: Pair, answers: Sequence[Answer]) -> bool:
        """Note the answers on a pair and what they weigh; whether that changes anything."""
        if not self._asks(pair):
            return False
        kept = _counted(answers)
        if kept:
            self.answers[pair] = kept
        elif self.answers.pop(pair, None) is None:
            return False
        self.asked.add(pair)
        one, two = (self.asked.nodes[image] for image in pair)
        self.asked.partition.weigh(one, two, self._weight(kept) if kept else None)
        return True

    def _weight(self, answers: Sequence[Answer]) -> float:
        return weight_of(answers, self.rates, self._given is not None)

    def _improve(self, nodes: Iterable[int], visits: int) -> None:
        visited = self._moves.improve(nodes, visits)
        count = len(self.asked)
        if count:
            visited |= {(self._turn + step) % count for step in range(_REFRESHED)}
            self._turn = (self._turn + _REFRESHED) % count
        self._refresh(visited)

    def _refresh(self, nodes: Collection[int]) -> None:
        self.asked.refresh(nodes)
        for each in self._watchers:
            each.update(nodes)

    def _settle(self) -> None:
        """Find all groups from scratch, and the rates under which they explain the answers."""
        asked = self.asked
        asked.likeness.choose_landmarks()
        if self._given is None and len(self.answers) >= FIRST:
            for _ in range(2):  # similarity is calibrated on the first explanation
                *_, best = self._explanations()
                self._adopt(best)
            self._weigh_anew(len(self.answers))
            contract(asked.partition, asked.odds_in)
            self._estimate()
            self._search = iter(())
            self._weigh_anew(len(self.answers))
        if self._given is not None or len(self.answers) <= _SEARCHED:
            contract(asked.partition, asked.odds_in)
        everyone = range(len(asked))
        asked.refresh(asked.likeness.landmarks.tolist())
        self._improve(
            everyone if len(asked) <= _ALL_VISITS else asked.partition.contested(), _ALL_VISITS
        )
        self._moves.forget()
        self._refresh(asked.take_for_granted() if len(asked) > _ALL_VISITS else everyone)
        for each in self._watchers:
            each.update(everyone)

    def _estimate(self) -> None:
        """Learn rates and likeness from the groups; answers are weighed anew by and by."""
        asked = self.asked
        some = self._readings(0, None, max(1, len(self.answers) // _JUDGED))
        self._fitted = len(self.answers)
        tallies = tallied(asked.partition, some)
        wrong = sum(each.missed + each.false for each in tallies.values())
        self.noisy = wrong >= max(2, 0.01 * len(some))
        self.rates = estimate_rates(tallies)
        asked.likeness.choose_landmarks()
        asked.likeness.calibrate(asked.partition.slots[: len(asked)], asked.sizes() > 1)
        self._unweighed = iter(list(self.answers))
        if len(self.answers) <= _SEARCHED:
            self._search = self._explanations()

    def _explanations(self) -> Iterator[Explanation]:
        asked = self.asked
        return explanations(self._readings(_JUDGED), len(asked), asked.odds_in)

    def _adopt(self, best: Explanation) -> None:
        """Believe in other rates and groups; nodes that these leave out stay alone for now."""
        asked = self.asked
        self.rates = best.rates
        asked.partition.regroup(best.groups)
        asked.likeness.calibrate(asked.partition.slots[: len(asked)], asked.sizes() > 1)
        self._unweighed = iter(list(self.answers))

    def _search_on(self) -> Collection[int]:
        """One step of the search for a better explanation; return the nodes to reconsider."""
        found = next(self._search, None)
        if found is not None:
            self._found = found
            return ()
        best, self._found = self._found, None
        if best is None:
            return ()
        some = self._readings(_JUDGED)
        if best.score <= score_of(self.asked.partition, some, self.rates) + _BETTER:
            return ()
        self._adopt(best)
        return range(len(self.asked))

    def _readings(self, *part: int | None) -> list[Reading]:
        """Some answered pairs in the order of answers, as `islice` has it, with their answers."""
        pairs, nodes = islice(self.answers.items(), *part), self.asked.nodes
        return [(nodes[a], nodes[b], answers) for (a, b), answers in pairs]

    def _weigh_anew(self, most: int) -> list[int]:
        """Weigh some of the answers whose weight is out of date; return the contested nodes."""
        partition, contested = self.asked.partition, list[int]()
        for pair in islice(self._unweighed, most):
            if pair in self.answers:
                one, two = (self.asked.nodes[image] for image in pair)
                weight = self._weight(self.answers[pair])
                partition.weigh(one, two, weight)
                if (partition.slots[one] == partition.slots[two]) != (weight > 0):
                    contested += (one, two)
        return contested


def _counted(answers: Collection[Answer]) -> tuple[Answer, ...]:
    """Those on a pair, but for one that somebody answered for calibration."""
    return () if any(each.strategy == CALIBRATION for each in answers) else tuple(answers)


def belief_of(pool: Pool, answers: Iterable[Answer], rates: ErrorRates | None = None) -> Belief:
    """What standing answers, one per pair and annotator, add up to, in whatever order."""
    together: dict[Pair, list[Answer]] = {}
    for each in sorted(answers, key=lambda each: (each.pair, each.number)):
        together.setdefault(each.pair, []).append(each)
    belief = Belief(pool, rates)
    belief.load(together.items())
    return belief
