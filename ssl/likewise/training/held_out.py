"""How well a model does on answers that it was not trained on."""

from collections.abc import Sequence

import numpy as np
import torch

from likewise.answers.standing import Answer
from likewise.evaluation import metrics
from likewise.images.augmentation import whole_view
from likewise.images.store import Images
from likewise.models.backbones import Backbone

Measures = dict[str, float | int | None]


def held_out_measures(backbone: Backbone, images: Images, answers: Sequence[Answer]) -> Measures:
    """Pair AUC of a model on some answers, and their numbers; AUC None without both verdicts."""
    same = np.array([each.verdict == "similar" for each in answers], dtype=bool)
    similar = int(same.sum())
    counts = {"similar": similar, "dissimilar": len(same) - similar}
    measures: Measures = {"auc": None, "answers": len(answers), **counts}
    if not all(counts.values()):
        return measures
    ids = sorted({image for each in answers for image in each.pair})
    size = backbone.architecture.image_size
    views = np.stack([whole_view(images[images.positions[each]], size) for each in ids])
    parts = torch.split(torch.from_numpy(views), 256)
    vectors = torch.cat([backbone.eval().embed(part) for part in parts]).numpy()
    place = {image: row for row, image in enumerate(ids)}
    pairs = np.array([[place[each.a], place[each.b]] for each in answers])
    scores = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    return measures | {"auc": metrics.auc(metrics.roc(scores, same))}
