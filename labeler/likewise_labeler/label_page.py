"""The page on which people answer: two images, three keys."""

import getpass

import streamlit as st

from likewise.answers.annotators import NAME_LENGTH, annotator_name
from likewise.answers.leases import Question
from likewise.answers.questions import Questions
from likewise.answers.standing import Verdict
from likewise.errors import LikewiseError
from likewise_labeler import look
from likewise_labeler.desk import Desk, Missing, Ready
from likewise_labeler.first_run import missing_page, nothing_left

_NOTICES = {
    "stored": "",
    "undone": "",
    "nothing": "You have no answer to take back.",
    "stale": "That pair was answered before, or went to somebody else: nothing more was stored.",
    "too soon": "That was quick: nothing was stored. Have a look at this pair.",
}
_SLOTS = 8
_KEYS: dict[Verdict, tuple[str, str]] = {
    "similar": ("Similar", "S"),
    "dissimilar": ("Dissimilar", "D"),
    "unsure": ("Unsure", "U"),
}


def label_page(desk: Desk) -> None:
    """Ask the next question, or say why there is none."""
    if desk.is_current():
        ready = desk.look()
    else:
        with st.spinner("Opening the workspace …"):
            ready = desk.look()
    if isinstance(ready, Missing):
        missing_page(ready, desk.workspace.path)
        return
    notice = str(st.session_state.pop("notice", ""))
    name = _name()
    try:
        question = ready.questions.ask(name)
        _header(ready, name)
        if question is None:
            nothing_left(ready.images)
            _undo_button(ready.questions, name, None)
        else:
            _pair(ready, question, notice)
        st.html(look.progress_line(ready.questions.progress(name)))
    except LikewiseError as error:
        missing_page(Missing("trouble", str(error)), desk.workspace.path)


def _header(ready: Ready, name: str) -> None:
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.html(look.brand(f"{ready.images:,} images · pairs by {ready.model}"))
    with right.popover(name, icon=":material/person:", width="stretch"):
        st.text_input(
            "Your name",
            value=name,
            key=f"name-{name}",
            max_chars=NAME_LENGTH,
            on_change=_rename,
            args=(f"name-{name}",),
            help="It is stored with every answer. Keep this page's address to keep the name.",
        )


def _pair(ready: Ready, question: Question, notice: str) -> None:
    pictures = ready.pictures
    st.html(look.stage(pictures.picture(question.a), pictures.picture(question.b)))
    st.html(look.ask(question.reason, notice))
    slot = _slot(question.token)
    columns = st.columns([3, 3, 3, 2])
    for column, (verdict, (text, key)) in zip(columns, _KEYS.items(), strict=False):
        with column:
            st.button(
                text,
                key=f"{verdict}-{slot}",
                shortcut=key,
                width="stretch",
                on_click=_answer,
                args=(ready.questions, question.token, verdict, question.annotator),
            )
    with columns[3]:
        _undo_button(ready.questions, question.annotator, question.token)


def _undo_button(questions: Questions, name: str, token: str | None) -> None:
    st.button(
        "Undo",
        key=f"undo-{_slot(token)}",
        icon=":material/undo:",
        shortcut="Z",
        type="tertiary",
        width="stretch",
        on_click=_undo,
        args=(questions, name, token),
    )


# Callbacks get all they need as arguments and write in one call: a rerun that cuts in later, at
# the next touch of st, finds the answer stored or not, never half.


def _answer(questions: Questions, token: str, verdict: Verdict, name: str) -> None:
    try:
        notice = _NOTICES[questions.answer(token, verdict, name)]
    except LikewiseError as error:
        notice = f"Not stored: {error}"
    st.session_state["notice"] = notice


def _undo(questions: Questions, name: str, token: str | None) -> None:
    try:
        notice = _NOTICES[questions.undo(name, token)]
    except LikewiseError as error:
        notice = f"Not undone: {error}"
    st.session_state["notice"] = notice


def _slot(token: str | None) -> int:
    """A number for the buttons' keys that changes with every question.

    A late second click of a double click thus meets no button. The numbers come round again, as
    Streamlit remembers every key of a session.
    """
    last, slot = st.session_state.get("shown", (None, 0))
    if token != last:
        slot = (slot + 1) % _SLOTS
    st.session_state["shown"] = (token, slot)
    return int(slot)


def _name() -> str:
    """The annotator's name: from the page's address, so that a refresh keeps it."""
    given = st.query_params.get("annotator", "")
    name = annotator_name(given, _user())
    if name != given:
        st.query_params["annotator"] = name
    return name


def _rename(field: str) -> None:
    typed = annotator_name(str(st.session_state[field]), _user())
    st.query_params["annotator"] = typed


def _user() -> str:
    try:
        user = annotator_name(getpass.getuser(), "me")
    except (OSError, KeyError):
        return "me"
    return "me" if user == "root" else user
