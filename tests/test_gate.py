"""The gate: it opens where answers help, and stays shut where they cannot."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float32, Int64

from likewise.answers.placement import Placement
from likewise.models.heads import Head, apply_head
from likewise.training import gate
from likewise.training.gate import SHARES, _Gains, blend_of, judge, learn, unseen_share

Pictures = tuple[Float32[np.ndarray, "N D"], Int64[np.ndarray, " N"]]


def pictures(count: int, groups: int = 5, seed: int = 0) -> Pictures:
    """Vectors whose groups are weak beside what else varies, in a narrow cone."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(groups, 8))
    of = rng.integers(groups, size=count)
    signal = 0.5 * centres[of] + 0.2 * rng.normal(size=(count, 8))
    nuisance = rng.normal(size=(count, 8))
    vectors = np.concatenate((np.full((count, 1), 9.0), signal, nuisance), axis=1)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


def graph_of(vectors: Float32[np.ndarray, "N D"]) -> tuple[np.ndarray, np.ndarray]:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :20]
    return rows, np.take_along_axis(similarity, rows, axis=1)


def placed(of: np.ndarray, count: int, seed: int, undiscovered: float = 0.0) -> Placement:
    rows = np.random.default_rng(seed).choice(len(of), count, replace=False)
    return Placement(rows, of[rows].astype(np.int64), np.full(count, 0.99), undiscovered)


def precision(vectors: np.ndarray, of: np.ndarray) -> float:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, :20]
    return float((of[nearest] == of[:, None]).mean())


def test_it_opens_where_answers_help_images_nobody_saw() -> None:
    vectors, of = pictures(800)
    others, truth = pictures(300, seed=7)
    learnt = learn(vectors, *graph_of(vectors), placed(of, 100, seed=1))
    assert learnt.head.blend > 0
    assert precision(apply_head(learnt.head, others), truth) > precision(others, truth) + 0.1
    passed = [trial for trial in learnt.trials if trial.passed]
    assert passed
    assert learnt.head.blend == pytest.approx(blend_of(learnt.head, vectors, passed[-1].share))


@pytest.mark.parametrize("seed", range(6))
def test_it_stays_shut_for_labels_at_random(seed: int) -> None:
    vectors, _ = pictures(800)
    rng = np.random.default_rng(seed)
    at_random = rng.choice(4, 800, p=(0.6, 0.2, 0.1, 0.1))  # unequal, so that size alone ranks
    learnt = learn(vectors, *graph_of(vectors), placed(at_random, 150, seed), seed=seed)
    assert learnt.head.blend == 0
    assert apply_head(learnt.head, vectors) is vectors
    assert learnt.trials


def test_it_stays_shut_for_what_the_images_do_not_show() -> None:
    vectors, of = pictures(900)
    hidden = np.random.default_rng(4).integers(3, size=900)  # as the day on which it was taken
    assert learn(vectors, *graph_of(vectors), placed(hidden, 120, seed=2)).head.blend == 0
    both = 3 * of + hidden
    shown = learn(vectors, *graph_of(vectors), placed(both, 120, seed=2))
    assert precision(apply_head(shown.head, vectors), of) >= precision(vectors, of) - 0.02


def test_the_same_seed_gives_the_same_head() -> None:
    vectors, of = pictures(400)
    one, two = (learn(vectors, *graph_of(vectors), placed(of, 60, 1), seed=3) for _ in "ab")
    assert np.array_equal(one.head.weight, two.head.weight)
    assert one.trials == two.trials


def test_images_held_out_change_nothing() -> None:
    vectors, of = pictures(500)
    among = np.arange(500) < 400
    moved = vectors.copy()
    moved[~among] = np.roll(moved[~among], 3, axis=1)
    rows, similarities = graph_of(vectors)
    first = learn(vectors, rows, similarities, placed(of[:400], 80, 1), among)
    second = learn(moved, rows, similarities, placed(of[:400], 80, 1), among)
    assert np.array_equal(first.head.weight, second.head.weight)
    assert (first.spread.groups[~among] == -1).all()


def gains(mean: float, exchanged: float, recall: float, count: int = 50) -> _Gains:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(count, len(SHARES)))
    noise -= noise.mean(axis=0) if count else 0
    return _Gains(mean + 0.1 * noise, np.full_like(noise, exchanged), recall + 0.0 * noise)


@pytest.mark.parametrize(
    ("known", "new", "unseen", "opens"),
    [
        (gains(0.1, -0.05, 0.0), gains(-0.1, 0, 0.0), 0.02, True),
        (gains(0.1, 0.09, 0.0), gains(0.0, 0, 0.0), 0.02, False),  # no more than by chance
        (gains(0.1, -0.05, 0.0), gains(-0.1, 0, 0.0), 0.6, False),  # most groups are unknown
        (gains(0.1, -0.05, -0.02), gains(0.0, 0, 0.0), 0.02, False),  # nearest neighbours suffer
        (gains(0.1, -0.05, 0.0), gains(0.0, 0, -0.2), 0.3, False),  # those of new groups do
        (gains(0.004, -0.2, 0.0), gains(0.0, 0, 0.0), 0.02, False),  # not worth it
        (gains(0.1, -0.05, 0.0, 0), gains(0.0, 0, 0.0, 0), 0.02, False),  # nothing was tested
    ],
)
def test_what_passes(known: _Gains, new: _Gains, unseen: float, opens: bool) -> None:
    assert {trial.passed for trial in judge(known, new, unseen)} == {opens}


def test_a_part_that_wastes_gain_does_not_pass() -> None:
    known = gains(0.1, -0.05, 0.0)
    known.precision[:, -2:] -= 0.03
    trials = judge(known, gains(0.0, 0, 0.0), 0.0)
    assert [trial.passed for trial in trials] == [True] * (len(SHARES) - 2) + [False] * 2


def test_hidden_parts_cover_all_and_share_nothing() -> None:
    placement = placed(np.arange(90) % 7, 60, seed=0)
    tested = np.zeros(60, dtype=int)
    for shown, hidden in gate._hidden_members(placement, seed=0):
        assert not set(shown.rows) & set(placement.rows[hidden])
        assert set(shown.groups) == set(placement.groups)
        tested += hidden
    assert (tested == 1).all()
    halves = gate._hidden_groups(placement, seed=0)
    assert sorted(np.concatenate([groups for groups, _ in halves])) == list(range(7))
    assert all(set(placement.groups[hidden]) == set(groups) for groups, hidden in halves)


def test_the_share_is_that_of_the_variance() -> None:
    vectors, _ = pictures(500)
    head = Head(np.eye(17, dtype=np.float32)[3:9], np.zeros(6, np.float32), 1.0)
    for share in (0.2, 0.9):
        mixed = apply_head(replace(head, blend=blend_of(head, vectors, share)), vectors)
        variance = mixed.astype(float).var(axis=0)
        assert variance[17:].sum() / variance.sum() == pytest.approx(share, abs=1e-4)


def test_few_placed_images_leave_room_for_what_was_missed() -> None:
    assert unseen_share(placed(np.zeros(20), 9, 0, undiscovered=0.2)) == pytest.approx(0.3)
    assert unseen_share(placed(np.zeros(20), 9, 0, undiscovered=1.0)) == 1.0
