"""What people said, as far as it forbids or explains groups."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from likewise.answers.ledger import Ledger
from likewise.answers.standing import pair_of


class Denials:
    """Pairs of images that must not be in one group: called dissimilar, or that follows.

    A pair that people disagree on counts too, unless it was settled as similar: to leave two
    copies apart costs a look, to call two different images copies may cost one of them.

    Args:
        ids: Image id of each row.
        ledger: What the answers add up to.
    """

    def __init__(self, ids: Sequence[str], ledger: Ledger) -> None:
        self._ids, self._links = ids, ledger.links
        self._said = {
            pair_of(*pair)
            for pair in ledger.answered()
            if ledger.verdict(pair) != "similar"
            and any(each.verdict == "dissimilar" for each in ledger.answers_on(pair))
        }
        self._images = {image for pair in self._said for image in pair}
        self._images.update(image for image in self._links.asks if self._denied(image))

    def _denied(self, image: str) -> bool:
        return bool(self._links.denied(self._links.root(image)))

    def among(self, rows: Int64[np.ndarray, " n"]) -> Bool[np.ndarray, "n n"] | None:
        """Which pairs of some rows are apart; None if none is."""
        if not self._images:
            return None
        ids = [self._ids[row] for row in rows.tolist()]
        asked = [place for place, each in enumerate(ids) if each in self._images]
        if len(asked) < 2:
            return None
        table = self._links.relations([ids[place] for place in asked]) < 0
        for first, one in enumerate(asked):
            for second, two in enumerate(asked[:first]):
                if pair_of(ids[one], ids[two]) in self._said:
                    table[first, second] = table[second, first] = True
        if not table.any():
            return None
        apart = np.zeros((len(ids), len(ids)), bool)
        apart[np.ix_(asked, asked)] = table
        return apart
