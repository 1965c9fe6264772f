"""Which answers are probably wrong, given all the others and what the embedding says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from likewise.answers.asked import Asked
from likewise.answers.standing import Answer, Pair

_HOPELESS = -8.0
"""Weight between two groups below which they are not taken for one."""


@dataclass(frozen=True)
class Doubt:
    """An answer that is probably wrong."""

    answer: Answer
    wrong: float
    """Probability, 0 to 1."""


def doubts_of(
    asked: Asked, answers: Mapping[Pair, tuple[Answer, ...]], least: float
) -> list[Doubt]:
    """The answers that are wrong with a probability above ``least``, the surest first."""
    found = []
    for pair, some in answers.items():
        chance = same(asked, pair)
        for each in some:
            wrong = {"similar": 1 - chance, "dissimilar": chance}.get(each.verdict, 0.0)
            if wrong > least:
                found.append(Doubt(each, wrong))
    return sorted(found, key=lambda each: (-each.wrong, each.answer.number))


def same(asked: Asked, pair: Pair) -> float:
    """Probability that two asked images are the same: that their places, or groups, are."""
    slots = asked.partition.slots
    one, two = (asked.nodes[image] for image in pair)
    here, there = int(slots[one]), int(slots[two])
    if here == there:
        return float(min(asked.sure[one], asked.sure[two]))
    found = _same_groups(asked, here, there)
    for node, slot in ((one, there), (two, here)):
        if asked.rival[node] == slot:
            found = max(found, float(asked.rival_sure[node]))
    return found


def _same_groups(asked: Asked, one: int, two: int) -> float:
    partition = asked.partition
    small, large = sorted((one, two), key=lambda slot: len(partition.members[slot]))
    weight = partition.between(one, two)
    if weight < _HOPELESS or len(partition.members[small]) == 1:
        return 0.0
    odds = weight + asked.group_odds(partition.members[small], large)
    return 0.5 * (1 + math.tanh(0.5 * odds))
