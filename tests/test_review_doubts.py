"""The Review page's tab of answers that are probably wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.answers.belief import Belief
from likewise.answers.pool import Pool
from likewise.answers.questions import Questions
from likewise.answers.standing import Verdict, pair_of
from likewise.answers.store import AnswerStore, NewAnswer
from likewise_labeler.review_deeds import Reviewer
from likewise_labeler.review_doubts import (
    Doubtful,
    certainty,
    confirm,
    doubtful,
    item_of,
    put_right,
)
from likewise_labeler.review_history import why

COUNT = 20
IDS = [f"{number:032x}" for number in range(COUNT)]
"""Even ones look alike, and odd ones."""
WRONG = pair_of(IDS[2], IDS[4])
"""Of one group, and answered dissimilar."""


class Nobody:
    """Proposes nothing."""

    pool: Any = None

    def next(self, *_: object) -> None:
        return None

    def exemplars(self) -> list[str]:
        return []


class Table:
    """Answers on two groups, one of them wrong, and what is believed."""

    def __init__(self, file: Path) -> None:
        rng = np.random.default_rng(0)
        vectors = rng.normal(0, 0.2, (COUNT, 8)).astype(np.float32)
        vectors[np.arange(COUNT), np.arange(COUNT) % 2] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        positions = {image: row for row, image in enumerate(IDS)}
        self.belief = Belief(Pool(IDS, vectors, np.arange(COUNT), positions))
        self.store = AnswerStore(f"sqlite:///{file}")
        self.questions = Questions(self.store, Nobody(), set(IDS), "f1")
        for one in range(COUNT):
            for two in range(one + 1, min(one + 5, COUNT)):
                self.say(IDS[one], IDS[two], "dissimilar" if (two - one) % 2 else "similar", "ada")
        self.say(*WRONG, "dissimilar", "ada")

    def say(self, a: str, b: str, verdict: Verdict, who: str) -> None:
        self.store.add([NewAnswer(a, b, verdict, who, strategy="audit", score=0.5)])

    def doubts(self) -> list[Doubtful]:
        with self.questions.ledger() as ledger:
            return doubtful(self.belief, ledger)

    def counts_as(self, a: str, b: str) -> Verdict | None:
        with self.questions.ledger() as ledger:
            return ledger.verdict((a, b))

    def reviewer(self, name: str) -> Reviewer:
        return Reviewer(self.questions, self.store, name)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    table = Table(tmp_path / "labels.db")
    yield table
    table.store.close()


def test_the_wrong_answer_is_doubted_and_only_that(table: Table) -> None:
    (doubt,) = table.doubts()
    assert (doubt.pair, doubt.verdict) == (WRONG, "dissimilar")
    assert 0.5 < doubt.wrong <= 1


def test_ones_own_answer_is_corrected(table: Table) -> None:
    (doubt,) = table.doubts()
    put_right(table.reviewer("ada"), doubt.answers)
    standing = {(each.pair, each.verdict, each.strategy) for each in table.store.current()}
    assert (WRONG, "similar", "audit") in standing
    assert not [each for each in standing if each[0] == WRONG and each[1] == "dissimilar"]
    assert not table.doubts()


def test_the_answer_of_another_is_overruled_and_the_deed_can_be_undone(table: Table) -> None:
    (doubt,) = table.doubts()
    bob = table.reviewer("bob")
    deed = put_right(bob, doubt.answers)
    assert table.counts_as(*WRONG) == "similar"
    assert not table.doubts()
    bob.undo(deed)
    assert table.counts_as(*WRONG) == "dissimilar"
    assert [each.pair for each in table.doubts()] == [WRONG]
    put_right(bob, doubt.answers)
    assert table.counts_as(*WRONG) == "similar"


def test_a_confirmed_answer_is_not_shown_again(table: Table) -> None:
    (doubt,) = table.doubts()
    confirm(table.reviewer("bob"), doubt.answers)
    assert table.counts_as(*WRONG) == "dissimilar"
    assert WRONG not in {each.pair for each in table.doubts()}


def test_what_two_people_said_alike_is_one_row_and_is_settled_for_both(table: Table) -> None:
    table.say(*WRONG, "dissimilar", "bob")
    (doubt,) = (each for each in table.doubts() if each.pair == WRONG)
    assert {each.annotator for each in doubt.answers} == {"ada", "bob"}
    put_right(table.reviewer("ada"), doubt.answers)
    assert table.counts_as(*WRONG) == "similar"


def test_a_row_says_what_who_and_how_sure(table: Table) -> None:
    answer = next(each for each in table.store.current() if each.pair == WRONG)
    item = item_of(Doubtful((answer,), 0.934), lambda image: dict.fromkeys(SHOWN, image))
    left, right, told, choice = item["rows"][0]["parts"]
    assert [each["image"]["id"] for each in (left, right)] == list(WRONG)
    assert [line["text"] for line in told["lines"]] == [
        "wrong with a probability of 93 %",
        "ada · asked to check the groups, similarity 0.50",
    ]
    assert told["lines"][0]["verdict"] == "dissimilar"
    assert [(each["label"], each["deed"]["do"]) for each in choice["buttons"]] == [
        ("Change to similar", "change"),
        ("Keep dissimilar", "keep"),
    ]


SHOWN = ("id", "name", "tile", "thumb", "tiny")


@pytest.mark.parametrize(("wrong", "told"), [(0.5, "50 %"), (0.999, "99 %"), (1.0, "99 %")])
def test_nothing_is_quite_certain(wrong: float, told: str) -> None:
    assert certainty(wrong) == told


@pytest.mark.parametrize("strategy", ["audit", "calibration", "cover-place-spread", "likely-first"])
def test_the_history_knows_why_a_pair_was_asked(strategy: str) -> None:
    assert why(strategy, None).startswith("asked ")
