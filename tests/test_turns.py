"""Pairs that measure or check, between screens of many pairs."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.answers.placing import CoverPlace
from likewise.answers.pool import Pool
from likewise.answers.questions import Questions, Reply
from likewise.answers.reserved import CALIBRATION, SHARE, reserved, trainable
from likewise.answers.screens import Kind, Screen
from likewise.answers.standing import Verdict
from likewise.answers.store import AnswerStore
from likewise.answers.turns import calibration_chance, turn_at

COUNT, CLASSES = 800, 12
IDS = [f"{row:05}" for row in range(COUNT)]


@pytest.fixture
def store(tmp_path) -> Iterator[AnswerStore]:  # type: ignore[no-untyped-def]
    with AnswerStore(f"sqlite:///{tmp_path / 'labels.db'}") as opened:
        yield opened


def pool() -> Pool:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, 16))
    vectors = centres[np.arange(COUNT) % CLASSES] + 0.8 * rng.normal(size=(COUNT, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Pool(IDS, vectors, np.arange(COUNT), {each: int(each) for each in IDS})


def verdict(one: str, other: str) -> Verdict:
    return "similar" if int(one) % CLASSES == int(other) % CLASSES else "dissimilar"


def reply(screen: Screen, only_similar: bool) -> Reply:
    said = {each: verdict(screen.anchor, each) for each in screen.candidates}
    if only_similar and screen.kind == "grid":
        said = {image: each for image, each in said.items() if each == "similar"}
    return Reply(screen.token, said, 2.0)


def work(store: AnswerStore, kind: Kind, screens: int, only_similar: bool = False) -> CoverPlace:
    """Two people answer in turn; nothing is asked that is known."""
    asker = CoverPlace(pool(), 0)
    questions = Questions(store, asker, set(IDS), "f1", 0.0, 0.0)
    for number in range(screens):
        person = ("ada", "bob")[number % 2]
        shown = questions.hand(person, kind)[0]
        with questions.ledger() as ledger:
            for pair in shown.pairs:
                assert pair not in ledger.answered()
                if shown.strategy == CALIBRATION:
                    assert shown.kind == "pair"
                    assert shown.reason
        assert questions.answer(person, reply(shown, only_similar)) == "stored"
    return asker


@given(st.floats(1, 30), st.integers(0, 20))
def test_the_chance_of_a_calibration_pair_keeps_its_share_of_the_answers(
    worth: float, seed: int
) -> None:
    drawn = np.random.default_rng(seed).random(4000)
    count = Counter(turn_at(float(each), 0.2, worth) for each in drawn)
    others = count["audit"] + worth * count["ordinary"]
    share = count["calibration"] / (count["calibration"] + worth * (4000 - count["calibration"]))
    assert share == pytest.approx(SHARE, abs=0.02)
    assert others > 0
    checks = count["audit"] / (4000 - count["calibration"])
    assert checks == pytest.approx(0.2 / 0.9, abs=0.06), "audits are a share of the other screens"


def test_among_pairs_the_shares_are_what_they_say() -> None:
    assert calibration_chance(1.0) == pytest.approx(SHARE)
    turns = [turn_at(each, 0.05) for each in (0.0, 0.0999, 0.1001, 0.1499, 0.1501, 0.9999)]
    expected = ["calibration"] * 2 + ["audit"] * 2 + ["ordinary"] * 2
    assert turns == expected


@pytest.mark.parametrize(
    ("kind", "screens", "only_similar"),
    [
        pytest.param("grid", 120, True, marks=pytest.mark.long),
        ("strip", 60, False),
        pytest.param("grid", 120, False, marks=pytest.mark.long),
        pytest.param("group", 120, False, marks=pytest.mark.long),
        pytest.param("strip", 300, False, marks=pytest.mark.long),
    ],
)
def test_a_tenth_of_the_answers_is_for_calibration_whatever_the_way_to_ask(
    store: AnswerStore, kind: Kind, screens: int, only_similar: bool
) -> None:
    asker = work(store, kind, screens, only_similar)
    answers = store.current()
    kept = {each.pair for each in reserved(answers)}
    assert len(kept) > screens / 30
    noise = 2.5 * np.sqrt(SHARE * (1 - SHARE) * screens) / screens + 0.02
    assert len(kept) / len(answers) == pytest.approx(SHARE, abs=noise)
    assert {each.annotator for each in reserved(answers)} == {"ada", "bob"}
    assert not kept & {each.pair for each in trainable(answers)}
    assert asker.belief.answers, "it has followed the answers"
    assert not kept & asker.belief.answers.keys()


def test_a_pair_between_strips_stays_in_the_hand_and_comes_back_after_an_undo(
    store: AnswerStore,
) -> None:
    questions = Questions(store, CoverPlace(pool(), 0), set(IDS), "f1", 0.0, 0.0)
    for _ in range(60):
        hand = questions.hand("ada", "grid")
        assert questions.hand("ada", "grid") == hand
        if hand[0].strategy == CALIBRATION:
            break
        questions.answer("ada", reply(hand[0], False))
    first = hand[0]
    assert first.kind == "pair"
    assert questions.answer("ada", reply(first, False)) == "stored"
    assert questions.undo("ada") == "undone"
    again = questions.hand("ada", "grid")[0]
    assert (again.kind, again.strategy, again.pairs) == ("pair", CALIBRATION, first.pairs)
