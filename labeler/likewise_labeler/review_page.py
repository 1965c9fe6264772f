"""The page on which answers are looked over, and put right."""

import contextlib
import zoneinfo
from collections.abc import Callable
from datetime import UTC, tzinfo

import streamlit as st

from likewise.errors import LikewiseError
from likewise_labeler.desk import Desk, Missing, Ready
from likewise_labeler.first_run import missing_page
from likewise_labeler.passes import annotator
from likewise_labeler.review_adjudication import adjudication_tab
from likewise_labeler.review_contradictions import contradictions_tab
from likewise_labeler.review_deeds import Deed, Reviewer
from likewise_labeler.review_doubts import doubts_of, doubts_tab
from likewise_labeler.review_groups import groups_tab
from likewise_labeler.review_history import history_tab

TABS = ("history", "contradictions", "adjudication", "doubts", "groups")
_NAMES = {"doubts": "Probably wrong"}
KEPT = 20
"""Deeds of a session that can be undone from the page; any answer can be, from the history."""
Done = Callable[[Callable[[], Deed]], None]


def review_page(desk: Desk) -> None:
    """Show the tab that the address names."""
    ready = desk.look()
    if isinstance(ready, Missing):
        missing_page(ready, desk.workspace.path)
        return
    reviewer = Reviewer(ready.questions, ready.store, annotator())
    try:
        tab = _tabs(ready, reviewer)
        match tab:
            case "contradictions":
                contradictions_tab(ready, reviewer, done)
            case "adjudication":
                adjudication_tab(ready, reviewer, done)
            case "doubts":
                doubts_tab(ready, reviewer, done)
            case "groups":
                groups_tab(ready, reviewer, done)
            case _:
                history_tab(ready, reviewer, _zone(), done)
    except LikewiseError as error:
        missing_page(Missing("trouble", str(error)), desk.workspace.path)


def done(act: Callable[[], Deed]) -> None:
    """Do something to the answers; note what came of it, for the line on top and its Undo.

    For callbacks: they get all they need as arguments, and write in one call before they touch the
    session, so that a rerun that cuts in finds the deed done or not, never half.
    """
    try:
        deed = act()
    except LikewiseError as error:
        _noted(sentence(str(error)))
        return
    deeds = [*st.session_state.get("review-deeds", ()), deed]
    st.session_state["review-deeds"] = deeds[-KEPT:]
    _noted(deed.text)


def _undo(reviewer: Reviewer, deed: Deed) -> None:
    try:
        reviewer.undo(deed)
    except LikewiseError as error:
        _noted(sentence(str(error)))
        return
    rest = [each for each in st.session_state.get("review-deeds", ()) if each != deed]
    st.session_state["review-deeds"] = rest
    _noted("Undone.")


def _noted(text: str) -> None:
    st.session_state["review-note"] = text
    st.session_state["review-count"] = int(st.session_state.get("review-count", 0)) + 1


def _tabs(ready: Ready, reviewer: Reviewer) -> str:
    """Draw the tabs, and what was done last; return the tab that is open."""
    with ready.questions.ledger() as ledger:
        counts = {
            "contradictions": len(ledger.links.contradictions),
            "adjudication": len(ledger.disputes()),
            "doubts": len(doubts_of(ready, ledger)),
        }
    asked = st.query_params.get("tab", "")
    tab = asked if asked in TABS else TABS[0]
    with st.container(horizontal=True, vertical_alignment="center", key="review-bar"):
        st.segmented_control(
            "What to review",
            TABS,
            default=tab,
            required=True,
            format_func=lambda each: label(each, counts.get(each, 0)),
            key=f"review-tab-{tab}",
            label_visibility="collapsed",
            on_change=_turn,
            args=(f"review-tab-{tab}",),
        )
        st.space("stretch")
        deeds: list[Deed] = st.session_state.get("review-deeds", [])
        note = str(st.session_state.get("review-note", ""))
        if note:
            st.caption(note, width="content")
        if deeds:
            st.button(
                "Undo",
                icon=":material/undo:",
                key=f"undo-review-{len(deeds)}",
                shortcut="Z",
                type="tertiary",
                help=f"Take back: {deeds[-1].text}",
                on_click=_undo,
                args=(reviewer, deeds[-1]),
            )
    return tab


def sentence(text: str) -> str:
    """The text of an error as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def label(tab: str, count: int) -> str:
    """What stands on a tab: its name, and how much waits there."""
    name = _NAMES.get(tab, tab.capitalize())
    return f"{name} ({count:,})" if count else name


def _turn(key: str) -> None:
    st.query_params["tab"] = st.session_state[key] or TABS[0]
    st.session_state.pop("review-note", None)


def _zone() -> tzinfo:
    """The time zone of the person at the screen."""
    with contextlib.suppress(zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return zoneinfo.ZoneInfo(st.context.timezone or "UTC")
    return UTC
