"""Uncertainty sampling and nearest pairs: what one would try first. For comparison."""

import math
from collections.abc import Collection, Iterator

import numpy as np
from jaxtyping import Float64

from likewise.answers.edges import Edges
from likewise.answers.ledger import Ledger
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.standing import Pair

_CANDIDATES = 20_000
_STEPS = 25
_RIDGE = 1e-3
_START = (0.1, 0.9)
"""Quantiles of the similarities of candidates taken for surely dissimilar and surely similar,
with one answer's weight each, so that there is a curve before the first answers."""


class NearestPairs:
    """The most similar pair that is neither answered nor implied."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        self._edges = Edges(pool, seed)

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        pool = self.pool
        for _, block in self._edges.blocks():
            for one, two in block.tolist():
                if pool.ids[one] in busy or pool.ids[two] in busy:
                    continue
                if not pool.asks_nothing_new(one, two, ledger.links, taken):
                    reason = "The most similar pair that is not answered yet"
                    return pool.proposal(one, two, "nearest", reason)
        return any_open_pair(pool, ledger.links, taken, "nearest")

    def exemplars(self) -> Iterator[str]:
        """See `likewise.answers.pool.Proposer`."""
        return self.pool.shuffled(self.seed)


class UncertainPairs:
    """The pair whose probability of being similar, by its cosine, is nearest to one half.

    The probability is a logistic curve fitted to the answers so far; the candidates are drawn from
    the neighbour graph and at random, half each.
    """

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        rng = np.random.default_rng(seed)
        edges = Edges(pool, seed).rows
        pairs = edges[rng.permutation(len(edges))[: _CANDIDATES // 2]]
        if len(pool.rows) > 1:
            drawn = rng.choice(pool.rows, (_CANDIDATES // 2, 2))
            pairs = np.concatenate((pairs, drawn[drawn[:, 0] != drawn[:, 1]]))
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        near = np.einsum("nd,nd->n", pool.vectors[pairs[:, 0]], pool.vectors[pairs[:, 1]])
        order = np.argsort(near, kind="stable")
        self._pairs, self._similarities = pairs[order], near[order].astype(np.float64)

    def next(
        self, ledger: Ledger, taken: Collection[Pair], busy: Collection[str] = ()
    ) -> Proposal | None:
        """See `likewise.answers.pool.Proposer`."""
        pool = self.pool
        if len(self._pairs):
            middle = self._even_odds(ledger)
            for place in _outward(self._similarities, middle):
                one, two = self._pairs[place].tolist()
                if pool.ids[one] in busy or pool.ids[two] in busy:
                    continue
                if not pool.asks_nothing_new(one, two, ledger.links, taken):
                    reason = "A pair that could as well be one as the other"
                    return pool.proposal(one, two, "uncertain", reason)
        return any_open_pair(pool, ledger.links, taken, "uncertain")

    def exemplars(self) -> Iterator[str]:
        """See `likewise.answers.pool.Proposer`."""
        return self.pool.shuffled(self.seed)

    def _even_odds(self, ledger: Ledger) -> float:
        """The similarity at which similar and dissimilar are equally likely."""
        low, high = np.quantile(self._similarities, _START)
        scores, said = [float(low), float(high)], [0.0, 1.0]
        rows = self.pool.positions
        for a, b in ledger.answered():
            verdict = ledger.verdict((a, b))
            if verdict in ("similar", "dissimilar") and a in rows and b in rows:
                scores.append(float(self.pool.vectors[rows[a]] @ self.pool.vectors[rows[b]]))
                said.append(float(verdict == "similar"))
        intercept, slope = _logistic(np.array(scores), np.array(said))
        even = -intercept / slope if slope > 0 else 0.5 * float(low + high)
        return min(max(even, float(self._similarities[0])), float(self._similarities[-1]))


def _outward(values: Float64[np.ndarray, " n"], middle: float) -> Iterator[int]:
    """Places in ascending ``values``, from the one nearest to ``middle`` outward."""
    right = int(np.searchsorted(values, middle))
    left = right - 1
    while left >= 0 or right < len(values):
        below = middle - values[left] if left >= 0 else math.inf
        above = values[right] - middle if right < len(values) else math.inf
        if below < above:
            yield left
            left -= 1
        else:
            yield right
            right += 1


def _logistic(
    scores: Float64[np.ndarray, " n"], said: Float64[np.ndarray, " n"]
) -> tuple[float, float]:
    """Intercept and slope of the curve of least cross-entropy (Newton's method, light ridge)."""
    centre, width = float(scores.mean()), max(float(scores.std()), 1e-6)
    design = np.stack((np.ones_like(scores), (scores - centre) / width), axis=1)
    found = np.zeros(2)
    for _ in range(_STEPS):
        chance = 0.5 * (1 + np.tanh(0.5 * (design @ found)))
        gradient = design.T @ (chance - said) + _RIDGE * found
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    slope = float(found[1]) / width
    return float(found[0]) - slope * centre, slope
