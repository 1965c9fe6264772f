"""Pairs that are read again unawares: by a second person, or because their truth is known."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from likewise.answers.hands import came_too_late
from likewise.answers.ledger import Ledger
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool
from likewise.answers.questions import Questions, Reply
from likewise.answers.readings import chance
from likewise.answers.screens import Screen
from likewise.answers.standing import Answer, Pair, Verdict
from likewise.answers.store import AnswerStore, NewAnswer

COUNT = 30
IDS = [f"{row:02}" for row in range(COUNT)]
CHECKS = {"second reading", "gold check"}


@pytest.fixture
def store(database_url: str) -> Iterator[AnswerStore]:
    with AnswerStore(database_url) as opened:
        yield opened


def pool() -> Pool:
    vectors = np.random.default_rng(0).normal(size=(COUNT, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Pool(IDS, vectors, np.arange(COUNT), {each: int(each) for each in IDS})


def questions(store: AnswerStore, second: float, gold: float = 0.0) -> Questions:
    return Questions(store, CoverPlace(pool(), 0), set(IDS), "f1", second, gold)


def work(
    asker: Questions, person: str, count: int, verdict: Verdict = "dissimilar"
) -> list[Screen]:
    """Answer ``count`` screens, one after the other."""
    given = []
    for _ in range(count):
        screen = asker.hand(person, "pair")[0]
        reply = Reply(screen.token, {screen.candidates[0]: verdict}, 2.0)
        assert asker.answer(person, reply) == "stored"
        given.append(screen)
    return given


def pairs_of(screens: list[Screen]) -> list[Pair]:
    return [each.pairs[0] for each in screens]


def test_alone_nobody_reads_twice(store: AnswerStore) -> None:
    given = work(questions(store, second=1.0, gold=1.0), "ada", 30)
    assert len({*pairs_of(given)}) == 30
    assert not {each.strategy for each in given} & CHECKS


def test_the_chosen_share_is_read_by_one_other_person(store: AnswerStore) -> None:
    asker = questions(store, second=0.3)
    adas = pairs_of(work(asker, "ada", 20))
    chosen = {pair for pair in adas if chance(pair) < 0.3}
    assert 2 < len(chosen) < 10
    bobs = work(asker, "bob", 3 * len(chosen) + 2)
    again = [each for each in bobs if each.strategy == "second reading"]
    assert sorted(pairs_of(again)) == sorted(chosen)
    fresh = [each for each in bobs if each.strategy != "second reading"]
    assert not {*pairs_of(fresh)} & {*adas}
    stored = {each.pair for each in store.current() if each.strategy == "second reading"}
    assert stored == chosen
    assert {each.annotator for each in store.current() if each.pair in chosen} == {"ada", "bob"}
    adas_second = [each for each in work(asker, "ada", 12) if each.strategy == "second reading"]
    assert adas_second
    assert {*pairs_of(adas_second)} <= {*pairs_of(fresh)}
    assert not {*pairs_of(work(asker, "cleo", 12))} & chosen, "two have read them"


@pytest.mark.parametrize(("share", "apart"), [(0.5, 3), (1.0, 2)])
def test_a_second_reading_looks_like_any_other(
    store: AnswerStore, share: float, apart: int
) -> None:
    """At most every third screen is one, or every second where all pairs are read twice."""
    asker = questions(store, second=share)
    adas = pairs_of(work(asker, "ada", 7))
    bobs = work(asker, "bob", 24)
    places = [place for place, each in enumerate(bobs) if each.strategy == "second reading"]
    assert len(places) == sum(chance(pair) < share for pair in adas) > 1
    assert places[0] >= apart - 1
    assert min(np.diff(places)) >= apart
    ordinary = {each.reason for each in bobs if each.strategy != "second reading"}
    for place in places:
        assert bobs[place].reason in ordinary
        row, other = (int(each) for each in bobs[place].pairs[0])
        score = float(pool().vectors[row] @ pool().vectors[other])
        assert bobs[place].scores[0] == pytest.approx(score)
        assert bobs[place].kind == "pair"


def test_a_second_reading_is_asked_when_nothing_else_is_left(store: AnswerStore) -> None:
    pairs = [(one, two) for row, one in enumerate(IDS) for two in IDS[row + 1 :]]
    store.add([NewAnswer(*pair, "dissimilar", "ada", "x") for pair in pairs])
    asker = questions(store, second=0.02)
    chosen = {pair for pair in pairs if chance(pair) < 0.02}
    assert len(chosen) > 2
    assert {*pairs_of(work(asker, "bob", len(chosen)))} == chosen
    assert asker.hand("bob", "pair") == []
    assert questions(store, second=0.0).hand("cleo", "pair") == []


def test_two_people_do_not_get_the_same_second_reading(store: AnswerStore) -> None:
    asker = questions(store, second=1.0)
    work(asker, "ada", 6)
    shown: list[Pair] = []
    for person in ("bob", "cleo", "dan"):
        work(asker, person, 2)
        shown += pairs_of(asker.hand(person, "pair"))
    assert len(shown) == len({*shown})


def test_known_truths_are_asked_now_and_then(store: AnswerStore) -> None:
    gold = [(IDS[row], IDS[row + 1]) for row in range(0, 20, 2)]
    store.add([NewAnswer(*pair, "similar", "import", "gold") for pair in gold])
    asker = questions(store, second=0.0, gold=0.3)
    given = work(asker, "ada", 36)
    checks = [each for each in given if each.strategy == "gold check"]
    assert 3 <= len(checks) <= 10
    assert len({*pairs_of(checks)}) == len(checks)
    assert {*pairs_of(checks)} <= {*gold}
    assert not {*pairs_of([each for each in given if each not in checks])} & {*gold}
    with asker.ledger() as ledger:
        for pair in pairs_of(checks):
            assert ledger.verdict(pair) == "similar", "ada's answer is no truth"
    assert not {each.strategy for each in work(questions(store, 0.0), "bob", 20)} & CHECKS


@pytest.mark.parametrize(
    ("strategy", "readers", "late"),
    [
        ("random", [], False), ("random", ["ada"], True),
        ("second reading", ["ada"], False), ("second reading", ["ada", "bob"], True),
        ("second reading", ["cleo"], True),
        ("gold check", ["ada", "bob"], False), ("gold check", ["cleo"], True),
    ],
)  # fmt: skip
def test_a_pair_that_was_answered_while_it_was_reserved(
    strategy: str, readers: list[str], late: bool
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ledger = Ledger(
        Answer("a", "b", "unsure", name, now, "random", None, "f", number)
        for number, name in enumerate(readers, 1)
    )
    screen = Screen("pair", "cleo", "b", ("a",), (None,), strategy, "", "f", now)
    assert came_too_late(screen, ledger) == late
