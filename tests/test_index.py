"""What is peculiar to FAISS; what an index must do is in test_vector_index.py."""

import hashlib
from pathlib import Path

import faiss
import numpy as np
import pytest

from likewise.errors import LikewiseError
from likewise.neighbours import faiss_index as index_module
from likewise.neighbours.faiss_index import (
    FaissIndex,
    build_index,
    describe,
    load_index,
    save_index,
)
from likewise.neighbours.vector_index import keys_of, neighbour_graph


def unit_vectors(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def ids_of(count: int) -> np.ndarray:
    return np.array(
        [
            hashlib.blake2b(bytes([n % 256, n // 256]), digest_size=16).hexdigest()
            for n in range(count)
        ]
    )


def filled(keys: np.ndarray, vectors: np.ndarray) -> FaissIndex:
    index = FaissIndex()
    index.fill(keys, vectors)
    return index


def test_an_index_survives_the_disk(tmp_path: Path) -> None:
    vectors, keys = unit_vectors(50), keys_of(ids_of(50))
    save_index(build_index(vectors, keys), tmp_path / "index.faiss")
    loaded = load_index(tmp_path / "index.faiss")
    _, found = loaded.search(vectors, 1)
    assert found[:, 0].tolist() == keys.tolist()
    (tmp_path / "cut.faiss").write_bytes((tmp_path / "index.faiss").read_bytes()[:40])
    with pytest.raises(LikewiseError, match="could not read the index"):
        load_index(tmp_path / "cut.faiss")


def test_many_vectors_get_an_inverted_index_with_high_recall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_module, "FLAT_UP_TO", 1000)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 16))
    vectors = (centres[rng.integers(0, 40, 4000)] + 0.3 * rng.normal(size=(4000, 16))).astype(
        np.float32
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = keys_of(ids_of(4000))
    assert "IVF" in describe(4000)
    index = filled(keys, vectors)
    assert isinstance(faiss.extract_index_ivf(index.native), faiss.IndexIVF)
    rows, _ = neighbour_graph(index, keys, vectors, k=10)
    exact = vectors @ vectors.T
    np.fill_diagonal(exact, -2)
    expected = np.argpartition(-exact, 10, axis=1)[:, :10]
    recall = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, expected, strict=True)])
    assert recall > 0.9


def test_the_choice_of_index_is_stated() -> None:
    assert describe(5000) == "exact (flat; 5,000 vectors)"
    assert describe(1_000_000).startswith("approximate (IVF, 4,096 lists")
