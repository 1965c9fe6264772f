"""The tab with answers that are probably wrong: all others speak against them."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from likewise.answers.belief import Belief
from likewise.answers.consensus import decision
from likewise.answers.ledger import Ledger
from likewise.answers.questions import Questions
from likewise.answers.standing import Answer, Pair, Verdict
from likewise_labeler import review_board as rows
from likewise_labeler.desk import Ready
from likewise_labeler.look import state
from likewise_labeler.review_deeds import Deed, Reviewer, people
from likewise_labeler.review_history import why

PAGE = 20
"""Doubtful answers on the page; the next ones follow as these are looked at."""
_OTHER: dict[Verdict, Verdict] = {"similar": "dissimilar", "dissimilar": "similar"}
_kept: WeakKeyDictionary[Questions, tuple[int, "list[Doubtful]"]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Doubtful:
    """What was said of a pair, by one or more people, and is probably wrong."""

    answers: tuple[Answer, ...]
    """All with the same verdict."""
    wrong: float
    """Probability, 0 to 1."""

    @property
    def pair(self) -> Pair:
        """The images."""
        return self.answers[0].pair

    @property
    def verdict(self) -> Verdict:
        """What was said."""
        return self.answers[0].verdict


def doubtful(belief: Belief, ledger: Ledger) -> list[Doubtful]:
    """What is probably wrong, surest first; not where a pair was settled by somebody who saw it."""
    belief.follow(ledger)
    together: dict[tuple[Pair, Verdict], list[Answer]] = {}
    wrong: dict[tuple[Pair, Verdict], float] = {}
    for doubt in belief.doubts():
        key = doubt.answer.pair, doubt.answer.verdict
        if decision(ledger.answers_on(doubt.answer.pair)) is None:
            together.setdefault(key, []).append(doubt.answer)
            wrong[key] = doubt.wrong
    return [Doubtful(tuple(answers), wrong[key]) for key, answers in together.items()]


def doubts_of(ready: Ready, ledger: Ledger) -> list[Doubtful]:
    """The same for what is open now; looked for again when there are new answers."""
    last, found = _kept.get(ready.questions, (-1, []))
    if last != ledger.standing.last:
        last, found = ledger.standing.last, doubtful(ready.belief, ledger)
        _kept[ready.questions] = last, found
    return found


def doubts_tab(
    ready: Ready, reviewer: Reviewer, done: Callable[[Callable[[], Deed]], None]
) -> None:
    """Show the doubtful answers; each is put right or confirmed by one click."""
    with ready.questions.ledger() as ledger:
        found = doubts_of(ready, ledger)
    if not found:
        st.html(
            state(
                "No doubts",
                "An answer comes here when the other answers, and what the images look like, "
                "speak against it.",
            )
        )
        return
    st.caption(
        "Other answers, and what the images look like, speak against these. A look at the images "
        "decides."
    )
    shown = {each.answers[0].number: each for each in found[:PAGE]}
    items = [item_of(each, ready.pictures.about) for each in shown.values()]
    rows.board(items, key="review-doubts", do=lambda deed: _do(reviewer, shown, deed, done))
    if len(found) > PAGE:
        st.caption(f"{len(found) - PAGE:,} more follow when these are settled.")


def item_of(doubt: Doubtful, about: Callable[[str], rows.About]) -> rows.Item:
    """The two pictures, what was said and by whom, how sure it is that it is wrong, two buttons."""
    first = doubt.answers[0]
    other = _OTHER[doubt.verdict]
    told = rows.text(
        doubt.verdict,
        f"wrong with a probability of {certainty(doubt.wrong)}",
        f"{people(doubt.answers)} · {why(first.strategy, first.score)}",
    )
    number = first.number
    choice = rows.buttons(
        rows.button(f"Change to {other}", "", do="change", number=number),
        rows.button(f"Keep {doubt.verdict}", "It is right", do="keep", number=number),
    )
    left, right = (rows.image(about(image), large=True) for image in doubt.pair)
    return rows.item([left, right, told, choice])


def certainty(wrong: float) -> str:
    """A probability as people read it; never quite certain."""
    return f"{min(99, int(100 * wrong))} %"


def put_right(reviewer: Reviewer, answers: Sequence[Answer]) -> Deed:
    """Give the other verdict: one's own answer is corrected, those of others are overruled."""
    first, verdict = answers[0], _OTHER[answers[0].verdict]
    if len(answers) == 1:
        return reviewer.change(first, verdict)
    return reviewer.adjudicate(first.pair, verdict, uuid.uuid4().hex)


def confirm(reviewer: Reviewer, answers: Sequence[Answer]) -> Deed:
    """Settle the pair as it was answered."""
    first = answers[0]
    return reviewer.adjudicate(first.pair, first.verdict, uuid.uuid4().hex)


def _do(
    reviewer: Reviewer,
    shown: Mapping[int, Doubtful],
    deed: Mapping[str, Any],
    done: Callable[[Callable[[], Deed]], None],
) -> None:
    doubt = shown.get(deed.get("number", 0))
    if doubt is None:
        return
    match deed.get("do"):
        case "change":
            done(lambda: put_right(reviewer, doubt.answers))
        case "keep":
            done(lambda: confirm(reviewer, doubt.answers))
