"""What every question strategy works on: a pool of images, and proposals of pairs from it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from likewise.answers.links import Links
from likewise.answers.standing import Pair, pair_of
from likewise.neighbours.vectors import Embeddings
from likewise.settings import Strategy


@dataclass(frozen=True)
class Proposal:
    """A pair worth asking about."""

    a: str
    b: str
    """Image ids, ``a < b``."""
    strategy: str
    score: float
    """Cosine similarity, -1 to 1."""
    reason: str
    """One short sentence for the person who is asked."""


@runtime_checkable
class Proposer(Protocol):
    """A strategy, prepared for one embedding."""

    def next(
        self, links: Links, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """The next pair to ask about; None when every pair is answered, implied or taken.

        ``taken`` are the pairs that were answered (unsure included) or are on a screen, smaller
        id first; ``busy`` the images on the screens of others, which are better left alone.
        """
        ...


@dataclass(frozen=True)
class Pool:
    """The images that may be asked about."""

    ids: Sequence[str]
    vectors: Float32[np.ndarray, "N D"]
    """Unit vectors of all images."""
    rows: Int64[np.ndarray, " n"]
    """Those that may be asked about."""
    positions: dict[str, int]
    """Row of each image that may be asked about."""

    def proposal(self, one: int, two: int, strategy: Strategy, reason: str) -> Proposal:
        """The pair of two rows."""
        a, b = pair_of(self.ids[one], self.ids[two])
        score = float(self.vectors[one] @ self.vectors[two])
        return Proposal(a, b, strategy, score, reason)

    def asks_nothing_new(self, one: int, two: int, links: Links, taken: Collection[Pair]) -> bool:
        """Whether the answer on two rows is known, implied or on its way."""
        a, b = self.ids[one], self.ids[two]
        return a == b or links.relation(a, b) is not None or pair_of(a, b) in taken


def pool_of(embeddings: Embeddings, held_out: Collection[str]) -> Pool:
    """All images of ``embeddings`` but the held-out ones."""
    ids = [str(each) for each in embeddings.ids]
    hidden = frozenset(held_out)
    positions = {each: row for row, each in enumerate(ids) if each not in hidden}
    return Pool(ids, embeddings.vectors, np.fromiter(positions.values(), np.int64), positions)


def any_open_pair(
    pool: Pool, links: Links, taken: Collection[Pair], strategy: Strategy
) -> Proposal | None:
    """Any pair that is neither answered nor implied nor taken; None if there is none."""
    groups: dict[str, list[int]] = {}
    for image, row in pool.positions.items():
        groups.setdefault(links.root(image), []).append(row)
    roots = list(groups)
    for place, root in enumerate(roots):
        denied = links.denied(root)
        for other in roots[place + 1 :]:
            if other in denied:
                continue
            for one in groups[root]:
                for two in groups[other]:
                    if pair_of(pool.ids[one], pool.ids[two]) not in taken:
                        return pool.proposal(one, two, strategy, "One of the last open pairs")
    return None
