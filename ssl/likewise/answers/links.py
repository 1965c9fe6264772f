"""What answers imply: must-links and cannot-links, direct or inferred, and their explanation.

Similar is transitive (a~b, b~c: a~c); similar and dissimilar carry over (a~b, b≁c: a≁c).
Answers count in the order of their numbers: one that disagrees with what earlier ones imply is a
contradiction; it is recorded with its explanation and implies nothing itself. ``unsure`` implies
nothing.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence, Sized

import numpy as np
import numpy.typing as npt
from jaxtyping import Int8

from likewise.answers.deduction import Contradiction as Contradiction
from likewise.answers.deduction import Deduction
from likewise.answers.groups import Relation
from likewise.answers.groups import Step as Step
from likewise.answers.standing import Answer, Verdict, pair_of


class Links:
    """Groups of images that are the same, and pairs of groups that are not.

    What follows depends on the answers and their numbers alone, not on the order in which they
    came and went. See `likewise.answers.deduction` for what adding and removing cost.
    """

    def __init__(self) -> None:
        self.asks: Counter[str] = Counter()
        """How many answers, unsure ones included, each image got."""
        self._deduction = Deduction()
        self._groups = self._deduction.groups
        self._taken: dict[int, tuple[str, str, Verdict]] = {}
        self._last = 0

    def add(self, a: str, b: str, verdict: Verdict, number: int | None = None) -> None:
        """Take in an answer: the next one, or by its number one among those taken in before.

        Raises:
            UsageError: ``a`` and ``b`` are the same image.
            ValueError: an answer with this number was taken in already.
        """
        pair_of(a, b)
        number = self._last + 1 if number is None else number
        if number in self._taken:
            raise ValueError(f"answer {number} was taken in already")
        self._last = max(number, self._last)
        self._taken[number] = a, b, verdict
        self.asks.update((a, b))
        if verdict != "unsure":
            self._deduction.add(number, a, b, verdict)

    def remove(self, number: int) -> None:
        """Forget an answer, as if it had never been taken in.

        Raises:
            KeyError: no answer with this number was taken in.
        """
        a, b, verdict = self._taken.pop(number)
        for image in (a, b):
            self.asks[image] -= 1
            if not self.asks[image]:
                del self.asks[image]
        if verdict != "unsure":
            self._deduction.remove(number)

    @property
    def contradictions(self) -> list[Contradiction]:
        """The answers that disagree with earlier ones, oldest first."""
        rejected = self._deduction.rejected
        return [rejected[number] for number in sorted(rejected)]

    @property
    def groups_of_several(self) -> int:
        """How many groups hold two or more images."""
        return self._groups.of_several

    def relation(self, a: str, b: str) -> Relation | None:
        """How two images are linked, directly or by inference; None if nothing follows."""
        return self._groups.relation(a, b)

    def groups(self) -> list[list[str]]:
        """Every image with a similar or dissimilar answer, in groups; the largest group first."""
        groups = (sorted(each) for each in self._groups.members.values())
        return sorted(groups, key=lambda group: (-len(group), group))

    def group_of(self, image: str) -> list[str]:
        """The images that are the same as ``image``, itself included, in the order they joined."""
        return list(self.members(self.root(image)))

    def relations(self, ids: Sequence[str]) -> Int8[np.ndarray, "n n"]:
        """Every pair of ``ids`` at once: 1 must-link, -1 cannot-link, 0 unknown; diagonal 1."""
        index: dict[str, int] = {}
        rows = np.array([index.setdefault(self.root(each), len(index)) for each in ids], dtype=int)
        between = np.eye(len(index), dtype=np.int8)
        for root, place in index.items():
            for other in self.denied(root):
                if other in index:
                    between[place, index[other]] = -1
        table: npt.NDArray[np.int8] = between[np.ix_(rows, rows)]
        return table

    # What proposals need: groups by their root, without copies.

    def placed(self) -> Mapping[str, Sized]:
        """For each known image what ties it to its group: empty for one that is alone. Live."""
        return self._groups.joined

    def root(self, image: str) -> str:
        """The image that stands for the group of ``image``, until the next `add` or `remove`."""
        return self._groups.root(image)

    def roots(self) -> Iterable[str]:
        """The root of every group."""
        return self._groups.members.keys()

    def members(self, root: str) -> Sequence[str]:
        """The images of a root's group, in the order they joined."""
        return self._groups.members.get(root, (root,))

    def denied(self, root: str) -> Collection[str]:
        """The roots of the groups that differ from this root's group."""
        return self._groups.denied.get(root, {}).keys()


def links_from(answers: Iterable[Answer]) -> Links:
    """The links that follow from standing answers, taken in the given order."""
    links = Links()
    for answer in answers:
        links.add(answer.a, answer.b, answer.verdict)
    return links


def explain(links: Links, a: str, b: str) -> list[Step]:
    """The answered pairs that lead from ``a`` to ``b``; empty if nothing links them.

    For a must-link all are similar, for a cannot-link exactly one is dissimilar.
    """
    return list(links._groups.chain(a, b).values())
