"""The map of all images, drawn by the browser, which asks `atlas_reply` for what it needs."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from likewise_labeler.atlas_reply import stamp_of
from likewise_labeler.catalogue import catalogue_of
from likewise_labeler.desk import Ready

_FRONT = Path(__file__).with_name("front")
_SCRIPTS = ("atlas_points", "atlas_ink", "atlas", "atlas_hands")
"""In ``front/``; together they are one module."""


def atlas(ready: Ready, ticket: str, chosen: str | None, near: Sequence[str]) -> str | None:
    """Draw the map; return the id of the image that was clicked, in the one rerun after it.

    ``ticket`` is the pass that the browser shows when it asks; ``chosen`` and ``near`` are ringed.
    """
    positions, ids = ready.embeddings.positions, catalogue_of(ready).ids
    result = _component()(
        key="atlas",
        data={
            "pass": ticket,
            "fingerprint": stamp_of(ready),
            "chosen": positions.get(chosen or "", -1),
            "near": [positions[each] for each in near if each in positions],
        },
        on_opened_change=_nothing,
        on_changed_change=_nothing,
    )
    row = result.get("opened")
    return ids[row] if isinstance(row, int) and 0 <= row < len(ids) else None


def script() -> str:
    """The JavaScript of the map, one module."""
    return "\n".join((_FRONT / f"{each}.js").read_text(encoding="utf-8") for each in _SCRIPTS)


def _nothing() -> None:
    """Streamlit reports only what has a callback."""


@cache
def _component() -> Any:
    css = (_FRONT / "atlas.css").read_text(encoding="utf-8")
    return st.components.v2.component(
        "likewise_atlas", html='<div class="atlas"></div>', css=css, js=script()
    )
