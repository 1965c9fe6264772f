"""What answers imply: must-links and cannot-links, direct or inferred, and their explanation.

Similar is transitive (a~b, b~c: a~c); similar and dissimilar carry over (a~b, b≁c: a≁c).
Answers are taken in order: one that disagrees with what earlier ones imply is a contradiction; it
is recorded with its explanation and implies nothing itself. ``unsure`` implies nothing.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from jaxtyping import Int8

from likewise.answers.holdout import held_out_images
from likewise.answers.standing import Answer, Pair, Verdict, pair_of

Relation = Literal["must", "cannot"]
Step = tuple[str, str, Verdict]
"""An answered pair in a chain, written in the direction of the chain."""


@dataclass(frozen=True)
class Contradiction:
    """An answer that disagrees with the chain of answers before it."""

    a: str
    b: str
    verdict: Verdict
    chain: tuple[Step, ...]
    """Leads from ``a`` to ``b``; it holds one dissimilar pair if ``verdict`` is similar, and none
    if it is dissimilar."""


class Links:
    """Groups of images that are the same, and pairs of groups that are not.

    A union-find; `add` takes near-constant time.
    """

    def __init__(self) -> None:
        self.contradictions: list[Contradiction] = []
        self.asks: Counter[str] = Counter()
        """How many answers, unsure ones included, each image got."""
        self.groups_of_several = 0
        """How many groups hold two or more images."""
        self._parent: dict[str, str] = {}
        self._members: dict[str, list[str]] = {}
        self._cannot: dict[str, dict[str, Pair]] = {}
        """For two roots, in both directions: the dissimilar pair, the first root's image first."""
        self._similar: dict[str, list[str]] = {}
        """The similar answers that joined two groups: a spanning tree of each group."""

    def add(self, a: str, b: str, verdict: Verdict) -> None:
        """Take in the next answer.

        Raises:
            UsageError: ``a`` and ``b`` are the same image.
        """
        pair_of(a, b)
        self.asks[a] += 1
        self.asks[b] += 1
        if verdict == "unsure":
            return
        root_a, root_b = self._known(a), self._known(b)
        relation = self.relation(a, b)
        if relation is not None:
            if relation != ("must" if verdict == "similar" else "cannot"):
                chain = tuple(explain(self, a, b))
                self.contradictions.append(Contradiction(a, b, verdict, chain))
        elif verdict == "similar":
            self._similar[a].append(b)
            self._similar[b].append(a)
            self._join(root_a, root_b)
        else:
            self._cannot[root_a][root_b] = (a, b)
            self._cannot[root_b][root_a] = (b, a)

    def relation(self, a: str, b: str) -> Relation | None:
        """How two images are linked, directly or by inference; None if nothing follows."""
        root_a, root_b = self.root(a), self.root(b)
        if root_a == root_b:
            return "must"
        return "cannot" if root_b in self._cannot.get(root_a, ()) else None

    def groups(self) -> list[list[str]]:
        """Every image with a similar or dissimilar answer, in groups; the largest group first."""
        return sorted((sorted(each) for each in self._members.values()), key=lambda g: (-len(g), g))

    def group_of(self, image: str) -> list[str]:
        """The images that are the same as ``image``, itself included, in the order they joined."""
        return list(self._members.get(self.root(image), [image]))

    def relations(self, ids: Sequence[str]) -> Int8[np.ndarray, "n n"]:
        """Every pair of ``ids`` at once: 1 must-link, -1 cannot-link, 0 unknown; diagonal 1."""
        index: dict[str, int] = {}
        rows = np.array([index.setdefault(self.root(each), len(index)) for each in ids], dtype=int)
        between = np.eye(len(index), dtype=np.int8)
        for root, place in index.items():
            for other in self._cannot.get(root, ()):
                if other in index:
                    between[place, index[other]] = -1
        table: npt.NDArray[np.int8] = between[np.ix_(rows, rows)]
        return table

    # What proposals need: groups by their root, without copies.

    def root(self, image: str) -> str:
        """The image that stands for the group of ``image``, until the next `add`."""
        top = image
        while (above := self._parent.get(top, top)) != top:
            top = above
        while image != top:
            self._parent[image], image = top, self._parent[image]
        return top

    def roots(self) -> Iterable[str]:
        """The root of every group."""
        return self._members.keys()

    def members(self, root: str) -> Sequence[str]:
        """The images of a root's group, in the order they joined."""
        return self._members.get(root, (root,))

    def denied(self, root: str) -> "dict[str, Pair]":
        """The roots of the groups that differ from this root's group."""
        return self._cannot.get(root, {})

    def similar_to(self, image: str) -> Sequence[str]:
        """The other ends of the similar answers that joined ``image`` to its group."""
        return self._similar.get(image, ())

    def _known(self, image: str) -> str:
        if image not in self._parent:
            self._parent[image] = image
            self._members[image] = [image]
            self._cannot[image] = {}
            self._similar[image] = []
        return self.root(image)

    def _join(self, kept: str, gone: str) -> None:
        several = sum(len(self._members[root]) > 1 for root in (kept, gone))
        self.groups_of_several += 1 - several
        weight = {root: len(self._members[root]) + len(self._cannot[root]) for root in (kept, gone)}
        if weight[gone] > weight[kept]:
            kept, gone = gone, kept
        self._parent[gone] = kept
        self._members[kept].extend(self._members.pop(gone))
        for other, pair in self._cannot.pop(gone).items():
            back = self._cannot[other].pop(gone)
            if other not in self._cannot[kept]:
                self._cannot[kept][other] = pair
                self._cannot[other][kept] = back


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
    relation = links.relation(a, b)
    if relation is None or a == b:
        return []
    if relation == "must":
        return _path(links, a, b)
    near, far = links.denied(links.root(a))[links.root(b)]
    return [*_path(links, a, near), (near, far, "dissimilar"), *_path(links, far, b)]


def _path(links: Links, start: str, end: str) -> list[Step]:
    """The way through the similar answers of one group (they form a tree)."""
    came_from = {start: start}
    queue = deque([start])
    while queue and end not in came_from:
        here = queue.popleft()
        for there in links.similar_to(here):
            if there not in came_from:
                came_from[there] = here
                queue.append(there)
    steps: list[Step] = []
    while end != start:
        steps.append((came_from[end], end, "similar"))
        end = came_from[end]
    return steps[::-1]


def components(answers: Iterable[Answer]) -> list[set[str]]:
    """The images that answers speak of, as connected components of the must-links.

    Largest first; an image without a must-link is a component of its own.
    """
    answers = list(answers)
    links = links_from(answers)
    grouped = [set(group) for group in links.groups()]
    known = {image for group in grouped for image in group}
    rest = sorted({image for each in answers for image in each.pair} - known)
    return grouped + [{image} for image in rest]


def split_answers(
    answers: Sequence[Answer], share: float, seed: int
) -> tuple[list[Answer], list[Answer]]:
    """Split into answers to train on and answers to measure with; no image is in both.

    Components go to one side as a whole (see `held_out_images` for which). An answer is held out
    when both its images are, trained on when neither is; one that crosses is dropped from both.
    About ``share`` of all answers (0 to 1) is held out.
    """
    if share <= 0 or not answers:
        return list(answers), []
    groups, rng = components(answers), np.random.default_rng(seed)
    held = held_out_images(answers, groups, share * len(answers), rng)
    ends = [(each.a in held) + (each.b in held) for each in answers]
    train = [each for each, inside in zip(answers, ends, strict=True) if inside == 0]
    return train, [each for each, inside in zip(answers, ends, strict=True) if inside == 2]
