"""The head: against scikit-learn's discriminant, on what it may learn from, and on vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Int64
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from likewise.errors import LikewiseError
from likewise.models.heads import Head, apply_head, untouched
from likewise.training import head as module
from likewise.training.head import basis_of, deviations, discriminating, fit_head, shrinkage
from likewise.training.spread import Spread


def unit(vectors: np.ndarray) -> Float32[np.ndarray, "N D"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def told(groups: Int64[np.ndarray, " N"], confidence: float = 1.0) -> Spread:
    return Spread(groups.astype(np.int64), np.where(groups >= 0, confidence, 0.0))


def cloud(count: int, seed: int = 0) -> tuple[Float32[np.ndarray, "N D"], Int64[np.ndarray, " N"]]:
    """Four groups that differ in two of twelve directions, where others vary much more."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) % 4
    vectors = rng.normal(size=(count, 12)) * np.linspace(3, 0.3, 12)
    corners = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)])
    vectors[:, 10:] = 0.8 * corners[groups] + 0.25 * rng.normal(size=(count, 2))
    vectors[:, 0] += 12
    return unit(vectors), groups


def neighbours_right(vectors: np.ndarray, groups: np.ndarray) -> float:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, :10]
    return float((groups[nearest] == groups[:, None]).mean())


def fitted(
    vectors: Float32[np.ndarray, "N D"],
    spread: Spread,
    among: np.ndarray | None = None,
    seed: int = 0,
) -> Head:
    basis = basis_of(vectors, among, seed)
    return fit_head(basis, basis.along(vectors), spread, seed)


def test_what_it_keeps_is_what_scikit_learns_discriminant_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, groups = cloud(400)
    monkeypatch.setattr(module, "SHRINKAGES", (1e-9,))
    monkeypatch.setattr(module, "FLOOR", 0.0)
    head = fitted(vectors, told(groups))
    theirs = LinearDiscriminantAnalysis(solver="eigen")
    theirs.fit(vectors.astype(float), groups)
    _, lengths, kept = np.linalg.svd(head.weight.astype(float))
    assert lengths[2] < 0.2 * lengths[1]
    span, _ = np.linalg.qr(theirs.scalings_[:, :2])
    assert np.linalg.svd(kept[:2] @ span)[1].min() > 0.97


def covariance_within(vectors: np.ndarray, members: np.ndarray, sure: np.ndarray) -> np.ndarray:
    apart, weights = deviations(vectors, members, sure)
    return np.asarray((apart * weights[:, None]).T @ apart)


def test_covariance_within_is_that_of_each_group() -> None:
    rng = np.random.default_rng(0)
    vectors, members = rng.normal(size=(90, 3)), np.repeat(np.arange(3), 30)
    vectors[members == 1] += 50
    found = covariance_within(vectors, members, np.ones(90))
    separate = [np.cov(vectors[members == each].T) for each in range(3)]
    assert np.allclose(found, np.mean(separate, axis=0))
    pairs = np.arange(90) // 2
    assert np.trace(covariance_within(rng.normal(size=(90, 3)), pairs, np.ones(90))) == (
        pytest.approx(3, rel=0.35)
    )  # though each pair's own mean takes half of it


def test_doubted_images_count_less() -> None:
    rng = np.random.default_rng(1)
    vectors, members = rng.normal(size=(60, 3)), np.arange(60) % 2
    astray = np.arange(60) >= 50
    vectors[astray] += 20
    sure = np.where(astray, 1e-4, 1.0)
    clean = covariance_within(vectors[~astray], members[~astray], np.ones(50))
    assert np.allclose(covariance_within(vectors, members, sure), clean, atol=0.1)
    assert np.trace(covariance_within(vectors, members, np.ones(60))) > 10 * np.trace(clean)


def test_lengths_are_one_minus_one_over_the_variance() -> None:
    total = np.diag([1.0, 2.0, 10.0, 1.1])
    weight = discriminating(np.eye(4), total, 0.1)
    expected = np.maximum(0.9 * (1 - 1 / np.diag(total)) + 0.1, module.FLOOR)
    assert np.allclose(weight / weight[2, 2], np.diag(expected / expected[2]), atol=1e-6)
    assert (weight**2).sum() == pytest.approx(4)


def parts_of(count: int, scales: np.ndarray, seed: int = 0) -> np.ndarray:
    """Covariances of so many images in each of five parts, with these deviations."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(5, count, len(scales))) * scales
    return np.asarray(np.einsum("fnd,fne->fde", drawn, drawn))


def test_the_fewer_images_the_more_of_the_identity_is_taken() -> None:
    scales = np.linspace(0.1, 2, 40)
    found = [shrinkage(parts_of(count, scales)) for count in (1, 4, 20, 200)]
    assert found == sorted(found, reverse=True)
    assert found[0] >= 0.4
    assert found[-1] == module.SHRINKAGES[0]


@pytest.mark.parametrize("seed", range(5))
def test_where_images_differ_alike_in_all_directions_nothing_is_learnt(seed: int) -> None:
    parts = parts_of(6, np.ones(40), seed)
    assert shrinkage(parts) == 1.0
    weight = discriminating(parts.sum(axis=0), np.diag(np.linspace(1, 9, 40)), 1.0)
    assert np.allclose(weight, np.eye(40))


def test_how_large_groups_are_does_not_matter_to_the_share_of_the_identity() -> None:
    parts = parts_of(8, np.linspace(0.1, 2, 40))
    assert shrinkage(1e6 * parts) == shrinkage(parts)
    assert shrinkage(np.zeros((2, 4, 4))) in module.SHRINKAGES


def test_what_it_learns_holds_for_other_images_of_the_groups() -> None:
    vectors, groups = cloud(400)
    others, of = cloud(200, seed=9)
    assert neighbours_right(others, of) < 0.45
    assert neighbours_right(apply_head(fitted(vectors, told(groups)), others), of) > 0.85


def test_parts_of_a_class_are_not_pushed_apart() -> None:
    vectors, groups = cloud(600)
    parts = groups + 4 * (np.arange(600) // 4 % 10)
    whole, torn = fitted(vectors, told(groups)), fitted(vectors, told(parts))
    others, of = cloud(200, seed=9)
    right = [neighbours_right(apply_head(each, others), of) for each in (whole, torn)]
    assert right[1] > right[0] - 0.03


def test_open_images_count_in_the_whole_alone() -> None:
    vectors, groups = cloud(300)
    groups = np.where(np.arange(300) % 3 == 0, -1, groups)
    basis = basis_of(vectors)
    places = basis.along(vectors)
    moved = places.copy()
    moved[groups == -1] = np.roll(moved[groups == -1], 1, axis=1)
    head, again = (fit_head(basis, each, told(groups)) for each in (places, moved))
    assert np.array_equal(head.weight, again.weight)


def test_images_held_out_count_nowhere() -> None:
    vectors, groups = cloud(300)
    among = np.arange(300) < 200
    groups = np.where(among, groups, -1)
    moved = vectors.copy()
    moved[~among] = np.roll(moved[~among], 1, axis=1)
    head, again = (fitted(each, told(groups), among) for each in (vectors, moved))
    assert np.array_equal(head.weight, again.weight)
    assert np.array_equal(head.offset, again.offset)


def test_the_basis_is_that_of_greatest_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIRECTIONS", 5)
    vectors, _ = cloud(300)
    basis = basis_of(vectors)
    theirs = PCA(5).fit(vectors.astype(float))
    assert np.allclose(basis.variances * 300 / 299, theirs.explained_variance_)
    assert np.allclose(np.abs(basis.directions @ theirs.components_.T), np.eye(5), atol=1e-6)
    assert np.allclose(np.abs(basis.along(vectors)), np.abs(theirs.transform(vectors)), atol=1e-5)


@pytest.mark.parametrize("groups", [[-1] * 20, [0] * 20, [0, 1] + [-1] * 18, [0] * 19 + [1]])
def test_too_little_teaches_nothing(groups: list[int]) -> None:
    vectors, _ = cloud(20)
    head = fitted(vectors, told(np.array(groups)))
    assert head.blend == 0
    assert apply_head(head, vectors) is vectors


def test_a_sample_is_drawn_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, groups = cloud(600)
    monkeypatch.setattr(module, "_SAMPLE", 200)
    one, same, other = (fitted(vectors, told(groups), seed=seed).weight for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 1.0))
def test_cosines_blend(seed: int, blend: float) -> None:
    rng = np.random.default_rng(seed)
    head = Head(
        rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=3).astype(np.float32), blend
    )
    vectors = unit(rng.normal(size=(6, 5)))
    new = apply_head(head, vectors)
    assert new.shape == (6, head.dim_out) == (6, 8)
    assert np.allclose(np.linalg.norm(new, axis=1), 1, atol=1e-5)
    mapped = unit(vectors @ head.weight.T + head.offset)
    expected = (1 - blend) * vectors @ vectors.T + blend * mapped @ mapped.T
    assert np.allclose(new @ new.T, expected, atol=1e-5)


def test_vectors_of_another_model_are_refused() -> None:
    with pytest.raises(LikewiseError, match="5 dimensions cannot take vectors of 4"):
        apply_head(untouched(5), np.zeros((2, 4), np.float32))


def test_more_dimensions_than_images_are_no_trouble() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(np.repeat(rng.normal(size=(3, 40)), 4, axis=0) + 0.3 * rng.normal(size=(12, 40)))
    groups = np.repeat(np.arange(3), 4)
    head = fitted(vectors, told(groups))
    assert np.isfinite(head.weight).all()
    assert np.abs(head.weight).max() < 100
    copies = fitted(np.repeat(vectors[::4], 4, axis=0), told(groups))
    assert np.isfinite(copies.weight).all()
