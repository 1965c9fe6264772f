"""What follows from the answers that are believed: links without those that are probably wrong.

Where answers cannot be wrong these are the links of the ledger. Else one wrong "similar" would join
two groups for good, and a wrong "dissimilar" keep one apart.
"""

from likewise.answers.belief import Belief
from likewise.answers.doubts import same
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.standing import Pair, Verdict

_DOUBTFUL = 0.5
"""Probability of being wrong above which an answer implies nothing."""
_LOOKED_AGAIN = 0.02
"""All answers are doubted anew when so many of them, as a share, have changed."""


class TrustedLinks:
    """Keeps links up with a ledger and a belief.

    Args:
        belief: Says which answers are probably wrong.
    """

    def __init__(self, belief: Belief) -> None:
        self._belief = belief
        self._ledger: Ledger | None = None

    def of(self, ledger: Ledger) -> Links:
        """The links of the answers that are believed; the ledger's own where that is all."""
        self._belief.follow(ledger)
        if self._ledger is not ledger:
            self._ledger, self._links = ledger, None
            self._read, self._judged = 0, 0
            self._doubted = set[Pair]()
            self._taken: dict[Pair, tuple[int, Verdict]] = {}
        changed = set(ledger.changes[self._read :])
        self._read = len(ledger.changes)
        if self._read > self._judged + _LOOKED_AGAIN * len(ledger.answered()):
            doubted, self._judged = self._doubtful(ledger), self._read
            changed |= doubted ^ self._doubted
            self._doubted = doubted
        if self._links is None:
            if not self._doubted:
                return ledger.links
            self._links, changed = Links(), set(ledger.answered())
        for pair in sorted(changed):
            self._take(self._links, pair, ledger.linked(pair))
        return self._links

    def _doubtful(self, ledger: Ledger) -> set[Pair]:
        """Pairs whose verdict is probably wrong."""
        nodes = self._belief.asked.nodes
        known = (each for each in ledger.answered() if each[0] in nodes and each[1] in nodes)
        return {pair for pair in known if self._is_doubtful(pair, ledger.verdict(pair))}

    def _is_doubtful(self, pair: Pair, verdict: Verdict | None) -> bool:
        """Whether other answers outweigh one; that images look different is no reason."""
        asked = self._belief.asked
        if verdict == "dissimilar":
            return same(asked, pair) > _DOUBTFUL
        if verdict != "similar" or 1 - same(asked, pair) <= _DOUBTFUL:
            return False
        one, two = (int(asked.partition.slots[asked.nodes[image]]) for image in pair)
        return one != two and asked.partition.between(one, two) < 0

    def _take(self, links: Links, pair: Pair, linked: tuple[int, Verdict] | None) -> None:
        if linked and pair in self._doubted:
            linked = linked[0], "unsure"
        if self._taken.get(pair) == linked:
            return
        if pair in self._taken:
            links.remove(self._taken.pop(pair)[0])
        if linked:
            self._taken[pair] = linked
            links.add(*pair, linked[1], linked[0])
