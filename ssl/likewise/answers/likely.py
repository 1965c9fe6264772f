"""Likeliest pairs first, with transitivity: for many small groups (faces, near-duplicates).

Wang et al., "Leveraging transitive relations for crowdsourced joins", SIGMOD 2013. What follows
from what is believed is not asked, but some questions are controls.
"""

from collections.abc import Collection, Iterator

import numpy as np

from likewise.answers.audits import AUDIT, next_audit
from likewise.answers.belief import FIRST, Belief
from likewise.answers.calibrating import calibration_pair
from likewise.answers.edges import Edges
from likewise.answers.ledger import Ledger
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.reserved import SHARE
from likewise.answers.standing import Pair, pair_of

CONTROLS = 0.15
"""Share of the questions that check what is believed."""
_DENIED = -1.0
"""Log odds of the answers between two groups below which they count as different."""
_NAME = "likely-first"


class LikelyFirst:
    """The most similar images that are in different groups so far; see the module."""

    def __init__(self, pool: Pool, seed: int, belief: Belief | None = None) -> None:
        self.pool, self.seed = pool, seed
        self.belief = belief or Belief(pool)
        self._edges: Edges | None = None

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        self.belief.follow(ledger)
        proposal = self._likeliest(ledger, taken, busy) or any_open_pair(
            self.pool, ledger.links, taken, _NAME
        )
        if proposal is None:
            return None
        rng = np.random.default_rng((self.seed, len(taken)))
        drawn, other = float(rng.random()), None
        if drawn < SHARE:
            other = calibration_pair(self.pool, ledger.links, taken, busy, rng)
        elif drawn < SHARE + CONTROLS and len(self.belief.answers) >= FIRST:
            other = next_audit(self.belief, taken, busy, rng)
        return other or proposal

    def exemplars(self) -> Iterator[str]:
        """See `likewise.answers.pool.Proposer`."""
        return self.pool.shuffled(self.seed)

    def _likeliest(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str]
    ) -> Proposal | None:
        partition, ids = self.belief.partition, self.pool.ids
        self._edges = self._edges or Edges(self.pool, self.seed)
        slots = np.full(len(self.pool.vectors), -1, dtype=np.int64)
        rows = [self.pool.positions[image] for image in self.belief.images]
        slots[rows] = partition.slots[: len(rows)]
        settled: dict[tuple[int, int], bool] = {}

        def denied(one: int, two: int) -> bool:
            small, large = sorted((one, two), key=lambda slot: len(partition.members[slot]))
            if (small, large) not in settled:
                weight = partition.between(partition.members[small], large)
                settled[small, large] = weight < _DENIED
            return settled[small, large]

        for block in self._edges.blocks():
            ends = slots[block]
            for place in np.flatnonzero((ends[:, 0] != ends[:, 1]) | (ends[:, 0] < 0)).tolist():
                (one, two), (here, there) = block[place].tolist(), ends[place].tolist()
                if ids[one] in busy or ids[two] in busy or pair_of(ids[one], ids[two]) in taken:
                    continue
                known = ledger.links.relation(ids[one], ids[two]) is not None
                if known and not self.belief.noisy:
                    continue
                if here < 0 or there < 0 or not denied(here, there):
                    if known:
                        return self.pool.proposal(one, two, AUDIT, "Answers disagree about these")
                    return self.pool.proposal(one, two, _NAME, "The most similar open pair")
        return None
