"""How groups follow from numbered answers that come and go in any order.

Answers count in the order of their numbers: one that disagrees with what earlier ones imply is
rejected, and implies nothing itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from likewise.answers.groups import Groups, Step
from likewise.answers.standing import Pair, Verdict, pair_of


@dataclass(frozen=True)
class Contradiction:
    """An answer that disagrees with the chain of answers before it."""

    a: str
    b: str
    verdict: Verdict
    chain: tuple[Step, ...]
    """Leads from ``a`` to ``b``; it holds one dissimilar pair if ``verdict`` is similar, and none
    if it is dissimilar."""
    number: int
    """Of the answer."""

    @property
    def pair(self) -> Pair:
        """The two images, in order."""
        return pair_of(self.a, self.b)


class Deduction:
    """The groups that similar and dissimilar answers make, kept up as answers come and go.

    An answer that comes or goes leaves all others their effect (see `_decide`), unless it makes
    newer ones contradictions, or frees them from being one. The freed ones are decided anew; for
    newer ones that it contradicts, all answers on the images of the groups concerned are gone
    through again, and no others (see `_region`).
    """

    def __init__(self) -> None:
        self.groups = Groups()
        self.rejected: dict[int, Contradiction] = {}
        self._taken: dict[int, tuple[str, str, Verdict]] = {}
        self._numbers: dict[str, list[int]] = {}
        """Of the answers on each image."""
        self._leaning: dict[int, set[int]] = {}
        """The rejected answers in whose chain an answer stands."""
        self._leans_on: dict[int, tuple[int, ...]] = {}
        """The other way round: the chain of each rejected answer."""
        self._pending: set[int] = set()
        """Answers that have yet to have their effect."""

    def add(self, number: int, a: str, b: str, verdict: Verdict) -> None:
        """Take in an answer, similar or dissimilar, whose number is new."""
        self._taken[number] = a, b, verdict
        for image in (a, b):
            self._numbers.setdefault(image, []).append(number)
        self._decide(number)

    def remove(self, number: int) -> None:
        """Forget an answer, as if it had never been taken in."""
        a, b, verdict = self._taken.pop(number)
        for image in (a, b):
            self._numbers[image].remove(number)
        if number in self.rejected:
            self._free(number)
            return
        if verdict == "dissimilar":
            self.groups.allow(number, a, b)
        elif self.groups.joined[a].get(b) == number:
            self._part(a, b)
        for image in (a, b):
            if not self._numbers[image]:
                del self._numbers[image]
                self.groups.forget(image)
        self._pending = set(self._leaning.get(number, ()))
        for each in self._pending:
            self._free(each)
        while self._pending:
            self._decide(min(self._pending))

    def _decide(self, number: int) -> None:
        """Let an answer have its effect, all others that are not pending having had theirs.

        Linking what nothing links, or saying what follows anyway, changes nothing for others: the
        accepted ones do not disagree with it, nor with one another, and each rejected one still
        disagrees with its chain. The same holds for an answer that is rejected because of older
        ones. Only when the chain against it holds newer ones, these may have to give way.
        """
        self._pending.discard(number)
        a, b, verdict = self._taken[number]
        self.groups.know(a)
        self.groups.know(b)
        relation = self.groups.relation(a, b)
        if verdict == "similar" and relation is None:
            self.groups.join(number, a, b)
        elif verdict == "dissimilar" and relation != "must":
            self.groups.deny(number, a, b)
        elif verdict == "dissimilar" or relation == "cannot":
            chain = self.groups.chain(a, b)
            if max(chain) > number:
                self._redo(a, b)
            else:
                self._reject(Contradiction(a, b, verdict, tuple(chain.values()), number), chain)

    def _reject(self, contradiction: Contradiction, chain: Iterable[int]) -> None:
        number = contradiction.number
        self.rejected[number] = contradiction
        self._leans_on[number] = tuple(chain)
        for each in chain:
            self._leaning.setdefault(each, set()).add(number)

    def _free(self, number: int) -> None:
        """Forget that an answer is rejected; it has no effect until it is decided on."""
        del self.rejected[number]
        for each in self._leans_on.pop(number):
            self._leaning[each].discard(number)
            if not self._leaning[each]:
                del self._leaning[each]

    def _part(self, a: str, b: str) -> None:
        """Take a similar pair out of its group, which falls apart unless another one ties it."""
        part = self.groups.cut(a, b)
        numbers = {number for image in part for number in self._numbers.get(image, ())}
        denials: list[tuple[int, str, str]] = []
        for number in sorted(numbers - self.rejected.keys()):
            one, two, verdict = self._taken[number]
            if verdict == "dissimilar":
                denials.append((number, one, two) if one in part else (number, two, one))
            elif (one in part) != (two in part):
                self.groups.tie(number, one, two)
                return
        self.groups.split(part, denials)

    def _redo(self, a: str, b: str) -> None:
        """Dissolve the groups that an answer on ``a`` and ``b`` may concern, and begin again."""
        inside = set(self.groups.dissolve(self._region(a, b)))
        numbers = {number for image in inside for number in self._numbers.get(image, ())}
        crossing = []
        for number in numbers & self.rejected.keys():
            self._free(number)
        for number in sorted(numbers):
            one, two, _ = self._taken[number]
            if one in inside and two in inside:
                self._decide(number)
            elif number not in self._pending:
                crossing.append(number)
        for number in crossing:
            self._decide(number)

    def _region(self, a: str, b: str) -> set[str]:
        """The roots of the groups whose making a change between ``a`` and ``b`` may alter.

        These are the groups of the two, and what rejected answers connect with them. Nothing
        leads further: an answer between two groups, not rejected, is a dissimilar one; so no group
        ever takes in images from beyond the region, and whether an answer inside it is implied or
        contradicted does not depend on the answers that cross its border.
        """
        region = {self.groups.root(a), self.groups.root(b)}
        queue = list(region)
        while queue:
            for image in self.groups.members[queue.pop()]:
                for number in self._numbers.get(image, ()):
                    if number in self.rejected:
                        one, two, _ = self._taken[number]
                        new = {self.groups.root(one), self.groups.root(two)} - region
                        region |= new
                        queue += new
        return region
