"""Rows of pictures, verdicts and buttons, drawn by the browser: a click costs one rerun."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from likewise.answers.standing import Verdict

_FRONT = Path(__file__).with_name("front")
Part = dict[str, Any]
Item = dict[str, Any]
About = Mapping[str, Any]
"""What `Pictures.about` says of an image."""


def board(items: Sequence[Item], key: str, do: Callable[[dict[str, Any]], None]) -> None:
    """Show ``items``; ``do`` gets what the clicked button says, before the page is drawn again."""

    def clicked() -> None:
        deed = getattr(st.session_state.get(key), "act", None)
        if isinstance(deed, dict):
            do(deed)

    drawn = int(st.session_state.get("review-drawn", 0)) + 1
    st.session_state["review-drawn"] = drawn
    _component()(key=key, data={"drawn": drawn, "items": list(items)}, on_act_change=clicked)


def item(*rows: Sequence[Part], labels: Sequence[str] = (), faded: bool = False) -> Item:
    """An entry of one or more rows; a label stands before its row."""
    texts = [*labels, *[""] * (len(rows) - len(labels))]
    drawn = [{"label": text, "parts": list(row)} for text, row in zip(texts, rows, strict=True)]
    return {"rows": drawn, "faded": faded}


def image(about: About, large: bool = False) -> Part:
    """A picture; a large one carries its name."""
    shown = ("id", "name", "tile", "thumb", "tiny")
    return {"image": {name: about[name] for name in shown}, "large": large}


def step(verdict: Verdict, people: str, button: Part | None = None) -> Part:
    """What stands between two pictures: the verdict, who gave it, and a button."""
    return {"step": {"verdict": verdict, "people": people, "button": button}}


def text(verdict: Verdict, state: str, *notes: str) -> Part:
    """A verdict and what became of it, with lines of small print below."""
    return {
        "lines": [{"verdict": verdict, "text": state}, *({"text": n, "note": True} for n in notes)]
    }


def buttons(*given: Part) -> Part:
    """Buttons in a row."""
    return {"buttons": list(given)}


def button(label: str, hint: str = "", quiet: bool = False, **deed: Any) -> Part:
    """A button, and what it reports when it is clicked."""
    return {"label": label, "help": hint, "kind": "quiet" if quiet else "", "deed": deed}


@cache
def _component() -> Any:
    return st.components.v2.component(
        "likewise_board",
        html='<div class="board"></div>',
        css=(_FRONT / "board.css").read_text(encoding="utf-8"),
        js=(_FRONT / "board.js").read_text(encoding="utf-8"),
    )
