"""The graph of the ten nearest of every image, against other libraries' way to the same recall."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from benchmarks.speed.table import Rate, Row
from likewise.cores import available_cores
from likewise.neighbours.cells import quick_graph

K, DIM, SAMPLE = 10, 128, 1000
MEMBERS = 50
"""Vectors of a cluster, on average."""
SPREAD = 0.7
"""Length of what is added to a unit centre."""


def rows(scratch: Path, short: bool) -> Iterator[Row]:
    """Images per second, at a recall@10 that the text tells; one run each, as they take minutes."""
    vectors = clustered(50_000 if short else 1_000_000)
    sample = np.sort(np.random.default_rng(1).permutation(len(vectors))[:SAMPLE])
    truth = _exact(vectors, sample)
    ours, recall = _timed(vectors, sample, truth, lambda each: quick_graph(each, K)[0])
    for peer, search in (("hnswlib", _hnswlib), ("usearch", _usearch)):
        theirs, other = _timed(vectors, sample, truth, search)
        yield Row(
            f"graph of {len(vectors):,} x {DIM}, k = {K} (recall {recall:.3f}, peer {other:.3f})",
            "images/s",
            ours,
            peer,
            theirs,
        )


def clustered(count: int) -> Float32[np.ndarray, "N D"]:
    """Unit vectors around centres."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, count // MEMBERS), DIM), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = rng.standard_normal((count, DIM), np.float32)
    vectors *= np.float32(SPREAD / np.sqrt(DIM))
    vectors += centres[rng.integers(len(centres), size=count)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _timed(
    vectors: Float32[np.ndarray, "N D"],
    sample: Int64[np.ndarray, " s"],
    truth: Int64[np.ndarray, "s k"],
    graph: Callable[[Float32[np.ndarray, "N D"]], Int64[np.ndarray, "N k"]],
) -> tuple[Rate, float]:
    started = time.perf_counter()
    found = graph(vectors)
    rate = Rate(len(vectors) / (time.perf_counter() - started), 0.0)
    both = zip(found[sample].tolist(), truth.tolist(), strict=True)
    return rate, float(np.mean([len(set(one) & set(other)) / K for one, other in both]))


def _exact(
    vectors: Float32[np.ndarray, "N D"], sample: Int64[np.ndarray, " s"]
) -> Int64[np.ndarray, "s k"]:
    scores = vectors[sample] @ vectors.T
    scores[np.arange(len(sample)), sample] = -2
    return np.argpartition(-scores, K, axis=1)[:, :K].astype(np.int64)


def _hnswlib(vectors: Float32[np.ndarray, "N D"]) -> Int64[np.ndarray, "N k"]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=DIM)
    index.init_index(max_elements=len(vectors), ef_construction=100, M=16)
    index.set_num_threads(available_cores())
    index.add_items(vectors)
    index.set_ef(50)
    return _others(index.knn_query(vectors, k=K + 1)[0])


def _usearch(vectors: Float32[np.ndarray, "N D"]) -> Int64[np.ndarray, "N k"]:
    from usearch.index import Index

    index = Index(ndim=DIM, metric="ip", dtype="f32")
    keys = np.arange(len(vectors))
    index.add(keys, vectors, threads=available_cores())
    return _others(index.search(vectors, K + 1, threads=available_cores()).keys)


def _others(found: Int64[np.ndarray, "N _"]) -> Int64[np.ndarray, "N k"]:
    """Without the image itself, or else without the last one."""
    found = np.asarray(found, np.int64)
    itself = found == np.arange(len(found))[:, None]
    itself[~itself.any(axis=1), -1] = True
    return np.asarray(found[~itself].reshape(len(found), -1))
