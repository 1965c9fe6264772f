"""The tab with answers that cannot all be true, each with the chain that it disagrees with."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from likewise.answers.ledger import Conflict, Evidence
from likewise.answers.standing import VERDICTS, pair_of
from likewise_labeler import review_board as rows
from likewise_labeler.desk import Ready
from likewise_labeler.look import state
from likewise_labeler.review_deeds import Deed, Reviewer, people

PAGE = 20
"""Contradictions on the page; the next ones follow as these are resolved."""


def contradictions_tab(
    ready: Ready, reviewer: Reviewer, done: Callable[[Callable[[], Deed]], None]
) -> None:
    """Show the contradictions; every answer in them can be retracted by one click."""
    with ready.questions.ledger() as ledger:
        found = ledger.contradictions()
    if not found:
        st.html(
            state(
                "No contradictions",
                "Answers contradict each other when they cannot all be true: A is similar to B, B "
                "is similar to C, but A is dissimilar to C. Such answers come here at once.",
            )
        )
        return
    st.caption(
        "These answers cannot all be true. Retract the one that is wrong; the answer in the first "
        "row counts for nothing until then."
    )
    items = [item_of(each, ready.pictures.about) for each in found[:PAGE]]
    rows.board(items, key="review-contradictions", do=lambda deed: _do(reviewer, deed, done))
    if len(found) > PAGE:
        st.caption(f"{len(found) - PAGE:,} more follow when these are resolved.")


def item_of(conflict: Conflict, about: Callable[[str], Mapping[str, Any]]) -> rows.Item:
    """The answer that disagrees, and below it the chain from its left image to its right one."""
    start = conflict.claim.a
    return rows.item(
        _chain(start, [conflict.claim], about),
        _chain(start, conflict.chain, about),
        labels=("This answer", "contradicts these, older ones"),
    )


def _chain(
    start: str,
    steps: "list[Evidence] | tuple[Evidence, ...]",
    about: Callable[[str], Mapping[str, Any]],
) -> list[rows.Part]:
    parts = [rows.image(about(start), large=True)]
    for each in steps:
        bearing = [answer for answer in each.answers if answer.verdict == each.verdict]
        retract = rows.button(
            "Retract",
            f"Undo “{each.verdict}” by {people(bearing)}",
            a=each.a,
            b=each.b,
            verdict=each.verdict,
        )
        parts += [
            rows.step(each.verdict, people(bearing), retract),
            rows.image(about(each.b), large=True),
        ]
    return parts


def _do(
    reviewer: Reviewer, deed: Mapping[str, Any], done: Callable[[Callable[[], Deed]], None]
) -> None:
    a, b = str(deed.get("a", "")), str(deed.get("b", ""))
    verdict = next((each for each in VERDICTS if each == deed.get("verdict")), None)
    if a != b and verdict is not None:
        done(lambda: reviewer.retract(pair_of(a, b), verdict))
