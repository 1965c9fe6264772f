"""Rounds and trials: what is hidden, what is counted, and how near neighbours come."""

import math
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float32
from scipy import stats

from likewise.answers.placement import Placement
from likewise.models.heads import Head, apply_head
from likewise.training.rounds import Pool, blended, blends_of, nearest, pool_of, pool_trust, teach
from likewise.training.trials import (
    FALSE_PASS,
    SHARES,
    Gains,
    _members,
    _whole_groups,
    gains_of,
)


def unit(vectors: np.ndarray) -> Float32[np.ndarray, "N D"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def pool(count: int = 120, seed: int = 0) -> tuple[Pool, np.ndarray]:
    """Three groups, weak beside what else varies."""
    rng = np.random.default_rng(seed)
    of = np.arange(count) % 3
    signal = 2 * np.eye(3)[of] + 0.4 * rng.normal(size=(count, 3))
    vectors = unit(np.concatenate((signal, 1.5 * rng.normal(size=(count, 4))), axis=1))
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    rows = np.argsort(-near, axis=1)[:, :30]
    return pool_of(vectors, rows, np.take_along_axis(near, rows, axis=1)), of


def placement(groups: np.ndarray) -> Placement:
    return Placement(np.arange(len(groups)) * 2, groups, np.ones(len(groups)), 0.0)


def test_each_half_is_hidden_as_often() -> None:
    placed = placement(np.repeat(np.arange(6), (12, 9, 5, 3, 2, 1)))
    members = list(_members(placed, np.random.default_rng(0)))
    assert (np.sum(members, axis=0) == 2).all()
    for hidden in members:
        sizes = np.bincount(placed.groups[hidden], minlength=6)
        assert set((2 * sizes - np.bincount(placed.groups)).tolist()) <= {-1, 0, 1}
    groups = list(_whole_groups(placed, np.random.default_rng(0)))
    assert (np.sum(groups, axis=0) == 2).all()
    for hidden in groups:
        assert not set(placed.groups[hidden]) & set(placed.groups[~hidden])
        assert 0.2 < hidden.mean() < 0.8


def test_gains_count_who_lies_between() -> None:
    """Against a slow loop over pairs."""
    made, _ = pool()
    rng = np.random.default_rng(5)
    head = Head(rng.normal(size=(4, 7)).astype(np.float32), np.zeros(4, np.float32), 1.0)
    rows, groups = np.array([3, 8, 20, 41, 77]), np.array([0, 1, 0, 1, 2])
    values, tested = gains_of(made, head, rows, groups, rng)
    assert tested.tolist() == [True, True, True, True, False]
    others = np.setdiff1d(np.arange(120), rows[:4])

    def nearer(vectors: np.ndarray, one: int, two: int) -> float:
        between = [vectors[each] @ vectors[one] > vectors[two] @ vectors[one] for each in others]
        return math.log1p(sum(between))

    for place, blend in enumerate(blends_of(made, head, SHARES)):
        after = apply_head(replace(head, blend=blend), made.vectors)
        for query, (one, two) in enumerate(((3, 20), (8, 41), (20, 3), (41, 8))):
            expected = [
                nearer(made.vectors, *pair) - nearer(after, *pair)
                for pair in ((one, two), (two, one))
            ]
            assert values[query, place] == pytest.approx(np.mean(expected))


def test_doubt_is_students_bound_for_independent_groups() -> None:
    draws = np.random.default_rng(1).normal(size=30)
    alone = Gains(np.repeat(draws[:, None], 6, axis=1), np.arange(30), ends=1)
    expected = stats.ttest_1samp(draws, 0).confidence_interval(1 - 2 * FALSE_PASS)
    assert np.allclose(alone.mean() - alone.doubt(), expected.low)
    often = Gains(np.repeat(alone.values, 3, axis=0), np.repeat(alone.units, 3), ends=1)
    assert np.allclose(often.doubt(), alone.doubt())
    assert np.allclose(Gains(alone.values, alone.units, ends=2).doubt(), 2 * alone.doubt())
    assert not Gains(alone.values[:4], alone.units[:4], ends=1).told


def test_doubt_covers_means_over_pairs() -> None:
    """Pairs of a few images share ends: the scatter between images alone would be too small."""
    rng, missed = np.random.default_rng(2), 0
    for _ in range(400):
        ends = rng.normal(size=12)
        pairs = ends[:, None] + ends
        np.fill_diagonal(pairs, 0)
        own = Gains(np.repeat(pairs.sum(axis=1)[:, None] / 11, 6, axis=1), np.arange(12), ends=2)
        missed += (own.mean() - own.doubt())[0] > 0
    assert missed <= 400 * FALSE_PASS * 2.5


def test_neighbours_are_those_of_the_blended_vectors() -> None:
    made, of = pool()
    rows = np.flatnonzero(np.arange(120) % 4 == 0)
    placed = Placement(rows, of[rows], np.ones(len(rows)), 0.0)
    _, fitted = teach(made, placed, pool_trust(made, placed))
    head = blended(made, fitted, 0.8)
    known = made.neighbours.copy()
    known[5, 25:] = -1
    near, close = nearest(replace(made, neighbours=known), head)
    mixed = apply_head(head, made.vectors)
    for each in (0, 5, 60):
        listed = known[each][known[each] >= 0]
        cosines = mixed[listed] @ mixed[each]
        order = np.argsort(-cosines)[: near.shape[1]]
        assert near[each].tolist() == listed[order].tolist()
        assert np.allclose(close[each], cosines[order], atol=1e-5)
    before = (of[made.neighbours[:, :20]] == of[:, None]).mean()
    assert (of[near] == of[:, None]).mean() > before + 0.05


def test_the_share_is_that_of_the_variance() -> None:
    made, _ = pool()
    head = Head(np.eye(7, dtype=np.float32)[:4] + 0.3, np.zeros(4, np.float32), 1.0)
    for share in (0.2, 0.9):
        mixed = apply_head(blended(made, head, share), made.vectors)
        variance = mixed.astype(float).var(axis=0)
        assert variance[7:].sum() / variance.sum() == pytest.approx(share, abs=1e-4)


def test_too_little_placed_makes_no_head() -> None:
    made, _ = pool()
    placed = placement(np.array([0, 1]))
    told, head = teach(made, placed, pool_trust(made, placed))
    assert head.blend == 0
    assert (told.groups >= 0).sum() == 2
