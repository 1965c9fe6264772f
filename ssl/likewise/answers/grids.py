"""Screens of many pairs: an anchor and up to 24 candidates. Pure, like the other proposals.

A *grid* finds the place of an anchor: which candidates are the same as it? A *group* starts from
the other end: the candidates are thought to be the same, and those that are not are thrown out.
Candidates are of distinct groups, so that no answer on a screen settles another one of it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from jaxtyping import Float32, Int64

from likewise.answers.anchors import AnchorOrder, anchors
from likewise.answers.links import Links
from likewise.answers.pool import Pool
from likewise.answers.standing import Pair, pair_of

SIZE = 24
"""Candidates on a screen, at most."""
FEWEST = 2
"""Candidates on a screen, at least; a single one is a pair."""
CONTEXT = 6
"""Images of the anchor's group that are shown with it, at most."""
_NEAR, _FAR = 1024, 256
"""How many of the nearest images are looked at one by one, and of those further away."""


@dataclass(frozen=True)
class GridProposal:
    """An anchor with the images that it is worth comparing with."""

    anchor: str
    candidates: tuple[str, ...]
    """Nearest first."""
    scores: tuple[float, ...]
    """Cosine similarity of each to the anchor, -1 to 1."""
    strategy: str
    reason: str
    """One short sentence for the person who is asked."""
    context: tuple[str, ...] = ()
    """Images that are known to belong to the anchor's group; shown, not asked."""
    further: tuple[tuple[str, ...], ...] = ()
    """For each candidate more images of its group, shown with it, not asked; or nothing at all."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that are asked, in the order of the candidates."""
        return tuple(pair_of(self.anchor, each) for each in self.candidates)

    def without(self, pairs: Collection[Pair]) -> "GridProposal | None":
        """The proposal without the candidates of ``pairs``; None if that leaves none."""
        kept = [place for place, pair in enumerate(self.pairs) if pair not in pairs]
        if not kept:
            return None
        return replace(
            self,
            candidates=tuple(self.candidates[place] for place in kept),
            scores=tuple(self.scores[place] for place in kept),
            further=tuple(self.further[place] for place in kept) if self.further else (),
        )


@dataclass(frozen=True)
class _Open:
    """An image that may be a candidate."""

    rank: int
    """How many images are nearer to the anchor."""
    row: int
    score: float
    grouped: bool
    """Whether it stands for a group of several."""


def propose_grid(
    pool: Pool,
    links: Links,
    taken: Collection[Pair],
    busy: Collection[str],
    order: Iterable[str] | AnchorOrder,
    size: int = SIZE,
) -> GridProposal | None:
    """The next anchor with likely groups and images at all distances; None if nothing is left.

    The anchor is the first in ``order`` that belongs to no group yet and was not asked about to
    exhaustion (see `likewise.answers.placing`); then those that were; then one image for each
    group. The candidates: the nearest member of each of the likeliest groups, on up to two thirds
    of the screen, and images without a group at ranks that grow by a constant factor, so that a
    screen is not all of one kind. ``taken`` and ``busy`` are as for
    `likewise.answers.pool.Proposer`.
    """

    def choose(found: Sequence[_Open]) -> list[_Open]:
        groups = [each for each in found if each.grouped]
        single = [each for each in found if not each.grouped]
        share = max(size - size // 3, size - len(single))
        return groups[:share] + _spread(single, size - min(share, len(groups)))

    for anchor in anchors(pool, links, busy, order, FEWEST):
        chosen = choose(_open_images(pool, links, taken, busy, anchor))
        if len(chosen) >= FEWEST:
            reason = _grid_reason(links, anchor, chosen)
            return _proposal(pool, links, anchor, chosen, "grid", reason)
    return None


def propose_group(
    pool: Pool,
    links: Links,
    taken: Collection[Pair],
    busy: Collection[str],
    order: Iterable[str] | AnchorOrder,
    size: int = SIZE,
) -> GridProposal | None:
    """The next anchor with its tight neighbourhood; None if nothing is left.

    Anchors come as for `propose_grid`. The neighbourhood ends at the anchor's largest gap, see
    `tight`.
    """
    for anchor in anchors(pool, links, busy, order, FEWEST):
        found = _open_images(pool, links, taken, busy, anchor)
        chosen = list(found[: tight([1 - each.score for each in found], size)])
        if len(chosen) >= FEWEST:
            reason = _group_reason(links, anchor)
            return _proposal(pool, links, anchor, chosen, "group", reason)
    return None


def tight(distances: Sequence[float], size: int) -> int:
    """How many of the nearest images belong to the neighbourhood: `FEWEST` to ``size`` of them.

    Where points lie evenly around an anchor, the gaps ``j log(d_j+1 / d_j)`` between neighbours at
    distances ``d_1 <= d_2 <= ...`` are independent and alike for every j, whatever the dimension
    and the scale (the spacings behind Hill's and Levina and Bickel's estimators). The neighbourhood
    ends before the largest of them.
    """
    known = np.maximum(np.asarray(distances[: size + 1], dtype=float), 1e-9)
    if len(known) <= FEWEST:
        return len(known)
    places = np.arange(FEWEST, len(known))
    gaps = places * np.log(known[places] / known[places - 1])
    return int(places[np.argmax(gaps)])


def _open_images(
    pool: Pool, links: Links, taken: Collection[Pair], busy: Collection[str], anchor: str
) -> list[_Open]:
    """Images that may be asked against the anchor, nearest first, one for each group.

    All of the nearest ones are looked at, and some of those further away; all of them where that
    brings too few.
    """
    scores = pool.similarities(pool.positions[anchor])
    rows = np.flatnonzero(scores > -2)
    own = links.root(anchor)
    denied = links.denied(own)

    def walk(ranked: Iterable[tuple[int, int]]) -> list[_Open]:
        met = {own}
        found = []
        for rank, row in ranked:
            image = pool.ids[row]
            root = links.root(image)
            if root in met or root in denied or image in busy or pair_of(anchor, image) in taken:
                continue
            met.add(root)
            several = len(links.members(root)) > 1
            found.append(_Open(rank, row, float(scores[row]), several))
        return found

    if len(rows) > _NEAR + _FAR:
        found = walk(_ranked(scores, rows, pool.positions[anchor]))
        if len(found) >= FEWEST:
            return found
    return walk(enumerate(rows[np.argsort(-scores[rows], kind="stable")].tolist()))


def _ranked(
    scores: Float32[np.ndarray, " N"], rows: Int64[np.ndarray, " m"], seed: int
) -> list[tuple[int, int]]:
    """The nearest rows with their ranks, and some of the others with about theirs."""
    parted = rows[np.argpartition(-scores[rows], _NEAR)]
    near, others = parted[:_NEAR], parted[_NEAR:]
    far = np.random.default_rng(seed).choice(others, _FAR, replace=False)
    near, far = (each[np.argsort(-scores[each], kind="stable")] for each in (near, far))
    ranks = _NEAR + (np.arange(_FAR) + 0.5) * len(others) / _FAR
    return [*enumerate(near.tolist()), *zip(ranks.astype(int).tolist(), far.tolist(), strict=True)]


def _spread(found: Sequence[_Open], count: int) -> list[_Open]:
    """``count`` of them, at ranks that grow by about a constant factor, the nearest included."""
    if len(found) <= count:
        return list(found)
    targets = np.geomspace(1, found[-1].rank + 1, max(count, 1))
    ranks = np.array([each.rank + 1 for each in found])
    places = np.searchsorted(ranks, targets).tolist()
    for before in range(len(places) - 1):
        places[before + 1] = max(places[before + 1], places[before] + 1)
    last = len(found) - 1
    for after in reversed(range(len(places))):
        places[after] = min(places[after], last)
        last = places[after] - 1
    return [found[place] for place in places[:count]]


def _proposal(
    pool: Pool, links: Links, anchor: str, chosen: Sequence[_Open], strategy: str, reason: str
) -> GridProposal:
    chosen = sorted(chosen, key=lambda each: each.rank)
    members = links.members(links.root(anchor))
    others = (each for each in members if each != anchor and each in pool.positions)
    return GridProposal(
        anchor=anchor,
        candidates=tuple(pool.ids[each.row] for each in chosen),
        scores=tuple(each.score for each in chosen),
        strategy=strategy,
        reason=reason,
        context=tuple(islice(others, CONTEXT)),
    )


def _grid_reason(links: Links, anchor: str, chosen: Sequence[_Open]) -> str:
    group = len(links.members(links.root(anchor)))
    if group > 1:
        return f"A group of {group} images that may be the same as others"
    likely = sum(each.grouped for each in chosen)
    if not likely:
        return "An image without a group, among others at all distances"
    each = f"each of {likely} likely groups" if likely > 1 else "a likely group"
    return f"An image without a group, with an image of {each}"


def _group_reason(links: Links, anchor: str) -> str:
    group = len(links.members(links.root(anchor)))
    if group > 1:
        return f"The images nearest to a group of {group}, up to the widest gap"
    return "An image and those nearest to it, up to the widest gap"
