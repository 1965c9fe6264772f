"""How each annotator errs, learnt from pairs that several of them read.

Dawid & Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
Applied Statistics 28(1), 1979. The model: a pair's true class k has probability p_k; annotator r
says l about a pair of class k with probability π_r[k, l], whatever others say. ``unsure`` is taken
as a reading that is missing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from likewise.answers.standing import Verdict

CLASSES: tuple[Verdict, Verdict] = ("similar", "dissimilar")
FEWEST_ANNOTATORS = 3
"""Two who disagree look alike to the model: their readings give 3 numbers, it has 5 unknowns."""
FEWEST_SHARED = 20
"""Pairs that each of them shares with somebody: an error rate of 10 % is then known to ±13 %."""
_PRIOR = np.array([[4.0, 1.0], [1.0, 4.0]])
"""Readings that each annotator gets for a start: right four times of five. Keeps probabilities off
0 and 1, and settles which class is which."""
_MOST_STEPS = 500
_CLOSE = 1e-8


@dataclass(frozen=True)
class Estimate:
    """What `estimate` found, for K classes, R readers and N items."""

    shares: Float[np.ndarray, " K"]
    """How frequent each class is."""
    confusion: Float[np.ndarray, "R K K"]
    """Probability that a reader says the second about an item of the first class."""
    posterior: Float[np.ndarray, "N K"]
    """Probability that an item is of a class."""
    objective: tuple[float, ...]
    """Log posterior density (up to a constant) after each step; never falls."""


@dataclass(frozen=True)
class Ability:
    """How often each annotator is right."""

    share: float
    """Of similar pairs among those that were estimated from."""
    right: Mapping[str, tuple[float, float]]
    """By annotator: probability of saying similar of a similar pair, dissimilar of a dissimilar."""
    average: tuple[float, float]
    """The same for somebody who is not known."""

    def similar(self, votes: Mapping[str, Verdict]) -> float:
        """Probability that a pair is similar, given who said similar or dissimilar of it."""
        odds = self.share / (1 - self.share)
        for annotator, verdict in votes.items():
            of_similar, of_dissimilar = self.right.get(annotator, self.average)
            if verdict == "similar":
                odds *= of_similar / (1 - of_dissimilar)
            elif verdict == "dissimilar":
                odds *= (1 - of_similar) / of_dissimilar
        return odds / (1 + odds)


def overlaps_enough(shared: Mapping[str, int]) -> bool:
    """Whether annotators, by how many pairs they share with others, can be told apart."""
    return sum(count >= FEWEST_SHARED for count in shared.values()) >= FEWEST_ANNOTATORS


def dawid_skene(
    votes: Sequence[Mapping[str, Verdict]], known: Sequence[Verdict | None] | None = None
) -> Ability:
    """Estimate abilities from who said what of each pair; ``known`` verdicts are taken as true."""
    truths = known or [None] * len(votes)
    alike = Counter(
        (frozenset((who, said) for who, said in each.items() if said in CLASSES), truth)
        for each, truth in zip(votes, truths, strict=True)
    )  # pairs of which the same people said the same are one item with a weight
    items = sorted(alike, key=lambda item: (sorted(item[0]), str(item[1])))
    readers = sorted({name for each in votes for name in each})
    numbers = {name: place for place, name in enumerate(readers)}
    readings = [
        (row, numbers[name], CLASSES.index(verdict))
        for row, (said, _) in enumerate(items)
        for name, verdict in sorted(said)
    ]
    found = estimate(
        np.array(readings, dtype=np.int64).reshape(-1, 3),
        (len(items), len(readers) + 1, len(CLASSES)),  # and somebody who read nothing
        _PRIOR,
        np.array([alike[each] for each in items], dtype=float),
        np.array([CLASSES.index(each) if each in CLASSES else -1 for _, each in items], dtype=int),
    )
    confusion = [*found.confusion, found.confusion.mean(axis=0)]
    right = [(float(each[0, 0]), float(each[1, 1])) for each in confusion]
    return Ability(float(found.shares[0]), dict(zip(readers, right, strict=False)), right[-1])


def estimate(
    readings: Int[np.ndarray, "M 3"],
    shape: tuple[int, int, int],
    prior: Float[np.ndarray, "K K"],
    weights: Float[np.ndarray, " N"] | None = None,
    known: Int[np.ndarray, " N"] | None = None,
) -> Estimate:
    """Dawid and Skene's EM for ``shape`` (N items, R readers, K classes).

    It maximises ``sum_i w_i log sum_k p_k prod π_r[k, l] + sum_rkl prior[k, l] log π_r[k, l]
    + sum_k log p_k``, and without ``prior`` (all 0) the first term alone: the likelihood. Each row
    of ``readings`` is (item i, reader r, class said l); a reader may read an item repeatedly.
    ``weights`` says how often each item occurs; ``known`` holds its class, or -1.
    """
    items, readers, classes = shape
    item, reader, said = readings.T
    weight = np.ones(items) if weights is None else weights
    impossible = np.zeros((items, classes), dtype=bool)
    if known is not None:
        impossible[known >= 0] = ~np.eye(classes, dtype=bool)[known[known >= 0]]
    for_shares = float(prior.any())
    posterior = np.full((items, classes), 1e-9)
    np.add.at(posterior, (item, said), 1.0)
    posterior[impossible] = 0.0
    posterior /= posterior.sum(axis=1, keepdims=True)
    objective: list[float] = []
    while len(objective) < 2 or objective[-1] - objective[-2] > _CLOSE:
        if len(objective) == _MOST_STEPS:
            break
        shares = weight @ posterior + for_shares
        shares /= shares.sum()
        counts = np.tile(prior, (readers, 1, 1))
        np.add.at(counts.swapaxes(1, 2), (reader, said), (weight[:, None] * posterior)[item])
        confusion = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1e-300)
        log_shares, log_confusion = np.log(shares + 1e-300), np.log(confusion + 1e-300)
        joint = np.tile(log_shares, (items, 1))
        np.add.at(joint, item, log_confusion[reader, :, said])
        joint[impossible] = -np.inf
        evidence = np.logaddexp.reduce(joint, axis=1)
        posterior = np.exp(joint - evidence[:, None])
        density = weight @ evidence + (prior * log_confusion).sum() + for_shares * log_shares.sum()
        objective.append(float(density))
    return Estimate(shares, confusion, posterior, tuple(objective))
