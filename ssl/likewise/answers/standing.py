"""Which answers stand: history, row by row, to the latest answer per pair and annotator."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from likewise.errors import UsageError

Verdict = Literal["similar", "dissimilar", "unsure"]
VERDICTS: tuple[Verdict, ...] = ("similar", "dissimilar", "unsure")
Pair = tuple[str, str]
"""Two image ids, the smaller first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One verdict on one pair by one annotator."""

    a: str
    b: str
    """Image ids, ``a < b``."""
    verdict: Verdict
    annotator: str
    time: datetime
    """UTC."""
    strategy: str
    """What proposed the pair; "import" where a file did."""
    score: float | None
    """Cosine similarity when it was asked, -1 to 1."""
    fingerprint: str
    """Of the model whose embedding proposed it."""
    number: int
    """Row in the history, counted from 1."""

    @property
    def pair(self) -> Pair:
        """The two images."""
        return self.a, self.b


@dataclass(frozen=True, slots=True)
class Undo:
    """A row that takes an earlier answer back."""

    undoes: int
    """Number of the answer."""
    annotator: str
    time: datetime
    number: int


Entry = Answer | Undo
"""One row of the history."""
State = Literal["standing", "corrected", "undone", "undo"]


def pair_of(a: str, b: str) -> Pair:
    """The two ids in order.

    Raises:
        UsageError: they are the same image.
    """
    if a == b:
        raise UsageError(f"a pair needs two different images, not {a} twice")
    return (a, b) if a < b else (b, a)


class Standing:
    """What stands after some history; rows may be added one at a time, in order of number.

    The last answer of each annotator on each pair stands. An undo uncovers what the same annotator
    had answered on that pair before.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.last = 0
        """Number of the newest row seen."""
        self.verdicts: Counter[str] = Counter()
        """Standing answers per verdict."""
        self.days: Counter[tuple[str, date]] = Counter()
        """Standing answers per annotator and (local) day."""
        self._kept: dict[Pair, list[Answer]] = {}
        """What was not undone, corrected answers included, oldest first."""
        self._pair_of: dict[int, Pair] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> Pair | None:
        """Take in the next row; return the pair whose answers it changed, if any."""
        self.last = max(self.last, entry.number)
        if isinstance(entry, Undo):
            return self._cancel(entry.undoes)
        kept = self._kept.setdefault(entry.pair, [])
        replaced = _last_of(kept, entry.annotator)
        if replaced:
            self._count(replaced, -1)
        self._count(entry, 1)
        kept.append(entry)
        self._pair_of[entry.number] = entry.pair
        return entry.pair

    def _cancel(self, number: int) -> Pair | None:
        pair = self._pair_of.pop(number, None)
        if pair is None:
            return None
        kept = self._kept[pair]
        answer = next(each for each in kept if each.number == number)
        stood = _last_of(kept, answer.annotator) is answer
        kept.remove(answer)
        if stood:
            self._count(answer, -1)
            uncovered = _last_of(kept, answer.annotator)
            if uncovered:
                self._count(uncovered, 1)
        if not kept:
            del self._kept[pair]
        return pair

    def _count(self, answer: Answer, change: int) -> None:
        self.verdicts[answer.verdict] += change
        self.days[answer.annotator, answer.time.astimezone().date()] += change

    def __len__(self) -> int:
        return self.verdicts.total()

    def pairs(self) -> Collection[Pair]:
        """The pairs on which an answer stands: a live view, quick to ask for its size or a pair."""
        return self._kept.keys()

    def has(self, pair: Pair) -> bool:
        """Whether anybody's answer on this pair stands."""
        return pair in self._kept

    def of(self, a: str, b: str, annotator: str) -> Answer | None:
        """The standing answer of one annotator on one pair (``a < b``)."""
        return _last_of(self._kept.get((a, b), ()), annotator)

    def on(self, pair: Pair) -> list[Answer]:
        """The standing answers on a pair, one per annotator, oldest first."""
        kept = self._kept.get(pair, [])
        if len(kept) < 2:
            return list(kept)
        last = {each.annotator: each.number for each in kept}
        return [each for each in kept if last[each.annotator] == each.number]

    def kept(self, pair: Pair) -> list[Answer]:
        """The answers on a pair that were not undone, corrected ones included, oldest first."""
        return list(self._kept.get(pair, ()))

    def answers(self) -> list[Answer]:
        """Every standing answer, oldest first."""
        found = [each for pair in self._kept for each in self.on(pair)]
        return sorted(found, key=lambda each: each.number)

    def state(self, entry: Entry) -> State:
        """What has become of a row."""
        if isinstance(entry, Undo):
            return "undo"
        if entry.number not in self._pair_of:
            return "undone"
        return "standing" if self.of(*entry.pair, entry.annotator) == entry else "corrected"


def _last_of(answers: Sequence[Answer], annotator: str) -> Answer | None:
    return next((each for each in reversed(answers) if each.annotator == annotator), None)
