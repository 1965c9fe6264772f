"""The head: against scikit-learn's discriminant, on what it may learn from, and on vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Int64
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from likewise.errors import LikewiseError
from likewise.models.heads import Head, apply_head, project, untouched
from likewise.training import head as module
from likewise.training.head import discriminant, fit_head, refine
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


def test_directions_are_those_of_scikit_learns_discriminant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors, groups = cloud(400)
    monkeypatch.setattr(module, "SHRINK", 0.0)
    ours = discriminant(vectors, np.eye(4)[groups])
    theirs = LinearDiscriminantAnalysis(solver="eigen")
    theirs.fit(vectors.astype(float), groups)
    mine, _ = np.linalg.qr((ours.directions @ ours.whitening).T)
    span, _ = np.linalg.qr(theirs.scalings_[:, :3])
    assert np.linalg.svd(mine.T @ span)[1].min() > 1 - 1e-6
    inside = ours.along(vectors) - ours.means[groups]
    assert np.allclose(np.cov(inside.T), np.eye(3), atol=0.1)


def test_what_it_learns_holds_for_other_images_of_the_groups() -> None:
    vectors, groups = cloud(400)
    head = fit_head(vectors, told(groups), blend=0.9)
    others, of = cloud(200, seed=9)
    assert neighbours_right(others, of) < 0.45
    assert neighbours_right(apply_head(head, others), of) > 0.85


def test_directions_without_signal_are_shortened_not_dropped() -> None:
    vectors, groups = cloud(400)
    head = fit_head(vectors, told(groups))
    found = discriminant(vectors, np.eye(4)[groups])
    lengths = np.linalg.svd(head.weight @ np.linalg.inv(found.whitening))[1]
    longest = found.ratios[0] ** 2 / (1 + found.ratios[0] ** 2)
    assert lengths[-1] / lengths[0] == pytest.approx(module.FLOOR / longest, rel=1e-3)
    assert np.sum(lengths > 1.5 * lengths[-1]) == 2


def test_open_images_take_no_part() -> None:
    vectors, groups = cloud(300)
    groups = np.where(np.arange(300) % 3 == 0, -1, groups)
    head = fit_head(vectors, told(groups))
    moved = vectors.copy()
    moved[groups == -1] = np.roll(moved[groups == -1], 1, axis=1)
    again = fit_head(moved, told(groups))
    assert np.array_equal(head.weight, again.weight)
    assert np.array_equal(head.offset, again.offset)


def test_sure_images_count_more() -> None:
    vectors, groups = cloud(300)
    wrong = np.arange(300) % 3 == 0
    mixed = np.where(wrong, (groups + 1) % 4, groups)
    doubted = Spread(mixed, np.where(wrong, 0.01, 1.0))
    believed = fit_head(vectors, told(mixed), blend=0.9)
    weighed = fit_head(vectors, doubted, blend=0.9)
    clean = fit_head(vectors, told(np.where(wrong, -1, groups)), blend=0.9)

    def distance(head: Head) -> float:
        return float(np.abs(project(head, vectors) - project(clean, vectors)).max())

    assert distance(weighed) < 0.2 * distance(believed)


@pytest.mark.parametrize("groups", [[-1] * 20, [0] * 20, [0, 1] + [-1] * 18, [0] * 19 + [1]])
def test_too_little_teaches_nothing(groups: list[int]) -> None:
    vectors, _ = cloud(20)
    head = fit_head(vectors, told(np.array(groups)))
    assert head.blend == 0
    assert apply_head(head, vectors) is vectors


def test_a_sample_is_drawn_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, groups = cloud(600)
    monkeypatch.setattr(module, "_SAMPLE", 200)
    one, same, other = (fit_head(vectors, told(groups), seed=seed).weight for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_head_and_graph_correct_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, groups = cloud(400)
    rng = np.random.default_rng(3)
    wrong = rng.random(400) < 0.15
    spread = Spread(np.where(wrong, (groups + 1) % 4, groups), np.where(wrong, 0.6, 0.95))
    spread.groups[:4], spread.confidence[:4] = -1, 0
    asked = int(np.flatnonzero(wrong)[-1])
    spread.confidence[asked] = 1.0
    monkeypatch.setattr(module, "_SAMPLE", 250)
    refined = refine(vectors, spread)
    right = (refined.groups == groups)[4:]
    assert (~right).mean() < 0.7 * (spread.groups != groups)[4:].mean()
    assert (refined.groups[:4] == -1).all()
    assert refined.groups[asked] == (groups[asked] + 1) % 4


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
    head = fit_head(vectors, told(groups), blend=1.0)
    assert np.isfinite(head.weight).all()
    assert np.abs(head.weight).max() < 100
    copies = fit_head(np.repeat(vectors[::4], 4, axis=0), told(groups), blend=1.0)
    assert np.isfinite(copies.weight).all()
