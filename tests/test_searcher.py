"""The index kept open: what it finds against comparing everything, with and without a filter."""

from pathlib import Path

import numpy as np
import pytest

from likewise.errors import LikewiseError, UsageError
from likewise.neighbours import faiss_index as index_module
from likewise.neighbours import searcher as module
from likewise.neighbours.faiss_index import build_index, save_index
from likewise.neighbours.search import search
from likewise.neighbours.searcher import Searcher
from likewise.neighbours.vectors import INDEX, Embeddings

COUNT, DIM, CLUSTERS = 6000, 16, 60


def made(folder: Path, *, flat: bool) -> tuple[Embeddings, np.ndarray]:
    """Clustered vectors and their index in a folder; the cluster of each."""
    rng = np.random.default_rng(0)
    cluster = rng.integers(CLUSTERS, size=COUNT)
    vectors = rng.normal(size=(CLUSTERS, DIM))[cluster] + 0.5 * rng.normal(size=(COUNT, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = rng.permutation(10 * COUNT)[:COUNT].astype(np.int64)  # rows are not keys
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "FLAT_UP_TO", COUNT if flat else 100)
        save_index(build_index(vectors, keys), folder / INDEX)
    ids = np.array([f"{row:032x}" for row in range(COUNT)])
    return Embeddings(folder, "f", "run", ids, vectors), cluster


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embeddings, np.ndarray]:
    return made(tmp_path_factory.mktemp("ivf"), flat=False)


def questions(count: int = 60) -> np.ndarray:
    asked = np.random.default_rng(5).normal(size=(count, DIM)).astype(np.float32)
    return np.asarray(asked / np.linalg.norm(asked, axis=1, keepdims=True))


def recall(embeddings: Embeddings, among: np.ndarray | None) -> float:
    searcher = Searcher(embeddings)
    assert not searcher.exact
    shares = []
    for asked in questions():
        rows, similarities = searcher.search(asked, 10, among)
        true, _ = search(embeddings, asked, 10, among)
        assert len(rows) == len(set(rows.tolist())) == len(true)
        assert among is None or set(rows.tolist()) <= set(among.tolist())
        # similarities are those of the vectors, not of their 8-bit copies, and in order
        assert similarities == pytest.approx(embeddings.vectors[rows] @ asked, abs=1e-6)
        assert (np.diff(similarities) <= 0).all()
        shares.append(len(set(rows.tolist()) & set(true.tolist())) / len(true))
    return float(np.mean(shares))


def test_the_index_finds_nearly_what_comparing_everything_finds(
    clustered: tuple[Embeddings, np.ndarray],
) -> None:
    assert recall(clustered[0], None) > 0.9


def test_a_filter_is_kept_to_and_costs_little(
    clustered: tuple[Embeddings, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spread rows; and whole clusters, which may be far from the question."""
    monkeypatch.setattr(module, "FEW", 50)
    embeddings, cluster = clustered
    rng = np.random.default_rng(1)
    for among in (
        rng.permutation(COUNT)[: COUNT // 2],
        rng.permutation(COUNT)[: COUNT // 20],
        np.flatnonzero(cluster < 3),
        np.flatnonzero(cluster == 7),
    ):
        assert recall(embeddings, among.astype(np.int64)) > 0.85


def test_among_few_it_is_exact(clustered: tuple[Embeddings, np.ndarray]) -> None:
    assert recall(clustered[0], np.arange(300, dtype=np.int64)) == 1


def test_more_than_the_visited_lists_hold_are_found_all_the_same(
    clustered: tuple[Embeddings, np.ndarray],
) -> None:
    searcher, asked = Searcher(clustered[0]), questions(1)[0]
    for k in (0, 1, 5000, COUNT, COUNT + 1):
        assert len(searcher.search(asked, k)[0]) == min(k, COUNT)
    assert len(searcher.search(asked, 5, np.empty(0, np.int64))[0]) == 0


def test_few_vectors_are_all_compared(tmp_path: Path) -> None:
    embeddings, _ = made(tmp_path, flat=True)
    searcher, asked = Searcher(embeddings), questions(1)[0]
    assert searcher.exact
    assert searcher.search(asked, 7)[0].tolist() == search(embeddings, asked, 7)[0].tolist()


def test_what_does_not_fit_is_refused(
    clustered: tuple[Embeddings, np.ndarray], tmp_path: Path
) -> None:
    embeddings, _ = clustered
    with pytest.raises(UsageError, match="3 numbers"):
        Searcher(embeddings).search(np.zeros(3, np.float32), 2)
    with pytest.raises(LikewiseError, match="not finite"):
        Searcher(embeddings).search(np.full(DIM, np.inf, np.float32), 2)
    other, _ = made(tmp_path, flat=True)
    fewer = Embeddings(tmp_path, "f", "run", other.ids[:-1], other.vectors[:-1])
    with pytest.raises(LikewiseError, match="not the index of its vectors"):
        Searcher(fewer)
