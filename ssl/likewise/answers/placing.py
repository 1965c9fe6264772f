"""Cover and place: take images in coverage order and find the group of each.

An image is asked against the nearest member of the likeliest group, then of the likeliest one given
the answer, until its place is sure enough or `PATIENCE` questions were asked; then it waits.
Some questions check what is believed (`likewise.answers.audits`), some are drawn uniformly over
similarity (`likewise.answers.calibrating`). Where groups prove to be many and small, the likeliest
pairs are asked first instead (`likewise.answers.choice`).
"""

from collections.abc import Callable, Collection, Iterator
from heapq import heappop, heappush

import numpy as np

from likewise.answers.audits import AUDIT, audit_share
from likewise.answers.belief import Belief
from likewise.answers.choice import choose_strategy
from likewise.answers.coverage import sampled_coverage_order
from likewise.answers.ledger import Ledger
from likewise.answers.likely import LikelyFirst
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.rivals import Rivals
from likewise.answers.standing import Pair, pair_of
from likewise.answers.turns import Turns

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

    def __init__(
        self,
        pool: Pool,
        seed: int,
        belief: Belief | None = None,
        rivals: Callable[[], Rivals | None] = lambda: None,
    ) -> None:
        self.pool, self.seed = pool, seed
        self.belief = belief or Belief(pool)
        self.turns = Turns(self.belief, seed)
        self._likely = LikelyFirst(pool, seed, self.belief, rivals, self.turns)
        self._changed = self.belief.watch()
        rng = np.random.default_rng(seed)
        self._order = sampled_coverage_order(pool.half_whitened, pool.rows, SAMPLE, rng)
        self._seen: list[str] = []
        for _ in zip(range(_PREPARED), self.exemplars(), strict=False):
            pass  # so that the first question comes as quickly as the others
        self._begin()

    def _begin(self) -> None:
        """Look at all images anew."""
        self._asked, self._patience = self.belief.asked, PATIENCE
        self._passed: dict[str, int] = {}
        """The images that were looked at, with their places in coverage order."""
        self._waiting: list[int] = []
        """Places of those that may have to be asked about again: a heap."""
        self._spent: dict[int, int] = {}
        """Places about which nothing was left to ask when so many images were known."""

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        self.belief.follow(ledger)
        if choose_strategy(self.belief).strategy == "likely-first":
            return self._likely.next(ledger, taken, busy)
        proposal = self._place(ledger, taken, busy) or any_open_pair(
            self.pool, ledger.links, taken, _NAME
        )
        if proposal is None:
            return None
        return self.turns.next(ledger, taken, busy, audit_share(self.belief)) or proposal

    def exemplars(self) -> Iterator[str]:
        """Images in coverage order, ranked as far as somebody asks."""
        yield from self._seen
        for row in self._order:
            self._seen.append(self.pool.ids[row])
            yield self._seen[-1]

    def _place(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str]
    ) -> Proposal | None:
        """The next question about the first image in order whose place is not sure."""
        if self._asked is not self.belief.asked:
            self._begin()
        self._look_at_changed(ledger)
        put_off, found = list[int](), None
        while found is None:
            place = self._next_place()
            if place is None:
                self._patience *= 2  # those that waited get a second chance
                if self._patience > 2 * len(self.pool.rows):
                    break
                self._look_again(range(len(self._asked)), ledger)
                continue
            image = self._seen[place]
            if image in busy:
                put_off.append(place)
            elif not self._is_settled(self._asked.nodes.get(image, -1)):
                found, later = self._ask(image, ledger, taken, busy)
                if found is not None or later:
                    put_off.append(place)
                else:
                    self._spent[place] = len(ledger.links.placed())
        for place in put_off:
            heappush(self._waiting, place)
        return found

    def _next_place(self) -> int | None:
        """Of an image that waits, or else of the next one in coverage order."""
        if self._waiting:
            return heappop(self._waiting)
        place = len(self._passed)
        if place == len(self._seen):
            row = next(self._order, None)
            if row is None:
                return None
            self._seen.append(self.pool.ids[row])
        self._passed[self._seen[place]] = place
        return place

    def _look_at_changed(self, ledger: Ledger) -> None:
        for node in self._changed:
            self._spent.pop(self._passed.get(self._asked.images[node], -1), None)
        self._look_again(self._changed, ledger)
        self._changed.clear()

    def _look_again(self, nodes: Collection[int], ledger: Ledger) -> None:
        """Let the images that were passed wait again if their place is not sure any more."""
        waiting, known = set(self._waiting), len(ledger.links.placed())
        for node in nodes:
            place = self._passed.get(self._asked.images[node])
            if place is None or place in waiting or self._spent.get(place) == known:
                continue
            if not self._is_settled(node):
                heappush(self._waiting, place)

    def _is_settled(self, node: int) -> bool:
        if node < 0:
            return False
        asked = len(self._asked.partition.weights[node])
        return asked >= self._patience or (asked > 0 and float(self._asked.sure[node]) >= STOP)

    def _ask(
        self, image: str, ledger: Ledger, taken: Collection[Pair], busy: Collection[str]
    ) -> tuple[Proposal | None, bool]:
        """``image`` against the nearest member of the likeliest group that is left to ask.

        And whether there may be one later: somebody has a pair with it on a screen. The member may
        be on other screens: no answer there tells where ``image`` belongs, and while few images
        are known and many people ask, all of those are.
        """
        belief, row = self.belief, self.pool.positions[image]
        if not belief.asked.images:
            others = (each for each in self.exemplars() if each != image and each not in busy)
            for name in others:
                if pair_of(image, name) not in taken:
                    there = self.pool.positions[name]
                    return self.pool.proposal(row, there, _NAME, "A first comparison"), False
            return None, True
        asked, node = belief.asked, belief.asked.nodes.get(image, -1)
        candidates = asked.near(row)
        slots = asked.partition.slots[candidates]
        views = asked.views(np.array([row]))
        odds = views.odds[0, np.searchsorted(views.slots, slots)]
        near = asked.likeness.vectors(candidates) @ self.pool.half_whitened(np.array([row]))[0]
        unsure, later = asked.sure[candidates] < _SURE, False
        for place in np.lexsort((-near, unsure, slots, -odds)).tolist():
            name = asked.images[candidates[place]]
            if name == image:
                continue
            there = self.pool.positions[name]
            relation = ledger.links.relation(image, name)
            pair = pair_of(image, name)
            if pair in taken:
                later |= relation is None and pair not in ledger.answered()
                continue
            if relation is None:
                size = int(asked.partition.sizes[slots[place]])
                before = node >= 0 and bool(asked.partition.weights[node])
                reason = _reason(asked.partition.groups, size, before)
                return self.pool.proposal(row, there, _NAME, reason), False
            if belief.noisy and odds[place] > 1 - STOP:
                return self.pool.proposal(row, there, AUDIT, "Is this really its group?"), False
        return None, later


def _reason(groups: int, members: int, asked: bool) -> str:
    if groups == 1:
        return "The only group that is left to compare with" if asked else "A first comparison"
    which = "Next likeliest" if asked else "Likeliest"
    images = f"{members} images so far" if members > 1 else "one image so far"
    return f"{which} of {groups} groups, with {images}"
