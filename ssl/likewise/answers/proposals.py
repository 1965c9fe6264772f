"""Which pair to ask about next. Pure: arrays, answers and a seed in, a pair out.

A proposer keeps no record of what it proposed: what was answered is in the ledger, what is on
somebody's screen comes with the call. So answers may arrive in any order, from several people or
from a file. None of them asks what is answered or implied.
"""

from collections.abc import Callable, Collection, Iterator

import numpy as np
from jaxtyping import Float32, Int64

from likewise.answers.ledger import Ledger
from likewise.answers.likely import LikelyFirst
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool, Proposal, Proposer, any_open_pair, pool_of
from likewise.answers.rivals import Rivals
from likewise.answers.standing import Pair
from likewise.answers.uncertain import NearestPairs, UncertainPairs
from likewise.neighbours.vectors import Embeddings
from likewise.settings import Strategy

_DRAWS = 200
_SAMPLE = 1024
EASY_SHARE = 0.25
"""Share of the questions of "neighbours" that may be about very similar pairs."""


class RandomPairs:
    """Pairs drawn uniformly: the baseline, and an unbiased sample."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `Proposer`."""
        rng = np.random.default_rng((self.seed, len(taken)))
        if len(self.pool.rows) > 1:
            for one, two in rng.choice(self.pool.rows, (_DRAWS, 2)).tolist():
                if not self.pool.asks_nothing_new(one, two, ledger.links, taken):
                    return self.pool.proposal(one, two, "random", "Two images drawn at random")
        return any_open_pair(self.pool, ledger.links, taken, "random")

    def exemplars(self) -> Iterator[str]:
        """See `Proposer`."""
        return self.pool.shuffled(self.seed)


class NeighbourPairs:
    """A random image with one of its neighbours: at times the nearest, mostly one further away.

    Nearest pairs alone teach nearly nothing, as almost all are similar. So at most `EASY_SHARE`
    of the questions are about a nearest neighbour; the others go to a rank drawn log-uniformly
    from the second to the last image, and not to pairs closer than nearest neighbours usually are.
    """

    def __init__(
        self,
        pool: Pool,
        rows: Int64[np.ndarray, "N k"],
        similarities: Float32[np.ndarray, "N k"],
        seed: int,
    ) -> None:
        self.pool, self.seed = pool, seed
        self.neighbours = rows
        nearest = similarities[pool.rows, :1]
        self.close = float(np.median(nearest)) if nearest.size else 1.0

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `Proposer`."""
        rng = np.random.default_rng((self.seed, len(taken)))
        for _ in range(_DRAWS if len(self.pool.rows) > 1 else 0):
            anchor = int(rng.choice(self.pool.rows))
            easy = bool(rng.random() < EASY_SHARE)
            rank = 1 if easy else int(np.exp(rng.uniform(np.log(2), np.log(len(self.pool.rows)))))
            other = self._at_rank(anchor, rank, rng)
            if not self.pool.open[other]:
                continue
            if self.pool.asks_nothing_new(anchor, other, ledger.links, taken):
                continue
            proposal = self.pool.proposal(anchor, other, "neighbours", _reason_of(rank))
            if easy or proposal.score <= self.close:
                return proposal
        return any_open_pair(self.pool, ledger.links, taken, "neighbours")

    def exemplars(self) -> Iterator[str]:
        """See `Proposer`."""
        return self.pool.shuffled(self.seed)

    def _at_rank(self, anchor: int, rank: int, rng: np.random.Generator) -> int:
        """The row about ``rank`` places away (estimated on a sample beyond the saved ones)."""
        if rank <= self.neighbours.shape[1] and self.neighbours[anchor, rank - 1] >= 0:
            return int(self.neighbours[anchor, rank - 1])
        some = np.sort(rng.choice(self.pool.rows, min(_SAMPLE, len(self.pool.rows)), replace=False))
        place = min(len(some) - 1, rank * len(some) // len(self.pool.rows))
        similarity = np.asarray(self.pool.vectors[some]) @ self.pool.vectors[anchor]
        return int(some[np.argsort(-similarity, kind="stable")[place]])


def _reason_of(rank: int) -> str:
    if rank == 1:
        return "Nearest neighbours"
    return f"Neighbours of rank {rank}" if rank <= 100 else "Two images rather far apart"


def proposer_for(
    strategy: Strategy,
    embeddings: Embeddings,
    held_out: Collection[str] = (),
    seed: int = 0,
    rivals: Callable[[], Rivals | None] = lambda: None,
) -> Proposer:
    """Prepare a strategy for an embedding.

    Args:
        strategy: Its name.
        embeddings: Of all images.
        held_out: Images that are never asked about.
        seed: Of all draws.
        rivals: Where the newest head is of another mind than the embedding; asked before each
            question of a strategy that looks for likely pairs (`likewise.answers.duels`).
    """
    pool = pool_of(embeddings, held_out)
    match strategy:
        case "random":
            return RandomPairs(pool, seed)
        case "neighbours":
            return NeighbourPairs(pool, *embeddings.neighbours(), seed)
        case "nearest":
            return NearestPairs(pool, seed)
        case "uncertain":
            return UncertainPairs(pool, seed)
        case "likely-first":
            return LikelyFirst(pool, seed, rivals=rivals)
        case "cover-place-spread":
            return CoverPlace(pool, seed, rivals=rivals)
