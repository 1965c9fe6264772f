"""What every question strategy works on: a pool of images, and proposals of pairs from it."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, Int64

from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.reserved import is_reserved
from likewise.answers.standing import Pair, pair_of
from likewise.neighbours.vectors import Embeddings
from likewise.neighbours.whitening import HalfWhitening, half_whitening

FEWEST_TO_RESERVE = 100
"""Images of a pool below which all may be asked about."""
_COMPARED = 2**25
"""Numbers that one image is compared with, at most: 100,000 images in 335 dimensions."""
_BLOCK = 1024
_RANKED = 4096


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

    pool: "Pool"
    """The images it asks about."""

    def exemplars(self) -> Iterable[str]:
        """These images in the order in which they are worth a place in a group."""
        ...

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """The next pair to ask about; None when every pair is answered, implied or taken.

        ``ledger`` holds all answers so far, and grows from call to call. ``taken`` are the pairs
        that were answered (unsure included) or are on a screen, smaller id first; ``busy`` the
        images on the screens of others, which are better left alone.
        """
        ...


@dataclass(frozen=True)
class Pool:
    """The images that may be asked about."""

    ids: Sequence[str]
    vectors: Float32[np.ndarray, "N D"]
    """Unit vectors of all images."""
    rows: Int64[np.ndarray, " n"]
    """Those that strategies ask about."""
    positions: dict[str, int]
    """Row of each image that answers may be about: of ``rows`` and ``reserve``."""
    neighbours: Int[np.ndarray, "N k"] | None = None
    """Rows of the images nearest to each, nearest first, -1 where there are fewer; if known."""
    reserve: Int64[np.ndarray, " r"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Those that are asked about to calibrate, and otherwise only when nothing else is left."""

    @cached_property
    def every(self) -> Int64[np.ndarray, " m"]:
        """Rows of all images that answers may be about, rising."""
        return np.union1d(self.rows, self.reserve)

    @cached_property
    def open(self) -> Bool[np.ndarray, " N"]:
        """Which images strategies ask about."""
        asked = np.zeros(len(self.vectors), dtype=bool)
        asked[self.rows] = True
        return asked

    def half_whitened(self, rows: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m D"]:
        """The unit vectors of some rows in which groups are sought."""
        return self._whitening(self.vectors[rows])

    @cached_property
    def _whitening(self) -> HalfWhitening:
        return half_whitening(self.vectors, self.rows)

    def proposal(self, one: int, two: int, strategy: str, reason: str) -> Proposal:
        """The pair of two rows."""
        a, b = pair_of(self.ids[one], self.ids[two])
        score = float(self.vectors[one] @ self.vectors[two])
        return Proposal(a, b, strategy, score, reason)

    def similarities(self, row: int) -> Float32[np.ndarray, " N"]:
        """Cosine similarity of a row to the other ones that may be asked about; -2 for the rest.

        Blocks of rows, drawn for this row, stand for all where there are very many.
        """
        most = max(1, _COMPARED // (self.vectors.shape[1] * _BLOCK))
        starts = np.arange(0, len(self.vectors), _BLOCK)
        if len(starts) > most:
            starts = np.sort(np.random.default_rng(row).choice(starts, most, replace=False))
        query = np.asarray(self.vectors[row])
        scores = np.full(len(self.vectors), -2, dtype=np.float32)
        for start in starts.tolist():
            scores[start : start + _BLOCK] = self.vectors[start : start + _BLOCK] @ query
        scores[row] = -2
        scores[~self.open] = -2
        return scores

    def nearest(self, row: int) -> Iterator[int]:
        """The other rows that may be asked about, from near to far, up to `_RANKED` of them.

        The known neighbours come first, so that all images are looked at only if need be.
        """
        if self.neighbours is not None:
            known = self.neighbours[row]
            known = known[known >= 0]
            yield from known[self.open[known]].tolist()
        similarity = self.similarities(row)
        found = np.argpartition(-similarity, min(_RANKED, len(similarity) - 1))[:_RANKED]
        found = found[similarity[found] > -2]
        yield from found[np.argsort(-similarity[found], kind="stable")].tolist()

    def shuffled(self, seed: int) -> Iterator[str]:
        """The images that may be asked about, in random order."""
        rows = np.random.default_rng(seed).permutation(self.rows)
        return (self.ids[row] for row in rows)

    def asks_nothing_new(self, one: int, two: int, links: Links, taken: Collection[Pair]) -> bool:
        """Whether the answer on two rows is known, implied or on its way."""
        a, b = self.ids[one], self.ids[two]
        return a == b or links.relation(a, b) is not None or pair_of(a, b) in taken


def pool_of(embeddings: Embeddings, held_out: Collection[str]) -> Pool:
    """All images of ``embeddings`` but the held-out ones.

    In pools of `FEWEST_TO_RESERVE` images and more some are in reserve, as their content decides.
    """
    ids = [str(each) for each in embeddings.ids]
    hidden = frozenset(held_out)
    positions = {each: row for row, each in enumerate(ids) if each not in hidden}
    rows = np.fromiter(positions.values(), np.int64)
    enough = len(rows) >= FEWEST_TO_RESERVE
    spared = np.fromiter((enough and is_reserved(each) for each in positions), bool, len(rows))
    neighbours, _ = embeddings.neighbours()
    near = neighbours.astype(np.int32)
    return Pool(ids, embeddings.vectors, rows[~spared], positions, near, rows[spared])


def any_open_pair(
    pool: Pool, links: Links, taken: Collection[Pair], strategy: str
) -> Proposal | None:
    """Any pair that is neither answered nor implied nor taken; None if there is none.

    Images in reserve come when all others are done.
    """
    for rows in (pool.rows, pool.every) if len(pool.reserve) else (pool.rows,):
        found = _open_pair_of(rows, pool, links, taken, strategy)
        if found is not None:
            return found
    return None


def _open_pair_of(
    rows: Int64[np.ndarray, " m"], pool: Pool, links: Links, taken: Collection[Pair], strategy: str
) -> Proposal | None:
    groups: dict[str, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(links.root(pool.ids[row]), []).append(row)
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
