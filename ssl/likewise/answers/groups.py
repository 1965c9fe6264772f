"""Groups of images that are the same, and which of the groups differ."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from likewise.answers.standing import Pair, Verdict

Relation = Literal["must", "cannot"]
Step = tuple[str, str, Verdict]
"""An answered pair in a chain, written in the direction of the chain."""
Numbered = tuple[int, str, str]
"""The number of an answer, and its two images."""


class Groups:
    """Disjoint groups, each with a root among its images; only known images are in one.

    Each is held together by a spanning tree of pairs. Joining costs as much as the smaller of two
    groups, cutting about as much as the smaller part, and a pass over the list of members.
    """

    def __init__(self) -> None:
        self.of_several = 0
        """How many groups hold two or more images."""
        self.members: dict[str, list[str]] = {}
        """By root: the images in the order they joined."""
        self.denied: dict[str, dict[str, dict[int, Pair]]] = {}
        """By two roots that differ: the pairs that say so, by number; one dictionary for both
        directions."""
        self.joined: dict[str, dict[str, int]] = {}
        """The trees: for each image its neighbours, and the numbers of the pairs."""
        self._root: dict[str, str] = {}

    def know(self, image: str) -> None:
        """Make a group of one, unless the image is known."""
        if image not in self._root:
            self._root[image] = image
            self.members[image] = [image]
            self.denied[image] = {}
            self.joined[image] = {}

    def forget(self, image: str) -> None:
        """Drop a group of one that differs from none."""
        del self._root[image], self.members[image], self.denied[image], self.joined[image]

    def root(self, image: str) -> str:
        """The image that stands for the group of ``image``; itself when it is not known."""
        return self._root.get(image, image)

    def relation(self, a: str, b: str) -> Relation | None:
        """How two images are linked; None if nothing links them."""
        root_a, root_b = self.root(a), self.root(b)
        if root_a == root_b:
            return "must"
        return "cannot" if root_b in self.denied.get(root_a, ()) else None

    def join(self, number: int, a: str, b: str) -> None:
        """Make one group of two that do not differ, of which ``a`` and ``b`` are members."""
        self.tie(number, a, b)
        kept, gone = self.root(a), self.root(b)
        self.of_several += 1 - sum(len(self.members[root]) > 1 for root in (kept, gone))
        if self._weight(gone) > self._weight(kept):
            kept, gone = gone, kept
        moved = self.members.pop(gone)
        self.members[kept].extend(moved)
        self._root.update(dict.fromkeys(moved, kept))
        for other, pairs in self.denied.pop(gone).items():
            del self.denied[other][gone]
            for each, pair in pairs.items():
                self._deny(each, pair, kept, other)

    def tie(self, number: int, a: str, b: str) -> None:
        """Add a pair to the tree of a group that lacks it."""
        self.joined[a][b] = self.joined[b][a] = number

    def cut(self, a: str, b: str) -> set[str]:
        """Take a pair out of the tree of a group; return the smaller of the two parts."""
        del self.joined[a][b], self.joined[b][a]
        sides: list[set[str]] = [{a}, {b}]
        walks = [self._walk(side) for side in sides]
        while True:
            for side, walk in zip(sides, walks, strict=True):
                if next(walk, None) is None:
                    return side

    def split(self, part: set[str], denials: Iterable[Numbered]) -> None:
        """Make a group of its own of a part that no pair of the tree ties to the rest.

        ``denials`` are the pairs, an image of the part first, that deny its group another.
        """
        old = self.root(next(iter(part)))
        rest = [each for each in self.members[old] if each not in part]
        moved = [each for each in self.members[old] if each in part]
        self.of_several += (len(rest) > 1) + (len(moved) > 1) - 1
        self.members[old] = rest
        if old in part:
            self._rename(old, rest[0])
            old = rest[0]
        self.members[moved[0]], self.denied[moved[0]] = moved, {}
        self._root.update(dict.fromkeys(moved, moved[0]))
        for number, a, b in denials:
            self._allow(number, old, self.root(b))
            self.deny(number, a, b)

    def deny(self, number: int, a: str, b: str) -> None:
        """Note that the groups of ``a`` and ``b`` differ, because these two do."""
        self._deny(number, (a, b), self.root(a), self.root(b))

    def allow(self, number: int, a: str, b: str) -> None:
        """Take back a `deny`."""
        self._allow(number, self.root(a), self.root(b))

    def dissolve(self, roots: Iterable[str]) -> list[str]:
        """Forget these groups, and all that is known of their images; return the images."""
        images: list[str] = []
        for root in roots:
            members = self.members.pop(root, [])
            self.of_several -= len(members) > 1
            for other in self.denied.pop(root, {}):
                del self.denied[other][root]
            for image in members:
                del self._root[image], self.joined[image]
            images += members
        return images

    def chain(self, a: str, b: str) -> dict[int, Step]:
        """The pairs that lead from ``a`` to ``b``, by number; empty if nothing links them.

        For a must-link all are similar, for a cannot-link exactly one is dissimilar.
        """
        relation = self.relation(a, b)
        if relation is None or a == b:
            return {}
        if relation == "must":
            return self._path(a, b)
        pairs = self.denied[self.root(a)][self.root(b)]
        number = min(pairs)
        near, far = pairs[number]
        if self.root(near) != self.root(a):
            near, far = far, near
        between: dict[int, Step] = {number: (near, far, "dissimilar")}
        return self._path(a, near) | between | self._path(far, b)

    def _path(self, start: str, end: str) -> dict[int, Step]:
        """The way through the tree of one group."""
        came_from = {start: start}
        queue = deque([start])
        while queue and end not in came_from:
            here = queue.popleft()
            for there in self.joined.get(here, ()):
                if there not in came_from:
                    came_from[there] = here
                    queue.append(there)
        steps: list[Sequence[str]] = []
        while end != start:
            steps.append((came_from[end], end))
            end = came_from[end]
        return {self.joined[one][two]: (one, two, "similar") for one, two in reversed(steps)}

    def _walk(self, seen: set[str]) -> Iterator[str]:
        """Images that the trees tie to the one seen, one by one, which are added to the seen."""
        queue = deque(seen)
        while queue:
            for image in self.joined[queue.popleft()]:
                if image not in seen:
                    seen.add(image)
                    queue.append(image)
                    yield image

    def _rename(self, old: str, new: str) -> None:
        self.members[new], self.denied[new] = self.members.pop(old), self.denied.pop(old)
        for other in self.denied[new]:
            self.denied[other][new] = self.denied[other].pop(old)
        self._root.update(dict.fromkeys(self.members[new], new))

    def _deny(self, number: int, pair: Pair, one: str, other: str) -> None:
        pairs = self.denied[one].setdefault(other, {})
        pairs[number] = pair
        self.denied[other][one] = pairs

    def _allow(self, number: int, one: str, other: str) -> None:
        pairs = self.denied[one][other]
        del pairs[number]
        if not pairs:
            del self.denied[one][other], self.denied[other][one]

    def _weight(self, root: str) -> int:
        return len(self.members[root]) + len(self.denied[root])
