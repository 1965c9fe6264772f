import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from likewise.answers.reserved import reserved, trainable, unspoilt
from likewise.answers.standing import Answer, Verdict
from likewise.evaluation.calibration import (
    FEWEST,
    calibrate,
    calibration_error,
    isotonic,
    levels_of,
    platt,
)
from likewise.evaluation.logistic import fit_logistic, posterior, sigmoid
from likewise.evaluation.threshold import (
    ErrorRates,
    draw_weights,
    observed_rates,
    similarity_sample,
    uniform_draw,
    wilson,
)
from tests.test_outlook import answer


def judged(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.uniform(-1, 1, count)
    return scores, rng.random(count) < sigmoid(6 * scores - 1)


@pytest.mark.parametrize("seed", range(5))
def test_platt_is_sklearns(seed: int) -> None:
    scores, same = judged(seed)
    slope, intercept = _sigmoid_calibration(scores, same)
    assert platt(scores, same) == pytest.approx((-slope, -intercept), abs=2e-3)


def test_platt_stays_finite_where_the_kinds_are_apart() -> None:
    scores = np.linspace(0, 1, 20)
    slope, intercept = platt(scores, scores > 0.5)
    assert 0 < slope < 1000
    assert sigmoid(np.array([slope + intercept]))[0] == pytest.approx(11 / 12, abs=0.1)


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


def test_wilson_is_that_of_the_textbook() -> None:
    rate = wilson(1, 10)
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.1, 0.0179, 0.4042), abs=1e-4)
    assert wilson(0, 10).low == 0


WORLD = np.random.default_rng(7)
SIMILARITY = np.sort(1 - 0.9 * WORLD.beta(3, 6, 60_000))
TRUTH = WORLD.random(60_000) < sigmoid(14 * (-np.sqrt(2 - 2 * SIMILARITY)) + 7)


@pytest.fixture(scope="module")
def coverage() -> np.ndarray:
    """How often the 95 % intervals hold the rates (false accept, false reject) over all pairs.

    80 answers drawn uniformly over similarity, 200 times. Truth is drawn anew each time: where
    pairs are rare, a fixed one would be the same few pairs in every repetition.
    """
    levels, at = levels_of(SIMILARITY), 0.85
    chances = sigmoid(14 * (-np.sqrt(2 - 2 * SIMILARITY)) + 7)
    inside = np.zeros(2)
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = rng.random(len(SIMILARITY)) < chances
        some = uniform_draw(SIMILARITY, 80, rng)
        found = calibrate(SIMILARITY[some], truth[some], levels, seed=seed)
        if found is None:
            continue  # counts as a miss: one repetition in some hundreds
        told = ErrorRates(found, SIMILARITY).at(at)
        true = observed_rates(SIMILARITY, truth, at)
        both = (told.false_accept, told.false_reject)
        inside += [r.low <= t <= r.high for r, t in zip(both, true, strict=True)]
    return inside / 200


def test_the_intervals_hold_the_false_accept_rate(coverage: np.ndarray) -> None:
    assert 0.92 <= coverage[0] <= 0.98


@pytest.mark.xfail(reason="0.87 where 0.92 is wanted: with few same pairs the slope is too steep")
def test_the_intervals_hold_the_false_reject_rate(coverage: np.ndarray) -> None:
    assert 0.92 <= coverage[1] <= 0.98


def test_other_answers_sharpen_the_slope_and_not_the_level() -> None:
    """Pairs chosen so that they are likelier the same, at each similarity, than drawn ones."""
    odds = 14 * (-np.sqrt(2 - 2 * SIMILARITY)) + 7
    levels, ways = levels_of(SIMILARITY), np.repeat([0, 1], [60, 600])
    true = sigmoid(14 * (-np.sqrt(2 - 2 * levels)) + 7)
    apart = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        drawn, others = uniform_draw(SIMILARITY, 60, rng), rng.choice(len(SIMILARITY), 600)
        places = np.concatenate((drawn, others))
        same = rng.random(660) < sigmoid(odds[places] + 2.5 * ways)
        alone = calibrate(SIMILARITY[drawn], same[:60], levels)
        both = calibrate(SIMILARITY[places], same, levels, ways)
        naive = calibrate(SIMILARITY[places], same, levels)
        assert alone is not None
        assert both is not None
        assert naive is not None
        assert (both.answers, both.others) == (60, 600)
        apart.append([np.abs(each.chances - true).mean() for each in (alone, both, naive)])
    error = np.mean(apart, axis=0)
    assert error[1] < error[0]
    assert error[1] < error[2] / 2


def test_with_too_few_nothing_is_said() -> None:
    levels = levels_of(SIMILARITY)
    some = uniform_draw(SIMILARITY, FEWEST - 1, np.random.default_rng(0))
    assert calibrate(SIMILARITY[some], TRUTH[some], levels) is None
    assert calibrate(SIMILARITY[:500], np.zeros(500, bool), levels) is None


def test_weights_of_an_older_draw_bring_back_all_pairs() -> None:
    some = uniform_draw(SIMILARITY, 1000, np.random.default_rng(0))
    weights = draw_weights(SIMILARITY[some], SIMILARITY)
    mean = (weights * SIMILARITY[some]).sum() / weights.sum()
    assert mean == pytest.approx(SIMILARITY.mean(), abs=0.02)
    assert abs(SIMILARITY[some].mean() - SIMILARITY.mean()) > 0.05


def test_isotonic_takes_over_with_many_answers() -> None:
    some = uniform_draw(SIMILARITY, 1500, np.random.default_rng(0))
    found = calibrate(SIMILARITY[some], TRUTH[some], levels_of(SIMILARITY))
    assert found is not None
    assert found.method == "isotonic"
    assert (np.diff(found.chances) >= 0).all()
    rates = ErrorRates(found, SIMILARITY)
    at = rates.at_false_accept(0.05)
    assert at.false_accept.value <= 0.05
    assert observed_rates(SIMILARITY, TRUTH, at.similarity)[0] == pytest.approx(0.05, abs=0.03)
    assert rates.balanced().false_accept.value == pytest.approx(
        rates.balanced().false_reject.value, abs=0.03
    )


def test_a_sample_of_pairs_holds_no_image_with_itself() -> None:
    vectors = np.eye(40, dtype=np.float32)
    assert similarity_sample(vectors, np.arange(40)).tolist() == [0.0] * 780
    assert similarity_sample(vectors, np.arange(40), pairs=100).max() == 0


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
