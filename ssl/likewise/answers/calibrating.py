"""Pairs drawn uniformly over similarity: what the threshold and its error rates rest on."""

from collections.abc import Collection

import numpy as np

from likewise.answers.links import Links
from likewise.answers.pool import Pool, Proposal
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import Pair

_DRAWS = 8
_SAMPLE = 2048
"""Images that one is compared with to find a partner at a given similarity."""
_REASON = "Drawn to measure how sure the results are"


def calibration_pair(
    pool: Pool,
    links: Links,
    taken: Collection[Pair],
    busy: Collection[str],
    rng: np.random.Generator,
) -> Proposal | None:
    """A random image with the one that is nearest to a similarity drawn uniformly.

    The range is that of the image's own similarities to a sample of the others, its known
    neighbours included. None if a few draws find only pairs that are known or taken.
    """
    if len(pool.rows) < 2:
        return None
    for _ in range(_DRAWS):
        one = int(rng.choice(pool.rows))
        others = rng.choice(pool.rows, min(_SAMPLE, len(pool.rows)), replace=False)
        if pool.neighbours is not None:
            known = pool.neighbours[one]
            known = known[known >= 0]
            shown = [each for each in known.tolist() if pool.ids[each] in pool.positions]
            others = np.concatenate((others, np.array(shown, dtype=np.int64)))
        others = np.unique(others[others != one])
        near = np.asarray(pool.vectors[np.sort(others)]) @ np.asarray(pool.vectors[one])
        wanted = rng.uniform(near.min(), near.max())
        for place in np.argsort(np.abs(near - wanted), kind="stable")[:_DRAWS].tolist():
            two = int(others[place])
            if {pool.ids[one], pool.ids[two]} & set(busy):
                continue
            if not pool.asks_nothing_new(one, two, links, taken):
                return pool.proposal(one, two, CALIBRATION, _REASON)
    return None
