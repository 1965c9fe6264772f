"""Likeliest pairs first, with transitivity: for many small groups (faces, near-duplicates).

Wang et al., "Leveraging transitive relations for crowdsourced joins", SIGMOD 2013. What follows
from what is believed is not asked, but some questions are controls, and some find out whether what
was learnt so far helps (`likewise.answers.duels`).
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush

import numpy as np

from likewise.answers.audits import AUDIT
from likewise.answers.belief import FIRST, Belief
from likewise.answers.duels import LIKELY_FIRST, Duels
from likewise.answers.edges import FEW, Edges
from likewise.answers.ledger import Ledger
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.reserved import SHARE
from likewise.answers.rivals import Rivals
from likewise.answers.standing import Pair, pair_of
from likewise.answers.turns import Turns

CONTROLS, MANY_CONTROLS = 0.15, 0.5
"""Shares of the questions that check what is believed: at first, and once people err and few of the
likeliest pairs are similar any more. What is left to find by then are parts of one group that a
wrong answer keeps apart, and groups that one has joined."""
_RECENT, _FEW_SIMILAR = 40, 0.25
_DENIED = -1.0
"""Log odds of the answers between two groups below which they count as different."""


class LikelyFirst:
    """The most similar images that are in different groups so far; see the module."""

    def __init__(
        self,
        pool: Pool,
        seed: int,
        belief: Belief | None = None,
        rivals: Callable[[], Rivals | None] = lambda: None,
        turns: Turns | None = None,
    ) -> None:
        self.pool, self.seed = pool, seed
        self.belief = belief or Belief(pool)
        self.duels = Duels(self.belief, rivals)
        self.turns = turns or Turns(self.belief, seed)
        self._changed = self.belief.watch()
        self._read, self._ledger = 0, Ledger()
        self._recent = deque[bool](maxlen=_RECENT)
        """Whether the likeliest pairs were similar, the latest last."""
        self._edges: Edges | None = None
        self._begin()

    def _begin(self) -> None:
        """Look at all pairs anew."""
        self._asked, self._at = self.belief.asked, 0
        """The pairs of the neighbour graph before ``at`` are settled, but for those that wait."""
        self._waiting: list[int] = []

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        self.belief.follow(ledger)
        self.duels.follow(ledger)
        due = self.duels.second(taken, busy)
        if due is not None:
            return due
        proposal = self._likeliest(ledger, taken, busy) or any_open_pair(
            self.pool, ledger.links, taken, LIKELY_FIRST
        )
        if proposal is None:
            return None
        return (
            self.turns.next(ledger, taken, busy, self._controls(ledger))
            or self._duel(taken, busy)  # which brings a second one with it
            or proposal
        )

    def exemplars(self) -> Iterator[str]:
        """See `likewise.answers.pool.Proposer`."""
        return self.pool.shuffled(self.seed)

    def _controls(self, ledger: Ledger) -> float:
        """Share of the questions, 0 to 1, that should check what is believed."""
        if ledger is not self._ledger:
            self._read, self._ledger = 0, ledger
            self._recent.clear()
        for pair in ledger.changes[self._read :]:
            for each in ledger.answers_on(pair)[:1]:
                if each.strategy == LIKELY_FIRST:
                    self._recent.append(each.verdict == "similar")
        self._read = len(ledger.changes)
        if len(self.belief.answers) < FIRST:
            return 0.0
        rare = len(self._recent) == _RECENT and sum(self._recent) < _FEW_SIMILAR * _RECENT
        return MANY_CONTROLS if rare and self.belief.noisy else CONTROLS

    def _duel(self, taken: Collection[Pair], busy: Collection[str]) -> Proposal | None:
        rng = np.random.default_rng((self.seed, len(taken)))
        drawn = float(rng.random()) - SHARE - CONTROLS  # the same draw as for the turn
        if drawn < 0 or drawn >= self.duels.chance():
            return None
        return self.duels.first(taken, busy, rng)

    def _likeliest(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str]
    ) -> Proposal | None:
        self._edges = self._edges or Edges(self.pool, self.seed, FEW)
        found = self._among(self._edges, ledger, taken, busy)
        if found is None and not self._edges.complete:
            self._edges = Edges(self.pool, self.seed)
            self._begin()
            found = self._among(self._edges, ledger, taken, busy)
        return found

    def _among(
        self, edges: Edges, ledger: Ledger, taken: Collection[Pair], busy: Collection[str]
    ) -> Proposal | None:
        if self._asked is not self.belief.asked:
            self._begin()
        self._look_again(edges)
        put_off, found = list[int](), None
        for place in self._places(edges):
            one, two = edges.rows[place].tolist()
            ids = self.pool.ids[one], self.pool.ids[two]
            if ids[0] in busy or ids[1] in busy or pair_of(*ids) in taken:
                if pair_of(*ids) not in ledger.answered():
                    put_off.append(place)
                continue
            if not self._is_open(one, two, ledger):
                continue
            put_off.append(place)
            if ledger.links.relation(*ids) is None:
                found = self.pool.proposal(one, two, LIKELY_FIRST, "The most similar open pair")
            else:
                found = self.pool.proposal(one, two, AUDIT, "Answers disagree about these")
            break
        for place in put_off:
            heappush(self._waiting, place)
        return found

    def _places(self, edges: Edges) -> Iterator[int]:
        """Places of pairs that may be open: of those that wait, then of the next ones."""
        while self._waiting:
            yield heappop(self._waiting)
        for at, block in edges.blocks(self._at):
            slots = self._asked.slots_at(block)
            for place in np.flatnonzero((slots[:, 0] != slots[:, 1]) | (slots[:, 0] < 0)).tolist():
                self._at = at + place + 1
                yield at + place
            self._at = at + len(block)

    def _is_open(self, one: int, two: int, ledger: Ledger) -> bool:
        """Whether it is worth asking about two rows: not if it is implied, or believed."""
        here, there = self._asked.slots_at(np.array([one, two])).tolist()
        if here >= 0 and here == there:
            return False
        ids = self.pool.ids[one], self.pool.ids[two]
        if ledger.links.relation(*ids) is not None and not self.belief.noisy:
            return False
        known = here >= 0 and there >= 0
        return not known or self._asked.partition.between(here, there) >= _DENIED

    def _look_again(self, edges: Edges) -> None:
        """Let passed pairs of images wait again that something changed about."""
        rows = [self.pool.positions[self._asked.images[node]] for node in self._changed]
        again = {place for row in rows for place in edges.of(row).tolist() if place < self._at}
        for place in again.difference(self._waiting):
            heappush(self._waiting, place)
        self._changed.clear()
