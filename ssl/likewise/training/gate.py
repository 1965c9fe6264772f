"""The gate: how much of a head may count, by trials on what it was not taught; else nothing.

Gains of known and of new groups are weighed by the chance that an image is of one or the other
(`likewise.training.trials`). A part of the head passes if the gain's lower bound is above zero; of
those that pass, the one with the greatest gain is taken. Where answers do not follow from what
images look like (labels at random, or about something that the embedding does not hold) nothing
passes but with the chance `likewise.training.trials.FALSE_PASS`, and the head gets no part.

Trials are fair where images were drawn for a question whatever lay near them. Where the likeliest
pairs were asked first they are not, and underrate heads; then a head passes, with at least the part
that fights them, until its predecessors have lost too many duels (`likewise.answers.duels`): the
head keeps to the identity by itself where answers do not tell much (`likewise.training.head`).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from likewise.answers.duels import Score
from likewise.answers.placement import Placement
from likewise.answers.rivals import Rivals
from likewise.models.heads import Head, untouched
from likewise.training.rounds import Pool, blended, pool_of, pool_trust, rivals_of, teach
from likewise.training.sample import MOST, sample_of
from likewise.training.spread import Spread, Trust, placed_alone
from likewise.training.trials import SHARES, Gains, known_gains, new_gains

LEAST = 0.05
"""Gain, a logarithm, below which the vectors are better left alone."""
DUELLED = 0.9
"""Part of the head, of the variance, that fights duels."""
BOLD = 0.85
"""Share of the images whose group is told at least in the second way."""
STRANGE = 0.3
"""Share of the images in undiscovered groups above which the second way is not tried."""


@dataclass(frozen=True)
class Trial:
    """What one part of the head gains over the untouched vectors.

    Gains are logarithms of how many times fewer images lie nearer than those that belong together.
    """

    share: float
    known: float
    """Mean gain of images of known groups."""
    new: float
    """Mean gain of images of groups that the head has not seen."""
    gain: float
    """Both kinds weighed."""
    bound: float
    """What the gain is at least, but for chance."""
    passed: bool


@dataclass(frozen=True)
class Learnt:
    """A head that passed the gate, or one without a part, and how it came about."""

    head: Head
    spread: Spread
    """Of all images, where it is told surely; where likeliest pairs come first, of placed ones."""
    trials: tuple[Trial, ...]
    rivals: Rivals | None
    """For the next duels; None where nothing could be taught."""


def learn(
    vectors: Float32[np.ndarray, "N D"],
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    placement: Placement,
    among: Bool[np.ndarray, " N"] | None = None,
    seed: int = 0,
    duels: Score | None = None,
) -> Learnt:
    """Spread, fit a head, and let as much of it count as passes the gate.

    Args:
        vectors: Unit vectors of a pool of images; of a large one, a sample is learnt from, and
            only its images are told apart (`likewise.training.sample`).
        neighbours: The nearest images of each, -1 where there are fewer.
        similarities: Their cosine similarities, -1 to 1.
        placement: What the answers tell.
        among: Images that may be learnt from; by default all.
        seed: Of the halves and samples.
        duels: How heads that were taught fewer answers did on them; None where the likeliest pairs
            were not asked first, so that there are none.
    """
    count = len(vectors) if among is None else int(among.sum())
    if count > MOST:
        part = sample_of(vectors, neighbours.shape[1], placement, among, seed)
        found = learn(
            part.vectors, part.neighbours, part.similarities, part.placement, None, seed, duels
        )
        return replace(
            found,
            spread=part.spread_to(found.spread, len(vectors)),
            rivals=found.rivals and part.rivals_in_pool(found.rivals),
        )
    pool = pool_of(vectors, neighbours, similarities, among, seed)
    trust = _trusted(pool, placement, duels, seed)
    told, head = teach(pool, placement, trust, seed)
    if duels is not None:  # placed images lay near each other already: they cannot tell of others
        told = placed_alone(placement, len(vectors))
    if not head.blend:
        return Learnt(head, told, (), None)
    if trust is not None and duels is None and unseen_share(placement) <= STRANGE:
        served, trust, known = _better_taught(pool, placement, (told, head, trust), seed)
    else:  # most images would be told wrongly, and trials cannot tell
        served, known = head, known_gains(pool, placement, trust, seed)
    new = new_gains(pool, placement, trust, seed)
    trials = judge(known, new, unseen_share(placement))
    share = chosen(trials)
    if duels is not None and not duels.refuted:  # trials underrate heads there
        share = max(share or 0.0, DUELLED)
    passed = untouched(vectors.shape[1]) if share is None else blended(pool, served, share)
    return Learnt(passed, told, trials, rivals_of(pool, blended(pool, head, DUELLED)))


def _trusted(pool: Pool, placement: Placement, duels: Score | None, seed: int) -> Trust | None:
    """How other images are told from placed ones; None where they had better not be.

    Where the likeliest pairs come first, groups that nobody met seem fewer than they are, and their
    images would be told wrongly. That does less harm than good where a head is known to help.
    """
    if duels is not None and not duels.decided:
        return None
    return pool_trust(pool, placement, seed)


def _better_taught(
    pool: Pool, placement: Placement, surely: tuple[Spread, Head, Trust], seed: int
) -> tuple[Head, Trust, Gains]:
    """The head, of the two ways to teach it, that gains more on known groups, and its trials."""
    told, head, trust = surely
    known = known_gains(pool, placement, trust, seed)
    bold = replace(trust, told=BOLD)
    more, bolder = teach(pool, placement, bold, seed)
    if np.array_equal(more.groups, told.groups):
        return head, trust, known
    again = known_gains(pool, placement, bold, seed)
    if again.mean().max() <= known.mean().max():
        return head, trust, known
    return bolder, bold, again


def next_rivals(
    vectors: Float32[np.ndarray, "N D"],
    neighbours: Int[np.ndarray, "N k"],
    similarities: Float[np.ndarray, "N k"],
    placement: Placement,
    duels: Score | None,
    seed: int = 0,
) -> Rivals | None:
    """Those of `learn`, without the trials; None where nothing can be taught."""
    pool = pool_of(vectors, neighbours, similarities, None, seed)
    _, head = teach(pool, placement, _trusted(pool, placement, duels, seed), seed)
    return rivals_of(pool, blended(pool, head, DUELLED)) if head.blend else None


def unseen_share(placement: Placement) -> float:
    """Share of the images, 0 to 1, taken to be of groups not discovered yet.

    The estimate, and the share that as many placed images could have missed by chance.
    """
    return min(1.0, placement.undiscovered + 1 / (1 + len(placement.rows)))


def judge(known: Gains, new: Gains, unseen: float) -> tuple[Trial, ...]:
    """Which parts of a head pass; none where what most images are of was not tested.

    Gains of the other kind count as those of the tested one where there are too few witnesses.
    """
    tested = new.told if unseen > 0.5 else known.told
    known = known if known.told else new
    new = new if new.told else known
    gain = (1 - unseen) * known.mean() + unseen * new.mean()
    doubt = ((1 - unseen) * known.doubt()) ** 2 + (unseen * new.doubt()) ** 2
    bound = gain - np.sqrt(doubt) if tested else np.full(len(SHARES), -np.inf)
    columns = (known.mean(), new.mean(), gain, bound)
    return tuple(
        Trial(share, seen, fresh, both, least, least > 0 and both >= LEAST)
        for share, seen, fresh, both, least in zip(
            SHARES, *(each.tolist() for each in columns), strict=True
        )
    )


def chosen(trials: tuple[Trial, ...]) -> float | None:
    """The part that gains most of those that pass, the smaller one if two gain the same."""
    passed = [each for each in trials if each.passed]
    return max(passed, key=lambda each: each.gain).share if passed else None
