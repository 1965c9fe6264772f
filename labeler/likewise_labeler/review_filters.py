"""Which answers the history shows: what the address asks for, and the widgets that write it."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import get_args

import streamlit as st

from likewise.answers.history import Filter, State, annotators
from likewise.answers.standing import VERDICTS
from likewise_labeler.desk import Ready
from likewise_labeler.review_find import images_named

STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True)
class Asked:
    """What the address asks for."""

    image: str = ""
    """An id, or a file name or a part of one."""
    person: str = ""
    verdict: str = ""
    state: str = ""
    since: str = ""
    """A day, like 2026-01-31, as the next one."""
    until: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Asked":
        """From the parameters of the address; those that mean nothing are left out."""
        given = {each.name: parameters.get(each.name, "").strip() for each in fields(cls)}
        for name, known in (("verdict", VERDICTS), ("state", STATES)):
            given[name] = given[name] if given[name] in known else ""
        for name in ("since", "until"):
            given[name] = given[name] if _day(given[name]) else ""
        return cls(**given)

    def filter(self, image: str | None, zone: tzinfo) -> Filter:
        """The same for the database; days are those of ``zone``, both included."""
        since, until = _day(self.since), _day(self.until)
        return Filter(
            image=image,
            annotator=self.person or None,
            verdict=next((each for each in VERDICTS if each == self.verdict), None),
            since=_midnight(since, zone) if since else None,
            until=_midnight(until + timedelta(days=1), zone) if until else None,
            state=next((each for each in STATES if each == self.state), None),
        )


def filters(ready: Ready, asked: Asked) -> str | None:
    """Draw the filters; return the image that is asked about."""
    people = annotators(ready.store)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _text("Image", "image", asked.image)
        _choice("Person", "person", people, asked.person, 160)
        _choice("Verdict", "verdict", VERDICTS, asked.verdict, 140)
        _choice("State", "state", STATES, asked.state, 140)
        _date("From", "since", asked.since)
        _date("To", "until", asked.until)
        named = images_named(ready.images, asked.image)
        if len(named) > 1:
            names = {each: str(ready.pictures.about(each)["name"]) for each in named}
            return st.selectbox(
                "Which one",
                named,
                format_func=lambda each: f"{names[each]} ({each[:6]})",
                key=f"review-which-{asked.image}",
                width=220,
            )
    return named[0] if named else None


def _text(label: str, name: str, value: str) -> None:
    key = f"review-{name}"
    st.text_input(
        label,
        value,
        key=key,
        placeholder="id or file name",
        width=200,
        on_change=_note,
        args=(name, key),
    )


def _choice(label: str, name: str, options: Sequence[str], value: str, width: int) -> None:
    key = f"review-{name}"
    st.selectbox(
        label,
        options,
        index=list(options).index(value) if value in options else None,
        key=key,
        placeholder="any",
        width=width,
        on_change=_note,
        args=(name, key),
    )


def _date(label: str, name: str, value: str) -> None:
    key = f"review-{name}"
    st.date_input(label, _day(value), key=key, width=148, on_change=_note, args=(name, key))


def _note(name: str, key: str) -> None:
    """Write a filter to the address, which keeps it."""
    value = str(st.session_state.get(key) or "").strip()
    if value:
        st.query_params[name] = value
    elif name in st.query_params:
        del st.query_params[name]


def _day(text: str) -> date | None:
    with contextlib.suppress(ValueError):
        return date.fromisoformat(text)
    return None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
