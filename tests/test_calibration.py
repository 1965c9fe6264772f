import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float64
from scipy.special import logit
from scipy.stats import binomtest, chisquare
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from likewise.answers.belief import belief_of
from likewise.answers.calibrating import (
    LOWEST,
    STRATA,
    TOP,
    CalibrationPairs,
    draw_weights,
    pair_sample,
    similarity_sample,
    strata_of,
    stratum_of,
)
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links, links_from
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import FEWEST_TO_RESERVE, Pool, any_open_pair, pool_of
from likewise.answers.proposals import proposer_for
from likewise.answers.reserved import CALIBRATION, is_reserved, reserved, trainable, unspoilt
from likewise.answers.standing import Answer, Verdict
from likewise.evaluation.calibration import (
    FEWEST,
    calibrate,
    calibration_error,
    isotonic,
    levels_of,
)
from likewise.evaluation.logistic import fit_logistic, posterior, sigmoid
from likewise.evaluation.threshold import ErrorRates
from tests.test_outlook import answer
from tests.test_proposals import embeddings_of


def judged(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-1, 1, count)
    return scores, rng.random(count) < sigmoid(6 * scores - 1)


def test_logistic_regression_with_weights_and_a_prior_is_sklearns() -> None:
    rng = np.random.default_rng(0)
    design, weights = rng.normal(size=(80, 3)), rng.uniform(0.1, 3, 80)
    same = rng.random(80) < sigmoid(design @ np.array([1.0, -2.0, 0.5]))
    expected = LogisticRegression(C=1 / 0.7, fit_intercept=False, tol=1e-10).fit(
        design, same, sample_weight=weights
    )
    found, _ = fit_logistic(design, same.astype(float), weights, np.full(3, 0.7))
    assert found == pytest.approx(expected.coef_[0], abs=1e-4)


def test_draws_follow_the_posterior() -> None:
    """Against the same integral on a fine grid."""
    scores, same = judged(1, 30)
    design = np.column_stack((scores, np.ones(30)))
    drawn = posterior(design, same.astype(float), np.ones(30), np.array([0.04, 0.04]), 4000,
                      np.random.default_rng(0), rising=0)  # fmt: skip
    slopes, intercepts = np.meshgrid(np.linspace(0, 25, 251), np.linspace(-10, 10, 201))
    curve = slopes[..., None] * scores + intercepts[..., None]
    log = (same * curve - np.logaddexp(0, curve)).sum(-1) - 0.02 * (slopes**2 + intercepts**2)
    mass = np.exp(log - log.max())
    assert drawn[:, 0].min() > 0
    assert drawn[:, 0].mean() == pytest.approx((slopes * mass).sum() / mass.sum(), rel=0.05)
    assert drawn[:, 1].mean() == pytest.approx((intercepts * mass).sum() / mass.sum(), abs=0.15)


points = st.lists(
    st.tuples(st.integers(-9, 9), st.booleans(), st.integers(1, 4)), min_size=1, max_size=30
)


@given(points)
@settings(max_examples=60, deadline=None)
def test_isotonic_is_sklearns(rows: list[tuple[int, bool, int]]) -> None:
    scores = np.array([row[0] / 9 for row in rows])
    same = np.array([float(row[1]) for row in rows])
    weights = np.array([float(row[2]) for row in rows])
    levels = np.linspace(-1.2, 1.2, 50)
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores, same, weights)
    assert isotonic(scores, same, weights, levels) == pytest.approx(
        expected.predict(levels), abs=1e-9
    )


def test_calibration_error_by_hand() -> None:
    chances = np.array([0.1] * 10 + [0.8] * 10)
    same = np.array([True] * 3 + [False] * 7 + [True] * 6 + [False] * 4)
    assert calibration_error(chances, same, bins=2) == pytest.approx(0.2)
    weights = np.array([3.0] * 10 + [1.0] * 10)
    assert calibration_error(chances, same, weights, bins=2) == pytest.approx(0.2)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))


def pool_of_kinds(images: int, kinds: int, dims: int = 8) -> tuple[Pool, np.ndarray]:
    """Unit vectors around the centres of kinds, and the kind of each."""
    rng = np.random.default_rng(0)
    kind = rng.integers(kinds, size=images)
    vectors = rng.normal(size=(kinds, dims))[kind] + 0.6 * rng.normal(size=(images, dims))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{row:032x}" for row in range(images)]
    positions = {each: row for row, each in enumerate(ids)}
    return Pool(ids, vectors, np.arange(images), positions), kind


def unit(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def drawn_from(pool: Pool, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pairs that were drawn, and their similarities."""
    pairs, rng = CalibrationPairs(pool), np.random.default_rng(seed)
    found = [pairs.draw(Links(), (), (), rng) for _ in range(count)]
    rows = [(pool.positions[e.a], pool.positions[e.b]) for e in found if e is not None]
    assert len(rows) == count
    return np.array(rows), np.array([each.score for each in found if each is not None])


def test_pairs_are_drawn_uniformly_over_the_similarities_of_the_whole_pool() -> None:
    pool, _ = pool_of_kinds(300, 5)
    everything = (pool.vectors @ pool.vectors.T)[np.triu_indices(300, k=1)].astype(np.float64)
    _, scores = drawn_from(pool, 5000, 0)
    edges = strata_of(np.sort(everything))
    hits = np.bincount(stratum_of(scores, edges), minlength=STRATA)
    assert len(hits) == STRATA
    assert chisquare(hits).pvalue > 0.001
    # independent of strata: logits of ranks are uniform between both ends
    shares = np.searchsorted(np.sort(everything), scores, side="right") / (len(everything) + 1)
    ranked = np.sort(logit(shares))
    ends = LOWEST, float(logit(1 - TOP / len(everything)))
    inside = ranked[(ranked > ends[0]) & (ranked < ends[1])]
    apart = np.abs((inside - ends[0]) / (ends[1] - ends[0]) - np.linspace(0, 1, len(inside))).max()
    assert apart < 1.5 / STRATA + 1.95 / np.sqrt(len(inside))  # Kolmogorov-Smirnov, 0.1 %


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 400), st.integers(1, 30))
def test_strata_depend_on_the_order_of_the_pairs_alone(seed: int, count: int, ties: int) -> None:
    """A cosine has no scale of its own."""
    near = np.sort(np.random.default_rng(seed).integers(0, count // ties + 1, count) / count)
    edges = strata_of(near.astype(np.float64))
    assert (np.diff(edges) > 0).all()
    assert len(edges) < STRATA
    bent = np.exp(3 * near)
    assert stratum_of(near, edges).tolist() == stratum_of(bent, strata_of(bent)).tolist()


def test_where_same_pairs_are_few_many_of_the_drawn_ones_are_same() -> None:
    """One pair in 400 is the same, and images lie in a narrow cone."""
    pool, kind = pool_of_kinds(2000, 400, dims=32)
    cone = np.concatenate((np.full((2000, 1), 3.0, np.float32), pool.vectors), axis=1)
    cone /= np.linalg.norm(cone, axis=1, keepdims=True)
    rows, _ = drawn_from(Pool(pool.ids, cone, pool.rows, pool.positions), 500, 0)
    assert 0.15 < (kind[rows[:, 0]] == kind[rows[:, 1]]).mean() < 0.6


def test_within_a_stratum_all_pairs_are_alike() -> None:
    pool, _ = pool_of_kinds(12, 2)
    rows, scores = drawn_from(pool, 12_000, 1)
    first, second, near = pair_sample(pool.vectors, pool.rows)
    strata = stratum_of(near, strata_of(np.sort(near)))
    expected = 1 / np.bincount(strata, minlength=STRATA)[strata] / len(np.unique(strata))
    place = {pair: number for number, pair in enumerate(zip(first, second, strict=True))}
    hits = np.bincount([place[min(r), max(r)] for r in rows.tolist()], minlength=len(first))
    assert chisquare(hits, 12_000 * expected).pvalue > 0.001
    assert len(scores) == 12_000


def test_weights_turn_drawn_pairs_into_a_sample_of_all_pairs() -> None:
    """Error rates of a threshold, weighted, against those over all pairs; mean of many draws."""
    pool, kind = pool_of_kinds(400, 12, dims=16)
    first, second = np.triu_indices(400, k=1)
    near, same = (pool.vectors @ pool.vectors.T)[first, second], kind[first] == kind[second]
    at = float(np.quantile(near[~same], 0.97))
    population = similarity_sample(pool.vectors, pool.rows)
    true = np.array([same.mean(), (near >= at)[~same].mean(), (near < at)[same].mean()])
    found: list[tuple[float, ...]] = []
    plain: list[tuple[float, ...]] = []
    for seed in range(100):
        rows, scores = drawn_from(pool, 200, seed)
        told, below = kind[rows[:, 0]] == kind[rows[:, 1]], scores < at
        for weights, into in ((draw_weights(scores, population), found), (np.ones(200), plain)):
            different = weights * ~told
            into.append(
                (
                    (weights * told).sum() / weights.sum(),
                    different[~below].sum() / different.sum(),
                    (weights * told)[below].sum() / (weights * told).sum(),
                )
            )
    error = np.std(found, axis=0) / np.sqrt(100)
    assert (np.abs(np.mean(found, axis=0) - true) <= 4 * error + 0.01 * true).all()
    assert np.abs(np.mean(plain, axis=0) - true).max() > 0.05


def test_a_draw_from_very_many_images_costs_no_more_than_from_few() -> None:
    pool, _ = pool_of_kinds(100_000, 50)
    pairs, rng = CalibrationPairs(pool), np.random.default_rng(0)
    assert pairs.draw(Links(), (), (), rng) is not None
    began = time.process_time()
    for _ in range(100):
        assert pairs.draw(Links(), (), (), rng) is not None
    assert time.process_time() - began < 0.5


def test_neither_known_nor_busy_nor_taken_pairs_are_drawn() -> None:
    pool, _ = pool_of_kinds(4, 1)
    a, b, c, d = pool.ids
    links = links_from([answer(1, a, b), answer(2, b, c)])
    pairs = CalibrationPairs(pool)
    for seed in range(20):
        found = pairs.draw(links, [(b, d)], (), np.random.default_rng(seed))
        assert found is not None
        assert (found.a, found.b) in {(a, d), (c, d)}
        assert found.strategy == CALIBRATION
    assert pairs.draw(links, (), [d], np.random.default_rng(0)) is None
    assert CalibrationPairs(Pool([a], pool.vectors[:1], np.arange(1), {a: 0})).draw(
        Links(), (), (), np.random.default_rng(0)
    ) is None  # fmt: skip


def test_about_a_tenth_of_a_session_is_kept_and_believed_by_nobody() -> None:
    pool, kind = pool_of_kinds(400, 6)
    asker, ledger = CoverPlace(pool, 0), Ledger()
    rows: list[Answer] = []
    for number in range(1, 401):
        asked = asker.next(ledger, ledger.answered())
        assert asked is not None
        same = kind[pool.positions[asked.a]] == kind[pool.positions[asked.b]]
        verdict: Verdict = "similar" if same else "dissimilar"
        rows.append(answer(number, asked.a, asked.b, verdict, strategy=asked.strategy))
        ledger.add(rows[-1])
    kept = {each.pair for each in reserved(rows)}
    assert 0.07 <= len(kept) / len(rows) <= 0.13
    assert not kept & {each.pair for each in trainable(rows)}
    assert not kept & asker.belief.answers.keys()
    alone = belief_of(pool, trainable(rows)).placement()
    both = belief_of(pool, rows).placement()
    assert alone.rows.tolist() == both.rows.tolist()
    assert alone.groups.tolist() == both.groups.tolist()


def test_images_in_reserve_are_asked_about_to_calibrate_alone(
    tmp_path: Path,
) -> None:
    """However many are answered: so no answer that teaches implies a pair that measures."""
    rng = np.random.default_rng(1)
    kind = np.repeat(np.arange(60), 5)
    vectors = rng.normal(size=(60, 16))[kind] + 0.5 * rng.normal(size=(300, 16))
    embeddings = embeddings_of(tmp_path, unit(vectors))
    names = dict(zip(map(str, embeddings.ids), kind.tolist(), strict=True))
    asker, ledger = proposer_for("likely-first", embeddings, seed=3), Ledger()
    spared = {asker.pool.ids[row] for row in asker.pool.reserve.tolist()}
    assert 0.05 < len(spared) / 300 < 0.15
    assert spared == {each for each in names if is_reserved(each)}
    rows: list[Answer] = []
    for number in range(1, 601):
        asked = asker.next(ledger, ledger.answered())
        assert asked is not None
        assert bool(spared & {asked.a, asked.b}) == (asked.strategy == CALIBRATION)
        verdict: Verdict = "similar" if names[asked.a] == names[asked.b] else "dissimilar"
        rows.append(answer(number, asked.a, asked.b, verdict, strategy=asked.strategy))
        ledger.add(rows[-1])
    measured = unspoilt(rows)
    assert measured == reserved(rows)
    assert sum(each.verdict == "similar" for each in measured) >= 10


def test_images_in_reserve_come_when_all_others_are_done() -> None:
    pool, _ = pool_of_kinds(4, 1)
    pool = dataclasses.replace(pool, rows=np.arange(3), reserve=np.array([3]))
    a, b, c, d = pool.ids
    near, far = links_from([answer(1, a, b)]), links_from([answer(1, a, b), answer(2, b, c)])
    first, last = (any_open_pair(pool, each, (), "random") for each in (near, far))
    assert first is not None
    assert {first.a, first.b} == {a, c}
    assert last is not None
    assert {last.a, last.b} == {a, d}
    assert any_open_pair(pool, links_from([answer(n, a, e) for n, e in enumerate((b, c, d), 1)]),
                         (), "random") is None  # fmt: skip


@pytest.mark.parametrize("count", [FEWEST_TO_RESERVE - 1, FEWEST_TO_RESERVE])
def test_small_pools_have_nothing_to_spare(count: int, tmp_path: Path) -> None:
    pool = pool_of(
        embeddings_of(tmp_path, unit(np.random.default_rng(0).normal(size=(count, 4)))), ()
    )
    assert (len(pool.reserve) > 0) == (count >= FEWEST_TO_RESERVE)
    assert sorted(pool.every.tolist()) == list(range(count)) == sorted(pool.positions.values())


WORLD = np.random.default_rng(7)
SIMILARITY = np.sort(1 - 0.9 * WORLD.beta(3, 6, 20_000))
STRATUM = stratum_of(SIMILARITY, strata_of(SIMILARITY))


def chance(similarity: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """That a pair of this world is the same."""
    odds = 14 * (-np.sqrt(np.maximum(2 - 2 * similarity, 0))) + 7
    return sigmoid(odds)


def drawn(count: int, rng: np.random.Generator) -> np.ndarray:
    """Places of pairs of this world, drawn uniformly over similarity."""
    strata = rng.choice(np.unique(STRATUM), count)
    return np.array([rng.choice(np.flatnonzero(each == STRATUM)) for each in strata])


def true_rates(truth: np.ndarray, threshold: float) -> tuple[float, float]:
    passed = threshold <= SIMILARITY
    return float(passed[~truth].mean()), float((~passed[truth]).mean())


@pytest.mark.parametrize(("miss", "false"), [(0.0, 0.0), (0.17, 0.02)])
def test_the_intervals_hold_both_error_rates(miss: float, false: float) -> None:
    """At the threshold that is proposed. Truth is drawn anew each time: where pairs are rare, a
    fixed one would be the same few pairs in every repetition."""
    levels, every, trials = levels_of(SIMILARITY), np.zeros(2), 0
    for count in (20, 50, 100):
        inside, told = np.zeros(2, int), 0
        for seed in range(80):
            rng = np.random.default_rng(seed)
            truth = rng.random(len(SIMILARITY)) < chance(SIMILARITY)
            some = drawn(count, rng)
            said = truth[some] ^ (rng.random(count) < np.where(truth[some], miss, false))
            rates = np.tile([miss, false], (count, 1))
            found = calibrate(SIMILARITY[some], said, levels, rates, seed=seed)
            if found is None:
                continue
            at = ErrorRates(found, SIMILARITY).at_false_accept(0.01)
            true = true_rates(truth, at.similarity)
            both = (at.false_accept, at.false_reject)
            inside += [r.low <= t <= r.high for r, t in zip(both, true, strict=True)]
            told += 1
        assert told >= 70
        for each in inside.tolist():
            assert binomtest(each, told, 0.95, alternative="less").pvalue > 0.01, (count, inside)
        every, trials = every + inside, trials + told
    assert (every / trials >= 0.92).all(), every / trials


def test_mistakes_of_annotators_are_told_from_truth() -> None:
    """Two in a hundred called similar where nothing is: the rest of the curve, not its floor."""
    levels = levels_of(SIMILARITY)
    rng = np.random.default_rng(3)
    some = drawn(900, rng)
    truth = rng.random(900) < chance(SIMILARITY[some])
    said = truth ^ (rng.random(900) < np.where(truth, 0.17, 0.02))
    apart = []
    for rates in (np.tile([0.17, 0.02], (900, 1)), None):
        found = calibrate(SIMILARITY[some], said, levels, rates)
        assert found is not None
        apart.append(float(np.abs(found.chances - chance(levels)).mean()))
    assert apart[0] < 0.03
    assert apart[0] < apart[1] / 2


def test_with_too_few_nothing_is_said() -> None:
    levels, some = levels_of(SIMILARITY), drawn(FEWEST, np.random.default_rng(0))
    same = np.arange(FEWEST) < 3
    assert calibrate(SIMILARITY[some], same, levels) is not None
    assert calibrate(SIMILARITY[some][1:], same[1:], levels) is None
    assert calibrate(SIMILARITY[some], np.zeros(FEWEST, bool), levels) is None
    assert calibrate(SIMILARITY[some], np.ones(FEWEST, bool), levels) is None


def test_weighted_answers_count_for_as_many_as_they_are_worth() -> None:
    """One answer that stands for nearly everything leaves the curve wide open."""
    levels, rng = levels_of(SIMILARITY), np.random.default_rng(0)
    some = drawn(100, rng)
    same = rng.random(100) < chance(SIMILARITY[some])
    uneven = np.where(np.arange(100) == 0, 1000.0, 1.0)
    widths = []
    for weights in (None, np.full(100, 7.0), uneven):
        found = calibrate(SIMILARITY[some], same, levels, weights=weights)
        assert found is not None
        low, high = found.interval(0.85)
        widths.append(high - low)
    assert widths[0] == pytest.approx(widths[1])
    assert widths[2] > 1.15 * widths[0]


def test_isotonic_takes_over_with_many_answers() -> None:
    rng = np.random.default_rng(0)
    some = drawn(1500, rng)
    truth = rng.random(len(SIMILARITY)) < chance(SIMILARITY)
    found = calibrate(SIMILARITY[some], truth[some], levels_of(SIMILARITY))
    assert found is not None
    assert found.method == "isotonic"
    assert (np.diff(found.chances) >= 0).all()
    rates = ErrorRates(found, SIMILARITY)
    at = rates.at_false_accept(0.05)
    assert at.false_accept.value <= 0.05
    assert true_rates(truth, at.similarity)[0] == pytest.approx(0.05, abs=0.03)
    assert rates.balanced().false_accept.value == pytest.approx(
        rates.balanced().false_reject.value, abs=0.03
    )


def test_a_sample_of_pairs_holds_no_image_with_itself() -> None:
    vectors = np.eye(40, dtype=np.float32)
    assert similarity_sample(vectors, np.arange(40)).tolist() == [0.0] * 780
    first, second, _ = pair_sample(vectors, np.arange(40), np.array([3, 8]))
    pairs = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(pairs) == len(first) == 39 + 38
    assert all(pair & {3, 8} for pair in pairs)
    with pytest.raises(ValueError, match="two images"):
        similarity_sample(vectors, np.arange(1))


def test_reserved_answers_are_not_learnt_from_nor_implied() -> None:
    said: list[tuple[str, str, Verdict, str]] = [
        ("a", "b", "similar", "cover-place"),
        ("b", "c", "similar", "cover-place"),
        ("a", "c", "similar", "calibration"),
        ("a", "d", "dissimilar", "calibration"),
        ("d", "e", "unsure", "calibration"),
    ]
    rows: list[Answer] = [
        answer(n, a, b, verdict, strategy=how) for n, (a, b, verdict, how) in enumerate(said, 1)
    ]
    assert trainable(rows) == rows[:2]
    assert reserved(rows) == rows[2:]
    assert unspoilt(rows) == [rows[3]]
