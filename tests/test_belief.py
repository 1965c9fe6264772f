import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.belief import Belief, belief_of
from likewise.answers.choice import choose_strategy
from likewise.answers.ledger import Ledger
from likewise.answers.likeness import Likeness
from likewise.answers.links import links_from
from likewise.answers.pool import Pool
from likewise.answers.rates import Rates, Tally, estimate_rates, fixed_rates
from likewise.answers.standing import Answer, Undo, Verdict, pair_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NEVER_WRONG = fixed_rates(0.0, 0.0)


def pool_with(labels: Sequence[int], noise: float = 0.1) -> Pool:
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(max(labels) + 1, 8))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = centres[list(labels)] + noise * rng.normal(size=(len(labels), 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{row:03}" for row in range(len(labels))]
    return Pool(ids, vectors, np.arange(len(ids)), {each: row for row, each in enumerate(ids)})


def said(
    number: int, one: int, two: int, verdict: Verdict, who: str = "ada", why: str = "random"
) -> Answer:
    a, b = pair_of(f"{one:03}", f"{two:03}")
    return Answer(a, b, verdict, who, NOW, why, None, "", number)


def groups_of(belief: Belief, images: Iterable[str]) -> set[frozenset[str]]:
    found: dict[int, set[str]] = {}
    for image in images:
        found.setdefault(int(belief.partition.slots[belief.nodes[image]]), set()).add(image)
    return {frozenset(each) for each in found.values()}


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_without_errors_the_groups_are_those_of_hard_closure(data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=10))
    pairs = list(itertools.combinations(range(len(labels)), 2))
    asked = data.draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20))
    doubts = data.draw(st.sets(st.sampled_from(pairs), max_size=2))
    pool = pool_with([0] * len(labels))  # the embedding says nothing of these labels
    answers = []
    for number, pair in enumerate(asked):
        verdict: Verdict = "similar" if labels[pair[0]] == labels[pair[1]] else "dissimilar"
        answers.append(said(number + 1, *pair, "unsure" if pair in doubts else verdict))
    links, belief = links_from(answers), belief_of(pool, answers, NEVER_WRONG)
    known = [image for group in links.groups() for image in group]
    assert groups_of(belief, known) == {frozenset(group) for group in links.groups()}
    assert not belief.doubts()


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_undone_answers_leave_no_trace_when_nobody_errs(data: st.DataObject) -> None:
    labels = [0, 0, 0, 1, 1, 1, 2, 2]
    pairs = list(itertools.combinations(range(len(labels)), 2))
    asked = data.draw(st.lists(st.sampled_from(pairs), unique=True, min_size=1, max_size=14))
    ledger, belief = Ledger(), Belief(pool_with([0] * 8), NEVER_WRONG)
    for number, pair in enumerate(asked):
        same = labels[pair[0]] == labels[pair[1]]
        ledger.add(said(number + 1, *pair, "similar" if same else "dissimilar"))
        belief.follow(ledger)
    for place, number in enumerate(data.draw(st.sets(st.integers(1, len(asked))))):
        ledger.add(Undo(number, "ada", NOW, len(asked) + place + 1))
        belief.follow(ledger)
    known = [image for group in ledger.groups() for image in group]
    assert groups_of(belief, known) == {frozenset(group) for group in ledger.groups()}
    rows = belief.placement().rows.tolist()
    assert {belief.pool.ids[row] for row in rows} <= set(known)


def two_groups(tie: list[tuple[int, int, Verdict]]) -> list[Answer]:
    """Two groups of six, each a chain with a brace, and the ties between them."""
    inside = [(at + step, at + step + 1) for at in (0, 6) for step in range(5)]
    inside += [(0, 2), (6, 8)]
    rows: list[tuple[int, int, Verdict]] = [(one, two, "similar") for one, two in inside]
    return [said(number + 1, *row) for number, row in enumerate(rows + tie)]


def test_one_wrong_answer_does_not_join_two_groups_for_good() -> None:
    pool = pool_with([0] * 6 + [1] * 6)
    wrong: tuple[int, int, Verdict] = (2, 9, "similar")
    rates = fixed_rates(0.1, 0.05)
    others: list[tuple[int, int, Verdict]] = [(3, 8, "dissimilar"), (1, 10, "dissimilar")]
    for order in itertools.permutations([wrong, *others]):
        belief = belief_of(pool, two_groups(list(order)), rates)
        expected = {frozenset(pool.ids[:6]), frozenset(pool.ids[6:])}
        assert groups_of(belief, pool.ids) == expected
        [doubt] = belief.doubts()
        assert doubt.answer.pair == ("002", "009")
        assert 0.5 < doubt.wrong <= 1
    placement = belief.placement()
    assert sorted(placement.rows.tolist()) == list(range(12))
    assert (placement.groups[np.argsort(placement.rows)] == [0] * 6 + [1] * 6).all()
    assert (placement.confidence > 0.9).all()


def test_a_missed_pair_does_not_keep_two_halves_apart_against_more_evidence() -> None:
    pool = pool_with([0] * 12)
    tie: list[tuple[int, int, Verdict]] = [(2, 9, "dissimilar"), (3, 8, "similar")]
    belief = belief_of(pool, two_groups([*tie, (1, 10, "similar")]), fixed_rates(0.2, 0.02))
    assert groups_of(belief, pool.ids) == {frozenset(pool.ids)}
    assert [each.answer.pair for each in belief.doubts()] == [("002", "009")]


def test_a_known_truth_outweighs_what_people_say() -> None:
    pool = pool_with([0, 0])
    answers = [said(n + 1, 0, 1, "similar", who) for n, who in enumerate("abcd")]
    gold = said(9, 0, 1, "dissimilar", "key", "gold")
    assert len(groups_of(belief_of(pool, answers), pool.ids)) == 1
    assert len(groups_of(belief_of(pool, [*answers, gold]), pool.ids)) == 2


def test_answers_kept_for_calibration_place_nothing() -> None:
    belief = belief_of(pool_with([0, 0, 1]), [said(1, 0, 1, "similar", why="calibration")])
    assert not belief.nodes
    assert not belief.placement().rows.size


def test_answers_on_images_outside_the_pool_are_passed_over() -> None:
    belief = belief_of(pool_with([0, 0, 1]), [said(1, 0, 77, "similar"), said(2, 0, 1, "similar")])
    assert set(belief.images) == {"000", "001"}


def test_a_belief_begins_again_with_another_ledger() -> None:
    belief = Belief(pool_with([0, 0, 1]))
    belief.follow(Ledger([said(1, 0, 1, "similar")]))
    belief.follow(Ledger([said(1, 0, 2, "dissimilar")]))
    assert set(belief.images) == {"000", "002"}


def test_rates_are_the_means_of_beta_distributions() -> None:
    start = estimate_rates({}).common
    tally = Tally(30.0, 100.0, 2.0, 200.0)
    found = estimate_rates({"ada": tally, "bob": Tally()})
    prior = (0.30 * 100 - found.common.miss * 100) / (found.common.miss - start.miss)
    assert prior == pytest.approx(8), "the start counts for eight similar pairs"
    assert start.miss < found.common.miss < found.of("ada").miss < 0.3
    assert found.of("nobody") == found.common
    assert found.of("bob").miss == pytest.approx(found.common.miss)


def test_weights_are_log_likelihood_ratios() -> None:
    rates = Rates(miss=0.2, false=0.05)
    assert rates.weight("similar") == pytest.approx(math.log(0.8 / 0.05))
    assert rates.weight("dissimilar") == pytest.approx(math.log(0.2 / 0.95))
    assert rates.weight("unsure") == 0
    assert Rates(0.0, 0.0).weight("similar") == pytest.approx(30)


def test_chances_are_a_kernel_density_with_a_share_for_new_groups() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = Likeness(vectors, np.arange(9))
    for each in vectors[:8]:
        likeness.add(each)
    groups, sure = np.array([0, 0, 1, 1, 1, 3, 3, 0]), rng.uniform(0.5, 1, 8)
    near = likeness.similarities(vectors[8])
    chances, new = likeness.chances(near, groups, sure, 5, 0.3)
    k, t, e = likeness.concentration, likeness.typical, likeness.astray
    density = [0.0] * 5
    for member in range(8):
        density[groups[member]] += sure[member] * math.exp(k * (float(near[member]) - 1))
    none = t * 0.3 / 0.7
    for group in range(5):
        size = sum(sure[member] for member in range(8) if groups[member] == group) / sure.sum()
        kernel = density[group] / (sum(density) + none)
        assert chances[group] == pytest.approx((1 - e) * kernel + e * 0.7 * size)
    assert chances.sum() + new == pytest.approx(1)


def test_error_rates_are_recovered_from_many_answers() -> None:
    """A fifth of the similar pairs missed, none false: the estimate leans the right way."""
    labels = [row % 4 for row in range(60)]
    pool, rng = pool_with(labels, noise=0.15), np.random.default_rng(5)
    drawn = {pair_of(*map(pool.ids.__getitem__, rng.choice(60, 2, replace=False).tolist()))
             for _ in range(500)}  # fmt: skip
    answers = []
    for number, (a, b) in enumerate(sorted(drawn)):
        same = labels[int(a)] == labels[int(b)] and rng.random() > 0.2
        answers.append(said(number + 1, int(a), int(b), "similar" if same else "dissimilar"))
    belief = belief_of(pool, answers)
    assert belief.rates.common.miss == pytest.approx(0.2, abs=0.08)
    assert belief.rates.common.false < 0.03
    everyone = groups_of(belief, belief.images)
    assert sum(len(each) for each in sorted(everyone, key=len)[-4:]) > 0.8 * len(belief.images)
    assert belief.noisy


def test_who_errs_more_is_believed_less() -> None:
    labels = [row % 3 for row in range(60)]
    pool, rng = pool_with(labels, noise=0.15), np.random.default_rng(6)
    answers = []
    for number in range(400):
        one, two = sorted(rng.choice(60, 2, replace=False).tolist())
        who = "ada" if rng.random() < 0.5 else "bob"
        right = rng.random() > (0.02 if who == "ada" else 0.25)
        same = (labels[one] == labels[two]) == right
        answers.append(said(number + 1, one, two, "similar" if same else "dissimilar", who))
    latest = {(each.pair, each.annotator): each for each in answers}
    belief = belief_of(pool, latest.values())
    assert belief.rates.of("bob").miss > belief.rates.of("ada").miss + 0.05
    assert belief.rates.of("bob").false > belief.rates.of("ada").false + 0.05


def test_many_unseen_groups_change_the_strategy_with_a_reason() -> None:
    belief = Belief(pool_with([0, 1]))
    assert choose_strategy(belief).strategy == "cover-place-spread"
    assert "100 answers" in choose_strategy(belief).reason
    belief.early = 0.71
    assert choose_strategy(belief).strategy == "likely-first"
    assert "71%" in choose_strategy(belief).reason
    belief.early = 0.2
    assert choose_strategy(belief).strategy == "cover-place-spread"


def test_a_correction_replaces_an_answer() -> None:
    pool, first = pool_with([0, 0, 1]), said(1, 0, 1, "similar")
    ledger = Ledger([first, replace(first, verdict="dissimilar", number=2)])
    belief = Belief(pool)
    belief.follow(ledger)
    assert len(groups_of(belief, belief.images)) == 2
