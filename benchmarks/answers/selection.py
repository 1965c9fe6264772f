"""dedupe's choice rule on image vectors: where its classifier and its blocking rules disagree.

After `DisagreementLearner` of dedupe 3.0.3 (labeler.py): a logistic regression on the pair's
distances, started with four exact matches and one random pair and fitted again after every
answer, against blocking rules that cover all matches so far. For vectors, a blocking rule is a
threshold on the similarity: the least similarity of the pairs that were called similar.
"""

from collections.abc import Collection, Iterator

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.linear_model import LogisticRegression

from likewise.answers.ledger import Ledger
from likewise.answers.pool import Pool, Proposal
from likewise.answers.standing import Pair, pair_of

CANDIDATES = 10_000
"""Pairs that are chosen among, as in dedupe."""


class DedupeRule:
    """A `Proposer` with dedupe's rule."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool = pool
        self._rng = np.random.default_rng(seed)
        self.pairs = candidates(pool, self._rng)
        self._scores: Float64[np.ndarray, " C"] = np.einsum(
            "pd,pd->p", pool.vectors[self.pairs[:, 0]], pool.vectors[self.pairs[:, 1]]
        ).astype(np.float64)
        self._open = np.ones(len(self.pairs), dtype=bool)
        self._place = {
            pair_of(pool.ids[a], pool.ids[b]): at for at, (a, b) in enumerate(self.pairs.tolist())
        }
        start = float(self._scores[self._rng.integers(len(self._scores))])
        self._said: dict[Pair, tuple[float, int]] = {}
        self._read = 0
        self._start = [(1.0, 1)] * 4 + [(start, 0)]

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        for pair in taken:
            if pair in self._place:
                self._open[self._place[pair]] = False
        changes, self._read = ledger.changes[self._read :], len(ledger.changes)
        for pair in changes:
            for answer in ledger.answers_on(pair):
                score = answer.score if answer.score is not None else 0.0
                self._said[pair] = (score, int(answer.verdict == "similar"))
        left = np.flatnonzero(self._open)
        if not len(left):
            return None
        one, two = self.pairs[left[self._choose(self._scores[left])]].tolist()
        return self.pool.proposal(one, two, "uncertain", "The classifier and the rules disagree")

    def exemplars(self) -> Iterator[str]:
        """See `likewise.answers.pool.Proposer`."""
        return self.pool.shuffled(0)

    def _choose(self, scores: Float64[np.ndarray, " C"]) -> int:
        known = [*self._start, *self._said.values()]
        similarity = np.array([[score] for score, _ in known])
        same = np.array([same for _, same in known])
        model = LogisticRegression().fit(similarity, same)
        chance = model.predict_proba(scores[:, None])[:, 1]
        covered = scores >= similarity[same == 1].min()
        return disagreement(chance, covered, self._rng)


def disagreement(
    chance: Float64[np.ndarray, " C"], covered: np.ndarray, rng: np.random.Generator
) -> int:
    """Which candidate dedupe asks about.

    An uncovered one that the classifier takes for a match, drawn by its chance; else the covered
    one whose chance is nearest to a uniformly drawn number; else any, drawn by how far apart the
    two are.
    """
    missed = (chance > 0.5) & ~covered
    if missed.any():
        weights = missed * chance
        return int(rng.choice(len(chance), p=weights / weights.sum()))
    if covered.any():
        inside = np.flatnonzero(covered)
        return int(inside[np.argmin(np.abs(chance[inside] - rng.random()))])
    weights = np.abs(chance - covered) / 2
    return int(rng.choice(len(chance), p=weights / weights.sum()))


def candidates(pool: Pool, rng: np.random.Generator) -> Int64[np.ndarray, "C 2"]:
    """Half of the pairs from the neighbour graph, as blocking gives, half at random."""
    pairs: set[tuple[int, int]] = set()
    rows = pool.rows
    most = min(CANDIDATES, len(rows) * (len(rows) - 1) // 2)
    if pool.neighbours is not None:
        near = pool.neighbours
        for row in rng.choice(rows, most // 2).tolist():
            other = int(near[row, rng.integers(near.shape[1])])
            if other >= 0:
                pairs.add((min(row, other), max(row, other)))
    while len(pairs) < most:
        one, two = rng.choice(rows, 2, replace=False).tolist()
        pairs.add((min(one, two), max(one, two)))
    return np.array(sorted(pairs), dtype=np.int64)
