"""Contrast: what tells the placed groups apart, added to a head that was fitted in closed form.

The closed form (`likewise.training.head`) models how images of one group differ, and is hard to
mislead by few answers. A contrastive loss looks at the pairs themselves, most at those that are
mistaken for each other, and gets better the more images are placed. Their metrics are summed, the
loss having the more part the more images are placed, up to a half.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from likewise.answers.placement import Placement

STEPS = 60
RATE = 0.03
"""Step of Adam at first, of the size of the matrix's numbers; it falls to 0 (cosine)."""
BATCH = 256
PART = 0.5
"""Of the loss's metric in the sum, where very many images are placed."""
HALFWAY = 100
"""Placed images with which it has half of that."""
PULL, PUSH, MARGIN = 2.0, 2.0, 0.5
"""Multi-similarity loss: alpha, beta and lambda. With the paper's beta of 50 the nearest images of
other groups are all that counts, and those are often of the same class, where answers were wrong or
are missing."""
_MOMENTUM, _SQUARES = 0.9, 0.999
"""Of Adam (Kingma & Ba 2015)."""

Matrix = Float64[ndarray, "d d"]


def contrasted(
    weight: Matrix, coordinates: Float32[ndarray, "N d"], placement: Placement, seed: int = 0
) -> Matrix:
    """A linear map and what `multi_similarity` makes of it, their metrics summed by their parts.

    Args:
        weight: The map that was fitted in closed form.
        coordinates: Of the images of the pool.
        placement: Which images belong together; those of different groups are different.
        seed: Of the batches.
    """
    count = len(placement.rows)
    apart = _descended(weight, coordinates[placement.rows], placement, seed)
    return summed(weight, apart, PART * count / (count + HALFWAY))


def summed(one: Matrix, other: Matrix, part: float) -> Matrix:
    """The map whose metric is the sum of two, each of unit trace, ``part`` (0 to 1) the other's.

    Its mean squared row length is 1, as that of `likewise.training.head.discriminating`.
    """
    metrics = [each.T @ each / (each**2).sum() for each in (one, other)]
    values, columns = np.linalg.eigh((1 - part) * metrics[0] + part * metrics[1])
    roots = np.sqrt(np.maximum(values, 0))
    return np.asarray(np.sqrt(len(values)) * (columns * roots).T)


def multi_similarity(
    weight: Float32[ndarray, "h d"],
    inputs: Float32[ndarray, "b d"],
    groups: Int64[ndarray, " b"],
    confidence: Float32[ndarray, " b"],
) -> tuple[float, Float32[ndarray, "h d"]]:
    """The multi-similarity loss of the unit vectors that a map makes, and its gradient.

    Each pair counts by the product of its images' confidences; all pairs are used, none mined.
    Wang et al. 2019, "Multi-Similarity Loss with General Pair Weighting", equation 15.
    """
    mapped = inputs @ weight.T
    lengths = np.maximum(np.linalg.norm(mapped, axis=1, keepdims=True), 1e-9)
    unit = mapped / lengths
    above = unit @ unit.T - MARGIN
    trusted = confidence[:, None] * confidence
    same = groups[:, None] == groups
    near, far = trusted * same * np.exp(-PULL * above), trusted * ~same * np.exp(PUSH * above)
    np.fill_diagonal(near, 0)
    pulled, pushed = (1 + each.sum(axis=1, keepdims=True) for each in (near, far))
    loss = (np.log(pulled) / PULL + np.log(pushed) / PUSH).mean()
    slopes = (far / pushed - near / pulled) / len(inputs)
    along = (slopes + slopes.T) @ unit
    across = (along - (along * unit).sum(axis=1, keepdims=True) * unit) / lengths
    return float(loss), np.asarray(across.T @ inputs)


def _descended(
    weight: Matrix, inputs: Float32[ndarray, "n d"], placement: Placement, seed: int
) -> Matrix:
    """The map after some steps down the loss by Adam, every image as often as any other."""
    rng, order = np.random.default_rng((seed, 2)), np.zeros(0, np.int64)
    here: Float32[ndarray, "d d"] = weight.astype(np.float32)
    size = float(np.sqrt((here**2).mean()))
    mean: Float32[ndarray, "d d"] = np.zeros_like(here)
    square: Float32[ndarray, "d d"] = np.zeros_like(here)
    confidence = placement.confidence.astype(np.float32)
    for step in range(STEPS):
        if len(order) < min(BATCH, len(inputs)):
            order = np.concatenate((order, rng.permutation(len(inputs))))
        some, order = order[:BATCH], order[BATCH:]
        _, slope = multi_similarity(here, inputs[some], placement.groups[some], confidence[some])
        mean = _MOMENTUM * mean + (1 - _MOMENTUM) * slope
        square = _SQUARES * square + (1 - _SQUARES) * slope**2
        rate = RATE * size * (1 + math.cos(math.pi * step / STEPS)) / 2
        unbiased = square / (1 - _SQUARES ** (step + 1))
        here = here - rate * mean / (1 - _MOMENTUM ** (step + 1)) / (np.sqrt(unbiased) + 1e-12)
    return here.astype(np.float64)
