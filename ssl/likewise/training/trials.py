"""Trials: what a head gains for images whose answers it has not seen.

Each trial hides a part of what is placed, teaches a head with the rest, and asks of hidden images
that belong together how many images of the pool lie nearer than the one does to the other, by the
blended vectors and by the untouched ones. No two images are taken to be different, as parts of one
class often are in different groups; nothing that was taught directly is ranked; and hidden and
other images of the pool are treated alike by the head. So where answers do not follow from what
images look like, the gain is zero but for noise.

- *known groups*: half of the placed images of each group is hidden, in turn;
- *new groups*: half of the groups is hidden as a whole, in turn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from scipy import stats

from likewise.answers.placement import Placement, places_in_groups
from likewise.models.heads import Head, project
from likewise.training.rounds import Pool, blends_of, teach
from likewise.training.spread import Trust

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""Parts of the variance of the new vectors that are the head's, of which one is taken."""
SPLITS = 2
"""Ways to halve that are tried."""
PLENTY = 1000
"""Placed images for which one way is enough."""
FEWEST = 5
"""Witnesses that are heard at all."""
MANY = 20
"""Groups that bear witness well enough by themselves; of fewer, it is their images that do."""
FALSE_PASS = 0.02
"""Chance, 0 to 1, that a bound on a gain of nothing lies above zero."""
_TESTED = 600
"""Hidden images that are tested a time, at most."""
_RANKED = 2000
"""Images of the pool that are ranked for each, at most."""

Hidden = Bool[np.ndarray, " n"]


@dataclass(frozen=True)
class Gains:
    """Of tested images: the logarithm of how many times fewer images lie nearer, per share."""

    values: Float64[np.ndarray, "n S"]
    units: Int64[np.ndarray, " n"]
    """What bears witness independently: the image itself, or its group."""
    ends: int
    """Units that a pair of images comes from: two images, or one group."""

    @property
    def told(self) -> bool:
        """Whether enough units bear witness."""
        return len(np.unique(self.units)) >= FEWEST

    def mean(self) -> Float64[np.ndarray, " S"]:
        """Over the images; 0 of none."""
        return np.asarray(self.values.sum(axis=0) / max(len(self.values), 1))

    def doubt(self) -> Float64[np.ndarray, " S"]:
        """How far the mean may be too high, but for the chance `FALSE_PASS` (Student).

        The mean over pairs is a U-statistic (Hoeffding 1948): each unit has a part in it by all
        pairs of which it is an end.
        """
        if not self.told:
            return np.zeros(self.values.shape[1])
        numbers, members = np.unique(self.units, return_inverse=True)
        sums = np.zeros((len(numbers), self.values.shape[1]))
        np.add.at(sums, members, self.ends * (self.values - self.mean()))
        scale = len(numbers) / (len(numbers) - 1) / len(self.values) ** 2
        margin = float(stats.t.ppf(1 - FALSE_PASS, len(numbers) - 1))
        return np.asarray(margin * np.sqrt(scale * (sums**2).sum(axis=0)))


def known_gains(pool: Pool, placement: Placement, trust: Trust | None, seed: int) -> Gains:
    """Of images whose group has other placed images that are shown."""
    values, places = _tried(pool, placement, trust, _members, seed)
    groups = placement.groups[places]
    many = len(np.unique(groups)) >= MANY
    return Gains(values, groups, ends=1) if many else Gains(values, places, ends=2)


def new_gains(pool: Pool, placement: Placement, trust: Trust | None, seed: int) -> Gains:
    """Of images whose group is hidden as a whole."""
    values, places = _tried(pool, placement, trust, _whole_groups, seed)
    return Gains(values, placement.groups[places], ends=1)


def _tried(
    pool: Pool,
    placement: Placement,
    trust: Trust | None,
    parts: Callable[[Placement, np.random.Generator], Iterator[Hidden]],
    seed: int,
) -> tuple[Float64[np.ndarray, "n S"], Int64[np.ndarray, " n"]]:
    """Gains of all tested images, and their places in the placement, part by part."""
    rng = np.random.default_rng((seed, 1))
    values, places = [np.zeros((0, len(SHARES)))], [np.zeros(0, np.int64)]
    for hidden in parts(placement, rng):
        _, head = teach(pool, _shown(placement, ~hidden), trust, seed)
        some = rng.permutation(np.flatnonzero(hidden))[:_TESTED]
        gains, tested = gains_of(pool, head, placement.rows[some], placement.groups[some], rng)
        values.append(gains)
        places.append(some[tested])
    return np.concatenate(values), np.concatenate(places)


def gains_of(
    pool: Pool,
    head: Head,
    rows: Int64[np.ndarray, " q"],
    groups: Int64[np.ndarray, " q"],
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "n S"], Bool[np.ndarray, " q"]]:
    """What hidden images gain per share, and which of them: those that belong to another one."""
    same = groups[:, None] == groups
    np.fill_diagonal(same, False)
    tested = same.any(axis=1) if head.blend else np.zeros(len(rows), dtype=bool)
    if not tested.any():
        return np.zeros((0, len(SHARES))), tested
    rows, same = rows[tested], same[tested][:, tested]
    every = np.arange(len(pool.vectors)) if pool.among is None else np.flatnonzero(pool.among)
    others = np.setdiff1d(every, rows)
    others = others if len(others) <= _RANKED else rng.choice(others, _RANKED, replace=False)
    mine, ranked = np.asarray(pool.vectors[rows]), np.asarray(pool.vectors[others])
    old, new = _cosines(mine, ranked), _cosines(project(head, mine), project(head, ranked))
    before = _nearer(old, same)
    gains = [
        before
        - _nearer([(1 - a) * one + a * other for one, other in zip(old, new, strict=True)], same)
        for a in blends_of(pool, head, SHARES)
    ]
    return np.stack(gains, axis=1), tested


def _cosines(
    queries: Float32[np.ndarray, "q D"], others: Float32[np.ndarray, "n D"]
) -> tuple[Float32[np.ndarray, "q q"], Float32[np.ndarray, "q n"]]:
    """Of unit vectors: of queries with each other, and with the others."""
    return queries @ queries.T, queries @ others.T


def _nearer(
    cosines: Sequence[Float32[np.ndarray, "q _"]], same: Bool[np.ndarray, "q q"]
) -> Float64[np.ndarray, " q"]:
    """Mean logarithm of one plus how many others lie nearer, over the pairs that a query is in.

    In each pair, nearer to the one than the other is, and the other way round.
    """
    own, far = cosines[0], np.sort(cosines[1], axis=1)
    nearer = np.zeros(same.shape)
    for ladder, near, mates, row in zip(far, own, same, nearer, strict=True):
        row[mates] = np.log1p(len(ladder) - np.searchsorted(ladder, near[mates], side="right"))
    return np.asarray((nearer + nearer.T).sum(axis=1) / (2 * same.sum(axis=1)))


def _members(placement: Placement, rng: np.random.Generator) -> Iterator[Hidden]:
    """Every other image of each group, and then the rest."""
    for _ in range(_splits(placement)):
        second = places_in_groups(placement.groups, rng) % 2 == 1
        second ^= (rng.random(int(placement.groups.max()) + 1) < 0.5)[placement.groups]
        yield second
        yield ~second


def _whole_groups(placement: Placement, rng: np.random.Generator) -> Iterator[Hidden]:
    """Every other group, and then the rest; the larger first, so that both halves hold as much."""
    sizes = np.bincount(placement.groups)
    for _ in range(_splits(placement)):
        mixed = rng.permutation(len(sizes))
        second = np.empty(len(sizes), dtype=bool)
        second[mixed[np.argsort(-sizes[mixed], kind="stable")]] = np.arange(len(sizes)) % 2 == 1
        yield second[placement.groups]
        yield ~second[placement.groups]


def _splits(placement: Placement) -> int:
    return SPLITS if len(placement.rows) < PLENTY else 1


def _shown(placement: Placement, shown: Bool[np.ndarray, " n"]) -> Placement:
    return replace(
        placement,
        rows=placement.rows[shown],
        groups=placement.groups[shown],
        confidence=placement.confidence[shown],
    )
