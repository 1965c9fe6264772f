"""The tab with every answer: find it, change it, take it back."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

import streamlit as st

from likewise.answers.consensus import GOLD
from likewise.answers.history import Found, find
from likewise.answers.standing import VERDICTS, Verdict
from likewise_labeler import review_board as rows
from likewise_labeler.desk import Ready
from likewise_labeler.look import state
from likewise_labeler.review_deeds import Deed, Reviewer
from likewise_labeler.review_filters import Asked, filters

PAGE = 50
_WHY = {
    "cover-place-spread": "asked to find its group",
    "cover-place": "asked to find its group",
    "strip": "asked to find its group",
    "likely-first": "asked as the likeliest pair",
    "audit": "asked to check the groups",
    "calibration": "asked to find where same begins",
    "uncertain": "asked as the least certain pair",
    "nearest": "asked as the nearest pair",
    "neighbours": "asked as a near neighbour",
    "random": "asked at random",
    "second reading": "asked to compare people",
    "gold check": "asked to compare people",
    "adjudication": "an adjudication",
    "review": "from a change of groups",
    "import": "from a file",
    "gold": "a known truth",
}


def history_tab(
    ready: Ready, reviewer: Reviewer, zone: tzinfo, done: Callable[[Callable[[], Deed]], None]
) -> None:
    """Show the answers that the address asks for, newest first."""
    asked = Asked.of({name: st.query_params[name] for name in st.query_params})
    image = filters(ready, asked)
    if asked.image and image is None:
        st.html(state("No such image", "Nothing in this workspace has that id or file name."))
        return
    befores = _befores(asked)
    found = find(ready.store, asked.filter(image, zone), before=befores[-1], limit=PAGE + 1)
    if not found:
        st.html(state(*_nothing(asked)))
        return
    shown = {each.answer.number: each for each in found[:PAGE]}
    with ready.questions.ledger() as ledger:
        counts = {each.answer.pair: ledger.verdict(each.answer.pair) for each in shown.values()}
    about = ready.pictures.about
    rows.board(
        [row_of(each, counts[each.answer.pair], about, zone) for each in shown.values()],
        key="review-history",
        do=lambda deed: _do(reviewer, shown, deed, done),
    )
    _pager(befores, min(shown), len(found) > PAGE)


def row_of(
    found: Found,
    counts_as: Verdict | None,
    about: Callable[[str], rows.About],
    zone: tzinfo,
) -> rows.Item:
    """One answer as a row of the board; ``counts_as`` is what all answers on its pair add up to."""
    answer = found.answer
    left, right = about(answer.a), about(answer.b)
    moment = answer.time.astimezone(zone).strftime("%-d %b %Y, %H:%M")
    told = rows.text(
        answer.verdict,
        became(found, counts_as),
        f"{answer.annotator} · {moment} · {why(answer.strategy, answer.score)}",
        f"{left['name']} · {right['name']}",
    )
    parts = [rows.image(left), rows.image(right), told, rows.buttons(*_buttons(found))]
    return rows.item(parts, faded=found.state != "standing")


def became(found: Found, counts_as: Verdict | None) -> str:
    """What has become of an answer; empty for one that stands and prevails."""
    match found.state:
        case "corrected":
            return "corrected since"
        case "undone":
            return f"taken back by {found.undone_by}"
        case "standing" if counts_as is None:
            return "disputed"
        case "standing" if counts_as != found.answer.verdict:
            return f"the pair counts as {counts_as}"
    return ""


def why(strategy: str, score: float | None) -> str:
    """Why a pair was asked, for people."""
    reason = _WHY.get(strategy, strategy or "no reason known")
    return reason if score is None else f"{reason}, similarity {score:.2f}"


def _buttons(found: Found) -> list[rows.Part]:
    number = found.answer.number
    if found.state == "undone":
        return [rows.button("Put back", "Store this answer again", do="put back", number=number)]
    if found.state == "corrected":
        return []
    others = [] if found.answer.strategy == GOLD else VERDICTS
    return [
        *(
            rows.button(
                each.capitalize(), f"Change to {each}", do="change", number=number, verdict=each
            )
            for each in others
            if each != found.answer.verdict
        ),
        rows.button("Take back", "Undo this answer", quiet=True, do="take back", number=number),
    ]


def _do(
    reviewer: Reviewer,
    shown: Mapping[int, Found],
    deed: Mapping[str, Any],
    done: Callable[[Callable[[], Deed]], None],
) -> None:
    found = shown.get(deed.get("number", 0))
    if found is None:
        return
    answer = found.answer
    match deed.get("do"):
        case "change":
            verdict = next((each for each in VERDICTS if each == deed.get("verdict")), None)
            if verdict is not None:
                done(lambda: reviewer.change(answer, verdict))
        case "take back":
            done(lambda: reviewer.take_back(answer))
        case "put back":
            done(lambda: reviewer.put_back(answer))


def _befores(asked: Asked) -> list[int | None]:
    """Where this page and each newer one begins; starts again when the filters change."""
    kept, befores = st.session_state.get("review-pages", (None, [None]))
    befores = befores if kept == asked else [None]
    st.session_state["review-pages"] = (asked, befores)
    return list(befores)


def _pager(befores: list[int | None], last: int, more: bool) -> None:
    if not more and len(befores) == 1:
        return
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.button(
            "Newer",
            key="review-newer",
            disabled=len(befores) == 1,
            on_click=_turn,
            args=(befores[:-1],),
        )
        st.button(
            "Older",
            key="review-older",
            disabled=not more,
            on_click=_turn,
            args=([*befores, last],),
        )


def _turn(befores: list[int | None]) -> None:
    asked, _ = st.session_state["review-pages"]
    st.session_state["review-pages"] = (asked, befores)


def _nothing(asked: Asked) -> tuple[str, str]:
    if asked == Asked():
        return "No answers yet", "Answers appear here as soon as somebody labels a pair."
    return "No such answers", "No answer fits these filters."
