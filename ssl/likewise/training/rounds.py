"""Rounds: spread and head teach each other.

A head brings images of a group nearer together, so that the graph of nearest neighbours, and with
it the spread, gets better, and a better spread makes a better head (self-training, Yarowsky 1995).
Neighbours are drawn from those that are known: they are put in order anew. How far a spread is to
be trusted is told by the first graph alone, which no answer has touched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from likewise.answers.placement import Placement
from likewise.answers.rivals import Rivals
from likewise.models.heads import Head, project
from likewise.training.contrast import contrasted
from likewise.training.flow import KEPT
from likewise.training.head import Basis, basis_of, fit_head
from likewise.training.spread import Spread, Trust, placed_alone, spread, trust_in

ROUNDS = 2
SHARE = 0.8
"""The head's part of the variance when neighbours are put in order."""
_SAMPLE = 4096
_BLOCK = 4096


@dataclass(frozen=True)
class Pool:
    """What can be known of images without answers."""

    vectors: Float32[np.ndarray, "N D"]
    """Of unit length."""
    neighbours: Int[np.ndarray, "N k"]
    """The nearest images of each, -1 where there are fewer."""
    similarities: Float[np.ndarray, "N k"]
    """Their cosine similarities, -1 to 1."""
    among: Bool[np.ndarray, " N"] | None
    """Images that may be learnt from; None: all."""
    basis: Basis
    coordinates: Float32[np.ndarray, "N d"]


def pool_of(
    vectors: Float32[np.ndarray, "N D"],
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    among: Bool[np.ndarray, " N"] | None = None,
    seed: int = 0,
) -> Pool:
    """Prepare what all fits share."""
    basis = basis_of(vectors, among, seed)
    coordinates = basis.along(vectors)
    return Pool(vectors, neighbours, similarities, among, basis, coordinates)


def pool_trust(pool: Pool, placement: Placement, seed: int = 0) -> Trust:
    """How far a spread is to be trusted, by the graph that no answer has touched."""
    return trust_in(pool.neighbours, pool.similarities, placement, pool.among, seed)


def teach(
    pool: Pool, placement: Placement, trust: Trust | None, seed: int = 0
) -> tuple[Spread, Head]:
    """Spread and head that the placement teaches, after `ROUNDS`; the blend is 1, not yet tested.

    What tells the placed groups apart is added in the end (`likewise.training.contrast`). A head
    without a part where too little is placed. Without ``trust`` only placed images teach.
    """
    near, close = pool.neighbours, pool.similarities
    rounds = ROUNDS if trust else 1
    for turn in range(rounds):
        told = (
            spread(near, close, placement, pool.among, trust)
            if trust
            else placed_alone(placement, len(near))
        )
        head = fit_head(pool.basis, pool.coordinates, told, seed)
        if not head.blend:
            return told, head
        if turn < rounds - 1:
            near, close = nearest(pool, blended(pool, head, SHARE))
    weight = head.weight @ pool.basis.directions.T
    return told, pool.basis.head(contrasted(weight, pool.coordinates, placement, seed))


def blended(pool: Pool, head: Head, share: float) -> Head:
    """The head with the blend at which it has this share of the variance."""
    return replace(head, blend=blends_of(pool, head, (share,))[0])


def nearest(pool: Pool, head: Head) -> tuple[Int[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]:
    """Of the known neighbours the `KEPT` nearest in the embedding of a head, and how near.

    Images that may not be learnt from are left out; -1 where there are fewer.
    """
    kept = min(KEPT, pool.neighbours.shape[1])
    rows = np.empty((len(pool.neighbours), kept), dtype=pool.neighbours.dtype)
    near = np.empty((len(pool.neighbours), kept), dtype=np.float32)
    for part, known, both in _compared(pool, head):
        order = np.argsort(-both, axis=1, kind="stable")[:, :kept]
        rows[part] = np.take_along_axis(known, order, axis=1)
        near[part] = np.take_along_axis(both, order, axis=1)
    return rows, near


def rivals_of(pool: Pool, head: Head) -> Rivals:
    """Images that may be learnt from whose nearest known neighbour is another one with a head."""
    rows, others, margins = [], [], []
    for part, known, both in _compared(pool, head):
        every = np.arange(len(known))
        before = (known >= 0).argmax(axis=1)
        after = both.argmax(axis=1)
        differ = (known[every, before] >= 0) & (before != after)
        if pool.among is not None:
            differ &= pool.among[part]
        some = np.flatnonzero(differ)
        rows.append(some + part.start)
        others.append(np.stack((known[some, before[some]], known[some, after[some]]), axis=1))
        margins.append(both[some, after[some]] - both[some, before[some]])
    untouched, learnt = np.concatenate(others).astype(np.int64).T
    return Rivals(
        np.concatenate(rows), untouched, learnt, np.concatenate(margins).astype(np.float64)
    )


def _compared(
    pool: Pool, head: Head
) -> Iterator[tuple[slice, Int[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]]:
    """Block by block: the known neighbours, and how similar they are in the embedding of a head.

    -1 for those that may not be learnt from, or where there are fewer.
    """
    inner = replace(head, weight=head.weight @ pool.basis.directions.T.astype(np.float32),
                    offset=np.zeros_like(head.offset))  # fmt: skip
    mapped = project(inner, pool.coordinates)
    for start in range(0, len(mapped), _BLOCK):
        part = slice(start, start + _BLOCK)
        known = pool.neighbours[part]
        if pool.among is not None:
            known = np.where((known >= 0) & pool.among[known], known, -1)
        mine = np.einsum("nd,nkd->nk", mapped[part], mapped[known])
        both = (1 - head.blend) * pool.similarities[part] + head.blend * mine
        yield part, known, np.where(known < 0, -1, both)


def blends_of(pool: Pool, head: Head, shares: Sequence[float]) -> list[float]:
    """The blends at which the head has these shares of the new vectors' variance.

    Embeddings often lie in a narrow cone, where cosines hardly differ; the head's do.
    """
    rows = np.arange(len(pool.vectors)) if pool.among is None else np.flatnonzero(pool.among)
    some = np.asarray(pool.vectors[rows[:: max(1, len(rows) // _SAMPLE)]])
    old = 1 - float((some.mean(axis=0, dtype=np.float64) ** 2).sum())
    new = 1 - float((project(head, some).mean(axis=0, dtype=np.float64) ** 2).sum())
    return [part * old / max(part * old + (1 - part) * new, 1e-12) for part in shares]
