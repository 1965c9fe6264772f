"""The gate of the backbone step: whether a tuned net may take the place of the one it came from.

It is judged by a copy that was tuned without the held-out answers, against its start:

- *held-out answers*: it must tell similar from dissimilar pairs better, by more than chance. Images
  are drawn anew, as pairs that share one are not independent, and both nets are measured on the
  same draw.
- *own views*: an image must still be found by a view of it among other images. An image of the
  same group counts as found, since answers may draw a group together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from likewise.answers.standing import Answer
from likewise.evaluation.bootstrap import draw_counts
from likewise.evaluation.metrics import auc, roc
from likewise.images.augmentation import Recipe, Views, whole_view
from likewise.images.store import Images
from likewise.models.backbones import Backbone
from likewise.training.held_out import vectors_of
from likewise.training.spread import ABSTAIN

SURE = 2.0
"""Standard errors by which held-out answers must be told apart better."""
MAY_LOSE = 0.005
"""Share of the own views that may be lost, 0 to 1, besides two standard errors."""
_DRAWS = 300
_VIEWED = 500
"""Images whose views are looked for, at most."""


@dataclass(frozen=True)
class Judged:
    """What a tuned net gains over its start."""

    gain: float
    """In pair AUC on held-out answers, -1 to 1."""
    gain_error: float
    found: float
    """In the share of images that are found by their own view, -1 to 1."""
    found_error: float

    @property
    def better(self) -> bool:
        """Whether held-out answers are surely told apart better."""
        return self.gain > 0 and self.gain >= SURE * self.gain_error

    @property
    def passed(self) -> bool:
        """Whether it may be used."""
        return self.better and self.found >= -(MAY_LOSE + 2 * self.found_error)


def judge(
    before: Float64[np.ndarray, " n"],
    after: Float64[np.ndarray, " n"],
    answers: Sequence[Answer],
    found: Float64[np.ndarray, " m"],
    seed: int,
) -> Judged:
    """Weigh the similarities that both nets give the held-out answers, and what is ``found``.

    ``found`` is by image: whether it is found by its view after, less whether it was before.
    """
    gain, error = _gain(before, after, answers, seed)
    lost = float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else 0.0
    return Judged(gain, error, float(found.mean()) if len(found) else 0.0, lost)


def _gain(
    before: Float64[np.ndarray, " n"],
    after: Float64[np.ndarray, " n"],
    answers: Sequence[Answer],
    seed: int,
) -> tuple[float, float]:
    """The difference of the areas, and its standard error over draws of images."""
    same = np.array([each.verdict == "similar" for each in answers], dtype=bool)
    names = sorted({image for each in answers for image in each.pair})
    place = {name: row for row, name in enumerate(names)}
    pairs = np.array([[place[each.a], place[each.b]] for each in answers])
    gains = []
    for counts in draw_counts(len(names), _DRAWS, seed):
        weights = counts[pairs].prod(axis=1)
        drawn = weights > 0
        if len(set(same[drawn].tolist())) == 2:
            kept, weight = same[drawn], weights[drawn]
            areas = [auc(roc(scores[drawn], kept, weight)) for scores in (before, after)]
            gains.append(areas[1] - areas[0])
    gain = auc(roc(after, same)) - auc(roc(before, same))
    return gain, float(np.std(gains)) if len(gains) > _DRAWS // 2 else float("inf")


def found_by_views(
    backbone: Backbone,
    images: Images,
    rows: Int64[np.ndarray, " m"],
    groups: Int64[np.ndarray, " m"],
    recipe: Recipe,
    seed: int,
) -> Bool[np.ndarray, " m"]:
    """Of some images: whether what is nearest to a random view of each is of its group, or it."""
    size = backbone.architecture.image_size
    make = Views(recipe, size)
    views = []
    for row in rows.tolist():
        make.seed(seed, row)
        views.append(make(images[row]))
    whole = vectors_of(backbone, [whole_view(images[row], size) for row in rows.tolist()])
    nearest = (vectors_of(backbone, views) @ whole.T).argmax(axis=1)
    mates = (groups[nearest] == groups) & (groups != ABSTAIN)
    return np.asarray(mates | (nearest == np.arange(len(rows))))


def some_images(allowed: Int64[np.ndarray, " n"], seed: int) -> Int64[np.ndarray, " m"]:
    """At most `_VIEWED` of the images that may be learnt from."""
    if len(allowed) <= _VIEWED:
        return allowed
    return np.sort(np.random.default_rng((seed, 6)).choice(allowed, _VIEWED, replace=False))
