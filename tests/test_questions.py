from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from likewise.answers.annotators import annotator_name, pace
from likewise.answers.leases import Question
from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool
from likewise.answers.proposals import RandomPairs
from likewise.answers.questions import LEASE, SHORTEST_VIEW, Questions
from likewise.answers.store import AnswerStore, NewAnswer

COUNT = 40
IDS = [f"{row:02}" for row in range(COUNT)]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnswerStore]:
    with AnswerStore(f"sqlite:///{tmp_path / 'labels.db'}") as opened:
        yield opened


def pool(count: int = COUNT) -> Pool:
    vectors = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Pool(IDS[:count], vectors, np.arange(count), {each: int(each) for each in IDS[:count]})


def questions(store: AnswerStore, clock: Clock, count: int = COUNT) -> Questions:
    return Questions(store, CoverPlace(pool(count), 0), set(IDS[:count]), "f1", clock)


def ask(asker: Questions, annotator: str = "ada") -> Question:
    question = asker.ask(annotator)
    assert question is not None
    return question


def test_a_question_stays_until_it_is_answered(store: AnswerStore, clock: Clock) -> None:
    first = ask(questions(store, clock))
    clock.wait(2)
    again = questions(store, clock)  # a restart
    assert ask(again).token == first.token
    assert again.answer(first.token, "similar", "ada") == "stored"
    (stored,) = store.current()
    assert stored.pair == first.pair
    assert (stored.strategy, stored.fingerprint) == ("cover-place", "f1")
    assert stored.score == first.score
    assert stored.time == clock.now
    assert ask(again).pair != first.pair


def test_a_second_answer_to_the_same_question_stores_nothing(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock)
    question = ask(asker)
    clock.wait(2)
    assert asker.answer(question.token, "similar", "bob") == "stale"
    assert asker.answer("no such token", "similar", "ada") == "stale"
    assert asker.answer(question.token, "similar", "ada") == "stored"
    ask(asker)
    clock.wait(2)
    assert asker.answer(question.token, "dissimilar", "ada") == "stale"
    assert len(store.history()) == 1


def test_a_held_key_answers_once(store: AnswerStore, clock: Clock) -> None:
    """Thirty presses a second for three seconds, all after the first one refused."""
    asker = questions(store, clock)
    ask(asker)
    clock.wait(1)
    outcomes = []
    for _ in range(90):
        outcomes.append(asker.answer(ask(asker).token, "similar", "ada"))
        clock.wait(1 / 30)
    assert outcomes == ["stored"] + ["too soon"] * 89
    clock.wait(SHORTEST_VIEW.total_seconds())
    assert asker.answer(ask(asker).token, "similar", "ada") == "stored"


def test_nobody_gets_a_pair_that_is_on_another_screen(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock, count=3)
    pairs = {person: ask(asker, person).pair for person in ("ada", "bob", "cleo")}
    assert len(set(pairs.values())) == 3
    assert asker.ask("dan") is None
    clock.wait(LEASE.total_seconds() / 4)
    ask(asker, "ada")
    clock.wait(LEASE.total_seconds() * 0.8)
    ask(asker, "ada")  # looking at the page keeps the pair
    clock.wait(LEASE.total_seconds() * 0.5)
    assert ask(asker, "dan").pair in {pairs["bob"], pairs["cleo"]}
    assert ask(asker, "ada").pair == pairs["ada"]


def test_an_answer_after_a_long_pause_counts_unless_somebody_else_was_asked(
    store: AnswerStore, clock: Clock
) -> None:
    asker = questions(store, clock)
    mine = ask(asker)
    clock.wait(LEASE.total_seconds() * 3)
    assert asker.answer(mine.token, "unsure", "ada") == "stored"
    mine = ask(asker)
    clock.wait(LEASE.total_seconds() * 3)
    ask(asker, "bob")
    assert asker.answer(mine.token, "unsure", "ada") == "stale"


def test_undo_shows_the_pair_again_as_often_as_one_likes(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock)
    asked = []
    for verdict in ("similar", "dissimilar", "unsure", "similar"):
        asked.append(ask(asker).pair)
        clock.wait(1)
        assert asker.answer(ask(asker).token, verdict, "ada") == "stored"
    for pair in reversed(asked):
        token = ask(asker).token
        assert asker.undo("ada", token) in ("too soon", "undone")
        clock.wait(1)
        if ask(asker).token == token:
            assert asker.undo("ada", token) == "undone"
        assert asker.undo("ada", token) == "stale", "a double click undoes once"
        assert ask(asker).pair == pair
        assert ask(questions(store, clock)).pair == pair
        clock.wait(1)
    assert store.current() == []
    assert len(store.history()) == 8
    assert asker.undo("ada", ask(asker).token) == "nothing"
    assert asker.answer(ask(asker).token, "dissimilar", "ada") == "stored"
    assert store.current()[0].pair == asked[0]


def test_undo_when_nothing_is_left_to_ask(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock, count=2)
    first = ask(asker)
    clock.wait(1)
    assert asker.answer(first.token, "similar", "ada") == "stored"
    assert asker.ask("ada") is None
    assert asker.undo("ada", None) == "undone"
    assert asker.undo("ada", None) == "stale"
    assert ask(asker).pair == first.pair


def test_answers_from_elsewhere_are_noticed(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock, count=3)
    waiting = ask(asker)
    store.add([NewAnswer(*waiting.pair, "similar", "ada", time=clock.now + timedelta(seconds=1))])
    assert ask(asker).pair != waiting.pair, "ada answered it in a file meanwhile"
    third = ({*IDS[:3]} - {*waiting.pair}).pop()
    store.add([NewAnswer(waiting.a, third, "dissimilar", "bob")])
    clock.wait(LEASE.total_seconds() * 2)
    assert asker.ask("cleo") is None, "the third pair is implied"
    store.undo("bob")
    assert asker.ask("cleo") is not None


def test_a_question_about_a_vanished_image_is_replaced(store: AnswerStore, clock: Clock) -> None:
    store.add([])
    everything = questions(store, clock)
    shown = ask(everything)
    rest = [each for each in IDS if each not in shown.pair]
    fewer = Questions(store, RandomPairs(_without(shown.pair), 0), set(rest), "f2", clock)
    assert not {*ask(fewer).pair} & {*shown.pair}


def _without(gone: tuple[str, str]) -> Pool:
    whole = pool()
    positions = {each: row for each, row in whole.positions.items() if each not in gone}
    return Pool(whole.ids, whole.vectors, np.fromiter(positions.values(), np.int64), positions)


def test_progress_counts_what_stands(store: AnswerStore, clock: Clock) -> None:
    asker = questions(store, clock)
    store.add([NewAnswer("00", "01", "similar", "bob", time=clock.now - timedelta(days=2))])
    for verdict in ("similar", "dissimilar", "unsure", "unsure", "unsure"):
        question = ask(asker)
        clock.wait(5)
        assert asker.answer(question.token, verdict, "ada") == "stored"
    asker.ask("ada")
    clock.wait(1)
    assert asker.undo("ada", ask(asker).token) == "undone"
    progress = asker.progress("ada")
    assert (progress.today, progress.total) == (4, 5)
    assert (progress.similar, progress.dissimilar, progress.unsure) == (2, 1, 2)
    assert progress.groups in (1, 2)
    assert progress.per_minute == pytest.approx(12)
    assert asker.progress("bob").today == 0


def test_many_annotators_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two servers, three people on each: every answer is stored once, no pair asked twice."""
    url = f"sqlite:///{tmp_path / 'labels.db'}"
    stored: list[tuple[str, str]] = []

    def work(asker: Questions, clock: Clock, person: str) -> None:
        for _ in range(20):
            question = asker.ask(person)
            assert question is not None
            clock.wait(1)
            if asker.answer(question.token, "unsure", person) == "stored":
                stored.append(question.pair)

    with AnswerStore(url) as one, AnswerStore(url) as two:
        clock = Clock()
        askers = [questions(one, clock), questions(two, clock)]
        threads = [
            Thread(target=work, args=(asker, clock, f"{place}-{person}"))
            for place, asker in enumerate(askers)
            for person in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pairs = [each.pair for each in one.current()]
    assert len(stored) == 120
    assert len(set(pairs)) == 120
    assert sorted(pairs) == sorted(stored)


def test_pace_is_the_median_gap_without_pauses() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=each) for each in (0, 4, 8, 500, 504, 510)]
    assert pace(times, times[-1]) == pytest.approx(15)
    assert pace(times[:3], times[2]) is None
    assert pace(times, times[-1] + timedelta(minutes=11)) is None
    assert pace([], start) is None


@pytest.mark.parametrize(
    ("typed", "name"),
    [("  Ada \n Lovelace ", "Ada Lovelace"), ("", "me"), ("\x00\u200b", "me"), ("Å" * 99, "Å" * 60),
     ("bad\udc80name", "bad name")],
)  # fmt: skip
def test_names_are_fit_to_be_stored(typed: str, name: str) -> None:
    assert annotator_name(typed, "me") == name
