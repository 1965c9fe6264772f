"""The atlas: a map of all embeddings in the plane, on which near images are similar ones.

t-SNE (van der Maaten, Hinton 2008; Barnes-Hut: van der Maaten 2014) lays out a sample; every other
image lands beside the sampled images that are most similar to it.
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Float32, Int64
from threadpoolctl import threadpool_limits

SAMPLE = 4000
"""How many images t-SNE lays out at most."""
ITERATIONS = 600
PERPLEXITY = 30.0
_SAMPLED_SHARE = 0.9
"""Of the work, that t-SNE is."""
_NEAREST, _REACH = 5, 0.05
"""Sampled images that place another one, and how far on the map they may lie from the nearest."""
_SHARPNESS = 20.0
"""An image whose cosine is 0.05 lower than the best one's weighs 1/e of it."""
_BLOCK = 4096
_TINY = 8
"""Up to so many images the two main directions are the map."""

Report = Callable[[float], None]
"""Told the share that is done, 0 to 1."""


def atlas_of(
    vectors: Float32[np.ndarray, "N D"],
    seed: int,
    report: Report | None = None,
    sample: int = SAMPLE,
) -> Float32[np.ndarray, "N 2"]:
    """Places in the unit square; the same vectors and seed give the same places.

    Args:
        vectors: Unit vectors, may be memory-mapped.
        seed: Decides the sample and the spread of the others.
        report: Told how far the work is.
        sample: How many images t-SNE lays out at most; the others are placed among them.
    """
    rng = np.random.default_rng(seed)
    tell = report or (lambda share: None)
    if not len(vectors):
        return np.empty((0, 2), np.float32)
    rows = np.sort(rng.permutation(len(vectors))[:sample])
    known = np.asarray(vectors[rows], np.float32)
    with threadpool_limits(1):  # sums in one order; and the labeler keeps the other cores
        laid = into_square(_lay_out(known, rng, lambda share: tell(_SAMPLED_SHARE * share)))
        places = np.empty((len(vectors), 2), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = np.asarray(vectors[start : start + _BLOCK], np.float32)
            places[start : start + _BLOCK] = _place(block, known, laid, rng)
            done = min(1.0, (start + _BLOCK) / len(vectors))
            tell(_SAMPLED_SHARE + (1 - _SAMPLED_SHARE) * done)
    places[rows] = laid
    return np.clip(places, 0, 1, out=places)


def into_square(places: Float[np.ndarray, "N 2"]) -> Float32[np.ndarray, "N 2"]:
    """Move and scale places into the middle of the unit square; proportions stay."""
    low, high = places.min(axis=0), places.max(axis=0)
    side = float((high - low).max())
    if not side > 0:
        return np.full(places.shape, 0.5, np.float32)
    centred: Float32[np.ndarray, "N 2"] = ((places - (low + high) / 2) / side + 0.5).astype(
        np.float32
    )
    return centred


def _lay_out(
    vectors: Float32[np.ndarray, "n D"], rng: np.random.Generator, report: Report
) -> Float32[np.ndarray, "n 2"]:
    """t-SNE from the two main directions of the vectors."""
    from sklearn.manifold import TSNE

    start = _main_directions(vectors)
    start += 1e-3 * rng.standard_normal(start.shape).astype(np.float32)  # equal vectors part
    if len(vectors) <= _TINY:
        return start
    tsne = TSNE(
        init=1e-4 * start / start.std(),
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        max_iter=ITERATIONS,
        random_state=0,  # decides nothing: the start is given
        verbose=2,  # its only word on progress
    )
    with contextlib.redirect_stdout(_Iterations(report)):
        laid: Float32[np.ndarray, "n 2"] = tsne.fit_transform(vectors).astype(np.float32)
    return laid


def _main_directions(vectors: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n 2"]:
    """Projections on the two main directions, in units of the wider one's standard deviation."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    main = axes[:, ::-1][:, :2]
    main = main * np.where(main.sum(axis=0) < 0, -1, 1)  # an axis has no sign of its own
    flat = np.zeros((len(vectors), 2), np.float32)
    flat[:, : main.shape[1]] = centred @ main
    return flat / max(float(flat.std(axis=0).max()), 1e-12)


def _place(
    vectors: Float32[np.ndarray, "B D"],
    known: Float32[np.ndarray, "n D"],
    laid: Float32[np.ndarray, "n 2"],
    rng: np.random.Generator,
) -> Float32[np.ndarray, "B 2"]:
    """Mean place of the most similar known images, weighted by similarity, with a little spread.

    Known images that lie elsewhere on the map than the most similar one have no say: the mean of
    two islands is the sea.
    """
    similarity = vectors @ known.T
    count = min(_NEAREST, len(known))
    nearest: Int64[np.ndarray, "B m"]
    nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    cosines = np.take_along_axis(similarity, nearest, axis=1)
    order = np.argsort(-cosines, axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    cosines = np.take_along_axis(cosines, order, axis=1)
    there = laid[nearest]
    away = np.linalg.norm(there - there[:, :1], axis=2)
    weights = np.exp(_SHARPNESS * (cosines - cosines[:, :1])) * (away <= _REACH)
    mean = (weights[..., None] * there).sum(axis=1) / weights.sum(axis=1)[:, None]
    apart = (away * (away <= _REACH)).max(axis=1, keepdims=True)
    spread = np.maximum(0.3 * apart, 0.2 / np.sqrt(len(laid)) / 10)
    return np.asarray(mean + spread * rng.standard_normal(mean.shape), np.float32)


class _Iterations(io.TextIOBase):
    """Reads t-SNE's messages and reports how many of its iterations are done."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def write(self, text: str, /) -> int:
        for number in _iterations(text):
            self._report(min(1.0, number / ITERATIONS))
        return len(text)


def _iterations(text: str) -> Iterator[int]:
    return (int(each) for each in re.findall(r"Iteration (\d+)", text))
