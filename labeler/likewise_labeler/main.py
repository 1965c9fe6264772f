"""The pages, and the frame around them: Streamlit runs this file for every session."""

import streamlit as st

from likewise.answers.annotators import NAME_LENGTH, annotator_name
from likewise.errors import LikewiseError
from likewise_labeler.desk import Missing, the_desk
from likewise_labeler.explore_page import explore_page
from likewise_labeler.first_run import missing_page
from likewise_labeler.label_page import label_page
from likewise_labeler.look import set_look, state
from likewise_labeler.passes import at_the_screen, own_name, providers_of
from likewise_labeler.progress_page import progress_page
from likewise_labeler.review_page import review_page
from likewise_labeler.sessions import mode
from likewise_labeler.sign_in import SIGN_IN, sign_out_address
from likewise_labeler.train_page import train_page


def main() -> None:
    """Show the page that the address names, to somebody who may see it."""
    set_look()
    desk = the_desk()
    try:
        name = at_the_screen()
    except LikewiseError as error:
        missing_page(Missing("trouble", str(error)), desk.workspace.path)
        return
    if name is None:
        _ask_to_sign_in()
        return
    pages = [
        st.Page(lambda: label_page(desk), title="Label", url_path="label", default=True),
        st.Page(lambda: review_page(desk), title="Review", url_path="review"),
        st.Page(lambda: progress_page(desk), title="Progress", url_path="progress"),
        st.Page(lambda: explore_page(desk), title="Explore", url_path="explore"),
        st.Page(lambda: train_page(desk), title="Train", url_path="train"),
    ]
    page = st.navigation(pages, position="top")
    with st.container(key="lw-person"):
        _person(name)
    page.run()


def _person(name: str) -> None:
    """Who answers, in the corner; there one takes another name, or signs out."""
    with st.popover(name, icon=":material/person:"):
        match mode():
            case "open":
                st.text_input(
                    "Your name",
                    value=name,
                    key=f"name-{name}",
                    max_chars=NAME_LENGTH,
                    on_change=_rename,
                    args=(f"name-{name}",),
                    help="It is stored with every answer.",
                )
            case "password":
                link = sign_out_address(name)
                st.html(f'<a class="lw-link" href="{link}" target="_self">Sign out</a>')
            case "oidc":
                st.button("Sign out", on_click=st.logout)


def _rename(field: str) -> None:
    typed = annotator_name(str(st.session_state[field]), own_name())
    st.session_state["annotator"] = typed
    st.query_params["annotator"] = typed


def _ask_to_sign_in() -> None:
    if mode() == "password":
        st.html(state("Signed out", "Sign in again to go on; nothing that was stored is lost."))
        st.html(f'<p class="lw-state"><a href="{SIGN_IN}" target="_self">Sign in</a></p>')
        return
    if st.user.get("is_logged_in"):
        who = str(st.user.get("email") or "Somebody without an e-mail address")
        st.html(state("Not on the list", f"{who} may not label here. Ask whoever runs this app."))
        _middle().button("Sign in as somebody else", on_click=st.logout, width="stretch")
        return
    st.html(state("Likewise", "Sign in to label images."))
    for provider in providers_of(st.secrets.get("auth", {})):
        text = f"Sign in with {provider}" if provider else "Sign in"
        given = (provider,) if provider else ()
        _middle().button(text, on_click=st.login, args=given, type="primary", width="stretch")


def _middle() -> st.delta_generator.DeltaGenerator:
    return st.columns([2, 1, 2])[1]


if __name__ == "__main__":
    main()
