"""How the app looks: one style sheet, and the pieces of HTML that widgets cannot draw."""

from functools import cache
from html import escape
from pathlib import Path

import streamlit as st

_STYLE = Path(__file__).with_name("front") / "app.css"


def set_look() -> None:
    """Page settings and style."""
    st.set_page_config(page_title="Likewise", page_icon="🔗", layout="wide")
    st.html(f"<style>{_style()}</style>")


def state(title: str, text: str) -> str:
    """A page with nothing to label on it."""
    return f'<div class="lw-state"><b>{escape(title)}</b><p>{escape(text)}</p></div>'


@cache
def _style() -> str:
    return _STYLE.read_text(encoding="utf-8")
