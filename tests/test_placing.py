from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from likewise.answers.audits import AUDIT, FEW, MANY, audit_share, next_audit
from likewise.answers.belief import Belief
from likewise.answers.choice import choose_strategy
from likewise.answers.edges import Edges
from likewise.answers.ledger import Ledger
from likewise.answers.likely import LikelyFirst
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool, Proposal, any_open_pair
from likewise.answers.rates import fixed_rates
from likewise.answers.standing import Answer, Undo, Verdict, pair_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Strategy = Callable[[Pool, int], CoverPlace | LikelyFirst]
STRATEGIES: list[Strategy] = [CoverPlace, LikelyFirst]


def pool_of_groups(groups: int, each: int, noise: float = 0.1, seed: int = 0) -> Pool:
    """Row r is of group r % groups."""
    rng, count = np.random.default_rng(seed), groups * each
    centres = rng.normal(size=(groups, 8))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = np.tile(centres, (each, 1)) + noise * rng.normal(size=(count, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    ids = [f"{row:03}" for row in range(count)]
    positions = {name: row for row, name in enumerate(ids)}
    neighbours = np.argsort(-near, axis=1)[:, :10].astype(np.int32)
    return Pool(ids, vectors, np.arange(count), positions, neighbours)


def answer(proposal: Proposal, groups: int, number: int, who: str, wrong: bool = False) -> Answer:
    same = (int(proposal.a) % groups == int(proposal.b) % groups) != wrong
    verdict: Verdict = "similar" if same else "dissimilar"
    return Answer(
        proposal.a, proposal.b, verdict, who, NOW, proposal.strategy, None, "", number
    )  # fmt: skip


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_annotators_are_never_asked_what_is_answered_implied_or_on_a_screen(
    strategy: Strategy,
) -> None:
    pool, ledger = pool_of_groups(6, 8), Ledger()
    proposer, rng = strategy(pool, 0), np.random.default_rng(1)
    shown: list[Proposal] = []
    asked = set[tuple[str, str]]()
    for number in range(150):
        while len(shown) < 3:
            busy = {image for each in shown for image in (each.a, each.b)}
            taken = set(ledger.answered()) | {(each.a, each.b) for each in shown}
            found = proposer.next(ledger, taken, busy)
            if found is None:
                break
            assert found.a < found.b
            assert (found.a, found.b) not in asked
            if found.strategy != AUDIT:
                assert ledger.links.relation(found.a, found.b) is None
            asked.add((found.a, found.b))
            shown.append(found)
        if not shown:
            break
        done = shown.pop(int(rng.integers(len(shown))))  # in any order
        ledger.add(answer(done, 6, number + 1, "ab"[number % 2], bool(rng.random() < 0.05)))
    done_early = any_open_pair(pool, ledger.links, ledger.answered(), "") is None
    assert done_early or len(ledger.answered()) == 150


def test_many_people_who_begin_at_once_all_place_images() -> None:
    pool, ledger = pool_of_groups(10, 40), Ledger()
    proposer, shown = CoverPlace(pool, 0), list[Proposal]()
    for number in range(1, 21):
        for _ in range(6):  # others come while somebody answers
            busy = {image for each in shown for image in (each.a, each.b)}
            taken = set(ledger.answered()) | {(each.a, each.b) for each in shown}
            found = proposer.next(ledger, taken, busy)
            assert found is not None
            assert found.reason != "One of the last open pairs"
            assert not {found.a, found.b} <= busy
            shown.append(found)
        ledger.add(answer(shown.pop(0), 10, number, "ada"))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_answer_that_was_taken_back_is_asked_again(strategy: Strategy) -> None:
    pool, ledger = pool_of_groups(3, 4), Ledger()
    proposer, number = strategy(pool, 0), 0
    first = proposer.next(ledger, ledger.answered())
    found = first
    while found is not None:
        number += 1
        ledger.add(answer(found, 3, number, "ada"))
        found = proposer.next(ledger, ledger.answered())
    assert len(ledger.groups()) == 3, "everything is known"
    assert first is not None
    for undone in range(1, number + 1):
        ledger.add(Undo(undone, "ada", NOW, number + undone))
    again = set[tuple[str, str]]()
    number *= 2
    while (found := proposer.next(ledger, ledger.answered())) is not None:
        number += 1
        again.add((found.a, found.b))
        ledger.add(answer(found, 3, number, "ada"))
    assert len(ledger.groups()) == 3
    assert len(again) >= 12 - 3


def test_many_small_groups_are_asked_likeliest_first_and_few_large_ones_placed() -> None:
    for groups, each, expected in ((80, 3, "likely-first"), (4, 60, "cover-place-spread")):
        pool, ledger = pool_of_groups(groups, each, noise=0.05), Ledger()
        proposer, said = CoverPlace(pool, 0), list[str]()
        for number in range(150):
            found = proposer.next(ledger, ledger.answered())
            assert found is not None
            said.append(found.strategy)
            ledger.add(answer(found, groups, number + 1, "ada"))
        assert choose_strategy(proposer.belief).strategy == expected
        assert said[130:].count(expected) > 10
        assert expected == "cover-place-spread" or said[:50].count(expected) == 0


def test_the_choice_stays_when_all_answers_are_read_anew() -> None:
    pool, ledger = pool_of_groups(80, 3, noise=0.05), Ledger()
    proposer = CoverPlace(pool, 0)
    for number in range(300):
        found = proposer.next(ledger, ledger.answered())
        assert found is not None
        ledger.add(answer(found, 80, number + 1, "ada"))
    again = Belief(pool)
    again.follow(ledger)
    assert again.asked.undiscovered < 0.3  # most groups are met by now
    assert choose_strategy(again) == choose_strategy(proposer.belief)


def test_the_pairs_of_the_neighbour_graph_come_once_the_most_similar_first() -> None:
    pool = pool_of_groups(3, 5)
    edges = Edges(pool)
    pairs = [tuple(pair) for _, block in edges.blocks() for pair in block.tolist()]
    assert pool.neighbours is not None
    expected = {
        (min(row, other), max(row, other))
        for row, others in enumerate(pool.neighbours.tolist())
        for other in others
    }
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected
    near = [float(pool.vectors[one] @ pool.vectors[two]) for one, two in pairs]
    assert near == pytest.approx(sorted(near, reverse=True))
    for row in range(15):
        assert {pairs[place] for place in edges.of(row).tolist()} == {
            pair for pair in pairs if row in pair
        }
    assert [at for at, _ in edges.blocks(7)] == [7]


def believed(pool: Pool, groups: int, count: int, wrong: float) -> Belief:
    rng, ledger, asked = np.random.default_rng(4), Ledger(), set[tuple[str, str]]()
    while len(asked) < count:
        one, two = rng.choice(len(pool.ids), 2, replace=False).tolist()
        pair = pair_of(pool.ids[one], pool.ids[two])
        if pair not in asked and (one % groups == two % groups or rng.random() < 0.3):
            asked.add(pair)
            proposal = pool.proposal(one, two, "random", "")
            flipped = bool(rng.random() < wrong)
            ledger.add(answer(proposal, groups, len(asked), "ada", flipped))
    belief = Belief(pool)
    belief.follow(ledger)
    return belief


def test_audits_are_open_pairs_and_more_frequent_once_answers_disagree() -> None:
    pool = pool_of_groups(4, 20, noise=0.2)
    calm, torn = believed(pool, 4, 200, 0.0), believed(pool, 4, 200, 0.1)
    assert audit_share(Belief(pool)) == 0
    assert audit_share(calm) == FEW
    assert audit_share(torn) == MANY
    taken, reasons = set(torn.answers), set[str]()
    for draw in range(40):
        found = next_audit(torn, taken, {"007"}, np.random.default_rng(draw))
        assert found is not None
        assert (found.a, found.b) not in taken
        assert "007" not in (found.a, found.b)
        assert {found.a, found.b} <= set(torn.asked.images)
        reasons.add(found.reason)
        taken.add((found.a, found.b))
    assert len(reasons) > 1


def test_two_halves_of_one_group_are_compared() -> None:
    """Nobody said that two chains of the same kind are one: the audit of twins asks."""
    pool, ledger, number = pool_of_groups(1, 16, noise=0.2), Ledger(), 0
    for start in (0, 8):
        for step in range(7):
            number += 1
            proposal = pool.proposal(start + step, start + step + 1, "random", "")
            ledger.add(answer(proposal, 1, number, "ada"))
    for one, two in ((0, 8), (3, 12)):
        number += 1
        ledger.add(answer(pool.proposal(one, two, "random", ""), 1, number, "ada", wrong=one == 0))
    belief = Belief(pool)
    belief.follow(ledger)
    assert belief.asked.partition.groups == 2
    found = [
        next_audit(belief, set(belief.answers), (), np.random.default_rng(draw))
        for draw in range(20)
    ]
    sides = [(int(each.a) < 8) != (int(each.b) < 8) for each in found if each is not None]
    assert any(sides)


def test_of_many_groups_the_one_that_one_answer_joined_is_looked_at() -> None:
    """Twelve groups of six, each joined by many answers; two of them are one by a single answer."""
    pool, ledger, number = pool_of_groups(12, 6, noise=0.1), Ledger(), 0
    for group in range(12):
        members = range(group, 72, 12)
        for one in members:
            for two in members:
                if one < two:
                    number += 1
                    ledger.add(answer(pool.proposal(one, two, "random", ""), 12, number, "ada"))
    number += 1
    ledger.add(answer(pool.proposal(0, 1, "random", ""), 12, number, "ada", wrong=True))
    belief = Belief(pool, fixed_rates(0.2, 0.01))
    belief.follow(ledger)
    assert belief.asked.partition.groups < 12, "the wrong answer has joined two groups"
    across = 0
    for draw in range(30):
        found = next_audit(belief, set(belief.answers), (), np.random.default_rng(draw))
        if found is not None and found.reason.startswith("Two parts"):
            across += {int(found.a) % 12, int(found.b) % 12} == {0, 1}
    assert across >= 8


def test_once_people_err_and_few_likely_pairs_are_similar_more_questions_check() -> None:
    pool, ledger = pool_of_groups(40, 5, noise=0.15), Ledger()
    proposer, rng, asked = LikelyFirst(pool, 0), np.random.default_rng(3), list[str]()
    for number in range(600):
        found = proposer.next(ledger, ledger.answered())
        assert found is not None
        missed = int(found.a) % 40 == int(found.b) % 40 and bool(rng.random() < 0.2)
        ledger.add(answer(found, 40, number + 1, "ada", wrong=missed))
        asked.append(found.strategy)
    assert proposer.belief.noisy
    assert asked[30:150].count(AUDIT) < 0.35 * 120
    assert asked[300:400].count(AUDIT) > 0.4 * 100
