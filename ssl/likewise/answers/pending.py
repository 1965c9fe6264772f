"""What is on its way: pairs that are on screens, and what the answers to them may settle. Pure."""

from collections.abc import Collection, Iterable, Iterator

from likewise.answers.links import Links
from likewise.answers.standing import Pair


class Pending:
    """What answers on their way may link: whatever they say, other pairs are not settled by it."""

    def __init__(self, links: Links, pairs: Iterable[Pair] = ()) -> None:
        self._links = links
        self._asked: dict[str, list[str]] = {}
        """For each root on a screen those that it is shown with."""
        self._joined: dict[str, set[str]] = {}
        """For each root that was looked at those that may become one group with it."""
        self.add(pairs)

    def add(self, pairs: Iterable[Pair]) -> None:
        """Take in pairs that are on a screen; one that is settled links nothing more."""
        self._joined.clear()
        root, asked = self._links.root, self._asked
        for a, b in pairs:
            one, other = root(a), root(b)
            asked.setdefault(one, []).append(other)
            asked.setdefault(other, []).append(one)

    def may_settle(self, pair: Pair) -> bool:
        """Whether some answers on the pairs taken in would settle ``pair``, or it is settled."""
        one, other = (self._around(self._links.root(image)) for image in pair)
        if one is other:
            return True
        few, many = sorted((one, other), key=len)
        return any(not many.isdisjoint(self._links.denied(root)) for root in few)

    def _around(self, root: str) -> set[str]:
        """The roots that may become one group with this one, itself included."""
        if root not in self._joined:
            found, new = {root}, [root]
            while new:
                here = new.pop()
                settled = self._links.denied(here)
                for there in self._asked.get(here, ()):
                    if there not in found and there not in settled:
                        found.add(there)
                        new.append(there)
            self._joined.update(dict.fromkeys(found, found))
        return self._joined[root]


class Taken(Collection[Pair]):
    """The pairs that were answered and those that are on a screen, as one collection."""

    def __init__(self, answered: Collection[Pair], leased: Collection[Pair]) -> None:
        self._answered = answered
        self._more = {pair for pair in leased if pair not in answered}

    def __contains__(self, pair: object) -> bool:
        return pair in self._more or pair in self._answered

    def __len__(self) -> int:
        return len(self._answered) + len(self._more)

    def __iter__(self) -> Iterator[Pair]:
        yield from self._answered
        yield from self._more
