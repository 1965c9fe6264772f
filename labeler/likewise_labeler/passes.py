"""Who is at the screen, and the signed passes that their browser shows to our routes."""

import getpass
from collections.abc import Mapping
from typing import Any

import streamlit as st
from itsdangerous import BadData

from likewise.answers.annotators import annotator_name
from likewise.answers.people import allowed_address
from likewise_labeler.secret import signer
from likewise_labeler.sessions import COOKIE, SESSIONS, mode

PASS_SECONDS = 7 * 24 * 3600
"""How long a page may stay open before it must be loaded again."""


def issue(name: str) -> str:
    """A pass for this annotator, good for `PASS_SECONDS`."""
    return str(signer("pass").dumps(name))


def name_of(token: str) -> str | None:
    """Whose pass it is; None if it is forged or too old."""
    try:
        name = signer("pass").loads(token, max_age=PASS_SECONDS)
    except BadData:
        return None
    return name if isinstance(name, str) else None


def annotator() -> str:
    """The name under which this page's answers are stored; ends the page if nobody signed in."""
    name = at_the_screen()
    if name is None:
        st.stop()
    return name


def at_the_screen() -> str | None:
    """Who sees this page: the one who signed in, None if nobody did.

    Where nobody needs to it is the name in the page's address (which keeps it through a reload),
    else the user's own.

    Raises:
        LikewiseError: the database cannot be read.
    """
    match mode():
        case "open":
            return _given_name()
        case "password":
            session = SESSIONS.read(st.context.cookies.get(COOKIE))
            return session.name if session else None
        case "oidc":
            if not st.user.get("is_logged_in"):
                return None
            claims = (st.user.get("email"), st.user.get("email_verified"))
            person = allowed_address(*claims, SESSIONS.people())
            return person.name if person else None


def providers_of(auth: Mapping[str, Any]) -> list[str]:
    """The identity providers of Streamlit's ``[auth]`` settings; "" is the one without a name."""
    named = [name for name, each in auth.items() if isinstance(each, Mapping)]
    return ["", *named] if "client_id" in auth else named


def own_name() -> str:
    """The name of the account that runs the app."""
    try:
        user = annotator_name(getpass.getuser(), "me")
    except (OSError, KeyError):
        return "me"
    return "me" if user == "root" else user


def _given_name() -> str:
    kept = str(st.session_state.get("annotator", ""))
    name = annotator_name(st.query_params.get("annotator", "") or kept, own_name())
    st.session_state["annotator"] = name
    if st.query_params.get("annotator") != name:
        st.query_params["annotator"] = name
    return name
