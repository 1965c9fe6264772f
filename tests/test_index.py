"""The neighbour index against exact search."""

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
from likewise.neighbours.vector_index import key_of, keys_of, neighbour_graph


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


def test_keys_are_63_bits_of_the_id() -> None:
    assert key_of("ffffffffffffffff" + "0" * 16) == 2**63 - 1
    assert key_of("0000000000000003" + "f" * 16) == 1
    assert keys_of(np.array(["00000000000000ff" + "0" * 16])).tolist() == [127]


def test_the_graph_equals_exact_search() -> None:
    vectors, keys = unit_vectors(300), keys_of(ids_of(300))
    rows, similarities = neighbour_graph(filled(keys, vectors), keys, vectors, k=7)
    exact = vectors @ vectors.T
    np.fill_diagonal(exact, -2)
    expected = np.argsort(-exact, axis=1)[:, :7]
    assert np.array_equal(rows, expected)
    assert np.allclose(similarities, np.take_along_axis(exact, expected, axis=1), atol=1e-5)


def test_identical_vectors_are_neighbours_of_each_other_not_of_themselves() -> None:
    vectors, keys = np.repeat(unit_vectors(1), 5, axis=0), keys_of(ids_of(5))
    rows, similarities = neighbour_graph(filled(keys, vectors), keys, vectors, k=6)
    for row in range(5):
        assert sorted(rows[row, :4]) == [n for n in range(5) if n != row]
    assert (rows[:, 4:] == -1).all()
    assert np.allclose(similarities[:, :4], 1, atol=1e-5)


def test_an_index_survives_the_disk(tmp_path: Path) -> None:
    vectors, keys = unit_vectors(50), keys_of(ids_of(50))
    save_index(build_index(vectors, keys), tmp_path / "index.faiss")
    loaded = load_index(tmp_path / "index.faiss")
    _, found = loaded.search(vectors, 1)
    assert found[:, 0].tolist() == keys.tolist()
    (tmp_path / "cut.faiss").write_bytes((tmp_path / "index.faiss").read_bytes()[:40])
    with pytest.raises(LikewiseError, match="could not read the index"):
        load_index(tmp_path / "cut.faiss")


def test_bad_vectors_and_double_keys_are_refused() -> None:
    vectors, keys = unit_vectors(10), keys_of(ids_of(10))
    spoilt = vectors.copy()
    spoilt[3, 2] = np.nan
    with pytest.raises(LikewiseError, match="1 embedding"):
        build_index(spoilt, keys)
    keys[4] = keys[5]
    with pytest.raises(LikewiseError, match="same key"):
        build_index(vectors, keys)


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
