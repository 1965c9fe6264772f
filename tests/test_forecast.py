import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from likewise.answers.choice import Choice
from likewise.answers.ledger import Ledger
from likewise.answers.placement import Placement
from likewise.answers.standing import Answer
from likewise.evaluation.forecast import Estimate, Forecast, forecast, points
from likewise.evaluation.prospects import (
    NOTHING_TOLD,
    Prospects,
    belief_on,
    forecast_with,
    misled_share,
    prospects,
)
from likewise.evaluation.threshold import Rate, Threshold
from likewise.neighbours.vectors import load_embeddings
from likewise.workspace import Workspace
from likewise_labeler.progress_prospects import advice, after, prospects_html
from tests.test_outlook import NOON

ASKED = Choice("cover-place-spread", "Few large groups.")


def blobs(seed: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    """1,500 images of eight kinds."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(8, size=1500)
    vectors = rng.normal(size=(8, 16))[kinds] + spread * rng.normal(size=(1500, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), kinds


def placed(kinds: np.ndarray, count: int, unmet: float = 0.0) -> Placement:
    rows = np.arange(count)
    return Placement(rows, kinds[:count].astype(np.int64), np.full(count, 0.999), unmet)


def truth(vectors: np.ndarray, kinds: np.ndarray, at: Placement) -> float:
    """How many images are nearest to an image whose group is mostly of their own kind."""
    counts = np.zeros((at.groups.max() + 1, kinds.max() + 1))
    np.add.at(counts, (at.groups, kinds[at.rows]), 1)
    near = (vectors @ vectors[at.rows].T).argmax(axis=1)
    return float((counts.argmax(axis=1)[at.groups[near]] == kinds).mean())


def parted(at: Placement, share: float, seed: int) -> Placement:
    """With so many of the images kept apart from their kind, in a second group of it."""
    apart = np.random.default_rng(seed).random(len(at.rows)) < share
    groups = np.unique(at.groups + 8 * apart, return_inverse=True)[1].astype(np.int64)
    return Placement(at.rows, groups, at.confidence, at.undiscovered)


@pytest.mark.parametrize("mistaken", [0.0, 0.1])
def test_the_intervals_hold_the_quality_now_and_the_gain(mistaken: float) -> None:
    """On images of eight kinds that are more or less mixed, with and without mistaken answers.

    About every second mistaken answer leaves an image apart from its kind.
    """
    inside = []
    for seed in range(24):
        vectors, kinds = blobs(seed, 0.6 + 0.05 * (seed % 8))
        for count in (60, 150):
            now, next_ = (
                parted(placed(kinds, each), mistaken / 2, seed) for each in (count, count + 100)
            )
            told = forecast(vectors, np.arange(1500), now, count, mistaken=mistaken, seed=seed)
            if told.now is None or told.gain is None:
                continue
            before, later = truth(vectors, kinds, now), truth(vectors, kinds, next_)
            inside.append(
                (
                    told.now.low <= before <= told.now.high,
                    told.gain.low <= max(0.0, later - before) <= told.gain.high,
                )
            )
    assert len(inside) >= 30
    assert (np.mean(inside, axis=0) >= 0.8).all(), np.mean(inside, axis=0)


def test_what_mistaken_answers_part_is_not_all_taken_for_error() -> None:
    vectors, kinds = blobs(0, 0.5)
    at = parted(placed(kinds, 200), 0.1, 0)
    trusting, doubting = (
        forecast(vectors, np.arange(1500), at, 200, mistaken=each).now for each in (0.0, 0.15)
    )
    assert trusting is not None
    assert doubting is not None
    assert trusting.high < truth(vectors, kinds, at) <= doubting.high


def test_groups_of_several_kinds_are_reckoned_with() -> None:
    """Two kinds are one group, so that all images agree with those near to them."""
    vectors, kinds = blobs(0, 0.4)
    apart = placed(kinds, 200)
    groups = np.where(apart.groups == 7, 6, apart.groups)
    at = Placement(apart.rows, groups, np.full(200, 0.95), 0.0)
    right = truth(vectors, kinds, at)
    assert 0.8 < right < 0.95
    told, misled = (
        forecast(vectors, np.arange(1500), at, 200, misled=each).now for each in (0.0, 0.1)
    )
    assert told is not None
    assert misled is not None
    assert told.low <= right <= told.high
    assert misled.low < told.low
    assert misled.high == told.high


def test_what_more_answers_buy_may_be_most_of_what_is_wrong_now() -> None:
    """Few images are left, and each will have an answer of its own."""
    vectors, kinds = blobs(2, 0.9)
    told = forecast(vectors, np.arange(250), placed(kinds, 150), 150)
    assert told.now is not None
    assert told.gain is not None
    assert told.gain.high > 0.6 * (1 - told.now.low)


def test_the_interval_reaches_down_where_images_are_unlike_those_that_judge() -> None:
    """Placed images lie in the middle of their kinds; half the pool lies further out."""
    vectors, kinds = blobs(1, 0.5)
    centres = np.stack([vectors[kinds == each].mean(axis=0) for each in range(8)])[kinds]
    order = np.argsort(-(vectors * centres).sum(axis=1))
    inner = Placement(order[:150], kinds[order[:150]], np.full(150, 0.999), 0.0)
    told = forecast(vectors, np.arange(1500), inner, 150).now
    typical = forecast(vectors, np.arange(1500), placed(kinds, 150), 150).now
    assert typical is not None
    assert told is None or told.low < typical.low


def test_with_too_little_to_go_on_nothing_is_said() -> None:
    vectors, kinds = blobs(0, 0.7)
    pool = np.arange(1500)
    assert forecast(vectors, pool, placed(kinds, 10), 10).now is None
    assert forecast(vectors, pool, placed(kinds, 200, unmet=0.6), 200).now is None
    assert "Too early" in forecast(vectors, pool, placed(kinds, 200, unmet=0.6), 200).as_text()
    one = Placement(np.arange(50), np.zeros(50, np.int64), np.ones(50), 0.0)
    assert forecast(vectors, pool, one, 50) == Forecast(0)


def test_images_the_model_learnt_from_do_not_judge_it() -> None:
    vectors, kinds = blobs(0, 0.7)
    fresh = np.arange(100) >= 60
    told = forecast(vectors, np.arange(1500), placed(kinds, 100), 100, fresh)
    assert told.judged == 40


def test_what_is_said() -> None:
    told = Forecast(90, Estimate(0.934, 0.9, 0.95), Estimate(0.004, 0.0, 0.02))
    assert told.stop
    assert "about 93 % (90 to 95 %)" in told.as_text()
    assert "worth stopping" in told.as_text()
    more = Forecast(90, Estimate(0.8, 0.7, 0.9), Estimate(0.01, 0.0, 0.031))
    assert not more.stop
    assert "about 1 point (0 to 3): worth going on" in more.as_text()
    assert points(Estimate(0.0, 0.0, 0.004)) == "less than a point"
    assert points(Estimate(0.05, 0.02, 0.1)) == "about 5 points (2 to 10)"
    assert after(told.now or Estimate(0, 0, 0), Estimate(0.1, 0.1, 0.2)).high == 1


def test_the_panels_show_figures_or_say_what_is_missing() -> None:
    said = Forecast(90, Estimate(0.93, 0.9, 0.95), Estimate(0.004, 0.0, 0.02))
    at = Threshold(0.9, Rate(0.01, 0.002, 0.03), Rate(0.2, 0.1, 0.3), 48, 12)
    full = prospects_html(Prospects(said, "m", at, 48, ASKED))
    assert "<b>93 % <span>90 to 95 %" in full
    assert "<b>1.0 % <span>0.2 to 3.0 %" in full
    assert "worth stopping" in full
    assert "typical images first</b>Few large groups." in full
    chosen = prospects_html(Prospects(said, "m", at, 48, ASKED), "random")
    assert "random</b>Chosen when" in chosen
    assert "Few large groups" not in chosen
    empty = prospects_html(Prospects(Forecast(3), "m", None, 7, ASKED))
    assert empty.count("too early to tell") == 2
    assert "there are 7" in empty
    assert advice(Forecast(3)) == "too early to tell"


def test_a_workspace_with_few_answers_and_none(ready: Workspace) -> None:
    told = prospects(ready, Ledger(), [], set())
    assert told is not None
    assert told.threshold is None
    assert told.as_json()["quality"]["now"] is None
    assert told.as_json()["strategy"]["name"] == "cover-place-spread"
    assert told.as_json().keys() == NOTHING_TOLD.keys()
    embeddings = load_embeddings(ready)
    ids = [str(each) for each in embeddings.ids]
    rows = [
        Answer(
            min(a, b), max(a, b), "similar", "ada", NOON + timedelta(seconds=n), "", None, "f1", n
        )
        for n, (a, b) in enumerate(zip(ids[:10:2], ids[1:10:2], strict=True), 1)
    ]
    belief = belief_on(embeddings, Ledger(rows), set())
    assert forecast_with(belief).now is None
    assert misled_share(belief) == 0
    assert prospects(Workspace(Path(ready.path) / "none"), Ledger(), [], set()) is None


def test_what_the_page_rests_on_needs_no_torch() -> None:
    code = (
        "import sys, likewise.evaluation.prospects; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'faiss', 'sklearn')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
