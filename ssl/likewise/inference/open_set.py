"""Is an image of none of the classes? A threshold of similarity, and how often it names a stranger.

Pure. An image is given the class of its nearest exemplar, if that is near enough. How near is near
enough can be learnt from the gallery itself. Each exemplar in turn plays the stranger: its class
is left out, and its *reach* is how near it comes to the exemplars of all others. Is a stranger's
class one like those of the gallery (exchangeable with them), its reach may have any place among
theirs, all alike. So with C classes, W of which reach as far as s, the chance that a stranger
reaches s is at most (W + 2) / (C + 1): a conformal p-value (Vovk, Gammerman & Shafer 2005) that
holds whatever the embedding, and with few classes too. The 2 are the stranger itself and its
nearest exemplar, to which the stranger may be nearer than all others. An exemplar counts as
one k-th where its class has k (as in Dunn, Wasserman & Ramdas 2023, on groups).

Shapes: M exemplars, D dimensions, n trials.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

TRIALS = 2_000
"""Exemplars that play the stranger, at most."""
_BLOCK = 512
_DOUBT = 0.01


class Trials(NamedTuple):
    """Exemplars that were held against the rest of the gallery."""

    reach: Float64[np.ndarray, " n"]
    """Cosine to the nearest exemplar of another class."""
    own: Float64[np.ndarray, " n"]
    """Cosine to the nearest other exemplar of its class; -inf where it is alone."""
    weights: Float64[np.ndarray, " n"]
    """They add up to the number of classes that took part."""


def hold_out(
    vectors: Float32[np.ndarray, "M D"],
    classes: Int64[np.ndarray, " M"],
    rng: np.random.Generator,
) -> Trials:
    """Hold exemplars against all others: each, or one of each of `TRIALS` classes at random.

    Args:
        vectors: Unit vectors of the exemplars.
        classes: Their classes, as numbers. Of at least two, or there are no trials.
        rng: Draws classes, and exemplars, where there are many.
    """
    rows = _playing(classes, rng)
    reach, own = np.empty(len(rows)), np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        part = rows[start : start + _BLOCK]
        near = np.asarray(vectors[part] @ vectors.T, np.float64)
        same = classes[part][:, None] == classes[None]
        reach[start : start + _BLOCK] = np.where(same, -np.inf, near).max(axis=1)
        same[np.arange(len(part)), part] = False
        own[start : start + _BLOCK] = np.where(same, near, -np.inf).max(axis=1)
    counts = np.bincount(classes[rows], minlength=1)
    return Trials(reach, own, 1.0 / counts[classes[rows]])


def _playing(classes: Int64[np.ndarray, " M"], rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    names = np.unique(classes)
    if len(names) < 2:
        return np.empty(0, np.int64)
    if len(classes) <= TRIALS:
        return np.arange(len(classes))
    shuffled = rng.permutation(len(classes))
    _, first = np.unique(classes[shuffled], return_index=True)
    return np.sort(rng.permutation(shuffled[first])[:TRIALS])


def strangers_share(trials: Trials, similarity: float) -> float:
    """The most that the trials allow for: of strangers, the share that reaches ``similarity``.

    It never promises less than 2 / (C + 1).
    """
    classes = trials.weights.sum()
    reaching = trials.weights[trials.reach >= similarity].sum()
    return float(min(1.0, (reaching + 2) / (classes + 1)))


def threshold_of(trials: Trials, most: float) -> float:
    """The lowest similarity that at most a share ``most`` of strangers reaches, if one can tell.

    Where there are too few classes to promise it (`fewest_classes`), the lowest that no exemplar
    reached; infinite without trials.
    """
    if not len(trials.reach):
        return math.inf
    order = np.argsort(-trials.reach, kind="stable")
    allowed = max(0.0, most * (float(trials.weights.sum()) + 1) - 2)
    reaching = trials.weights[order].cumsum()
    too_many = np.flatnonzero(reaching > allowed + 1e-9)
    if not len(too_many):
        return -1.0
    return float(np.nextafter(trials.reach[order[too_many[0]]], math.inf))


def fewest_classes(most: float) -> int:
    """How many classes it takes to promise that at most this share of strangers is named."""
    return math.ceil(2 / most - 1e-9) - 1


def threshold_above(population: Float64[np.ndarray, " W"], most: float) -> float:
    """The lowest similarity that at most a share ``most`` of images like these reaches.

    Split conformal: one of W + 1 exchangeable images is among the k highest with chance
    k / (W + 1). If some of the images belong to the classes they can only raise it.

    Args:
        population: Of images, the cosine to the nearest exemplar, rising.
        most: Between 0 and 1; infinite where `fewest_images` says that so many cannot tell.
    """
    allowed = math.floor(most * (len(population) + 1) + 1e-9) - 1
    if allowed < 0:
        return math.inf
    if allowed >= len(population):
        return -1.0
    return float(np.nextafter(population[len(population) - 1 - allowed], math.inf))


def fewest_images(most: float) -> int:
    """How many images `threshold_above` takes."""
    return math.ceil(1 / most - 1e-9) - 1


def refuted(trials: Trials, similarity: float, most: float) -> bool:
    """Whether too many classes of the gallery reach ``similarity``, if strangers rarely do.

    A binomial test at 1 %. Two that are nearest to each other reach it together, so pairs are
    counted.
    """
    pairs = int(trials.weights.sum() + 1e-9) // 2
    reaching = int(trials.weights[trials.reach >= similarity].sum() + 1e-9) // 2
    chances = (
        math.comb(pairs, each) * most**each * (1 - most) ** (pairs - each)
        for each in range(reaching, pairs + 1)
    )
    return reaching > 0 and sum(chances) < _DOUBT


def answerable(trials: Trials) -> tuple[Float64[np.ndarray, " t"], Bool[np.ndarray, " t"]]:
    """Similarities, and whether the class was right, of images half of which are strangers.

    Each exemplar that is not alone in its class is named twice: once with the others of its class
    in the gallery, where the nearest exemplar may be one of them, and once without.
    """
    shown = np.isfinite(trials.own)
    reach, own = trials.reach[shown], trials.own[shown]
    near = np.concatenate((np.maximum(reach, own), reach))
    return near, np.concatenate((own > reach, np.zeros(len(reach), bool)))
