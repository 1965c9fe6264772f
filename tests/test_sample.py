"""A sample of a large pool: what it holds, and that a head learns from it as from the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.answers.placement import Placement
from likewise.training import gate, sample
from likewise.training.sample import sample_of, thinned
from likewise.training.spread import ABSTAIN


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(0, 40), st.integers(0, 3))
def test_thinning_keeps_pairs_before_third_members(sizes: list[int], most: int, seed: int) -> None:
    groups = np.repeat(np.arange(len(sizes)), sorted(sizes, reverse=True))
    kept = thinned(groups, most, np.random.default_rng(seed))
    assert len(kept) == min(most, len(groups))
    assert (np.diff(kept) > 0).all()
    left = np.bincount(groups[kept], minlength=len(sizes))
    whole = np.bincount(groups, minlength=len(sizes))
    if (left > 2).any():
        assert (left >= np.minimum(whole, 2)).all()
    open_ = left < whole
    assert not open_.any() or left.max() <= max(2, left[open_].min() + 1)


def pool(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    of = rng.integers(5, size=count)
    centres = np.random.default_rng(99).normal(size=(5, 8))
    signal = 0.5 * centres[of] + 0.2 * rng.normal(size=(count, 8))
    vectors = np.concatenate((np.full((count, 1), 9.0), signal, rng.normal(size=(count, 8))), 1)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


def test_a_sample_holds_the_placed_images_and_their_own_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sample, "MOST", 300)
    vectors, of = pool(1000)
    among = np.arange(1000) % 10 != 0
    rows = np.random.default_rng(1).choice(np.flatnonzero(among), 90, replace=False)
    placed = Placement(rows, of[rows], np.linspace(0.5, 0.9, 90), 0.1)
    found = sample_of(vectors, 20, placed, among, seed=3)
    assert len(found.rows) == 300
    assert among[found.rows].all()
    assert (found.vectors == vectors[found.rows]).all()
    assert dict(zip(found.rows[found.placement.rows], found.placement.groups, strict=True)) == dict(
        zip(rows, of[rows], strict=True)
    )
    order = np.argsort(found.rows[found.placement.rows])
    assert (found.placement.confidence[order] == placed.confidence[np.argsort(rows)]).all()
    cosines = found.vectors @ found.vectors.T
    np.fill_diagonal(cosines, -2)
    nearest = -np.sort(-cosines, axis=1)[:, :20]
    assert np.allclose(found.similarities, nearest, atol=1e-6)
    assert np.allclose(np.take_along_axis(cosines, found.neighbours, 1), nearest, atol=1e-6)


def test_of_a_large_pool_a_sample_is_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gate, sample):
        monkeypatch.setattr(module, "MOST", 600)
    vectors, of = pool(2000)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :20]
    rows = np.random.default_rng(1).choice(2000, 100, replace=False)
    learnt = gate.learn(
        vectors,
        near,
        np.take_along_axis(cosines, near, axis=1),
        Placement(rows, of[rows], np.full(100, 0.99), 0.0),
    )
    assert learnt.head.blend > 0
    told = learnt.spread.groups != ABSTAIN
    assert len(learnt.spread.groups) == 2000
    assert 200 < told.sum() <= 600
    assert (learnt.spread.groups[rows] == of[rows]).all()
    assert (learnt.spread.groups == of)[told].mean() > 0.9
    rivals = learnt.rivals
    assert rivals is not None
    assert len(rivals.rows)
    assert told[rivals.rows].any()
    assert 600 < max(rivals.rows.max(), rivals.learnt.max()) < 2000
    nearer = cosines[rivals.rows, rivals.untouched] >= cosines[rivals.rows, rivals.learnt]
    assert nearer.all()
