"""The app: which workspace, which page."""

import streamlit as st

from likewise.workspace import Workspace
from likewise_labeler.desk import Desk
from likewise_labeler.label_page import label_page
from likewise_labeler.look import set_look


@st.cache_resource(max_entries=4, show_spinner=False)
def desk_of(path: str) -> Desk:
    """The one desk of a workspace, shared by all sessions."""
    return Desk(Workspace(path))


def main() -> None:
    """Show the app for the workspace that `find_workspace` finds."""
    set_look()
    desk = desk_of(str(Workspace().path))
    pages = [st.Page(lambda: label_page(desk), title="Label", url_path="label", default=True)]
    st.navigation(pages, position="hidden").run()


if __name__ == "__main__":
    main()
