"""How far people agree beyond chance, and how often each of them is right.

Only first readings count, each given by looking at the pair alone: no corrections, adjudications
or known truths. ``unsure`` is taken as a reading that is missing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from likewise.answers.ability import CLASSES
from likewise.answers.ledger import Ledger
from likewise.answers.standing import Verdict

Said = Mapping[str, Verdict]
"""By annotator: what they said of one pair."""

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance: 1 is perfect, 0 is what chance gives, below 0 is less than that."""

    method: Literal["Cohen", "Fleiss"]
    pairs: int
    """Image pairs that at least two people read."""
    raw: float | None
    """Share of agreement, 0 to 1; None without pairs."""
    value: float | None
    low: float | None
    high: float | None
    """Ends of the 95 % bootstrap interval (percentiles, pairs resampled)."""
    note: str = ""
    """Why there is no value, or no interval: one short sentence."""


@dataclass(frozen=True)
class Share:
    """A share with its 95 % Wilson interval (Wilson 1927); None when it is a share of nothing."""

    right: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Reader:
    """How one annotator compares."""

    name: str
    with_others: Kappa
    """Cohen's kappa against the majority of the others; pairs on which they are split are out."""
    gold: Share
    """Right answers among those to gold pairs, ``unsure`` left out."""


@dataclass(frozen=True)
class Agreement:
    """Among all, and for each annotator who shares pairs or met gold ones, by name."""

    overall: Kappa
    readers: tuple[Reader, ...]


def agreement(ledger: Ledger, seed: int = 0) -> Agreement:
    """How far the people behind a ledger agree."""
    return agreement_among(*first_readings(ledger), seed)


def first_readings(ledger: Ledger) -> tuple[list[Said], list[tuple[Verdict, Said]]]:
    """Who first said what of the pairs that several people read, and of gold pairs (truth first).

    A copy: the ledger may change while it is evaluated.
    """
    readings = ledger.readings
    shared: list[Said] = [readings.first(pair) for pair in readings.shared]
    gold: list[tuple[Verdict, Said]] = [
        (truth, readings.first(pair)) for pair, truth in readings.gold().items()
    ]
    return shared, gold


def agreement_among(
    shared: Sequence[Said], gold: Sequence[tuple[Verdict, Said]], seed: int = 0
) -> Agreement:
    """Agreement among readings of the same pairs, and with known truths (see `first_readings`)."""
    clear = [_definite(said) for said in shared]
    clear = [said for said in clear if len(said) > 1]
    checked = [(truth, _definite(said)) for truth, said in gold]
    names = {name for said in clear for name in said} | {
        name for _, said in checked for name in said
    }
    if len({name for said in clear for name in said}) == 2:
        one, two = sorted({name for said in clear for name in said})
        overall = cohen_kappa([said[one] for said in clear], [said[two] for said in clear], seed)
    else:
        counts = [[list(said.values()).count(kind) for kind in CLASSES] for said in clear]
        overall = fleiss_kappa(np.array(counts, dtype=np.int64).reshape(-1, len(CLASSES)), seed)
    readers = []
    for name in sorted(names):
        both = [
            (said[name], most) for said in clear if name in said and (most := _rest(said, name))
        ]
        kappa = cohen_kappa([own for own, _ in both], [most for _, most in both], seed)
        answers = [(said[name], truth) for truth, said in checked if name in said]
        gold_share = share_of(sum(own == truth for own, truth in answers), len(answers))
        readers.append(Reader(name, kappa, gold_share))
    return Agreement(overall, tuple(readers))


def cohen_kappa(one: Sequence[str], two: Sequence[str], seed: int = 0) -> Kappa:
    """Cohen's kappa (1960) of two readers who read the same pairs.

    ``(o - e) / (1 - e)`` with the observed agreement ``o``, and ``e`` what two readers who choose
    independently, with the same frequencies, would reach.
    """
    kinds = sorted({*one, *two})
    table = np.zeros((len(kinds), len(kinds)))
    for row, column in zip(one, two, strict=True):
        table[kinds.index(row), kinds.index(column)] += 1
    if not one:
        return _none("Cohen")
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(one), table.ravel() / len(one), RESAMPLES)
    resampled = _cohen(drawn.reshape(-1, *table.shape) / len(one))
    raw = float(np.trace(table) / len(one))
    return _kappa("Cohen", len(one), raw, float(_cohen(table[None] / len(one))[0]), resampled)


def fleiss_kappa(counts: Int[np.ndarray, "n k"], seed: int = 0) -> Kappa:
    """Fleiss' kappa (1971) of pairs read by two or more people, not always by the same or as many.

    ``counts[i, j]`` people put pair i into category j. With ``n_i`` readers the agreement on a pair
    is ``sum_j n_ij (n_ij - 1) / (n_i (n_i - 1))``, the share of a category the mean of
    ``n_ij / n_i``: each pair weighs the same (Gwet 2014, ch. 2), and where ``n_i`` is constant this
    is Fleiss' own formula.

    Raises:
        ValueError: a pair has fewer than two readers.
    """
    readers = counts.sum(axis=1, keepdims=True)
    if (readers < 2).any():
        raise ValueError("every pair needs at least two readers")
    if len(counts) == 0:
        return _none("Fleiss")
    kinds, times = np.unique(counts, axis=0, return_counts=True)
    readers = kinds.sum(axis=1, keepdims=True)
    agreed = (kinds * (kinds - 1) / (readers * (readers - 1))).sum(axis=1)
    rng = np.random.default_rng(seed)
    weights = np.vstack([times, rng.multinomial(len(counts), times / len(counts), RESAMPLES)])
    weights = weights / len(counts)
    observed, expected = weights @ agreed, ((weights @ (kinds / readers)) ** 2).sum(axis=1)
    kappa = _beyond_chance(observed, expected)
    return _kappa("Fleiss", len(counts), float(observed[0]), float(kappa[0]), kappa[1:])


def share_of(right: int, of: int) -> Share:
    """``right / of`` with its Wilson interval."""
    if of == 0:
        return Share(0, 0, None, None, None)
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share = right / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Share(right, of, share, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def _definite(said: Said) -> dict[str, Verdict]:
    return {name: verdict for name, verdict in said.items() if verdict != "unsure"}


def _rest(said: Said, name: str) -> Verdict | None:
    """What most people but ``name`` say of a pair; None if they are split."""
    votes = Counter(verdict for who, verdict in said.items() if who != name).most_common()
    return None if len(votes) > 1 and votes[0][1] == votes[1][1] else votes[0][0]


def _cohen(tables: Float[np.ndarray, "S k k"]) -> Float[np.ndarray, " S"]:
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    return _beyond_chance(tables.trace(axis1=1, axis2=2), (rows * columns).sum(axis=1))


def _beyond_chance(
    observed: Float[np.ndarray, " S"], expected: Float[np.ndarray, " S"]
) -> Float[np.ndarray, " S"]:
    """Kappa; NaN where chance alone agrees always."""
    defined = expected < 1 - 1e-12
    rest = np.where(defined, 1 - expected, 1.0)
    return np.where(defined, (observed - expected) / rest, np.nan)


def _none(method: Literal["Cohen", "Fleiss"]) -> Kappa:
    return Kappa(method, 0, None, None, None, None, "No pair was read by two people yet")


def _kappa(
    method: Literal["Cohen", "Fleiss"],
    pairs: int,
    raw: float,
    value: float,
    resampled: Float[np.ndarray, " S"],
) -> Kappa:
    if np.isnan(value):
        note = "Everybody always gave the same verdict, so agreement cannot be told from chance"
        return Kappa(method, pairs, raw, None, None, None, note)
    defined = resampled[~np.isnan(resampled)]
    if len(defined) < RESAMPLES / 2:
        note = "Too few pairs with both verdicts for an interval"
        return Kappa(method, pairs, raw, value, None, None, note)
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Kappa(method, pairs, raw, value, float(low), float(high))
