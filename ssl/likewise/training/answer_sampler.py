"""Which answered images make a batch of fine-tuning."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from likewise.answers.links import Links, links_from
from likewise.answers.standing import Answer
from likewise.training.batches import Rows

STEPS_PER_EPOCH = 25


class AnswerSampler:
    """Draws batches of answered pairs, so that every batch holds images that are related.

    An answer's weight falls with the square root of the sizes of the groups it touches, so that
    large groups do not drown small ones.
    """

    def __init__(
        self, answers: Sequence[Answer], positions: dict[str, int], batch_size: int, seed: int
    ) -> None:
        self.pairs = np.array([[positions[each.a], positions[each.b]] for each in answers])
        self.weights = _weights(answers, links_from(answers))
        self.batch_size, self.seed = batch_size, seed
        self.fewest = min(batch_size - 1, len(np.unique(self.pairs)))
        """Images in the smallest batch that may come."""

    def plan(self, epoch: int) -> list[Rows]:
        """The images of each step of an epoch: distinct positions, at most ``batch_size``."""
        rng = np.random.default_rng((self.seed, epoch))
        return [self._draw(rng) for _ in range(STEPS_PER_EPOCH)]

    def _draw(self, rng: np.random.Generator) -> Rows:
        # Gumbel top-k: a weighted order without replacement
        order = np.argsort(-(np.log(self.weights) + rng.gumbel(size=len(self.weights))))
        chosen: dict[int, None] = {}
        for pair in self.pairs[order]:
            new = [int(row) for row in pair if row not in chosen]
            if len(chosen) + len(new) > self.batch_size:
                break
            chosen.update(dict.fromkeys(new))
        return np.array(list(chosen), dtype=np.int64)


def _weights(answers: Sequence[Answer], links: Links) -> npt.NDArray[np.float64]:
    sizes = Counter(links.root(image) for each in answers for image in each.pair)
    return np.array(
        [(sizes[links.root(each.a)] * sizes[links.root(each.b)]) ** -0.25 for each in answers]
    )
