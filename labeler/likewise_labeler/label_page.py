"""The page on which people answer. It is drawn once; the browser then talks to our routes.

The screen itself is JavaScript (``front/``): no answer waits for a rerun, and none is cut by one.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from likewise_labeler import passes
from likewise_labeler.desk import Desk, Missing
from likewise_labeler.first_run import missing_page

_FRONT = Path(__file__).with_name("front")
_SCRIPTS = (
    *("elements", "screens", "outbox", "pictures", "zoom", "pair", "tiles", "strip"),
    *("keys", "status", "marks", "choosing", "labeler", "view", "label"),
)
"""In ``front/``; together they are one module."""
_STYLE = """<style>
.stMainBlockContainer { padding-bottom: 0 !important; }
[data-stale="true"] { opacity: 1 !important; }
[data-testid="stConnectionStatus"], [data-testid="stStatusWidget"] { display: none; }
</style>"""


def label_page(desk: Desk) -> None:
    """Show the label screen, or say why there is none."""
    if desk.is_current():
        ready = desk.look()
    else:
        with st.spinner("Opening the workspace …"):
            ready = desk.look()
    if isinstance(ready, Missing):
        missing_page(ready, desk.workspace.path)
        return
    name = passes.annotator()
    st.html(_STYLE)
    _component()(
        key="label",
        data={
            "pass": passes.issue(name),
            "annotator": name,
            "workspace": workspace_mark(desk.workspace.path),
        },
    )


def workspace_mark(path: Path) -> str:
    """Tells workspaces apart in the browser's memory, without telling it where they are."""
    return hashlib.blake2b(
        str(path.absolute()).encode(errors="surrogateescape"), digest_size=8
    ).hexdigest()


def script() -> str:
    """The JavaScript of the label screen, one module."""
    return "\n".join((_FRONT / f"{each}.js").read_text(encoding="utf-8") for each in _SCRIPTS)


@cache
def _component() -> Any:
    css = (_FRONT / "label.css").read_text(encoding="utf-8")
    return st.components.v2.component("likewise_label", css=css, js=script())
