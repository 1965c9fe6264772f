"""Error rates and groups that explain answers together: each is found given the other, in turn.

Misses and false answers are easily mistaken for one another, since few answers too many groups, or
too few, explain away. So this starts from several rates, and takes what explains the answers best.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from likewise.answers.contraction import Odds, contract
from likewise.answers.evidence import tally_of, weight_of
from likewise.answers.partition import Partition
from likewise.answers.rates import ErrorRates, Rates, Tally, estimate_rates, log_density
from likewise.answers.standing import Answer

Reading = tuple[int, int, Sequence[Answer]]
"""The nodes of two images, and the answers on them."""
_STARTS = (Rates(0.05, 0.05), Rates(0.2, 0.02), Rates(0.01, 0.01))
_ROUNDS = 2


@dataclass(frozen=True)
class Explanation:
    """Rates, and the group of each node, that go together."""

    rates: ErrorRates
    groups: Int64[np.ndarray, " M"]
    score: float
    """See `score_of`."""


def explanations(readings: Sequence[Reading], nodes: int, odds: Odds) -> Iterator[Explanation]:
    """The best explanation so far, again and again; each costs about the same."""
    partition, best = Partition(), None
    for _ in range(nodes):
        partition.add_node()
    for start in _STARTS:
        rates = ErrorRates(start)
        for _ in range(_ROUNDS):
            found = _explanation(partition, readings, rates, odds)
            rates = found.rates
            if best is None or found.score > best.score + 1e-9:
                best = found
            yield best


def _explanation(
    partition: Partition,
    readings: Sequence[Reading],
    rates: ErrorRates,
    odds: Odds,
) -> Explanation:
    partition.scatter()
    for one, two, answers in readings:
        partition.weigh(one, two, weight_of(answers, rates))
    contract(partition, odds)
    found = estimate_rates(tallied(partition, readings))
    groups = partition.slots[: len(partition.weights)].copy()
    return Explanation(found, groups, score_of(partition, readings, found))


def score_of(partition: Partition, readings: Sequence[Reading], rates: ErrorRates) -> float:
    """Log posterior density, up to a constant: of answers, rates and number of groups (BIC)."""
    density = log_density(tallied(partition, readings), rates)
    return density - 0.5 * partition.groups * math.log(max(len(readings), 1))


def tallied(partition: Partition, readings: Sequence[Reading]) -> dict[str, Tally]:
    """Each annotator's answers, counted as right or wrong as the groups have it."""
    counts: dict[str, list[int]] = {}
    for one, two, answers in readings:
        same = bool(partition.slots[one] == partition.slots[two])
        for each in answers:
            tally_of(each, same, counts.setdefault(each.annotator, [0, 0, 0, 0]))
    return {name: Tally(*map(float, four)) for name, four in counts.items()}
