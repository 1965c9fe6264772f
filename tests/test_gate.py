"""The gate: it opens where answers help, and stays shut where they cannot."""

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float32, Int64

from likewise.answers.duels import Score
from likewise.answers.placement import Placement
from likewise.answers.rivals import BOLDEST
from likewise.models.heads import apply_head
from likewise.training import gate
from likewise.training.gate import BOLD, DUELLED, Trial, chosen, judge, learn, unseen_share
from likewise.training.rounds import blended, blends_of, pool_of, pool_trust, teach
from likewise.training.trials import SHARES, Gains

Pictures = tuple[Float32[np.ndarray, "N D"], Int64[np.ndarray, " N"]]


def pictures(
    count: int, groups: int = 5, seed: int = 0, noise: tuple[int, float] = (8, 1.0)
) -> Pictures:
    """Vectors whose groups are weak beside what else varies, in a narrow cone."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(groups, 8))
    of = rng.integers(groups, size=count)
    signal = 0.5 * centres[of] + 0.2 * rng.normal(size=(count, 8))
    nuisance = noise[1] * rng.normal(size=(count, noise[0]))
    vectors = np.concatenate((np.full((count, 1), 9.0), signal, nuisance), axis=1)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


def graph_of(
    vectors: Float32[np.ndarray, "N D"], neighbours: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    rows = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
    return rows, np.take_along_axis(similarity, rows, axis=1)


def placed(of: np.ndarray, count: int, seed: int, undiscovered: float = 0.0) -> Placement:
    rows = np.random.default_rng(seed).choice(len(of), count, replace=False)
    return Placement(rows, of[rows].astype(np.int64), np.full(count, 0.99), undiscovered)


def precision(vectors: np.ndarray, of: np.ndarray, neighbours: int = 20) -> float:
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, :neighbours]
    return float((of[nearest] == of[:, None]).mean())


def test_it_opens_where_answers_help_images_nobody_saw() -> None:
    vectors, of = pictures(800)
    others, truth = pictures(300, seed=7)
    learnt = learn(vectors, *graph_of(vectors), placed(of, 100, seed=1))
    assert learnt.head.blend > 0
    assert precision(apply_head(learnt.head, others), truth) > precision(others, truth) + 0.1
    share, pool = chosen(learnt.trials), pool_of(vectors, *graph_of(vectors))
    assert share is not None
    assert learnt.head.blend == pytest.approx(blends_of(pool, learnt.head, (share,))[0])


def useless(kind: str, rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """Groups of sixty images that nothing in the images goes with."""
    match kind:
        case "uneven":
            return rng.choice(4, 60, p=(0.6, 0.2, 0.1, 0.1))
        case "pairs":
            return np.arange(60) // 2
    return rng.integers(8, size=60)


@pytest.mark.parametrize("kind", ["uneven", "pairs", "even"])
def test_it_stays_shut_where_labels_cannot_help(kind: str) -> None:
    """Of 16 draws at the stated chance of 2 %, three or more would pass once in 300 times."""
    vectors, _ = pictures(300)
    near, passed = graph_of(vectors), 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        rows = rng.choice(300, 60, replace=False)
        _, groups = np.unique(useless(kind, rng), return_inverse=True)
        learnt = learn(vectors, *near, Placement(rows, groups, np.full(60, 0.98), 0.01), seed=seed)
        passed += learnt.head.blend > 0
        assert (apply_head(learnt.head, vectors) is vectors) == (learnt.head.blend == 0)
    assert passed <= 2


def test_it_is_open_where_trials_cannot_tell_until_duels_are_lost() -> None:
    """Pairs that lay nearest before: on them a head can only lose."""
    vectors, of = pictures(600, groups=60)
    near = graph_of(vectors)
    mates = [(row, other) for row, (other, *_) in enumerate(near[0]) if of[row] == of[other]]
    pairs = dict.fromkeys(frozenset(each) for each in mates)
    rows, groups = list[int](), list[int]()
    for number, pair in enumerate(each for each in pairs if not each & set(rows)):
        rows += sorted(pair)
        groups += [number, number]
    placement = Placement(np.array(rows[:80]), np.array(groups[:80]), np.ones(80), 0.5)
    shut = learn(vectors, *near, placement)
    assert not shut.head.blend
    pool = pool_of(vectors, *near)
    lost = learn(vectors, *near, placement, duels=Score(3, 8, 40))
    assert lost.head.blend == pytest.approx(
        blends_of(pool, lost.head, (chosen(lost.trials) or 0.0,))[0]
    )
    assert (chosen(lost.trials) or 0.0) < DUELLED
    for score in (Score(0, 0, 0), Score(8, 6, 40), Score(16, 2, 10)):
        free = learn(vectors, *near, placement, duels=score)
        assert free.head.blend == pytest.approx(blends_of(pool, free.head, (DUELLED,))[0])


def test_won_duels_count_for_more_than_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which underrate heads where the likeliest pairs were asked first."""
    vectors, of = pictures(400)
    near, placement = graph_of(vectors), placed(of, 80, 1)
    pool = pool_of(vectors, *near)
    for passed, expected in ((0.3, DUELLED), (0.95, 0.95)):
        trial = Trial(passed, 1.0, 1.0, 1.0, 0.5, passed=True)
        monkeypatch.setattr(gate, "judge", lambda *_, trial=trial: (trial,))
        won = learn(vectors, *near, placement, duels=Score(16, 2, 10))
        assert won.head.blend == pytest.approx(blends_of(pool, won.head, (expected,))[0])


def test_rivals_are_nearest_by_either_embedding() -> None:
    vectors, of = pictures(500)
    near, among = graph_of(vectors, 60), np.arange(500) < 400
    learnt = learn(vectors, *near, placed(of[:400], 80, 1), among, duels=Score(0, 0, 0))
    rivals = learnt.rivals
    assert rivals is not None
    assert 0 < len(rivals.rows) < 400
    assert (np.concatenate((rivals.rows, rivals.untouched, rivals.learnt)) < 400).all()
    pool = pool_of(vectors, *near, among)
    made = apply_head(blended(pool, learnt.head, DUELLED), vectors[among])
    own, new = vectors[among] @ vectors[among].T, made @ made.T
    for cosines, nearest in ((own, rivals.untouched), (new, rivals.learnt)):
        np.fill_diagonal(cosines, -2)
        assert (cosines.argmax(axis=1)[rivals.rows] == nearest).mean() > 0.9
    gap = new[rivals.rows, rivals.learnt] - new[rivals.rows, rivals.untouched]
    np.testing.assert_allclose(gap, rivals.margin, atol=1e-3)
    assert len(rivals.boldest().rows) == np.ceil(BOLDEST * len(rivals.rows))


def alike_in_all_directions(seed: int = 0) -> Pictures:
    """Small groups whose images differ from each other as groups do: nothing can be learnt."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(70), 6)
    vectors = rng.normal(size=(70, 48))[of] + 1.1 * rng.normal(size=(len(of), 48))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), of


@pytest.mark.parametrize("seed", range(4))
def test_an_open_gate_does_no_harm_where_nothing_can_be_learnt(seed: int) -> None:
    """The nearest pairs of small groups, before the first duel: the head keeps to the identity."""
    vectors, of = alike_in_all_directions(seed)
    near = graph_of(vectors)
    rows, groups = list[int](), list[int]()
    for row, (other, *_) in enumerate(near[0]):
        if of[row] == of[other] and not {row, other} & set(rows) and len(rows) < 60:
            rows += [row, int(other)]
            groups += [int(of[row])] * 2
    _, numbers = np.unique(groups, return_inverse=True)
    placement = Placement(np.array(rows), numbers.astype(np.int64), np.ones(len(rows)), 0.1)
    made = apply_head(
        learn(vectors, *near, placement, seed=seed, duels=Score(0, 0, 0)).head, vectors
    )
    assert precision(made, of, 1) >= precision(vectors, of, 1) - 0.03


def test_what_the_images_do_not_show_does_no_harm() -> None:
    vectors, of = pictures(900)
    hidden = np.random.default_rng(4).integers(3, size=900)  # as the day on which it was taken
    both = 3 * of + hidden
    shown = learn(vectors, *graph_of(vectors), placed(both, 120, seed=2))
    assert precision(apply_head(shown.head, vectors), of) >= precision(vectors, of) - 0.02


@pytest.mark.parametrize("seed", range(3))
def test_parts_of_classes_do_no_harm(seed: int) -> None:
    """Pairs that random questions found: many a class is in several groups, some in none."""
    vectors, of = pictures(800, seed=seed)
    rng = np.random.default_rng(seed)
    pairs = [rng.choice(np.flatnonzero(of == each), 2, replace=False) for each in (0, 0, 1, 1, 2)]
    groups = np.repeat(np.arange(5), 2)
    learnt = learn(
        vectors, *graph_of(vectors), Placement(np.concatenate(pairs), groups, np.ones(10), 0.05)
    )
    assert precision(apply_head(learnt.head, vectors), of) >= precision(vectors, of) - 0.01


def in_parts(of: np.ndarray, count: int, parts: int, seed: int) -> Placement:
    """Each class is in several groups, as where people miss many that are the same."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(of), count, replace=False)
    return Placement(rows, parts * of[rows] + rng.integers(parts, size=count), np.ones(count), 0.0)


def test_classes_in_several_groups_teach_by_most_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of such a class no image's group is sure, though its class is."""
    vectors, of = pictures(800, noise=(30, 0.5))
    near = graph_of(vectors)
    placement = in_parts(of, 60, 3, seed=0)
    learnt = learn(vectors, *near, placement)
    monkeypatch.setattr(gate, "BOLD", 0.0)
    surely = learn(vectors, *near, placement)
    assert (learnt.spread.groups >= 0).mean() < 0.4
    assert np.array_equal(learnt.spread.groups, surely.spread.groups)
    made, less = (precision(apply_head(each.head, vectors), of) for each in (learnt, surely))
    assert made > less + 0.1


def test_undiscovered_groups_teach_by_sure_images_alone() -> None:
    """Most images would be told wrongly, and trials notice."""
    vectors, of = pictures(800, groups=40)
    near = graph_of(vectors)
    known = np.flatnonzero(of < 12)
    rows = np.random.default_rng(1).choice(known, 100, replace=False)
    placement = Placement(rows, of[rows].astype(np.int64), np.ones(100), 0.0)
    pool = pool_of(vectors, *near)
    bold = replace(pool_trust(pool, placement), told=BOLD)
    _, worse = teach(pool, placement, bold)
    learnt = learn(vectors, *near, placement).head
    made = precision(apply_head(learnt, vectors), of)
    assert made > precision(apply_head(replace(worse, blend=learnt.blend), vectors), of) + 0.1


def test_the_same_seed_gives_the_same_head() -> None:
    vectors, of = pictures(400)
    one, two = (learn(vectors, *graph_of(vectors), placed(of, 60, 1), seed=3) for _ in "ab")
    assert np.array_equal(one.head.weight, two.head.weight)
    assert one.trials == two.trials


def test_where_duels_are_fought_groups_are_of_placed_images() -> None:
    """Hidden placed images are found too easily there to say how well others are told."""
    vectors, of = pictures(500)
    rows, similarities = graph_of(vectors)
    placement = placed(of, 80, 1)
    free = learn(vectors, rows, similarities, placement)
    fought = learn(vectors, rows, similarities, placement, duels=Score(1, 0, 0))
    assert (free.spread.groups >= 0).sum() > len(placement.rows)
    assert np.array_equal(np.flatnonzero(fought.spread.groups >= 0), np.sort(placement.rows))
    assert np.array_equal(fought.spread.groups[placement.rows], placement.groups)


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


def gains(mean: float, scatter: float = 0.1, count: int = 50) -> Gains:
    noise = np.random.default_rng(0).normal(size=(count, len(SHARES)))
    noise -= noise.mean(axis=0) if count else 0
    return Gains(mean + scatter * noise, np.arange(count), ends=1)


@pytest.mark.parametrize(
    ("known", "new", "unseen", "opens"),
    [
        (gains(0.3), gains(-0.1), 0.02, True),
        (gains(0.3), gains(-0.3), 0.6, False),  # most groups are unknown
        (gains(0.3, 2.0), gains(0.0), 0.02, False),  # it may be chance
        (gains(0.3), gains(0.3, 20.0), 0.5, False),  # with new groups it may
        (gains(0.04, 0.01), gains(0.0, 0.01), 0.0, False),  # not worth it
        (gains(0.3, count=4), gains(0.3, count=4), 0.02, False),  # too few were tested
        (gains(0.0, count=0), gains(0.3), 0.6, True),
        (gains(0.0, count=0), gains(0.3), 0.3, False),  # most images were not tested
        (gains(0.3), gains(0.0, count=0), 0.3, True),
        (gains(0.3), gains(0.0, count=0), 0.6, False),  # nor here
    ],
)
def test_what_passes(known: Gains, new: Gains, unseen: float, opens: bool) -> None:
    trials = judge(known, new, unseen)
    assert {trial.passed for trial in trials} == {opens}
    assert (chosen(trials) is not None) == opens


def test_the_part_that_gains_most_of_those_that_pass_is_chosen() -> None:
    known = gains(0.0)
    known.values[:] += np.array([0.1, 0.2, 0.29, 0.3, 0.3, 0.2])
    assert chosen(judge(known, gains(0.0), 0.0)) == SHARES[3]
    known.values[::2, 3:] -= 3
    known.values[1::2, 3:] += 3.2  # a greater gain, but by chance
    assert chosen(judge(known, gains(0.0), 0.0)) == SHARES[2]


def test_few_placed_images_leave_room_for_what_was_missed() -> None:
    assert unseen_share(placed(np.zeros(20), 9, 0, undiscovered=0.2)) == pytest.approx(0.3)
    assert unseen_share(placed(np.zeros(20), 9, 0, undiscovered=1.0)) == 1.0
