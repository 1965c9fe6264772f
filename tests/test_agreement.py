from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from likewise.answers.agreement import (
    Share,
    agreement,
    agreement_among,
    cohen_kappa,
    fleiss_kappa,
    share_of,
)
from likewise.answers.ledger import Ledger
from likewise.answers.standing import Answer, Entry, Undo, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
S: Verdict = "similar"
D: Verdict = "dissimilar"

# Fleiss (1971), table 1: 30 patients, six diagnoses each, of five kinds.
DIAGNOSES = """
444444 222555 233335 555555 222444 113333 333355 113334 114444 555555 144444 124444 222333 144444
224445 333335 111455 111112 224444 133555 555555 244444 224555 114444 144445 222224 111155 224444
133333 555555
"""
# The textbook table: ten patients, fourteen diagnoses each.
FOURTEEN = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

words = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1, max_size=30)


@given(words)
def test_cohens_kappa_is_that_of_scikit_learn(both: list[tuple[str, str]]) -> None:
    one, two = [each[0] for each in both], [each[1] for each in both]
    found = cohen_kappa(one, two)
    assert found.pairs == len(both)
    assert found.raw == pytest.approx(np.mean([a == b for a, b in both]))
    if len({*one, *two}) == 1:
        assert found.value is None
        assert "same verdict" in found.note
        return
    assert found.value == pytest.approx(cohen_kappa_score(one, two))
    if found.low is not None and found.high is not None:
        assert -1 - 1e-9 <= found.low <= found.high <= 1 + 1e-9
    assert found == cohen_kappa(one, two), "seeded"


def test_fleiss_kappa_of_his_own_and_of_the_textbook_table() -> None:
    counts = np.array([[line.count(kind) for kind in "12345"] for line in DIAGNOSES.split()])
    assert counts.sum(axis=0).tolist() == [26, 26, 30, 55, 43]
    found = fleiss_kappa(counts)
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.raw == pytest.approx(0.5556, abs=1e-4)
    assert fleiss_kappa(np.array(FOURTEEN)).value == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_weighs_every_pair_the_same_however_many_readers() -> None:
    """By hand: agreements 1, 1/3 and 1; shares of the first category 1, 2/3 and 0."""
    found = fleiss_kappa(np.array([[2, 0], [2, 1], [0, 4]]))
    observed, share = (1 + 1 / 3 + 1) / 3, (1 + 2 / 3 + 0) / 3
    expected = share**2 + (1 - share) ** 2
    assert found.raw == pytest.approx(observed)
    assert found.value == pytest.approx((observed - expected) / (1 - expected))
    with pytest.raises(ValueError, match="two readers"):
        fleiss_kappa(np.array([[2, 0], [1, 0]]))


def test_without_pairs_or_with_one_verdict_only_there_is_no_kappa_but_a_reason() -> None:
    nothing = fleiss_kappa(np.zeros((0, 2), dtype=int))
    assert (nothing.value, nothing.raw, nothing.pairs) == (None, None, 0)
    assert "No pair" in nothing.note
    same = fleiss_kappa(np.array([[2, 0], [3, 0]]))
    assert (same.value, same.raw) == (None, 1.0)
    assert "same verdict" in same.note


def test_the_interval_covers_the_true_kappa_about_as_often_as_it_says() -> None:
    """Two readers, each right with probability 0.9 about 50:50 pairs: kappa is 0.64."""
    rng = np.random.default_rng(0)
    covered, widths = 0, []
    for _ in range(200):
        truth = rng.random(150) < 0.5
        one, two = truth ^ (rng.random(150) < 0.1), truth ^ (rng.random(150) < 0.1)
        found = cohen_kappa([str(each) for each in one], [str(each) for each in two])
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.64 <= found.high
        widths.append(found.high - found.low)
    assert 180 <= covered <= 199
    assert 0.15 < np.mean(widths) < 0.35  # 3.92 sqrt(.82 * .18 / 150) / .5 = 0.25


def test_cohens_and_fleiss_intervals_of_two_symmetric_readers_agree() -> None:
    pairs = [(S, S)] * 40 + [(D, D)] * 40 + [(S, D)] * 5 + [(D, S)] * 5
    one = cohen_kappa([a for a, _ in pairs], [b for _, b in pairs])
    two = fleiss_kappa(np.array([[pair.count(S), pair.count(D)] for pair in pairs]))
    assert one.value == pytest.approx(two.value)
    assert one.low == pytest.approx(two.low, abs=0.02)
    assert one.high == pytest.approx(two.high, abs=0.02)


@given(st.integers(1, 60), st.integers(0, 60))
def test_wilsons_interval_is_that_of_scipy(of: int, right: int) -> None:
    right = min(right, of)
    found = share_of(right, of)
    expected = binomtest(right, of).proportion_ci(method="wilson")
    assert found.value == right / of
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_share_of_nothing() -> None:
    assert share_of(0, 0) == Share(0, 0, None, None, None)


def test_each_reader_is_compared_with_the_majority_of_the_others() -> None:
    shared: list[dict[str, Verdict]] = [
        {"ann": S, "bob": S, "cyd": D},
        {"ann": D, "bob": D, "cyd": D},
        {"ann": S, "bob": S, "cyd": S, "dan": D},
        {"ann": D, "cyd": "unsure"},
        {"ann": S, "bob": "unsure", "cyd": S},
    ]
    found = agreement_among(shared, [])
    assert found.overall.method == "Fleiss"
    assert found.overall.pairs == 4, "a pair with one definite reading is none"
    by_name = {each.name: each.with_others for each in found.readers}
    assert list(by_name) == ["ann", "bob", "cyd", "dan"]
    # cyd: the others say S, D, (S S D) S, and ann alone S; she says D, D, S, S
    assert by_name["cyd"].pairs == 4
    assert by_name["cyd"].raw == pytest.approx(3 / 4)
    assert by_name["cyd"].value == pytest.approx(cohen_kappa_score([D, D, S, S], [S, D, S, S]))
    # ann: bob and cyd are split on the first, bob, cyd and dan say S of the third
    assert by_name["ann"].pairs == 3
    assert by_name["ann"].raw == 1.0
    assert by_name["dan"].value == 0.0


def test_two_people_are_compared_by_cohens_kappa() -> None:
    shared: list[dict[str, Verdict]] = [{"ann": S, "bob": S}] * 5 + [{"bob": D, "ann": S}] * 2
    shared += [{"ann": D, "bob": D}] * 5
    found = agreement_among(shared, []).overall
    assert found.method == "Cohen"
    expected = cohen_kappa_score([S] * 7 + [D] * 5, [S] * 5 + [D] * 7)
    assert found.value == pytest.approx(expected)


def row(number: int, pair: str, verdict: Verdict, annotator: str, strategy: str = "x") -> Answer:
    return Answer(pair[0], pair[1], verdict, annotator, NOW, strategy, None, "", number)


def test_only_first_independent_readings_count() -> None:
    rows: list[Entry] = [
        row(1, "ab", S, "ann"),
        row(2, "ab", D, "bob", "second reading"),
        row(3, "ab", S, "bob"),  # corrected: the first reading counts
        row(4, "ab", D, "cyd", "adjudication"),
        row(5, "cd", D, "ann"),
        row(6, "cd", S, "bob"),
        Undo(6, "bob", NOW, 7),  # a slip that was taken back
        row(8, "cd", D, "bob"),
        row(9, "ef", S, "ann"),
        row(10, "ef", S, "dan", "review"),  # follows from moving a group
    ]
    found = agreement(Ledger(rows))
    assert found.overall.pairs == 2
    assert found.overall.raw == 0.5
    assert [each.name for each in found.readers] == ["ann", "bob"]


def test_gold_pairs_show_how_often_each_is_right() -> None:
    rows: list[Entry] = [
        row(place, f"a{end}", S, "key", "gold") for place, end in enumerate("bcde", 1)
    ]
    said: list[Verdict] = [S, S, D, "unsure"]
    for place, (end, verdict) in enumerate(zip("bcde", said, strict=True), 5):
        rows.append(row(place, f"a{end}", verdict, "ann", "gold check"))
    rows += [row(20, "ab", D, "bob"), row(21, "yz", S, "key")]
    found = agreement(Ledger(rows))
    by_name = {each.name: each.gold for each in found.readers}
    assert sorted(by_name) == ["ann", "bob"], "the key itself is no reading"
    assert by_name["ann"] == share_of(2, 3)
    assert by_name["bob"] == share_of(0, 1)
    assert found.overall.pairs == 1
