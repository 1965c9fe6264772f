"""Who read which pair: readings that several people share, and pairs that wait for a second one.

A reading is an answer given by looking at the pair alone: adjudications, known truths and changes
of groups are none (`likewise.answers.consensus.is_reading`).
"""

import hashlib
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterator, Mapping

from likewise.answers.consensus import GOLD, is_reading
from likewise.answers.standing import Answer, Pair, Standing, Verdict


class Readings:
    """An index of what stands; `update` keeps it up, pair by pair."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self.shared: dict[Pair, tuple[str, ...]] = {}
        """The readers of each pair that two or more people read."""
        self.overlap: Counter[str] = Counter()
        """How many of these pairs each annotator read."""
        self._gold: dict[Pair, None] = {}
        self._read_by: dict[Pair, tuple[str, ...]] = {}
        self._waiting: dict[tuple[str, ...], list[tuple[float, Pair]]] = {}
        """By all who answered: the pairs that they read, in the order of their chance."""

    def update(self, pair: Pair) -> None:
        """Take in that the answers on a pair changed."""
        self._forget(pair)
        standing = self._standing.on(pair)
        if any(each.strategy == GOLD for each in standing):
            self._gold[pair] = None
        readers = tuple(self.readings(pair))
        if len(readers) > 1:
            self.shared[pair] = readers
            self.overlap.update(readers)
        if standing and all(map(is_reading, standing)):
            names = self._read_by[pair] = tuple(sorted(each.annotator for each in standing))
            insort(self._waiting.setdefault(names, []), (chance(pair), pair))

    def _forget(self, pair: Pair) -> None:
        self._gold.pop(pair, None)
        self.overlap.subtract(self.shared.pop(pair, ()))
        names = self._read_by.pop(pair, None)
        if names is not None:
            waiting = self._waiting[names]
            del waiting[bisect_left(waiting, (chance(pair), pair))]

    def readings(self, pair: Pair) -> dict[str, list[Answer]]:
        """By annotator: their readings of a pair that were not undone, oldest first."""
        found: dict[str, list[Answer]] = {}
        for each in self._standing.kept(pair):
            if is_reading(each):
                found.setdefault(each.annotator, []).append(each)
        return found

    def first(self, pair: Pair) -> dict[str, Verdict]:
        """What each annotator first said of a pair, before they could know other answers."""
        return {name: each[0].verdict for name, each in self.readings(pair).items()}

    def latest(self, pair: Pair) -> dict[str, Verdict]:
        """What each annotator's last reading of a pair says."""
        return {name: each[-1].verdict for name, each in self.readings(pair).items()}

    def gold(self) -> Mapping[Pair, Verdict]:
        """The pairs whose truth is known."""
        truths: dict[Pair, Verdict] = {}
        for pair in self._gold:
            keys = [each for each in self._standing.on(pair) if each.strategy == GOLD]
            truths[pair] = keys[-1].verdict
        return truths

    def gold_for(self, annotator: str) -> Iterator[Pair]:
        """The gold pairs on which no answer of this annotator stands."""
        return (pair for pair in self._gold if not self._standing.of(*pair, annotator))

    def awaiting(self, annotator: str, share: float, readers: int) -> Iterator[Pair]:
        """The pairs that fewer than ``readers`` others answered, those that most did first.

        Only pairs whose chance is below ``share`` (0 to 1).
        """
        for names, waiting in sorted(self._waiting.items(), key=lambda each: -len(each[0])):
            if len(names) < readers and annotator not in names:
                for how_likely, pair in waiting:
                    if how_likely >= share:
                        break
                    yield pair


def chance(pair: Pair) -> float:
    """A number from 0 to 1 that depends on the pair alone, and is spread evenly over pairs."""
    digest = hashlib.blake2b(" ".join(pair).encode(), digest_size=7).digest()
    return int.from_bytes(digest) / 2**56
