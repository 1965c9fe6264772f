"""Neighbours sought in cells: nearly those of comparing all with all, whatever the vectors."""

import numpy as np
import pytest
from jaxtyping import Float32

from likewise.neighbours.cells import quick_graph


def unit(vectors: np.ndarray) -> Float32[np.ndarray, "N D"]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def drawn(kind: str, count: int, dim: int) -> Float32[np.ndarray, "N D"]:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(count, dim))
    match kind:
        case "clusters":
            centres = unit(rng.normal(size=(count // 50, dim)))
            return unit(centres[rng.integers(len(centres), size=count)] + 0.7 * unit(noise))
        case "surface":
            return unit(np.tanh(rng.normal(size=(count, 6)) @ rng.normal(size=(6, dim))))
    return unit(noise)


@pytest.mark.parametrize("kind", ["clusters", "surface", "shapeless"])
def test_nearly_all_neighbours_are_found(kind: str) -> None:
    vectors = drawn(kind, 4000, 24)
    done: list[int] = []
    rows, near = quick_graph(vectors, 10, done.append)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    best = np.sort(scores, axis=1)[:, :-11:-1]
    assert (near >= best[:, -1:] - 1e-5).mean() > 0.95
    np.testing.assert_allclose(near, np.take_along_axis(scores, rows, axis=1), atol=1e-5)
    assert (np.diff(near, axis=1) <= 0).all()
    assert (rows != np.arange(4000)[:, None]).all()
    assert sum(done) == 4000


def test_few_images_have_few_neighbours_and_copies_are_neighbours() -> None:
    rows, near = quick_graph(unit(np.ones((1, 4))), 3)
    assert rows.tolist() == [[-1, -1, -1]]
    rows, near = quick_graph(np.repeat(drawn("shapeless", 5, 8), 6, axis=0), 4)
    np.testing.assert_allclose(near, 1, atol=1e-5)
    assert (rows // 6 == np.arange(30)[:, None] // 6).all()
