"""Which answers stand: history, row by row, to the latest answer per pair and annotator."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from likewise.errors import UsageError

Verdict = Literal["similar", "dissimilar", "unsure"]
VERDICTS: tuple[Verdict, ...] = ("similar", "dissimilar", "unsure")
Pair = tuple[str, str]
"""Two image ids, the smaller first."""


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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

    An undo uncovers what the same annotator had answered on that pair before.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.last = 0
        """Number of the newest row seen."""
        self.verdicts: Counter[str] = Counter()
        """Standing answers per verdict."""
        self.days: Counter[tuple[str, date]] = Counter()
        """Standing answers per annotator and (local) day."""
        self._stacks: dict[tuple[str, str, str], list[Answer]] = {}
        self._answers: dict[int, Answer] = {}
        self._annotators: Counter[Pair] = Counter()
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> bool:
        """Take in the next row; True if it only adds a standing answer and replaces none."""
        self.last = max(self.last, entry.number)
        if isinstance(entry, Undo):
            self._cancel(entry.undoes)
            return False
        stack = self._stacks.setdefault((entry.a, entry.b, entry.annotator), [])
        replaces = bool(stack)
        if replaces:
            self._uncount(stack[-1])
        stack.append(entry)
        self._answers[entry.number] = entry
        self._count(entry)
        return not replaces

    def _cancel(self, number: int) -> None:
        answer = self._answers.pop(number, None)
        if answer is None:
            return
        key = (answer.a, answer.b, answer.annotator)
        stack = self._stacks[key]
        stood = stack[-1]
        stack.remove(answer)
        if stood is not answer:
            return
        self._uncount(answer)
        if stack:
            self._count(stack[-1])
        else:
            del self._stacks[key]

    def _count(self, answer: Answer) -> None:
        self.verdicts[answer.verdict] += 1
        self.days[answer.annotator, answer.time.astimezone().date()] += 1
        self._annotators[answer.pair] += 1

    def _uncount(self, answer: Answer) -> None:
        self.verdicts[answer.verdict] -= 1
        self.days[answer.annotator, answer.time.astimezone().date()] -= 1
        self._annotators[answer.pair] -= 1
        if not self._annotators[answer.pair]:
            del self._annotators[answer.pair]

    def __len__(self) -> int:
        return len(self._stacks)

    def has(self, pair: Pair) -> bool:
        """Whether anybody's answer on this pair stands."""
        return pair in self._annotators

    def of(self, a: str, b: str, annotator: str) -> Answer | None:
        """The standing answer of one annotator on one pair (``a < b``)."""
        stack = self._stacks.get((a, b, annotator))
        return stack[-1] if stack else None

    def answers(self) -> list[Answer]:
        """Every standing answer, oldest first."""
        return sorted((stack[-1] for stack in self._stacks.values()), key=lambda each: each.number)

    def state(self, entry: Entry) -> State:
        """What has become of a row."""
        if isinstance(entry, Undo):
            return "undo"
        if entry.number not in self._answers:
            return "undone"
        return "standing" if self.of(*entry.pair, entry.annotator) == entry else "corrected"
