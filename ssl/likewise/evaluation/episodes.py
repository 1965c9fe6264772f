"""Recognition from few exemplars, N-way K-shot, measured in episodes. Pure.

An episode draws N classes, K exemplars of each, and further images of the same classes to
recognise (Vinyals et al. 2016, "Matching Networks for One Shot Learning"). An image gets the class
of its nearest exemplar. Images of other classes, the strangers, tell how well similarity alone
finds out who belongs to none of the N (the area under the ROC curve, as is usual for open sets).

Episodes draw from the same classes again and again, so intervals over episodes would be too narrow
by far; here classes are resampled (Lafargue et al. 2024, "Oops, I Sampled it Again").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from likewise.evaluation.bootstrap import Interval, draw_counts, percentiles

RESAMPLES = 1_000


class Episode(NamedTuple):
    """Rows of images."""

    exemplars: Int64[np.ndarray, "ways shots"]
    queries: tuple[Int64[np.ndarray, " q"], ...]
    """Of each class in turn."""
    strangers: tuple[Int64[np.ndarray, " u"], ...]
    """Of as many other classes, fewer if there are."""


class Shares(NamedTuple):
    """One figure from 0 to 1 for a class in an episode, and which class that was."""

    classes: Int64[np.ndarray, " S"]
    values: Float64[np.ndarray, " S"]


class Measured(NamedTuple):
    """What came of all episodes."""

    right: Shares
    """Of each class, the share of images that were recognised."""
    apart: Shares
    """Of each class of strangers, how often one of them is less similar to its nearest exemplar
    than an image of the N classes is to its own (ROC AUC). Empty without strangers."""


@dataclass(frozen=True)
class Figure:
    """A mean with its 95 % interval."""

    value: float
    interval: Interval


def draw_episodes(
    classes: Int64[np.ndarray, " N"],
    ways: int,
    shots: int,
    queries: int,
    episodes: int,
    seed: int,
) -> Iterator[Episode]:
    """Draw episodes; equal seeds draw the same ones.

    Args:
        classes: Of each image, as numbers from 0.
        ways: Classes of an episode.
        shots: Exemplars of each.
        queries: Images to recognise of each, at most.
        episodes: How many.
        seed: Of the draws.

    Raises:
        ValueError: fewer than ``ways`` classes have more than ``shots`` images.
    """
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(classes == each) for each in range(int(classes.max(initial=-1)) + 1)]
    able = np.array([each for each, own in enumerate(rows) if len(own) > shots])
    if len(able) < ways:
        raise ValueError(f"{len(able)} classes have more than {shots} images, not {ways}")
    for _ in range(episodes):
        shuffled = rng.permutation(able)
        drawn = [rng.permutation(rows[each])[: shots + queries] for each in shuffled[: 2 * ways]]
        yield Episode(
            np.stack([each[:shots] for each in drawn[:ways]]),
            tuple(each[shots:] for each in drawn[:ways]),
            tuple(each[shots:] for each in drawn[ways:]),
        )


def measure_episodes(
    vectors: Float32[np.ndarray, "N D"],
    classes: Int64[np.ndarray, " N"],
    episodes: Sequence[Episode],
) -> Measured:
    """Recognise the images of all episodes by their nearest exemplar."""
    right: list[tuple[int, float]] = []
    apart: list[tuple[int, float]] = []
    for each in episodes:
        shots = each.exemplars.shape[1]
        exemplars = vectors[each.exemplars.ravel()]
        known = []
        for way, rows in enumerate(each.queries):
            near = vectors[rows] @ exemplars.T
            named = near.argmax(axis=1) // shots
            right.append((int(classes[each.exemplars[way, 0]]), float((named == way).mean())))
            known.append(near.max(axis=1))
        told = np.concatenate(known)
        for rows in each.strangers:
            near = (vectors[rows] @ exemplars.T).max(axis=1)
            apart.append((int(classes[rows[0]]), _ahead(told, near)))
    return Measured(_shares(right), _shares(apart))


def mean_of(shares: Shares, seed: int = 0) -> Figure:
    """The mean over all, and its interval with whole classes resampled."""
    names, places = np.unique(shares.classes, return_inverse=True)
    draws = draw_counts(len(names), RESAMPLES, seed)
    sums, counts = np.bincount(places, shares.values), np.bincount(places).astype(np.float64)
    return Figure(float(shares.values.mean()), percentiles((draws @ sums) / (draws @ counts)))


def gain_of(better: Shares, worse: Shares, seed: int = 0) -> Figure:
    """By how much one is ahead of another on the same episodes, with its interval."""
    return mean_of(Shares(better.classes, better.values - worse.values), seed)


def _ahead(known: Float32[np.ndarray, " k"], strangers: Float32[np.ndarray, " u"]) -> float:
    """How often a known image is more similar than a stranger; equal ones count as one half."""
    ordered = np.sort(strangers)
    below = np.searchsorted(ordered, known, "left") + np.searchsorted(ordered, known, "right")
    return float(below.mean() / (2 * len(strangers)))


def _shares(pairs: Sequence[tuple[int, float]]) -> Shares:
    return Shares(
        np.array([each for each, _ in pairs], np.int64), np.array([share for _, share in pairs])
    )
