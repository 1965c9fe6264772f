"""A strip: which of these groups does an image belong to, or to none? Pure, like other proposals.

One key answers all of it: the image is similar to the member that stands for the chosen group, and
dissimilar to those that stand for the others.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Int64

from likewise.answers.anchors import AnchorOrder, anchors
from likewise.answers.grids import CONTEXT, GridProposal
from likewise.answers.links import Links
from likewise.answers.placing import PATIENCE
from likewise.answers.pool import Pool
from likewise.answers.standing import Pair, pair_of

GROUPS = 9
"""Groups on a screen, at most: one for each key."""
FEWEST = 2
"""Groups on a screen, at least; with a single one it is a pair."""
FURTHER = 4
"""Images that are shown of a group besides the nearest one, at most."""
_MANY = 4096
"""With more answered images than this, only the images nearest to an anchor are looked at."""
_TRIES = 16
"""Anchors whose surroundings are looked at before somebody is better asked in another way."""


@dataclass(frozen=True)
class _Group:
    """A group that an anchor may belong to."""

    root: str
    row: int
    """Of its member that is nearest to the anchor."""
    score: float
    """Cosine similarity of the two."""


def propose_strip(
    pool: Pool,
    links: Links,
    taken: Collection[Pair],
    busy: Collection[str],
    order: Iterable[str] | AnchorOrder,
    size: int = GROUPS,
) -> GridProposal | None:
    """The next anchor with its likeliest groups, likeliest first; None with fewer than `FEWEST`.

    The anchor is the first in ``order`` without a place; see `likewise.answers.anchors.anchors`.
    The likeliest groups are those with the most similar members. Left out are groups that differ
    from the anchor, and those whose nearest member is in ``taken``. ``busy`` images are no anchors,
    but a group may be on several screens at once.
    """
    few = len(links.placed()) <= _MANY
    known = _rows(pool, links.placed()) if few else None
    groups = None if known is None else founded(links, (pool.ids[row] for row in known.tolist()))
    if (links.groups_of_several if groups is None else len(groups)) < FEWEST:
        return None
    tries = 0
    for anchor in anchors(pool, links, busy, order, FEWEST):
        if groups is not None and _open_to(links, anchor, groups) < FEWEST:
            continue
        near = _near(pool, links, anchor) if known is None else known
        found = list(_likeliest(pool, links, taken, anchor, near, groups))
        if len(found) >= FEWEST:
            return _proposal(pool, links, anchor, found[:size], len(found))
        tries += 1
        if tries == _TRIES:
            break
    return None


def founded(links: Links, images: Iterable[str]) -> set[str]:
    """The roots of the groups of ``images``: of several, and of single ones that founded a group.

    An image founds a group if all groups before it differ from it, or
    `likewise.answers.placing.PATIENCE` of them.
    """
    roots = dict.fromkeys(links.root(each) for each in images)
    groups = {root for root in roots if len(links.members(root)) > 1}
    for root in roots:
        if len(links.denied(root)) >= min(PATIENCE, len(groups)):
            groups.add(root)
    return groups


def _rows(pool: Pool, images: Iterable[str]) -> Int64[np.ndarray, " k"]:
    """The rows of those ``images`` that may be asked about."""
    return np.array([pool.positions[each] for each in images if each in pool.positions], np.int64)


def _near(pool: Pool, links: Links, anchor: str) -> Int64[np.ndarray, " k"]:
    """The rows of the answered ones among the images nearest to ``anchor``."""
    placed = links.placed()
    near = dict.fromkeys(pool.nearest(pool.positions[anchor]))
    return np.array([row for row in near if pool.ids[row] in placed], np.int64)


def _open_to(links: Links, anchor: str, groups: Collection[str]) -> int:
    """How many of the ``groups`` the anchor may belong to, as far as is known."""
    own = links.root(anchor)
    return len(groups) - (own in groups) - sum(each in groups for each in links.denied(own))


def _likeliest(
    pool: Pool,
    links: Links,
    taken: Collection[Pair],
    anchor: str,
    rows: Int64[np.ndarray, " k"],
    groups: Collection[str] | None,
) -> Iterator[_Group]:
    """The ``groups`` with members in ``rows`` that may be asked, likeliest first.

    Without ``groups`` they are those that these members have founded.
    """
    scores = np.asarray(pool.vectors[rows]) @ np.asarray(pool.vectors[pool.positions[anchor]])
    ranked = rows[np.argsort(-scores, kind="stable")]
    if groups is None:
        groups = founded(links, (pool.ids[row] for row in ranked.tolist()))
    own = links.root(anchor)
    passed = {own, *links.denied(own)}
    for row, score in zip(ranked.tolist(), -np.sort(-scores), strict=True):
        root = links.root(pool.ids[row])
        if root in passed or root not in groups:
            continue
        passed.add(root)
        if pair_of(anchor, pool.ids[row]) not in taken:
            yield _Group(root, row, float(score))


def _proposal(
    pool: Pool, links: Links, anchor: str, chosen: list[_Group], likely: int
) -> GridProposal:
    def others(root: str, shown: str, count: int) -> tuple[str, ...]:
        members = (each for each in links.members(root) if each != shown)
        return tuple(islice((each for each in members if each in pool.positions), count))

    names = tuple(pool.ids[each.row] for each in chosen)
    return GridProposal(
        anchor=anchor,
        candidates=names,
        scores=tuple(each.score for each in chosen),
        strategy="strip",
        reason=_reason(len(links.members(links.root(anchor))), len(chosen), likely),
        context=others(links.root(anchor), anchor, CONTEXT),
        further=tuple(
            others(each.root, name, FURTHER) for each, name in zip(chosen, names, strict=True)
        ),
    )


def _reason(own: int, shown: int, likely: int) -> str:
    what = f"A group of {own} images" if own > 1 else "An image without a group"
    if shown < likely:
        return f"{what}, with the {shown} likeliest of {likely} groups, likeliest first"
    those = "both" if shown == 2 else f"all {shown}"
    return f"{what}, with {those} groups that it may belong to, likeliest first"
