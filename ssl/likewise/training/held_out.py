"""How well a model does on answers that it was not trained on."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64

from likewise.answers.standing import Answer
from likewise.evaluation import metrics
from likewise.images.augmentation import whole_view
from likewise.images.store import Images
from likewise.models.backbones import Backbone

Measures = dict[str, float | int | None]
Vectors = Float32[np.ndarray, "N D"]


def measures_of(scores: Float64[np.ndarray, " n"], answers: Sequence[Answer]) -> Measures:
    """Pair AUC of the similarities of answered pairs, and their numbers.

    AUC is None without both verdicts.
    """
    same = np.array([each.verdict == "similar" for each in answers], dtype=bool)
    similar = int(same.sum())
    counts = {"similar": similar, "dissimilar": len(same) - similar}
    auc = metrics.auc(metrics.roc(scores, same)) if all(counts.values()) else None
    return {"auc": auc, "answers": len(answers), **counts}


def pair_scores(
    vectors: Vectors, rows: Mapping[str, int], answers: Sequence[Answer]
) -> Float64[np.ndarray, " n"]:
    """Cosine similarities of answered pairs; ``rows``: where the unit vector of an image is."""
    one = np.asarray(vectors[[rows[each.a] for each in answers]], dtype=np.float64)
    two = np.asarray(vectors[[rows[each.b] for each in answers]], dtype=np.float64)
    return np.asarray((one * two).sum(axis=1))


def scores_by(
    backbone: Backbone, images: Images, answers: Sequence[Answer]
) -> Float64[np.ndarray, " n"]:
    """The similarities that a model gives answered pairs; it is run on their images."""
    ids = sorted({image for each in answers for image in each.pair})
    size = backbone.architecture.image_size
    views = [whole_view(images[images.positions[each]], size) for each in ids]
    return pair_scores(
        vectors_of(backbone, views), {each: row for row, each in enumerate(ids)}, answers
    )


def vectors_of(backbone: Backbone, views: Sequence[np.ndarray]) -> Vectors:
    """The unit vectors of views of the net's size."""
    if not views:
        return np.zeros((0, backbone.dim), np.float32)
    parts = torch.split(torch.from_numpy(np.stack(views)), 256)
    return torch.cat([backbone.eval().embed(part) for part in parts]).numpy()
