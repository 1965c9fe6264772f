import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.asked import Asked
from likewise.answers.belief import Belief, belief_of
from likewise.answers.choice import choose_strategy
from likewise.answers.ledger import Ledger
from likewise.answers.links import links_from
from likewise.answers.pool import Pool
from likewise.answers.rates import Rates, Tally, estimate_rates, fixed_rates
from likewise.answers.standing import Answer, Undo, Verdict, pair_of
from likewise.answers.views import Views

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
        found.setdefault(int(belief.asked.partition.slots[belief.asked.nodes[image]]), set()).add(
            image
        )
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
    assert not belief.asked.nodes
    assert not belief.placement().rows.size


def test_answers_on_images_outside_the_pool_are_passed_over() -> None:
    belief = belief_of(pool_with([0, 0, 1]), [said(1, 0, 77, "similar"), said(2, 0, 1, "similar")])
    assert set(belief.asked.images) == {"000", "001"}


def test_a_belief_begins_again_with_another_ledger() -> None:
    belief = Belief(pool_with([0, 0, 1]))
    belief.follow(Ledger([said(1, 0, 1, "similar")]))
    belief.follow(Ledger([said(1, 0, 2, "dissimilar")]))
    assert set(belief.asked.images) == {"000", "002"}


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


def slow_chances(asked: Asked, row: int, undiscovered: float) -> tuple[dict[int, float], float]:
    """The formula of `Likeness`, member by member, for an image that was not asked about."""
    like, rows = asked.likeness, [asked.pool.positions[image] for image in asked.images]
    seen = asked.pool.half_whitened(np.array(rows)) @ asked.pool.half_whitened(np.array([row]))[0]
    density: dict[int, float] = {}
    for node, near in enumerate(seen.tolist()):
        slot = int(asked.partition.slots[node])
        counts = float(asked.sure[node]) if len(asked.partition.members[slot]) > 1 else 1.0
        kernel = counts * math.exp(like.concentration * (near - 1))
        density[slot] = density.get(slot, 0.0) + kernel
    total, astray = sum(density.values()), like.astray
    chances = {
        slot: (1 - undiscovered)
        * ((1 - astray) * kernel / total + astray * len(asked.partition.members[slot]) / len(asked))
        for slot, kernel in density.items()
    }
    return chances, undiscovered


def test_views_are_a_kernel_density_with_a_share_for_new_groups() -> None:
    pool = pool_with([0, 0, 1, 1, 1, 2, 2, 0, 1], noise=0.4)
    asked, rng = Asked(pool), np.random.default_rng(0)
    for image in pool.ids[:8]:
        asked.add([image])
    for one, two in ((0, 1), (2, 3), (3, 4), (5, 6)):
        asked.partition.merge(*asked.partition.slots[[one, two]].tolist())
    asked.sure[:8], asked.undiscovered = rng.uniform(0.5, 1, 8), 0.3
    views = asked.views(np.array([8]))
    chances, new = slow_chances(asked, 8, 0.3)
    assert views.slots.tolist() == sorted(chances)
    assert views.odds[0] == pytest.approx([chances[slot] for slot in sorted(chances)], rel=1e-4)
    assert views.new[0] == pytest.approx(new, rel=1e-4)
    assert views.odds.sum() + views.new[0] == pytest.approx(1)


def test_answers_multiply_the_odds_of_a_view() -> None:
    pool = pool_with([0, 0, 1, 1, 0], noise=0.4)
    asked = Asked(pool)
    for image in pool.ids:
        asked.add([image])
    asked.partition.merge(0, 1)
    asked.partition.merge(2, 3)
    before = asked.views(np.array([4]))
    asked.partition.weigh(4, 0, -1.5)
    asked.partition.weigh(4, 2, 2.0)
    after = asked.views(np.array([4]))
    here, there = (np.searchsorted(before.slots, asked.partition.slots[each]) for each in (0, 2))
    for place, weight in ((here, -1.5), (there, 2.0)):
        gained = after.odds[0, place] / after.new[0] / (before.odds[0, place] / before.new[0])
        assert math.log(gained) == pytest.approx(weight)


def test_landmarks_stand_for_all_where_many_were_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [row % 4 for row in range(400)]
    pool = pool_with(labels, noise=0.2)
    near = np.argsort(-(pool.vectors @ pool.vectors.T), axis=1)[:, 1:6].astype(np.int32)
    pool = replace(pool, neighbours=near)

    def views() -> Views:
        asked = Asked(pool)
        for image in pool.ids[:300]:
            asked.add([image])
        asked.partition.regroup(np.array(labels[:300]))
        asked.likeness.choose_landmarks()
        asked.sure[:300], asked.undiscovered = 1.0, 0.05
        return asked.views(np.arange(300, 400))

    exact = views()
    monkeypatch.setattr("likewise.answers.likeness.LANDMARKS", 100)
    rough = views()
    assert rough.slots.tolist() == exact.slots.tolist()
    own, rows = np.array(labels[300:]), np.arange(100)
    errors = rough.odds[rows, own] - exact.odds[rows, own]
    assert 0 < np.abs(errors).mean() < 0.1
    assert abs(errors.mean()) < 0.03, "no bias"


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
    everyone = groups_of(belief, belief.asked.images)
    assert sum(len(each) for each in sorted(everyone, key=len)[-4:]) > 0.8 * len(
        belief.asked.images
    )
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
    assert "in 50 answers" in choose_strategy(belief).reason


@pytest.mark.parametrize(
    ("shares", "strategy", "reason"),
    [
        ({50: 0.71}, "likely-first", "after 50 answers, about 71 %"),
        ({50: 0.69}, "cover-place-spread", "in 75 answers"),
        ({50: 0.69, 75: 0.62}, "likely-first", "after 75 answers, about 62 %"),
        ({50: 0.69, 75: 0.5, 100: 0.31}, "likely-first", "after 100 answers, about 31 %"),
        ({50: 0.69, 75: 0.5, 100: 0.2}, "cover-place-spread", "only about 20 %"),
    ],
)
def test_the_later_it_is_judged_the_fewer_unseen_groups_are_many(
    shares: dict[int, float], strategy: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    belief = Belief(pool_with([0, 1]))
    monkeypatch.setattr(belief, "undiscovered_after", shares.get)
    assert choose_strategy(belief).strategy == strategy
    assert reason in choose_strategy(belief).reason


def test_the_first_answers_are_judged_the_same_however_they_came() -> None:
    pool, rng = pool_with([row % 9 for row in range(60)]), np.random.default_rng(1)
    answers = []
    for number in range(70):
        a, b = sorted(rng.choice(60, 2, replace=False).tolist())
        answers.append(said(number + 1, a, b, "similar" if a % 9 == b % 9 else "dissimilar"))
    answers = list({each.pair: each for each in answers}.values())
    one_by_one, at_once = Belief(pool), Belief(pool)
    at_once.load((each.pair, [each]) for each in answers)
    for each in answers:
        one_by_one.update(each.pair, [each])
    found = one_by_one.undiscovered_after(50)
    assert found is not None
    assert found == at_once.undiscovered_after(50)
    assert at_once.undiscovered_after(100) is None


def test_a_correction_replaces_an_answer() -> None:
    pool, first = pool_with([0, 0, 1]), said(1, 0, 1, "similar")
    ledger = Ledger([first, replace(first, verdict="dissimilar", number=2)])
    belief = Belief(pool)
    belief.follow(ledger)
    assert len(groups_of(belief, belief.asked.images)) == 2


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_of_arrival_makes_no_difference(seed: int) -> None:
    labels, rng = [row % 3 for row in range(24)], np.random.default_rng(seed)
    pool = pool_with(labels, noise=0.2)
    answers = []
    for number, (one, two) in enumerate(itertools.combinations(range(24), 2)):
        if rng.random() < 0.3:
            same = (labels[one] == labels[two]) != (rng.random() < 0.1)
            answers.append(said(number + 1, one, two, "similar" if same else "dissimilar"))
    mixed = [answers[place] for place in rng.permutation(len(answers))]
    here, there = (belief_of(pool, each).placement() for each in (answers, mixed))
    assert (here.rows == there.rows).all()
    assert (here.groups == there.groups).all()
    assert here.confidence == pytest.approx(there.confidence)
    ledger = Ledger(answers)
    at_once = Belief(pool)
    at_once.follow(ledger)
    assert groups_of(at_once, pool.ids) == groups_of(belief_of(pool, answers), pool.ids)


@pytest.mark.parametrize(("miss", "false"), [(0.0, 0.0), (0.05, 0.05), (0.1, 0.1), (0.17, 0.02)])
def test_misses_are_not_mistaken_for_false_answers(miss: float, false: float) -> None:
    """Ten classes, 500 answers of random and near pairs of 150 images."""
    rng = np.random.default_rng(8)
    labels = [row % 10 for row in range(150)]
    pool, pairs = pool_with(labels, noise=0.25), set[tuple[int, int]]()
    while len(pairs) < 500:
        one, two = rng.choice(150, 2, replace=False).tolist()
        if labels[one] == labels[two] or rng.random() < 0.1:
            pairs.add((min(one, two), max(one, two)))
    answers, wrong, asked = [], [0, 0], [0, 0]
    for number, (one, two) in enumerate(sorted(pairs)):
        same = labels[one] == labels[two]
        flipped = bool(rng.random() < (miss if same else false))
        wrong[same] += flipped
        asked[same] += 1
        verdict: Verdict = "similar" if same != flipped else "dissimilar"
        answers.append(said(number + 1, one, two, verdict))
    belief = belief_of(pool, answers)
    assert belief.rates.common.miss == pytest.approx(wrong[1] / asked[1], abs=0.05)
    assert belief.rates.common.false == pytest.approx(wrong[0] / asked[0], abs=0.05)
    found = belief.placement()
    assert 10 <= int(found.groups.max()) + 1 <= 14


def test_the_many_answers_of_an_import_and_those_of_a_session_agree() -> None:
    labels, rng = [row % 4 for row in range(60)], np.random.default_rng(2)
    pool, ledger, step = pool_with(labels, noise=0.15), Ledger(), Belief(pool_with(labels, 0.15))
    for number in range(300):
        one, two = sorted(rng.choice(60, 2, replace=False).tolist())
        verdict: Verdict = "similar" if labels[one] == labels[two] else "dissimilar"
        ledger.add(said(number + 1, one, two, verdict))
        step.follow(ledger)
    at_once = Belief(pool)
    at_once.follow(ledger)
    assert groups_of(step, pool.ids) == groups_of(at_once, pool.ids)
    assert step.placement().confidence == pytest.approx(at_once.placement().confidence, abs=0.05)
