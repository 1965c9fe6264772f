"""The gate of the backbone step: luck does not pass it, nor does a net that confuses images."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from likewise.answers.standing import Answer
from likewise.evaluation.metrics import auc, roc
from likewise.training.backbone_gate import Judged, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING_LOST = np.zeros(200)


def answers(rng: np.random.Generator, count: int, images: int) -> list[Answer]:
    drawn = [sorted(rng.choice(images, 2, replace=False).tolist()) for _ in range(count)]
    return [
        Answer(
            f"{a:03d}",
            f"{b:03d}",
            "similar" if rng.random() < 0.5 else "dissimilar",
            "test",
            NOW,
            "",
            None,
            "",
            number,
        )
        for number, (a, b) in enumerate(drawn)
    ]


def scores(rng: np.random.Generator, given: list[Answer], signal: float) -> np.ndarray:
    same = np.array([each.verdict == "similar" for each in given])
    return np.asarray(signal * same + rng.normal(size=len(same)))


def test_luck_seldom_passes_and_a_real_gain_does() -> None:
    rng = np.random.default_rng(0)
    lucky, real = 0, 0
    for seed in range(20):
        given = answers(rng, 80, 60)
        before = scores(rng, given, 1.0)
        lucky += judge(before, scores(rng, given, 1.0), given, NOTHING_LOST, seed).passed
        real += judge(before, scores(rng, given, 4.0), given, NOTHING_LOST, seed).passed
    assert lucky <= 2
    assert real >= 16


def test_the_luck_of_a_few_images_in_many_pairs_does_not_pass() -> None:
    rng = np.random.default_rng(1)
    passed = 0
    for seed in range(20):
        given = answers(rng, 150, 12)
        group = {f"{image:03d}": image % 3 for image in range(12)}
        given = [
            replace(each, verdict="similar" if group[each.a] == group[each.b] else "dissimilar")
            for each in given
        ]

        def drawn(given: list[Answer] = given) -> np.ndarray:
            places = rng.normal(size=(12, 3))
            return np.array([places[int(e.a)] @ places[int(e.b)] for e in given])

        passed += judge(drawn(), drawn(), given, NOTHING_LOST, seed).passed
    assert passed <= 2


def test_the_gain_is_the_difference_of_the_areas() -> None:
    rng = np.random.default_rng(1)
    given = answers(rng, 60, 40)
    same = np.array([each.verdict == "similar" for each in given])
    before, after = scores(rng, given, 0.5), scores(rng, given, 2.0)
    judged = judge(before, after, given, NOTHING_LOST, 0)
    assert judged.gain == pytest.approx(auc(roc(after, same)) - auc(roc(before, same)))
    assert 0 < judged.gain_error < 0.2
    assert judge(before, before, given, NOTHING_LOST, 0).gain == 0
    assert not judge(before, before, given, NOTHING_LOST, 0).passed


@pytest.mark.parametrize(
    ("lost", "passes"), [(0.0, True), (0.004, True), (0.2, False)], ids=["none", "few", "many"]
)
def test_a_net_that_confuses_images_does_not_pass(lost: float, passes: bool) -> None:
    found = np.zeros(1000)
    found[: round(lost * 1000)] = -1
    rng = np.random.default_rng(3)
    given = answers(rng, 100, 80)
    judged = judge(scores(rng, given, 0.5), scores(rng, given, 4.0), given, found, 0)
    assert judged.found == pytest.approx(-lost)
    assert judged.passed is passes


def test_too_few_pairs_of_a_kind_show_nothing() -> None:
    rng = np.random.default_rng(4)
    given = [
        replace(each, verdict="similar" if not place else "dissimilar")
        for place, each in enumerate(answers(rng, 3, 30))
    ]
    judged = judge(np.array([0.1, 0.5, 0.6]), np.array([0.9, 0.1, 0.2]), given, NOTHING_LOST, 0)
    assert judged.gain == 1
    assert not judged.passed


def test_standard_errors_decide() -> None:
    assert Judged(0.05, 0.02, 0.0, 0.0).passed
    assert not Judged(0.03, 0.02, 0.0, 0.0).passed
    assert Judged(0.05, 0.02, -0.02, 0.01).passed
    assert not Judged(0.05, 0.02, -0.03, 0.01).passed
