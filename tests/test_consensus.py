import itertools
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.answers.ability import Ability, dawid_skene, estimate, overlaps_enough
from likewise.answers.consensus import (
    consensus,
    decision,
    disputed,
    is_reading,
    settled_by,
)
from likewise.answers.standing import Answer, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_PRIOR = np.zeros((2, 2))

# Dawid & Skene (1979), table 1: 45 patients; observer 1 saw each of them three times.
ANAESTHETISTS = """
111 1 1 1 1, 333 4 3 3 4, 112 2 1 2 2, 222 3 1 2 1, 222 3 2 2 2, 222 3 3 2 2, 122 2 1 1 1,
333 3 4 3 3, 222 2 2 2 3, 232 2 2 2 3, 444 4 4 4 4, 222 3 3 4 3, 111 1 1 1 1, 222 3 2 1 2,
121 1 1 1 1, 111 2 1 1 1, 111 1 1 1 1, 111 1 1 1 1, 222 2 2 2 1, 222 1 3 2 2, 222 2 2 2 2,
222 2 2 2 1, 222 3 2 2 2, 221 2 2 2 2, 111 1 1 1 1, 111 1 1 1 1, 232 2 2 2 2, 111 1 1 1 1,
111 1 1 1 1, 112 1 1 2 1, 111 1 1 1 1, 333 3 2 3 3, 111 1 1 1 1, 222 2 2 2 2, 222 3 2 3 2,
433 4 3 4 3, 221 2 2 3 2, 232 3 2 3 3, 333 3 4 3 2, 111 1 1 1 1, 111 1 1 1 1, 121 2 1 1 1,
232 2 2 2 2, 121 1 1 1 1, 222 2 2 2 2
"""


def said(*verdicts: Verdict, strategy: str = "random") -> list[Answer]:
    return [
        Answer("a", "b", verdict, f"p{place}", NOW, strategy, None, "", place)
        for place, verdict in enumerate(verdicts, 1)
    ]


def deciding(verdict: Verdict, strategy: str, number: int) -> Answer:
    return Answer("a", "b", verdict, f"d{number}", NOW, strategy, None, "", number)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], None),
        (["similar"], "similar"),
        (["unsure"], "unsure"),
        (["unsure", "unsure"], "unsure"),
        (["unsure", "dissimilar", "unsure"], "dissimilar"),
        (["similar", "dissimilar"], None),
        (["similar", "dissimilar", "unsure"], None),
        (["similar", "dissimilar", "dissimilar"], "dissimilar"),
        (["dissimilar", "similar", "similar", "unsure"], "similar"),
    ],
)
def test_agreement_else_majority_and_unsure_abstains(
    verdicts: list[Verdict], expected: Verdict | None
) -> None:
    assert consensus(said(*verdicts)) == expected


def test_a_known_truth_comes_first_then_the_newest_adjudication() -> None:
    many = said("similar", "similar", "similar")
    first, second = deciding("unsure", "adjudication", 4), deciding("dissimilar", "adjudication", 5)
    truth = deciding("similar", "gold", 1)
    sure = Ability(0.99, {}, (0.99, 0.99))
    assert consensus([*many, first], sure) == "unsure"
    assert consensus([*many, second, first], sure) == "dissimilar"
    assert consensus([truth, first, second]) == "similar"
    assert decision([truth, first, second]) == truth
    assert decision(many) is None
    assert settled_by([*many, second]) == second
    assert settled_by([*many, truth]) == many[0], "the oldest answer that says so"


def test_a_pair_is_disputed_until_it_is_decided_not_outvoted() -> None:
    assert disputed(said("similar", "similar", "dissimilar"))
    assert not disputed(said("similar", "unsure"))
    assert not disputed([*said("similar", "dissimilar"), deciding("similar", "gold", 9)])


def test_what_is_said_knowing_other_answers_is_no_reading() -> None:
    kinds = ["cover-place", "second reading", "gold check", "import", "gold", "adjudication"]
    read = [kind for kind in [*kinds, "review"] if is_reading(deciding("similar", kind, 1))]
    assert read == kinds[:4]


def test_those_who_disagree_are_weighed_by_their_ability_and_left_open_in_doubt() -> None:
    known = Ability(0.5, {"p1": (0.95, 0.95), "p2": (0.6, 0.6), "p3": (0.6, 0.6)}, (0.6, 0.6))
    assert consensus(said("similar", "dissimilar", "dissimilar")) == "dissimilar"
    # odds 19 to 1.5² = 8.4 : 1
    assert known.similar({"p1": "similar", "p2": "dissimilar", "p3": "dissimilar"}) == (
        pytest.approx(19 / (19 + 1.5**2))
    )
    assert consensus(said("similar", "dissimilar", "dissimilar"), known) == "similar"
    assert consensus(said("dissimilar", "similar", "similar"), known) == "dissimilar"
    assert consensus(said("unsure", "similar", "dissimilar"), known) is None
    assert consensus(said("unsure", "dissimilar"), known) == "dissimilar", "nobody disagrees"


def test_three_people_who_share_twenty_pairs_each_are_enough() -> None:
    assert not overlaps_enough({"a": 100, "b": 100})
    assert not overlaps_enough({"a": 100, "b": 100, "c": 19})
    assert overlaps_enough({"a": 100, "b": 100, "c": 20})


def test_the_anaesthetists_come_out_as_published() -> None:
    """Their tables 2 and 3: shares of the four classes, errors of observer 1."""
    patients = ANAESTHETISTS.replace("\n", " ").split(",")
    readings = [
        (patient, observer, int(each) - 1)
        for patient, line in enumerate(patients)
        for observer, given in enumerate(line.split())
        for each in given
    ]
    assert len(readings) == 45 * 7
    found = estimate(np.array(readings), (45, 5, 4), np.zeros((4, 4)))
    assert np.round(found.shares, 2).tolist() == [0.40, 0.42, 0.11, 0.07]
    assert np.round(found.confusion[0], 2).tolist() == [
        [0.89, 0.11, 0.00, 0.00],
        [0.07, 0.88, 0.05, 0.00],
        [0.00, 0.34, 0.66, 0.00],
        [0.00, 0.00, 0.56, 0.44],
    ]


readings = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40
)
priors = st.sampled_from([NO_PRIOR, np.array([[4.0, 1.0], [1.0, 4.0]])])
truths = st.lists(st.integers(-1, 1), min_size=8, max_size=8)


@given(readings, priors, truths, st.lists(st.integers(1, 3), min_size=8, max_size=8))
def test_the_objective_never_falls_and_is_what_enumeration_says(
    given_readings: list[tuple[int, int, int]],
    prior: "np.ndarray[tuple[int, int], np.dtype[np.float64]]",
    known: list[int],
    weights: list[int],
) -> None:
    found = estimate(
        np.array(given_readings), (8, 4, 2), prior, np.array(weights, dtype=float), np.array(known)
    )
    steps = np.diff(found.objective)
    assert (steps > -1e-8 * (1 + abs(found.objective[0]))).all()
    assert np.allclose(found.posterior.sum(axis=1), 1)
    assert np.allclose(found.confusion.sum(axis=2), 1) or not prior.any()
    for item, truth in enumerate(known):
        # what this item's readings make of each class, one by one
        joint = [
            found.shares[kind]
            * np.prod([found.confusion[r, kind, s] for i, r, s in given_readings if i == item])
            for kind in (0, 1)
        ]
        joint = [each if truth in (-1, kind) else 0.0 for kind, each in enumerate(joint)]
        if sum(joint) > 1e-12:
            assert np.allclose(found.posterior[item], np.array(joint) / sum(joint), atol=1e-6)


def test_on_tiny_data_no_table_of_abilities_does_better() -> None:
    """Three readers of ten pairs: brute force over a grid of shares and abilities."""
    votes = ["000", "000", "000", "001", "010", "111", "111", "110", "111", "101"]
    rows = [(item, r, int(v)) for item, line in enumerate(votes) for r, v in enumerate(line)]
    found = estimate(np.array(rows), (10, 3, 2), np.array([[4.0, 1.0], [1.0, 4.0]]))

    def objective(share: float, right: list[tuple[float, float]]) -> float:
        total = np.log(share) + np.log(1 - share)
        for one, two in right:
            total += 4 * np.log(one) + np.log(1 - one) + 4 * np.log(two) + np.log(1 - two)
        for line in votes:
            one, two = share, 1 - share
            for vote, (a, b) in zip(line, right, strict=True):
                one *= a if vote == "0" else 1 - a
                two *= 1 - b if vote == "0" else b
            total += np.log(one + two)
        return float(total)

    best = [(float(each[0, 0]), float(each[1, 1])) for each in found.confusion]
    top = objective(float(found.shares[0]), best)
    assert found.objective[-1] == pytest.approx(top, abs=1e-6)
    grid = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9]
    for share, *rest in itertools.product([0.3, 0.5, 0.7], *[grid] * 4):
        assert objective(share, [(rest[0], rest[1]), (rest[2], rest[3]), (0.8, 0.8)]) < top
    for nudge in (-0.01, 0.01):
        moved = [(best[0][0] + nudge, best[0][1]), *best[1:]]
        assert objective(float(found.shares[0]), best) > objective(float(found.shares[0]), moved)


def test_known_confusions_are_recovered_from_pairs_read_twice() -> None:
    """Six people, each pair read by two of them and 40 % of pairs similar."""
    rng = np.random.default_rng(1)
    right = {
        f"p{n}": (float(rng.uniform(0.6, 0.98)), float(rng.uniform(0.7, 0.99))) for n in range(6)
    }
    votes, truth = _simulate(rng, right, 6000, readers=2)
    found = dawid_skene(votes, [each if rng.random() < 0.1 else None for each in truth])
    assert found.share == pytest.approx(0.4, abs=0.05)
    for name, both in right.items():
        assert found.right[name] == pytest.approx(both, abs=0.06)
    assert found.average == pytest.approx(np.mean(list(right.values()), axis=0), abs=0.05)


def test_it_is_right_more_often_than_the_majority() -> None:
    rng = np.random.default_rng(2)
    right = {"good": (0.97, 0.97), **{f"poor{n}": (0.65, 0.65) for n in range(4)}}
    votes, truth = _simulate(rng, right, 1500, readers=5)
    found = dawid_skene(votes)
    weighed = ["similar" if found.similar(each) > 0.5 else "dissimilar" for each in votes]
    most = [max(each.values(), key=list(each.values()).count) for each in votes]
    correct = [sum(a == b for a, b in zip(each, truth, strict=True)) for each in (weighed, most)]
    assert correct[0] > correct[1] + 100


def test_order_and_unsure_readings_change_nothing() -> None:
    rng = np.random.default_rng(3)
    right = {"ann": (0.9, 0.8), "bob": (0.7, 0.9), "cyd": (0.8, 0.8)}
    votes, _ = _simulate(rng, right, 200, readers=2)
    with_unsure = [{**each, "dan": "unsure"} for each in reversed(votes)]
    one, two = dawid_skene(votes), dawid_skene(with_unsure)
    assert one.share == pytest.approx(two.share)
    for name in right:
        assert one.right[name] == pytest.approx(two.right[name])
    assert dawid_skene([]).right == {}


def _simulate(
    rng: np.random.Generator, right: dict[str, tuple[float, float]], count: int, readers: int
) -> tuple[list[dict[str, Verdict]], list[Verdict]]:
    votes: list[dict[str, Verdict]] = []
    truth: list[Verdict] = []
    for _ in range(count):
        similar = bool(rng.random() < 0.4)
        truth.append("similar" if similar else "dissimilar")
        said_of: dict[str, Verdict] = {}
        for name in rng.choice(sorted(right), readers, replace=False):
            correct = bool(rng.random() < right[str(name)][0 if similar else 1])
            said_of[str(name)] = "similar" if similar == correct else "dissimilar"
        votes.append(said_of)
    return votes, truth
