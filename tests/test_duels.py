"""Duels: fair, no question twice, decided by evidence, and never won where nothing helps."""

import math
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.audits import AUDIT
from likewise.answers.duels import (
    DECIDED,
    LEARNT,
    OPEN,
    SURE,
    UNTOUCHED,
    Score,
    duels_in,
    score_of,
)
from likewise.answers.ledger import Ledger
from likewise.answers.likely import LikelyFirst
from likewise.answers.pool import Pool, Proposal
from likewise.answers.rivals import FILE, Rivals, save_rivals, watched_rivals
from likewise.answers.standing import Answer, Verdict, pair_of

IMAGES = 200


def pool_of(seed: int = 0) -> Pool:
    vectors = np.random.default_rng(seed).normal(size=(IMAGES, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{row:03}" for row in range(IMAGES)]
    return Pool(ids, vectors, np.arange(IMAGES), {each: row for row, each in enumerate(ids)})


def rivals_of(pool: Pool, seed: int = 0) -> Rivals:
    """The nearest of each image, against any other one."""
    rng = np.random.default_rng(seed)
    nearest = np.array([next(pool.nearest(row)) for row in range(IMAGES)])
    other = (np.arange(IMAGES) + rng.integers(1, IMAGES, IMAGES)) % IMAGES
    differ = nearest != other
    rows = np.flatnonzero(differ)
    return Rivals(rows, nearest[differ], other[differ], rng.random(len(rows)))


def answer(a: str, b: str, verdict: Verdict, strategy: str, number: int = 1) -> Answer:
    one, two = pair_of(a, b)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return Answer(one, two, verdict, "anna", when, strategy, 0.5, "f", number)


def asked(
    pool: Pool, rivals: Rivals | None, groups: np.ndarray, count: int, seed: int = 0
) -> list[tuple[Proposal, Verdict]]:
    """What likely-first asks, and the answers by the groups."""
    proposer = LikelyFirst(pool, seed, rivals=lambda: rivals)
    ledger, found = Ledger(), list[tuple[Proposal, Verdict]]()
    for number in range(1, count + 1):
        proposal = proposer.next(ledger, ledger.answered())
        if proposal is None:
            break
        known = ledger.links.relation(proposal.a, proposal.b)
        assert known is None or proposal.strategy == AUDIT
        same = groups[pool.positions[proposal.a]] == groups[pool.positions[proposal.b]]
        verdict: Verdict = "similar" if same else "dissimilar"
        ledger.add(answer(proposal.a, proposal.b, verdict, proposal.strategy, number))
        found.append((proposal, verdict))
    return found


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_chance_is_that_of_winning_more_often_than_losing(won: int, lost: int) -> None:
    """By whole numbers: the chance that of so many fair coins at most ``won`` show heads."""
    coins = won + lost + 1
    exact = Fraction(sum(math.comb(coins, heads) for heads in range(won + 1)), 2**coins)
    assert Score(won, lost, 3).chance == pytest.approx(float(exact), rel=1e-9)


def passes(rate: float, duels: int) -> tuple[float, float]:
    """How often a head that wins at this rate passes after so many duels, and at any of them."""
    heads = np.cumsum(np.random.default_rng(0).random((2000, duels)) < rate, axis=1)
    decided = np.array([[Score(w, n - w, 0).decided for w in range(duels + 1)]
                        for n in range(1, duels + 1)])  # fmt: skip
    passed = decided[np.arange(duels), heads]
    return float(passed[:, -1].mean()), float(passed.any(axis=1).mean())


def test_heads_that_harm_are_found_out_and_those_that_help_pass() -> None:
    assert passes(0.3, 60)[0] == 0
    assert 0 < passes(0.3, 60)[1] < 0.02
    assert passes(0.4, 60)[1] < 0.08
    assert passes(0.5, 60)[0] == pytest.approx(1 - SURE, abs=0.02)
    assert passes(0.7, 30)[0] > 0.7
    assert passes(0.9, 10)[0] > 0.9


def test_a_duel_is_won_lost_or_drawn() -> None:
    answers = [
        answer("a", "x", "similar", LEARNT), answer("a", "y", "dissimilar", UNTOUCHED),
        answer("b", "u", "dissimilar", LEARNT), answer("v", "b", "similar", UNTOUCHED),
        answer("c", "p", "similar", LEARNT), answer("c", "q", "similar", UNTOUCHED),
        answer("d", "r", "similar", LEARNT), answer("d", "s", "unsure", UNTOUCHED),
        answer("e", "t", "similar", LEARNT),
        answer("f", "w", "similar", "likely-first"), answer("f", "z", "dissimilar", UNTOUCHED),
        answer("a", "x", "dissimilar", LEARNT),
    ]  # fmt: skip
    assert score_of(answers) == Score(1, 1, 1)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_both_questions_of_a_duel_are_asked_whatever_comes_of_the_first(seed: int) -> None:
    pool = pool_of()
    found = asked(pool, rivals_of(pool, seed), np.arange(IMAGES) // 4, 60, seed)
    duels = [each for each, _ in found if each.strategy in (UNTOUCHED, LEARNT)]
    assert duels
    pairs = list(zip(duels[::2], duels[1::2], strict=False))
    for one, two in pairs:
        assert {one.strategy, two.strategy} == {UNTOUCHED, LEARNT}
        assert len({one.a, one.b} & {two.a, two.b}) == 1
    images = [image for one, two in pairs for image in {one.a, one.b, two.a, two.b}]
    assert len(images) == len(set(images))


def test_either_question_comes_first_as_often() -> None:
    pool = pool_of()
    first = []
    for seed in range(20):
        found = asked(pool, rivals_of(pool, seed), np.arange(IMAGES) // 4, 40, seed)
        first += [each.strategy for each, _ in found if each.strategy in (UNTOUCHED, LEARNT)][::2]
    assert len(first) > 100
    assert 0.4 < first.count(LEARNT) / len(first) < 0.6


def test_what_speaks_for_and_against_a_head() -> None:
    told = [(won, lost, Score(won, lost, 7)) for won in range(9) for lost in range(9)]
    assert {(won, lost) for won, lost, score in told if score.decided} >= {(4, 0), (7, 1)}
    assert not any(score.decided or score.refuted for won, lost, score in told if won == lost)
    assert {(won, lost) for won, lost, score in told if score.refuted} >= {(0, 2), (1, 3)}
    assert not any(score.refuted for won, lost, score in told if lost <= won + 1)


def test_duels_count_from_the_first_likely_pair() -> None:
    placed = answer("a", "b", "similar", "cover-place-spread")
    assert duels_in([placed]) is None
    assert duels_in([placed, answer("c", "d", "similar", "likely-first")]) == Score(0, 0, 0)
    fought = [answer("a", "x", "similar", LEARNT), answer("a", "y", "dissimilar", UNTOUCHED)]
    assert duels_in([placed, *fought]) == Score(1, 0, 0)


def test_there_are_no_duels_without_rivals() -> None:
    pool = pool_of()
    none = np.zeros(0, np.int64)
    for rivals in (None, Rivals(none, none, none, np.zeros(0))):
        found = asked(pool, rivals, np.arange(IMAGES) // 4, 60)
        assert not {UNTOUCHED, LEARNT} & {each.strategy for each, _ in found}


def test_duels_get_rare_once_it_is_decided() -> None:
    pool = pool_of()
    proposer = LikelyFirst(pool, 0, rivals=lambda: rivals_of(pool))
    assert proposer.duels.chance() == OPEN
    ledger = Ledger()
    for row in range(0, 60, 3):
        a, b, c = pool.ids[row : row + 3]
        ledger.add(answer(a, b, "similar", LEARNT, 2 * row + 1))
        ledger.add(answer(a, c, "dissimilar", UNTOUCHED, 2 * row + 2))
    proposer.duels.follow(ledger)
    assert proposer.duels.score == Score(20, 0, 0)
    assert proposer.duels.chance() == DECIDED


def test_a_head_that_knows_nothing_does_not_win() -> None:
    pool = pool_of()
    for seed in range(5):
        groups = np.random.default_rng(seed).permutation(IMAGES) // 4
        found = asked(pool, rivals_of(pool, seed), groups, 150, seed)
        rows = [answer(each.a, each.b, verdict, each.strategy) for each, verdict in found]
        assert not score_of(rows).decided


def test_rivals_are_kept_beside_the_embedding_and_newer_ones_noticed(tmp_path: Path) -> None:
    look = watched_rivals(tmp_path, IMAGES)
    assert look() is None
    saved = rivals_of(pool_of())
    save_rivals(saved, tmp_path)
    found = look()
    assert found is not None
    assert look() is found
    for one, two in zip(vars(saved).values(), vars(found).values(), strict=True):
        np.testing.assert_array_equal(one, two)
    save_rivals(rivals_of(pool_of(), seed=1), tmp_path)
    assert look() is not found


@pytest.mark.parametrize("damage", ["cut", "nonsense", "rows", "object"])
def test_damaged_rivals_are_none(damage: str, tmp_path: Path) -> None:
    save_rivals(rivals_of(pool_of()), tmp_path)
    file = tmp_path / FILE
    match damage:
        case "cut":
            file.write_bytes(file.read_bytes()[:-200])
        case "nonsense":
            file.write_bytes(b"no archive")
        case "rows":
            zero, one, beyond = (np.array([row]) for row in (0, 1, IMAGES))
            save_rivals(Rivals(zero, one, beyond, np.ones(1)), tmp_path)
        case _:
            with file.open("wb") as open_file:
                np.savez(open_file, rows=np.array([{}], dtype=object))
    assert watched_rivals(tmp_path, IMAGES)() is None
