"""The app: which workspace, which page."""

import os
from typing import get_args

import streamlit as st

from likewise.settings import Strategy
from likewise.workspace import Workspace
from likewise_labeler.desk import Desk
from likewise_labeler.label_page import label_page
from likewise_labeler.look import set_look


@st.cache_resource(max_entries=4, show_spinner=False)
def desk_of(path: str, strategy: Strategy) -> Desk:
    """The one desk of a workspace, shared by all sessions."""
    return Desk(Workspace(path), strategy)


def strategy_of(name: str) -> Strategy:
    """The strategy of that name; the default one where there is none."""
    known = [each for each in get_args(Strategy) if each == name]
    return known[0] if known else "cover-place"


def main() -> None:
    """Show the app for the workspace that `find_workspace` finds."""
    set_look()
    strategy = strategy_of(os.environ.get("LIKEWISE_STRATEGY", ""))
    desk = desk_of(str(Workspace().path), strategy)
    pages = [st.Page(lambda: label_page(desk), title="Label", url_path="label", default=True)]
    st.navigation(pages, position="hidden").run()


if __name__ == "__main__":
    main()
