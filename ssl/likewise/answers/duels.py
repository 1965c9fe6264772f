"""Duels: of an image's nearest by the untouched vectors and by a head, which one is similar?

Where groups are many and small, the likeliest pairs are asked first, so that whatever is found to
belong together lay near already: on those pairs a head can only lose, and they cannot tell whether
it helps the others. Duels can: images in no group are drawn, and their two nearest ones are asked
about alike (interleaved comparison, Joachims 2003; Chapelle et al. 2012). Both questions are open
when they are drawn, so the head was not taught their answers; what comes of them is an answer like
any other afterwards.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincc

from likewise.answers.belief import Belief
from likewise.answers.ledger import Ledger
from likewise.answers.pool import Proposal
from likewise.answers.rivals import Rivals
from likewise.answers.standing import Answer, Pair, Verdict
from likewise.settings import Strategy

LIKELY_FIRST: Strategy = "likely-first"
"""The strategy that asks for duels."""
UNTOUCHED, LEARNT = "duel: untouched", "duel: learnt"
"""Strategies of the two questions of a duel."""
OPEN, DECIDED = 0.3, 0.05
"""Chances that a question begins a duel, until it is decided whether the head helps, and after."""
MOST = 100
"""Duels after which they are as rare as if decided."""
SURE = 0.95
"""Chance, 0 to 1, that a head wins more often than it loses, from which it is taken to help."""
DOUBTED = 0.2
"""The same, below which it is taken not to."""
_TRIES = 64
_REASON = "Checks whether what was learnt helps"


@dataclass(frozen=True)
class Score:
    """How duels ended: won by the head if its nearest image alone was similar."""

    won: int
    lost: int
    drawn: int

    @property
    def chance(self) -> float:
        """Chance, 0 to 1, that the head wins more often than it loses.

        Before the first duel all rates of winning are alike likely. A head that wins as often as
        it loses finds as many similar images as the untouched vectors. To be fooled by it, as
        happens the oftener the more one looks, does no harm; a harmful one wins less often, and is
        found out.
        """
        return float(betaincc(self.won + 1, self.lost + 1, 0.5))

    @property
    def decided(self) -> bool:
        """Whether the head helps, as far as can be told."""
        return self.chance >= SURE

    @property
    def refuted(self) -> bool:
        """Whether it rather does not."""
        return self.chance < DOUBTED


def likeliest_asked(answers: Iterable[Answer]) -> bool:
    """Whether the likeliest pairs were asked first at some time."""
    return any(each.strategy in (LIKELY_FIRST, UNTOUCHED, LEARNT) for each in answers)


def duels_in(answers: Collection[Answer]) -> Score | None:
    """How the duels among the answers ended; None where likely pairs were never asked first."""
    return score_of(answers) if likeliest_asked(answers) else None


def score_of(answers: Iterable[Answer]) -> Score:
    """How the duels among the answers ended.

    The first answer on a pair counts; duels with one answer or an unsure one don't.
    """
    first: dict[Pair, Answer] = {}
    for each in answers:
        if each.strategy in (UNTOUCHED, LEARNT):
            first.setdefault(each.pair, each)
    told: dict[str, list[tuple[str, Verdict]]] = {}
    for each in first.values():
        for image in each.pair:
            told.setdefault(image, []).append((each.strategy, each.verdict))
    ends = [dict(each) for each in told.values() if len(each) == 2]
    pairs = [(each[LEARNT], each[UNTOUCHED]) for each in ends if len(each) == 2]
    pairs = [each for each in pairs if "unsure" not in each]
    won, lost = (pairs.count(each) for each in _WON_LOST)
    return Score(won, lost, len(pairs) - won - lost)


class Duels:
    """Draws them, one question after the other.

    Args:
        belief: What the answers tell so far.
        rivals: Those of the newest head; None while there is none. They may change any time.
    """

    def __init__(self, belief: Belief, rivals: Callable[[], Rivals | None]) -> None:
        self.belief, self.rivals = belief, rivals
        self._known: Rivals | None = None
        self._bold: Rivals | None = None
        self._second: tuple[int, int, str] | None = None
        self._read, self._ledger = 0, Ledger()
        self._fought: dict[Pair, Answer] = {}

    @property
    def score(self) -> Score:
        """How they ended so far."""
        return score_of(self._fought.values())

    def chance(self) -> float:
        """Chance, 0 to 1, that a question should begin a duel; 0 while there are no rivals."""
        self._bold = self._boldest()
        if self._bold is None:
            return 0.0
        score = self.score
        over = score.decided or score.won + score.lost + score.drawn >= MOST
        return DECIDED if over else OPEN

    def follow(self, ledger: Ledger) -> None:
        """Take in what has changed in a ledger."""
        if ledger is not self._ledger:
            self._read, self._ledger, self._fought = 0, ledger, {}
        for pair in ledger.changes[self._read :]:
            found = first_of_duel(ledger.answers_on(pair))
            self._fought.pop(pair, None)
            if found is not None:
                self._fought[pair] = found
        self._read = len(ledger.changes)

    def second(self, taken: Collection[Pair], busy: Collection[str]) -> Proposal | None:
        """The question that ends a duel, whatever came of the first one; None if none is due."""
        if self._second is None:
            return None
        anchor, other, way = self._second
        if not self._images(anchor, other).isdisjoint(busy):
            return None
        self._second = None
        if self.belief.pool.asks_nothing_new(anchor, other, self._ledger.links, taken):
            return None
        return self.belief.pool.proposal(anchor, other, way, _REASON)

    def first(
        self, taken: Collection[Pair], busy: Collection[str], rng: np.random.Generator
    ) -> Proposal | None:
        """The question that begins a duel about an image in no group; None if few draws find it."""
        pool, bold = self.belief.pool, self._bold
        if bold is None or self._second is not None:
            return None
        unfit = {image for pair in self._fought for image in pair}.union(busy)
        for place in rng.integers(len(bold.rows), size=_TRIES).tolist():
            anchor = int(bold.rows[place])
            sides = [(int(bold.untouched[place]), UNTOUCHED), (int(bold.learnt[place]), LEARNT)]
            others = [row for row, _ in sides]
            if self._grouped(anchor) or not self._images(anchor, *others).isdisjoint(unfit):
                continue
            links = self._ledger.links
            if links.relation(*(pool.ids[each] for each in others)) is not None:
                continue
            if any(pool.asks_nothing_new(anchor, each, links, taken) for each in others):
                continue
            (one, way), later = sides[:: int(rng.choice((1, -1)))]
            self._second = (anchor, *later)
            return pool.proposal(anchor, one, way, _REASON)
        return None

    def _boldest(self) -> Rivals | None:
        rivals = self.rivals()
        if rivals is not self._known:
            self._known = rivals
            self._bold = rivals.boldest() if rivals is not None and len(rivals.rows) else None
        return self._bold

    def _images(self, *rows: int) -> set[str]:
        return {self.belief.pool.ids[row] for row in rows}

    def _grouped(self, row: int) -> bool:
        """Whether a row was found to belong to others."""
        slot = int(self.belief.asked.slots_at(np.array([row]))[0])
        return slot >= 0 and int(self.belief.asked.partition.sizes[slot]) > 1


def first_of_duel(answers: Iterable[Answer]) -> Answer | None:
    """The oldest of the answers that a duel asked for."""
    return next((each for each in answers if each.strategy in (UNTOUCHED, LEARNT)), None)


_WON_LOST: tuple[tuple[Verdict, Verdict], ...] = (
    ("similar", "dissimilar"),
    ("dissimilar", "similar"),
)
