"""Error rates of pairs: against scikit-learn, by hand, and against drawing the data anew."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import det_curve, roc_auc_score

from likewise.evaluation.calibration import Calibration
from likewise.evaluation.det_plot import det
from likewise.evaluation.metrics import roc
from likewise.evaluation.protocol import Units, measure, rates_at, threshold_at, units_of
from likewise.evaluation.threshold import ErrorRates
from likewise.evaluation.verdict import judge


def alone(count: int) -> Units:
    """Every pair is a unit of its own."""
    own = np.arange(count)
    return Units("components", np.stack((own, own), axis=1), count)


def scored(seed: int, count: int = 400, grain: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    same = rng.random(count) < 0.3
    same[:2] = (True, False)
    return np.round(rng.normal(same * 1.5, 1) * grain) / grain, same


@given(seed=st.integers(0, 10_000), grain=st.sampled_from([2, 10, 1000]))
def test_rates_at_every_threshold_are_sklearns_det_curve(seed: int, grain: int) -> None:
    scores, same = scored(seed, 60, grain)
    far, frr, thresholds = det_curve(same, scores)
    found = rates_at(roc(scores, same), thresholds)
    assert found[0] == pytest.approx(far)
    assert found[1] == pytest.approx(frr)


@given(seed=st.integers(0, 10_000), rate=st.floats(0, 1))
def test_the_threshold_is_the_lowest_that_keeps_the_rate(seed: int, rate: float) -> None:
    scores, same = scored(seed, 60, 4)
    threshold = threshold_at(roc(scores, same), rate)
    assert (scores[~same] >= threshold).mean() <= rate
    lower = scores[scores < threshold]
    assert not len(lower) or (scores[~same] >= lower.max()).mean() > rate


def test_eer_and_auc_are_sklearns() -> None:
    scores, same = scored(3, 3000)
    found = measure(scores, same, alone(3000), resamples=0)
    far, frr, thresholds = det_curve(same, scores)
    place = int(np.abs(far - frr).argmin())
    assert found.auc == pytest.approx(roc_auc_score(same, scores))
    assert found.eer == pytest.approx((far[place] + frr[place]) / 2, abs=0.002)
    assert found.eer_threshold == pytest.approx(thresholds[place], abs=0.02)
    assert np.isnan(found.eer_interval).all()


def test_a_chain_of_pairs_is_one_component_and_islands_are_many() -> None:
    islands = np.arange(60).reshape(30, 2)
    assert units_of(islands, None).kind == "components"
    assert units_of(islands, None).count == 30
    chain = np.stack((np.arange(30), np.arange(1, 31)), axis=1)
    assert units_of(chain, None).kind == "images"
    # pairs of images that are islands, but show two people in turn
    people = np.tile([[0, 1]], (30, 1))
    assert units_of(islands, people).kind == "subjects"
    assert units_of(islands[:10], None).kind == "images"  # too few components to resample


def test_weights_of_pairs_are_those_of_their_ends() -> None:
    units = Units("subjects", np.array([[0, 0], [0, 1], [1, 2]]), 3)
    assert units.weights(np.array([3.0, 2.0, 0.0])).tolist() == [3, 6, 0]


def test_intervals_hold_the_truth_where_pairs_share_subjects() -> None:
    """Subjects differ in how hard they are; resampling pairs would be far too sure."""
    held = {"subjects": 0, "pairs": 0}
    runs = 60
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        hard = rng.normal(size=40)
        people = np.repeat(np.arange(40), 15)
        same = np.arange(600) % 2 == 0
        scores = rng.normal(np.where(same, 1.5 + hard[people], -1.5), 0.5)
        true = 0.5  # the chance that 1.5 + N(0, 1) + N(0, 0.5) exceeds 1.5
        own = np.stack((people, people), axis=1)
        for name, units in (("subjects", units_of(own, own)), ("pairs", alone(600))):
            point = measure(scores, same, units, (), (1.5,), 100, seed).points[0]
            held[name] += point.false_reject.low <= true <= point.false_reject.high
    assert held["subjects"] >= 0.85 * runs
    assert held["pairs"] <= 0.75 * runs


def test_what_never_happened_is_not_promised() -> None:
    scores = np.concatenate((np.linspace(0.6, 1, 50), np.linspace(0, 0.4, 200)))
    found = measure(scores, np.arange(250) < 50, alone(250), (0.1, 0.01))
    assert found.smallest == pytest.approx(3 / 200)
    assert [each.promised for each in found.points] == [True, False]
    rate = found.points[1].false_accept
    assert rate.value <= 0.01
    assert measure(scores, np.arange(250) < 50, alone(250), (), (0.5,)).points[
        0
    ].false_accept.high == pytest.approx(3 / 200)


def test_a_curve_is_drawn_with_and_without_a_band() -> None:
    scores, same = scored(1, 2000)
    protocol = measure(scores, same, alone(2000), (0.1,), (0.7,), 40)
    picture = Image.open(io.BytesIO(det(protocol, "run-1")))
    assert picture.format == "PNG"
    assert min(picture.size) > 800
    nothing = measure(scores, same, alone(2000), resamples=0)
    assert det(nothing, "run-1").startswith(b"\x89PNG")


def curve_of(draws: np.ndarray, answered: np.ndarray) -> Calibration:
    levels = np.linspace(0, 1, draws.shape[1])
    return Calibration(
        "platt", len(answered), len(answered) // 2, levels, draws.mean(axis=0), draws, answered
    )


def test_uncertain_is_where_the_interval_holds_the_thresholds_own_chance() -> None:
    """Three straight curves, up to 0.1 apart: P(0.5) = 0.5, so 0.4 to 0.6 is too close to call."""
    line = np.linspace(0, 1, 101)
    draws = np.clip(np.stack([line - 0.1, line, line + 0.1]), 0, 1)
    calibration = curve_of(draws, np.zeros(3))
    near = np.array([0.1, 0.39, 0.45, 0.5, 0.55, 0.61, 0.9])
    found = judge(near, calibration, 0.5)
    assert [each.verdict for each in found] == [
        *("different", "different", "uncertain", "uncertain", "uncertain", "same", "same"),
    ]
    assert found[0].probability == pytest.approx(0.1, abs=0.005)
    sure = judge(near, curve_of(np.stack([line, line]), np.zeros(3)), 0.5)
    assert [each.verdict for each in sure] == ["different"] * 3 + ["same"] * 4


def test_the_smallest_rate_by_hand() -> None:
    """A tenth of the pairs lies above 0.9, where there are 30 answers: 0.1 * 3 / 30 / 0.5."""
    calibration = curve_of(np.full((5, 11), 0.5), np.concatenate((np.full(30, 0.95), np.zeros(70))))
    population = np.sort(np.concatenate((np.full(1000, 0.95), np.full(9000, 0.2))))
    rates = ErrorRates(calibration, population)
    assert rates.smallest(0.9) == pytest.approx(0.02)
    assert rates.smallest(0.0) == pytest.approx(0.06)
    assert rates.smallest(0.99) == pytest.approx(3 / 10_000 / 0.5)
