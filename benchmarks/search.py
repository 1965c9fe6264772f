"""How long one question takes among a million vectors, and how many of the true ten it finds.

    python benchmarks/search.py [--vectors 1000000] [--dim 256] [--folder FOLDER]

Made-up unit vectors in clusters, the index that `likewise embed` makes for so many, and questions
that are new draws from the same clusters: without a filter, and among parts of the images (spread
evenly, or whole clusters). Recall@10 is against comparing all vectors. Prints a Markdown table.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from likewise.neighbours.faiss_index import build_index, describe, save_index
from likewise.neighbours.search import search
from likewise.neighbours.searcher import Searcher
from likewise.neighbours.vectors import INDEX, VECTORS, Embeddings

TOP, QUESTIONS = 10, 200
MEMBERS = 50
"""Vectors of a cluster, on average."""
SPREAD = 0.7
"""Length of what is added to a unit centre: two of a cluster have a cosine of about 0.67."""
_BLOCK = 50_000


def draw(centres: Float32[np.ndarray, "C D"], which: Int64[np.ndarray, " n"], seed: int) -> object:
    """Unit vectors around their centres."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((len(which), centres.shape[1]), np.float32)
    made = centres[which] + SPREAD * noise / np.sqrt(centres.shape[1]).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def make(
    folder: Path, count: int, dim: int
) -> tuple[Embeddings, Int64[np.ndarray, " N"], Float32[np.ndarray, "Q D"]]:
    """Vectors and their index in a folder, the cluster of each, and the questions."""
    rng = np.random.default_rng(0)
    clusters = max(1, count // MEMBERS)
    centres = rng.standard_normal((clusters, dim), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    cluster = rng.integers(clusters, size=count)
    questions = np.asarray(draw(centres, rng.integers(clusters, size=QUESTIONS), 1), np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / INDEX).exists():
        shape = (count, dim)
        file = np.lib.format.open_memmap(folder / VECTORS, "w+", np.float32, shape)
        for start in range(0, count, _BLOCK):
            file[start : start + _BLOCK] = draw(centres, cluster[start : start + _BLOCK], 2 + start)
        file.flush()
        started = time.perf_counter()
        save_index(build_index(file, np.arange(count)), folder / INDEX)
        print(f"index built in {time.perf_counter() - started:.0f} s")
    vectors = np.load(folder / VECTORS, mmap_mode="r")
    return Embeddings(folder, "made-up", "made-up", np.arange(count), vectors), cluster, questions


def measure(
    questions: Float32[np.ndarray, "Q D"],
    ask: Callable[[Float32[np.ndarray, " D"]], Int64[np.ndarray, " k"]],
    truth: Callable[[Float32[np.ndarray, " D"]], Int64[np.ndarray, " k"]],
) -> tuple[float, float, float, float]:
    """Recall@10, and milliseconds a question: p50, p95, and mean of the processor's time."""
    for question in questions[:20]:
        ask(question)
    found, times = [], []
    cpu = time.process_time()
    for question in questions:
        started = time.perf_counter()
        found.append(ask(question))
        times.append(1000 * (time.perf_counter() - started))
    cpu = 1000 * (time.process_time() - cpu) / len(questions)
    right = [
        len(set(rows.tolist()) & set(truth(question).tolist())) / TOP
        for question, rows in zip(questions, found, strict=True)
    ]
    return float(np.mean(right)), *np.percentile(times, [50, 95]).tolist(), cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="keeps vectors and index for the next time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report(options.folder or Path(scratch), options.vectors, options.dim)


def report(folder: Path, count: int, dim: int) -> None:
    """Measure all cases and print them."""
    embeddings, cluster, questions = make(folder, count, dim)
    started = time.perf_counter()
    searcher = Searcher(embeddings)
    print(f"index loaded in {time.perf_counter() - started:.2f} s: {describe(count)}, {dim}-d")
    print(f"threads: {faiss.omp_get_max_threads()}, cores: {os.cpu_count()}")
    rng = np.random.default_rng(3)
    half = np.sort(rng.permutation(count)[: count // 2])
    tenth = np.sort(rng.permutation(count)[: count // 10])
    clustered = np.flatnonzero(cluster < cluster.max() // 10)
    few = np.sort(rng.permutation(count)[: count // 100])
    print("| search | rows | recall@10 | p50 ms | p95 ms | CPU ms |\n|---|---|---|---|---|---|")
    for name, among in (
        ("index", None),
        ("index, every other image", half),
        ("index, a tenth of the images", tenth),
        ("index, a tenth of the clusters", clustered),
        ("among few: their vectors are read", few),
    ):
        line = measure(
            questions,
            lambda each, among=among: searcher.search(each, TOP, among)[0],  # type: ignore[misc]
            lambda each, among=among: search(embeddings, each, TOP, among)[0],  # type: ignore[misc]
        )
        rows = count if among is None else len(among)
        print(f"| {name} | {rows:,} | " + " | ".join(f"{each:.3g}" for each in line) + " |")
    exact = measure(questions[:40], *[lambda each: search(embeddings, each, TOP)[0]] * 2)
    print(f"| exact: all vectors are read | {count:,} | 1 |", *(f" {e:.3g} |" for e in exact[1:]))


if __name__ == "__main__":
    main()
