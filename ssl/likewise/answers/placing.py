"""Cover and place: take images in coverage order and find the group of each.

An image is asked against the nearest member of the likeliest group, then of the likeliest one given
the answer, until its place is sure enough or `PATIENCE` questions were asked; then it waits.
Some questions check what is believed (`likewise.answers.audits`), some are drawn uniformly over
similarity (`likewise.answers.calibrating`). Where groups prove to be many and small, the likeliest
pairs are asked first instead (`likewise.answers.choice`).
"""

from collections.abc import Collection, Iterator

import numpy as np
from jaxtyping import Int64

from likewise.answers.audits import AUDIT, audit_share, next_audit
from likewise.answers.belief import Belief, View
from likewise.answers.calibrating import calibration_pair
from likewise.answers.choice import choose_strategy
from likewise.answers.coverage import sampled_coverage_order
from likewise.answers.ledger import Ledger
from likewise.answers.likely import LikelyFirst
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.reserved import SHARE
from likewise.answers.standing import Pair, pair_of

PATIENCE = 5
"""Questions about one image before it waits."""
SAMPLE = 3000
"""Images that are ranked by coverage; the others follow in random order."""
STOP = 0.9
"""Probability, 0 to 1, at which the place of an image is sure enough."""
_SURE = 0.7
"""Members whose place is at least as sure are asked against first."""
_PREPARED = 100
_NAME = "cover-place-spread"


class CoverPlace:
    """The default strategy; see the module."""

    def __init__(self, pool: Pool, seed: int, belief: Belief | None = None) -> None:
        self.pool, self.seed = pool, seed
        self.belief = belief or Belief(pool)
        self._likely = LikelyFirst(pool, seed, self.belief)
        rng = np.random.default_rng(seed)
        self._order = sampled_coverage_order(pool.vectors, pool.rows, SAMPLE, rng)
        self._seen: list[str] = []
        self._start = 0
        for _ in zip(range(_PREPARED), self.exemplars(), strict=False):
            pass  # so that the first question comes as quickly as the others

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        self.belief.follow(ledger)
        if choose_strategy(self.belief).strategy == "likely-first":
            return self._likely.next(ledger, taken, busy)
        proposal, patience = self._place(ledger, taken, busy, PATIENCE), PATIENCE
        while proposal is None and patience <= len(self.pool.rows):
            patience *= 2  # everything was looked at: those that waited get a second chance
            proposal = self._place(ledger, taken, busy, patience)
        proposal = proposal or any_open_pair(self.pool, ledger.links, taken, _NAME)
        if proposal is None:
            return None
        rng = np.random.default_rng((self.seed, len(taken)))
        drawn, other = float(rng.random()), None
        if drawn < SHARE:
            other = calibration_pair(self.pool, ledger.links, taken, busy, rng)
        elif drawn < SHARE + audit_share(self.belief):
            other = next_audit(self.belief, taken, busy, rng)
        return other or proposal

    def exemplars(self) -> Iterator[str]:
        """Images in coverage order, ranked as far as somebody asks."""
        yield from self._seen
        for row in self._order:
            self._seen.append(self.pool.ids[row])
            yield self._seen[-1]

    def _place(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str], patience: int
    ) -> Proposal | None:
        """The next question about the first image in order whose place is not sure."""
        belief = self.belief
        for image in self.exemplars():
            if image in busy:
                continue
            node = belief.nodes.get(image, -1)
            asked = len(belief.partition.weights[node]) if node >= 0 else 0
            if asked < patience and (not asked or belief.sure[node] < STOP):
                proposal = self._ask(image, asked, ledger, taken, busy)
                if proposal is not None:
                    return proposal
        return None

    def _ask(
        self,
        image: str,
        asked: int,
        ledger: Ledger,
        taken: Collection[Pair],
        busy: Collection[str],
    ) -> Proposal | None:
        """``image`` against the nearest member of the likeliest group that is left to ask."""
        belief, row = self.belief, self.pool.positions[image]
        if not belief.images:
            others = (each for each in self.exemplars() if each != image and each not in busy)
            for name in others:
                if pair_of(image, name) not in taken:
                    there = self.pool.positions[name]
                    return self.pool.proposal(row, there, _NAME, "A first comparison")
            return None
        view = belief.view(image)
        slots = belief.partition.slots[: len(belief.images)]
        for other in self._likeliest(view, slots):
            name = belief.images[other]
            if name == image or name in busy or pair_of(image, name) in taken:
                continue
            there = self.pool.positions[name]
            relation = ledger.links.relation(image, name)
            if relation is None:
                groups, size = len(np.unique(slots)), len(belief.partition.members[slots[other]])
                return self.pool.proposal(row, there, _NAME, _reason(groups, size, asked))
            if belief.noisy and view.odds[slots[other]] > 1 - STOP:
                return self.pool.proposal(row, there, AUDIT, "Is this really its group?")
        return None

    def _likeliest(self, view: View, slots: Int64[np.ndarray, " M"]) -> Iterator[int]:
        """Nodes, those of the likeliest group first, in it the sure ones, then by similarity."""
        chances = view.odds[slots]
        unsure = self.belief.sure[: len(slots)] < _SURE
        yield from np.lexsort((-view.similarities, unsure, slots, -chances)).tolist()


def _reason(groups: int, members: int, asked: int) -> str:
    if groups == 1:
        return "The only group that is left to compare with" if asked else "A first comparison"
    which = "Next likeliest" if asked else "Likeliest"
    images = f"{members} images so far" if members > 1 else "one image so far"
    return f"{which} of {groups} groups, with {images}"
