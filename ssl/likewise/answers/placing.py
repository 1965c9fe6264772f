"""Cover and place: take images in coverage order and find the group of each.

An image is asked against the nearest member of the likeliest group, then of the next likeliest,
until somebody says "similar". Denied by every group it founds one; after `PATIENCE` questions it
waits as a group of its own, which later images may join. Here an answer is taken as true;
posteriors over groups, audits and spreading belong in this room too.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from likewise.answers.coverage import sampled_coverage_order
from likewise.answers.links import Links
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.standing import Pair, pair_of

PATIENCE = 5
"""Questions about one image before it waits."""
SAMPLE = 3000
"""Images that are ranked by coverage; the others follow in random order."""
_PREPARED = 100
_COMPARED = 4096
"""Members of groups that one image is compared with, at most."""
_MANY = 4096
"""With more answered images than this, only those nearest to an image are looked at."""


class CoverPlace:
    """The default strategy; see the module."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool = pool
        rng = np.random.default_rng(seed)
        self._order = sampled_coverage_order(pool.vectors, pool.rows, SAMPLE, rng)
        self._seen: list[str] = []
        for _ in zip(range(_PREPARED), self.exemplars(), strict=False):
            pass  # so that the first question comes as quickly as the others

    def next(
        self, links: Links, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.proposals.Proposer`."""
        patience = PATIENCE
        while True:
            proposal = self._place(links, taken, busy, patience)
            if proposal is not None or patience > len(self._seen):
                break
            patience *= 2  # everything was looked at: those that waited get a second chance
        return proposal or any_open_pair(self.pool, links, taken, "cover-place")

    def exemplars(self) -> Iterator[str]:
        """Images in coverage order, ranked as far as somebody asks."""
        yield from self._seen
        for row in self._order:
            self._seen.append(self.pool.ids[row])
            yield self._seen[-1]

    def _place(
        self, links: Links, taken: Collection[Pair], busy: Collection[str], patience: int
    ) -> Proposal | None:
        """The next question about the first image in order that has no place yet."""
        if len(links.placed()) > _MANY:
            return self._place_among_many(links, taken, busy, patience)
        known = [root for root in links.roots() if self._is_group(links.members(root))]
        placed = links.placed()
        for image in self.exemplars():
            if placed.get(image) or image in busy:
                continue
            root = links.root(image)
            denied = links.denied(root)
            alone = len(known) <= len(denied) and all(other in denied for other in known)
            if alone or len(denied) >= patience:
                known.append(root)
            elif links.asks[image] < patience:
                proposal = self._ask(image, [each for each in known if each not in denied],
                                     links, taken)  # fmt: skip
                if proposal is not None:
                    return proposal
        return None

    def _place_among_many(
        self, links: Links, taken: Collection[Pair], busy: Collection[str], patience: int
    ) -> Proposal | None:
        """The same without a look at every group: those of the images nearest to each are enough.

        An image that as many groups were denied as there are counts as denied by all.
        """
        founders: set[str] = set()
        placed = links.placed()
        for image in self.exemplars():
            if placed.get(image) or image in busy:
                continue
            denied = links.denied(links.root(image))
            if len(denied) >= min(patience, links.groups_of_several + len(founders)):
                founders.add(image)
            elif links.asks[image] < patience:
                proposal = self._ask_nearest(image, founders, links, taken)
                if proposal is not None:
                    return proposal
        return None

    def _ask_nearest(
        self, image: str, founders: Collection[str], links: Links, taken: Collection[Pair]
    ) -> Proposal | None:
        """``image`` against the nearest one whose group was not asked yet."""
        row, placed = self.pool.positions[image], links.placed()
        passed = {links.root(image), *links.denied(links.root(image))}
        for other in self.pool.nearest(row):
            name = self.pool.ids[other]
            group = links.root(name)
            if group in passed or not (placed.get(name) or name in founders):
                continue
            if pair_of(image, name) not in taken:
                count = links.groups_of_several + len(founders)
                reason = _reason(count, len(links.members(group)), links.asks[image])
                return self.pool.proposal(row, other, "cover-place", reason)
            passed.add(group)
        return None

    def _is_group(self, members: Sequence[str]) -> bool:
        return len(members) > 1 and any(each in self.pool.positions for each in members)

    def _ask(
        self, image: str, groups: Sequence[str], links: Links, taken: Collection[Pair]
    ) -> Proposal | None:
        """``image`` against the nearest member of the likeliest group that was not asked yet."""
        share = max(4, _COMPARED // len(groups))
        rows, owners = [], []
        for group in groups:
            members = [each for each in links.members(group)[:share] if each in self.pool.positions]
            rows += [self.pool.positions[each] for each in members]
            owners += [group] * len(members)
        row = self.pool.positions[image]
        similarity = np.asarray(self.pool.vectors[rows]) @ self.pool.vectors[row]
        passed: set[str] = set()
        for place in np.argsort(-similarity, kind="stable"):
            group, other = owners[place], rows[place]
            if group in passed:
                continue
            if pair_of(image, self.pool.ids[other]) not in taken:
                reason = _reason(len(groups), len(links.members(group)), links.asks[image])
                return self.pool.proposal(row, other, "cover-place", reason)
            passed.add(group)
        return None


def _reason(groups: int, members: int, asked: int) -> str:
    if groups == 1:
        return "The only group that is left to compare with" if asked else "A first comparison"
    which = "Next likeliest" if asked else "Likeliest"
    images = f"{members} images so far" if members > 1 else "one image so far"
    return f"{which} of {groups} groups, with {images}"
