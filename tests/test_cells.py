"""The quick neighbour graph: nearly the exact one, and always well-formed."""

import numpy as np
import pytest

from likewise.neighbours.cells import PROBED, quick_graph


def unit(rng: np.random.Generator, count: int, dim: int, groups: int) -> np.ndarray:
    centres = rng.normal(size=(groups, dim))
    vectors = centres[rng.integers(groups, size=count)] + 0.5 * rng.normal(size=(count, dim))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(0), 4000, 16, 40)


def test_nearly_all_neighbours_are_found(vectors: np.ndarray) -> None:
    """There are over a hundred cells, so not all are looked into."""
    rows, similarities = quick_graph(vectors, 20)
    all_similarities = vectors @ vectors.T
    np.fill_diagonal(all_similarities, -2)
    exact = np.argsort(-all_similarities, axis=1)[:, :20]
    found = np.mean([len(set(a) & set(b)) / 20 for a, b in zip(exact, rows, strict=True)])
    assert 5 * PROBED < 1.6 * 4000**0.5
    assert found > 0.99
    true = np.take_along_axis(all_similarities, rows, axis=1)
    assert np.allclose(similarities, true, atol=1e-5)


def test_nearest_first_and_nobody_is_its_own_neighbour(vectors: np.ndarray) -> None:
    rows, similarities = quick_graph(vectors, 20)
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (rows != np.arange(len(rows))[:, None]).all()
    assert all(len(set(line)) == 20 for line in rows.tolist())
    again, _ = quick_graph(vectors, 20)
    assert np.array_equal(rows, again)


def test_copies_of_an_image_are_neighbours() -> None:
    rng = np.random.default_rng(1)
    vectors = np.concatenate((np.repeat(unit(rng, 1, 8, 1), 30, axis=0), unit(rng, 300, 8, 5)))
    rows, similarities = quick_graph(vectors, 10)
    assert (rows[:30] < 30).all()
    assert (rows != np.arange(len(rows))[:, None]).all()
    assert np.allclose(similarities[:30], 1, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_where_there_are_few_images_places_stay_empty(count: int) -> None:
    rows, similarities = quick_graph(unit(np.random.default_rng(2), count, 8, 2), 7)
    assert rows.shape == similarities.shape == (count, 7)
    assert ((rows >= 0).sum(axis=1) == count - 1).all()
    assert (similarities[rows < 0] == -1).all()
