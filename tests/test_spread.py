"""Spread: against a direct solution, on what it may and may not tell."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float32, Int64

from likewise.answers.placement import Placement
from likewise.training import flow as module
from likewise.training.flow import arrived, neighbour_graph
from likewise.training.spread import LEAST, Trust, spread, trust_in

BARE = Trust(np.array([0.0, 1.0, 0.0]), 0.0)
"""Confidence is the bare chance."""
Graph = tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]


def placement(rows: list[int], groups: list[int], undiscovered: float = 0.0) -> Placement:
    return Placement(
        np.array(rows, dtype=np.int64),
        np.array(groups, dtype=np.int64),
        np.ones(len(rows)),
        undiscovered,
    )


def graph_of(vectors: Float32[np.ndarray, "N D"], k: int = 10) -> Graph:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(similarity, rows, axis=1).astype(np.float32)


def blobs(sizes: list[int], seed: int = 0) -> tuple[Float32[np.ndarray, "N D"], np.ndarray]:
    """Unit vectors around as many random directions, and the blob of each."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(len(sizes)), sizes)
    vectors = rng.normal(size=(len(sizes), 16))[of] + 0.35 * rng.normal(size=(len(of), 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


def test_it_comes_near_the_direct_solution() -> None:
    vectors, _ = blobs([15, 15, 15])
    graph = neighbour_graph(*graph_of(vectors))
    placed = placement([0, 1, 20, 40], [0, 0, 1, 2])
    start = np.zeros((45, 3))
    start[[0, 1], 0], start[20, 1], start[40, 2] = 1 / np.sqrt(2), 1, 1
    exact = 0.1 * np.linalg.solve(np.eye(45) - 0.9 * graph.toarray(), start)
    assert np.abs(module._flow(graph, placed, 0) - exact).max() < 0.9**30


def test_the_graph_is_symmetric_and_leaves_out_what_takes_no_part() -> None:
    vectors, _ = blobs([20, 20])
    rows, similarities = graph_of(vectors)
    rows[3, 4:] = -1
    among = np.ones(40, dtype=bool)
    out = max(set(range(20)) - {3, *rows[3, :4].tolist()})
    among[out] = False
    graph = neighbour_graph(rows, similarities, among).toarray()
    assert np.array_equal(graph, graph.T)
    assert not graph[out].any()
    assert graph[3, rows[3, :4]].all()
    assert np.abs(np.linalg.eigvalsh(graph)).max() == pytest.approx(1, abs=1e-5)
    unknown = (
        set(range(40)) - {*rows[3, :4].tolist()} - set(np.flatnonzero((rows == 3).any(axis=1)))
    )
    assert not graph[3, sorted(unknown)].any()


def test_few_placed_images_tell_the_groups_of_all() -> None:
    vectors, of = blobs([60, 30, 30])
    placed = placement([*range(12), 60, 61, 90], [0] * 12 + [1, 1, 2])
    told = spread(*graph_of(vectors), placed)
    known = told.groups >= 0
    assert known.mean() > 0.9
    assert (told.groups == of)[known].mean() > 0.97
    assert ((told.confidence >= 0) & (told.confidence <= 1)).all()
    assert not told.confidence[~known].any()


def test_placed_images_keep_their_place() -> None:
    vectors, _ = blobs([20, 20])
    rows = np.array([0, 1, 2, 30])
    sure = np.array([0.9, 0.6, 0.3, 1.0])
    told = spread(*graph_of(vectors), Placement(rows, np.array([0, 0, 1, 1]), sure, 0.5))
    assert told.groups[rows].tolist() == [0, 0, 1, 1]
    assert told.confidence[rows].tolist() == sure.tolist()


def test_it_abstains_where_no_group_was_discovered() -> None:
    vectors, of = blobs([20, 20, 20])
    placed = placement([0, 1, 20, 21], [0, 0, 1, 1], undiscovered=20 / 56)
    told = spread(*graph_of(vectors), placed)
    assert (told.groups[of == 2] == -1).mean() > 0.9
    assert (told.groups[of < 2] == of[of < 2]).mean() > 0.9
    everything = spread(*graph_of(vectors), placement([0, 20], [0, 1], undiscovered=1.0))
    assert np.flatnonzero(everything.groups >= 0).tolist() == [0, 20]
    nothing = spread(*graph_of(vectors), placement([], []))
    assert (nothing.groups == -1).all()


def test_images_that_take_no_part_are_left_open() -> None:
    vectors, of = blobs([20, 20])
    among = np.arange(40) % 4 > 0
    told = spread(*graph_of(vectors), placement([1, 21], [0, 1]), among)
    assert (told.groups[~among] == -1).all()
    assert (told.groups[among] == of[among]).mean() > 0.9


def test_the_order_of_images_and_groups_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = blobs([15, 15, 15, 15])
    placed = placement([0, 15, 30, 45, 46, 47], [3, 2, 1, 0, 0, 0])
    told = spread(*graph_of(vectors), placed, trust=BARE)
    order = np.random.default_rng(1).permutation(60)
    place = np.argsort(order)
    mixed = placement(place[placed.rows].tolist(), (3 - placed.groups).tolist())
    monkeypatch.setattr(module, "_COLUMNS", 3)
    again = spread(*graph_of(vectors[order]), mixed, trust=BARE)
    known = told.groups >= 0
    assert np.array_equal(again.groups[place][known], 3 - told.groups[known])
    assert (again.groups[place][~known] == -1).all()
    assert np.allclose(again.confidence[place], told.confidence, atol=1e-5)


def hazy(seed: int) -> tuple[Float32[np.ndarray, "N D"], np.ndarray]:
    """Blobs that run into each other."""
    vectors, of = blobs([150] * 4, seed=5)
    noisy = vectors + 0.2 * np.random.default_rng(seed).normal(size=vectors.shape)
    return (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32), of


def test_confidence_is_about_right() -> None:
    told_right, sure = [], []
    for seed in range(4):
        vectors, of = hazy(seed)
        rows = np.random.default_rng(seed).choice(600, 60, replace=False)
        placed, near = placement(rows.tolist(), of[rows].tolist()), graph_of(vectors)
        found = arrived(neighbour_graph(*near), placed)
        free = np.setdiff1d(np.arange(600), rows)
        told_right.append((found.best == of)[free])
        sure.append(trust_in(*near, placed).confidence(found)[free])
        told = spread(*near, placed)
        assert told.confidence[told.groups >= 0].min() >= LEAST
    right, confidence = np.concatenate(told_right), np.concatenate(sure)
    assert right.mean() < 0.98
    assert confidence.mean() == pytest.approx(right.mean(), abs=0.05)
    surest = confidence > np.median(confidence)
    assert right[surest].mean() > right[~surest].mean() + 0.02


def test_nothing_is_told_where_hidden_images_are_told_wrongly() -> None:
    vectors, _ = blobs([60, 60, 60])
    rows = np.random.default_rng(1).choice(180, 60, replace=False)
    at_random = np.random.default_rng(2).integers(3, size=60)
    told = spread(*graph_of(vectors), placement(rows.tolist(), at_random.tolist()))
    assert (told.groups >= 0).sum() < 60 + 12
    alone = spread(*graph_of(vectors), placement(rows.tolist(), list(range(60))))
    assert (alone.groups >= 0).sum() == 60


def test_the_trust_of_another_graph_can_be_given() -> None:
    vectors, of = blobs([40, 40])
    near, placed = graph_of(vectors), placement([*range(6), *range(40, 46)], [0] * 6 + [1] * 6)
    trust = trust_in(*near, placed)
    own, given = spread(*near, placed), spread(*near, placed, trust=trust)
    assert np.array_equal(own.confidence, given.confidence)
    mistrust = Trust(np.array([-20.0, 1.0, 0.0]), trust.usual)
    told = spread(*near, placed, trust=mistrust).groups >= 0
    assert told.sum() == 12 < (own.groups >= 0).sum()
    assert (own.groups == of)[own.groups >= 0].all()


def test_at_least_a_share_of_the_surest_is_told_on_demand() -> None:
    vectors, _ = blobs([40, 40])
    near = graph_of(vectors)
    placed = placement([*range(6), *range(40, 46)], [0] * 6 + [1] * 6, undiscovered=0.25)
    mistrust = replace(trust_in(*near, placed), slopes=np.array([-20.0, 1.0, 0.0]))
    some = spread(*near, placed, trust=replace(mistrust, told=0.4))
    most = spread(*near, placed, trust=replace(mistrust, told=1.0))
    told = some.groups >= 0
    assert told.sum() == 12 + round(0.4 * 51)
    assert (most.groups >= 0).sum() == 12 + 51  # a quarter of 68 is of undiscovered groups
    assert np.array_equal(most.groups[told], some.groups[told])
    open_ = most.confidence[(most.groups >= 0) & ~told]
    assert some.confidence[told].min() >= open_.max()
