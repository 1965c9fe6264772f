"""Groups from scratch: the two that are tied the most become one, again and again.

Greedy additive edge contraction: Keuper et al., "Efficient decomposition of image and mesh graphs
by lifted multicuts", ICCV 2015; here with what the embedding says of a merger.
"""

import math
from collections.abc import Callable, Collection
from heapq import heapify, heappop, heappush

from likewise.answers.partition import Partition

_OUTWEIGHED = 4.5
"""Weight that no similarity outweighs: above it the embedding is not consulted."""
_MISPLACED = 2.5
"""Weight of each further image, by the logarithm of their number."""
_LEAST, _MOST = -4.0, 0.5


def size_odds(count: int) -> float:
    """Log odds that ``count`` images were all taken for another group by mistake."""
    return -_MISPLACED * math.log(count)


def within_reason(odds: float) -> float:
    """Log odds that two groups are one: what is known without answers decides nothing."""
    return min(max(odds, _LEAST), _MOST)


Odds = Callable[[Partition, Collection[int], int], float]
"""Log odds, without answers, that some nodes are the same as the members of a slot."""


def contract(partition: Partition, odds: Odds) -> None:
    """Regroup all nodes. Mergers gain what ties weigh, and the odds; the greatest gain comes first.

    What similarity cannot outweigh is taken as it is.
    """
    partition.scatter()
    queue = [
        (-weight - _MOST, False, weight, one, two)
        for one, ties in enumerate(partition.ties)
        for two, weight in ties.items()
        if one < two and weight > 0
    ]
    heapify(queue)
    while queue:
        _, judged, weight, one, two = heappop(queue)
        if partition.ties[one].get(two) != weight:
            continue  # they have changed since
        small, large = sorted((one, two), key=lambda slot: (len(partition.members[slot]), -slot))
        if weight < _OUTWEIGHED:
            gain = weight + odds(partition, partition.members[small], large)
            if gain <= 0:
                continue
            if not judged:
                heappush(queue, (-gain, True, weight, one, two))
                continue
        others = list(partition.ties[small])
        partition.merge(small, large)
        for other in others:
            more = partition.ties[large].get(other, 0.0)
            if more > 0:
                heappush(queue, (-more - _MOST, False, more, min(other, large), max(other, large)))
