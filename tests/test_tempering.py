import numpy as np
import pytest
from jaxtyping import Bool, Float64
from scipy.special import expit, logit

from likewise.inference.tempering import Checked, tempered

NOBODY = np.zeros(200, bool)


def checked(
    rng: np.random.Generator,
    right: Bool[np.ndarray, " N"],
    pairs: int,
    miss: float = 0.0,
    false: float = 0.0,
) -> Checked:
    """Random pairs of images told to be in one group; same if both are told rightly."""
    rows = rng.integers(len(right), size=(pairs, 2))
    same = right[rows].all(axis=1)
    said = np.where(same, rng.random(pairs) >= miss, rng.random(pairs) < false)
    return Checked(rows, said, np.tile([miss, false], (pairs, 1)), np.ones(pairs))


def mean_tempered(confidence: float, share: float, seed: int, **noise: float) -> float:
    rng = np.random.default_rng(seed)
    right = rng.random(200) < share
    return float(
        tempered(np.full(200, confidence), NOBODY, checked(rng, right, 30, **noise)).mean()
    )


def test_without_such_answers_confidence_stays() -> None:
    sure = np.linspace(0, 1, 200)
    none = checked(np.random.default_rng(0), NOBODY, 0)
    np.testing.assert_array_equal(tempered(sure, NOBODY, none), sure)


def test_confidence_that_answers_belie_is_brought_down_and_true_one_stays() -> None:
    belied = [mean_tempered(0.92, 0.35, seed) for seed in range(10)]
    assert max(belied) < 0.7
    assert np.mean(belied) == pytest.approx(0.35, abs=0.12)
    assert np.mean([mean_tempered(0.92, 0.92, seed) for seed in range(10)]) > 0.88
    assert np.mean([mean_tempered(0.7, 0.98, seed) for seed in range(10)]) > 0.9


def test_misses_of_the_annotator_are_not_held_against_it() -> None:
    noisy = {"miss": 0.17, "false": 0.02}
    assert np.mean([mean_tempered(0.95, 0.97, seed, **noisy) for seed in range(10)]) > 0.92


def test_placed_images_keep_theirs_and_untold_ones_have_none() -> None:
    rng = np.random.default_rng(1)
    sure = np.full(200, 0.95)
    sure[:20] = 0.0
    placed = np.arange(200) >= 150
    wrong = Checked(
        rng.integers(20, 200, size=(40, 2)), np.zeros(40, bool), np.zeros((40, 2)), np.ones(40)
    )
    found = tempered(sure, placed, wrong)
    assert (found[:20] == 0).all()
    assert (found[150:] == 0.95).all()
    assert found[20:150].max() < 0.4


def test_the_corrected_confidence_is_right_on_average() -> None:
    told: list[Float64[np.ndarray, " N"]] = []
    true: list[float] = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        sure = rng.uniform(0.87, 0.99, 200)
        right = rng.random(200) < expit(logit(sure) + rng.normal(0, 2))
        told.append(tempered(sure, NOBODY, checked(rng, right, 15)))
        true.append(float(right.mean()))
    means = np.array([each.mean() for each in told])
    assert means.mean() == pytest.approx(np.mean(true), abs=0.03)
    low = means < np.median(means)
    assert means[low].mean() == pytest.approx(np.mean(np.array(true)[low]), abs=0.05)
    untouched = np.mean([abs(0.93 - each) for each in true])
    assert np.abs(means - true).mean() < 0.5 * untouched
