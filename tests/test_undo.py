"""Going back: undo, correction, and one's own past screens."""

from collections.abc import Iterator

import numpy as np
import pytest

from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool
from likewise.answers.questions import Past, Questions, Reply
from likewise.answers.screens import Kind, Screen
from likewise.answers.standing import Verdict
from likewise.answers.store import AnswerStore, NewAnswer

COUNT = 30
IDS = [f"{row:02}" for row in range(COUNT)]


@pytest.fixture
def store(database_url: str) -> Iterator[AnswerStore]:
    with AnswerStore(database_url) as opened:
        yield opened


@pytest.fixture
def asker(store: AnswerStore) -> Questions:
    return questions(store)


def questions(store: AnswerStore) -> Questions:
    vectors = np.random.default_rng(0).normal(size=(COUNT, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pool = Pool(IDS, vectors, np.arange(COUNT), {each: int(each) for each in IDS})
    return Questions(store, CoverPlace(pool, 0), set(IDS), "f1", second_share=0.0)


def first(asker: Questions, annotator: str = "ada", kind: Kind = "pair") -> Screen:
    return asker.hand(annotator, kind)[0]


def give(
    asker: Questions, verdict: Verdict = "similar", annotator: str = "ada", kind: Kind = "pair"
) -> Screen:
    """Answer all of the first screen in hand."""
    screen = first(asker, annotator, kind)
    reply = Reply(screen.token, dict.fromkeys(screen.candidates, verdict), 2.0)
    assert asker.answer(annotator, reply) == "stored"
    return screen


def test_undo_goes_back_screen_by_screen_without_end(store: AnswerStore, asker: Questions) -> None:
    verdicts: list[Verdict] = ["similar", "dissimilar", "unsure", "similar", "dissimilar"]
    given = [give(asker, verdict) for verdict in verdicts]
    for screen, verdict in zip(reversed(given), reversed(verdicts), strict=True):
        again = questions(store)  # after a restart
        assert again.undo("ada") == "undone"
        shown = first(again)
        assert (shown.pairs, shown.scores) == (screen.pairs, screen.scores)
        assert shown.strategy == screen.strategy
        assert shown.token != screen.token
        assert shown.reason == f"You took back your answer, {verdict}"
        assert first(asker) == shown
    assert asker.undo("ada") == "nothing"
    assert store.current() == []
    assert len(store.history()) == 10
    hand = asker.hand("ada", "pair", count=5)
    assert [each.pairs for each in hand] == [each.pairs for each in given]
    assert give(asker, "dissimilar").pairs == given[0].pairs
    assert asker.undo("bob") == "nothing"


def test_undo_of_a_named_screen_takes_back_that_one_only(
    store: AnswerStore, asker: Questions
) -> None:
    one, two = give(asker), give(asker)
    other = give(asker, annotator="bob")
    for _ in range(3):
        assert asker.undo("ada", one.token) == "undone"
    assert {each.pair for each in store.current()} == {*two.pairs, *other.pairs}
    assert len(store.history()) == 4
    assert asker.undo("ada", other.token) == "stale"
    assert asker.undo("ada", first(asker).token) == "stale", "not answered yet"
    assert asker.undo("ada", "no such token") == "stale"
    assert [each.screen for each in asker.past("ada")] == [two.token]


@pytest.mark.parametrize("kind", ["grid", "group"])
def test_undo_brings_back_a_whole_screen(store: AnswerStore, asker: Questions, kind: Kind) -> None:
    give(asker, "similar")
    while (screen := first(asker, kind=kind)).kind == "pair":  # one that measures
        give(asker, "dissimilar", kind=kind)
    before = len(store.current())
    some: dict[str, Verdict] = dict.fromkeys(screen.candidates[:2], "similar")
    reply = Reply(screen.token, some, 2.0, screen.candidates[1:3])
    assert asker.answer("ada", reply) == "stored"
    assert len(store.current()) == before + 3
    assert asker.undo("ada") == "undone"
    assert len(store.current()) == before
    back = first(asker, kind=kind)
    assert back.reason == "You took back these answers"
    for name in ("kind", "anchor", "candidates", "scores", "context", "strategy"):
        assert getattr(back, name) == getattr(screen, name)
    assert give(asker, "dissimilar", kind=kind) == back
    assert len(store.current()) == before + len(screen.candidates)


def test_undo_leaves_out_what_others_have_meanwhile(store: AnswerStore, asker: Questions) -> None:
    screen = first(asker, kind="grid")
    half = len(screen.candidates) // 2
    some: dict[str, Verdict] = dict.fromkeys(screen.candidates[:half], "unsure")
    assert asker.answer("ada", Reply(screen.token, some, 2.0)) == "stored"
    asker.let_go("ada")
    for pair in (screen.pairs[0], screen.pairs[-1]):
        store.add([NewAnswer(*pair, "unsure", "bob")])
    assert asker.undo("ada") == "undone"
    back = first(asker, kind="grid")
    assert back.candidates == screen.candidates[:-1], "bob answered the last, ada left it open"


def test_a_pair_on_somebody_elses_screen_is_not_put_back(
    store: AnswerStore, asker: Questions
) -> None:
    mine = give(asker)
    number = store.current()[0].number
    store.retract([number], "bob")
    for other in range(COUNT):
        if mine.pairs[0] in [
            pair for each in asker.hand(f"{other}", "pair") for pair in each.pairs
        ]:
            break
    else:
        raise AssertionError("the pair was never asked again")
    assert asker.undo("ada", mine.token) == "undone", "it is taken back already"
    assert asker.undo("ada") == "nothing"
    assert mine.pairs[0] not in [pair for each in asker.hand("ada", "pair") for pair in each.pairs]


def test_answers_from_a_file_can_be_undone(store: AnswerStore, asker: Questions) -> None:
    store.add([NewAnswer("00", "01", "similar", "ada", "import", token="row")])
    (past,) = asker.past("ada")
    assert (past.screen, past.kind, past.anchor) == ("row", "pair", "00")
    assert asker.undo("ada") == "undone"
    assert first(asker).pairs == (("00", "01"),)
    assert first(asker).scores == (None,)


def test_a_correction_is_a_later_row_of_the_same_screen(
    store: AnswerStore, asker: Questions
) -> None:
    one, two = give(asker), give(asker)
    a, b = one.pairs[0]
    for _ in range(3):
        assert asker.correct("ada", b, a, "dissimilar", "correction-1") == "stored"
    assert len(store.history()) == 3
    assert {each.pair: each.verdict for each in store.current()} == {
        one.pairs[0]: "dissimilar", two.pairs[0]: "similar"
    }  # fmt: skip
    assert asker.correct("ada", a, b, "dissimilar", "correction-2") == "stored"
    assert len(store.history()) == 3, "it says so already"
    assert asker.correct("bob", a, b, "unsure", "correction-3") == "stale"
    assert asker.correct("ada", a, "29", "unsure", "correction-4") == "stale"
    newest, oldest = asker.past("ada")
    assert (newest.screen, oldest.screen) == (two.token, one.token), "it keeps its place"
    assert [each.verdict for each in oldest.answers] == ["dissimilar"]
    assert (store.current()[-1].strategy, store.current()[-1].score) == (
        one.strategy, one.scores[0]
    )  # fmt: skip
    assert asker.undo("ada", one.token) == "undone"
    assert {each.pair for each in store.current()} == {*two.pairs}
    assert first(asker).pairs == one.pairs


def test_the_past_goes_back_page_by_page(store: AnswerStore, asker: Questions) -> None:
    given = []
    for turn in range(9):
        give(asker, annotator="bob")
        kind: Kind = "grid" if turn == 4 else "pair"
        given.append((give(asker, "unsure", kind=kind), kind))
    asker.undo("ada", given[2][0].token)
    store.add([NewAnswer("00", "29", "similar", "ada", "adjudication")])
    expected = [each for place, each in enumerate(given) if place != 2][::-1]
    pages: list[Past] = []
    while page := asker.past("ada", before=pages[-1].number if pages else None, count=3):
        assert len(page) <= 3
        pages += page
    assert [(each.screen, each.kind) for each in pages] == [
        (screen.token, kind) for screen, kind in expected
    ]
    for past, (screen, _) in zip(pages, expected, strict=True):
        assert tuple(each.pair for each in past.answers) == screen.pairs
        assert past.anchor == screen.anchor
        assert past.number == past.answers[0].number
        assert {each.annotator for each in past.answers} == {"ada"}
