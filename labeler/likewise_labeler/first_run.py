"""The pages that a newcomer sees, and the ones where there is nothing to ask."""

import shlex
from pathlib import Path

import streamlit as st

from likewise_labeler.desk import Missing
from likewise_labeler.look import state


def missing_page(missing: Missing, workspace: Path) -> None:
    """Say what is missing and which command brings it."""
    commands: tuple[str, ...] = ()
    match missing.what:
        case "workspace":
            title = "Welcome to Likewise"
            text = (
                f"There is no workspace at {workspace} yet. Three commands make one from a folder "
                "of images:"
            )
            commands = ("ingest FOLDER_OF_IMAGES", "pretrain", "embed")
        case "embeddings":
            title = "Nearly there"
            text = (
                "The images are in, but no model has looked at them yet. These commands bring the "
                "first pairs:"
            )
            commands = ("pretrain", "embed")
        case "trouble":
            title, text = "Something is in the way", missing.text
    st.html(state(title, text))
    if commands:
        at = f"--workspace {shlex.quote(str(workspace))}"
        _middle().code("\n".join(f"likewise {each} {at}" for each in commands), language="bash")
    look_again()


def nothing_left(images: int) -> None:
    """Say that every pair is answered, implied, or on another screen."""
    if images < 2:
        title = "Too few images"
        text = (
            "A pair takes two images. Add some with `likewise ingest`, then run `likewise embed`."
        )
    else:
        title = "Nothing left to ask"
        text = (
            f"The answers settle every pair of the {images:,} images, or others are at the last "
            "ones. Next: `likewise finetune`."
        )
    st.html(state(title, text))
    look_again()


def look_again() -> None:
    """A button that looks whether things have changed."""
    _middle().button("Look again", key="look-again", width="stretch")


def _middle() -> st.delta_generator.DeltaGenerator:
    return st.columns([1, 2, 1])[1]
