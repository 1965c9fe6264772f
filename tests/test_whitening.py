import numpy as np
import pytest
from scipy import linalg

from likewise.neighbours.whitening import half_whitening


def cone(count: int, dim: int, seed: int) -> np.ndarray:
    """Unit vectors in a narrow cone, with few directions that hold most of the variance."""
    rng = np.random.default_rng(seed)
    vectors = 5 + rng.normal(size=(count, dim)) * np.geomspace(3, 0.1, dim)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def test_the_map_is_the_fourth_root_of_the_shrunk_precision() -> None:
    vectors = cone(400, 6, 0)
    found = half_whitening(vectors, np.arange(400))
    covariance = np.cov(vectors.astype(np.float64).T, bias=True)
    shrunk = 0.5 * covariance + 0.5 * np.trace(covariance) / 6 * np.eye(6)
    wanted = linalg.fractional_matrix_power(shrunk, -0.25)
    np.testing.assert_allclose(found.weight, wanted, rtol=1e-5)
    np.testing.assert_allclose(found.centre, vectors.mean(axis=0), atol=1e-6)


def test_vectors_have_unit_length_and_lie_around_the_origin() -> None:
    vectors = cone(500, 8, 1)
    made = half_whitening(vectors, np.arange(500))(vectors)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    before, after = (float(np.linalg.norm(each.mean(axis=0))) for each in (vectors, made))
    assert before > 0.9
    assert after < 0.3


def test_the_strongest_direction_outweighs_the_others_less() -> None:
    vectors = cone(500, 8, 2)

    def share(some: np.ndarray) -> float:
        values = np.linalg.eigvalsh(np.cov(some.T))
        return float(values[-1] / values.sum())

    assert share(half_whitening(vectors, np.arange(500))(vectors)) < 0.8 * share(vectors)


def test_other_rows_do_not_count() -> None:
    vectors = cone(300, 5, 3)
    spoilt = np.concatenate((vectors, -vectors))
    one, two = half_whitening(vectors, np.arange(300)), half_whitening(spoilt, np.arange(300))
    np.testing.assert_array_equal(one.weight, two.weight)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_images(count: int) -> None:
    vectors = cone(2, 4, 4)
    made = half_whitening(vectors, np.arange(count))(vectors)
    assert np.isfinite(made).all()
