"""A sheet of images from which some are chosen by a click, drawn by the browser."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

_FRONT = Path(__file__).with_name("front")


def picker(
    cards: Sequence[Mapping[str, Any]],
    key: str,
    many: bool = True,
    selected: Sequence[str] = (),
) -> list[str]:
    """Show images to choose from; return the ids of the chosen ones, in the order of the cards.

    Each card is what `Pictures.about` says of an image; a "caption" stands under its name, and up
    to four addresses of small pictures as "mosaic" take the place of its own.

    With ``many`` a click marks an image or takes the mark away; the marks last while the sheet is
    shown, and begin as ``selected``. Otherwise a click is reported once: in the rerun that it
    causes, and in none after it.
    """
    shown = [str(each["id"]) for each in cards]
    kept = _kept(key, selected) if many else []
    result = _component()(
        key=key,
        data={
            "sheet": key,
            "cards": [dict(each) for each in cards],
            "many": many,
            "selected": kept,
        },
        on_chosen_change=_nothing,
        on_opened_change=_nothing,
    )
    if not many:
        opened = result.get("opened")
        return [opened] if opened in shown else []
    return marked(shown, result.get("chosen"), kept)


def marked(shown: Sequence[str], reported: object, kept: Sequence[str]) -> list[str]:
    """The ids that are marked: those the browser reports, else ``kept``; only shown ones."""
    marks = set(reported if isinstance(reported, list) else kept)
    return [each for each in shown if each in marks]


def _kept(key: str, selected: Iterable[str]) -> list[str]:
    state = st.session_state.get(key)
    chosen = state.get("chosen") if isinstance(state, Mapping) else None
    return list(chosen if isinstance(chosen, list) else selected)


def _nothing() -> None:
    """Streamlit reports only what has a callback."""


@cache
def _component() -> Any:
    return st.components.v2.component(
        "likewise_picker",
        html='<div class="sheet" role="group"></div>',
        css=(_FRONT / "picker.css").read_text(encoding="utf-8"),
        js=(_FRONT / "picker.js").read_text(encoding="utf-8"),
    )
