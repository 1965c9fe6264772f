"""The page that a newcomer sees, and the ones where there is nothing to ask."""

import base64
import io
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import streamlit as st
from jaxtyping import UInt8
from PIL import Image

from likewise.errors import LikewiseError
from likewise.images.manifest import display
from likewise.images.reading import Reading, in_children
from likewise.images.scan import scan
from likewise.jobs.control import in_words
from likewise.jobs.job import Job, Steps, newest_job
from likewise.jobs.next_step import Suggestion, first_model, holdings_of, next_step
from likewise.jobs.survey import Survey, survey
from likewise.workspace import Workspace
from likewise_labeler.curves import StepState, draw_steps
from likewise_labeler.desk import Missing
from likewise_labeler.job_panel import begin, job_panel, start_button
from likewise_labeler.look import state

SAMPLE_IMAGES = 5_000
THUMB = 96
"""Long side of an example in pixels."""
PATIENCE = 10.0
"""Seconds that the examples of a folder may take."""
_NOWHERE = Path(os.devnull)
_LARGEST = 40 * 2**20
"""Bytes of a file that is still opened for an example."""


def missing_page(missing: Missing, workspace: Path) -> None:
    """Guide a newcomer to the first pair; or say what is in the way."""
    if missing.what == "trouble":
        st.html(state("Something is in the way", missing.text))
        look_again()
        return
    try:
        _beginning(Workspace(workspace), has_images=missing.what == "embeddings")
    except LikewiseError as error:
        st.html(state("Something is in the way", str(error)))
        look_again()


def _beginning(workspace: Workspace, has_images: bool) -> None:
    job = newest_job(workspace)
    with _middle():
        st.html(f"{_STYLE}<h1 class='lw-welcome'>Welcome to Likewise</h1>")
        draw_steps(steps_of(job, has_images))
        held = holdings_of(workspace, ())
        job_panel(workspace, held.trainable, show_done=False)
        if job is not None and job.active:
            return
        if held.images:
            _first_model(workspace, next_step(held), held.images)
        else:
            _choose_images(workspace)


def steps_of(job: Job | None, has_images: bool) -> dict[str, StepState]:
    """How far a beginner is with images, first model and labelling."""
    ended = job is not None and job.status in ("failed", "stopped", "lost")
    at_work = job is not None and job.active
    reading = job is not None and job.command in ("sample", "ingest")
    here: StepState = "failed" if ended else "now"
    if (at_work or ended) and reading:
        return {"images": here, "model": "waiting", "label": "waiting"}
    if at_work or has_images:
        return {"images": "done", "model": here, "label": "waiting"}
    return {"images": "now", "model": "waiting", "label": "waiting"}


def _first_model(workspace: Workspace, suggestion: Suggestion, images: int) -> None:
    st.html(f"<p class='lw-lead'>{images:,} images are read. {escape(suggestion.reason)}</p>")
    start_button(suggestion.title, workspace, suggestion.steps, "first-model")
    _terminal(workspace, (("pretrain",), ("embed",)))


def _choose_images(workspace: Workspace) -> None:
    st.html(
        "<p class='lw-lead'>Give a folder of images. Likewise reads them once and learns a first "
        "model without any labels; then it asks which pairs are the same to you. The files stay "
        "where they are.</p>"
    )
    if folders_may_be_read():
        _folder(workspace)
    else:
        st.info(
            "Images are read on the machine that runs Likewise, with the commands below. The app "
            "opens folders by itself only when it serves that machine alone."
        )
    st.button(
        "Try it with sample digits",
        key="sample",
        on_click=begin,
        args=(workspace, sample_steps(workspace)),
        help=f"{SAMPLE_IMAGES:,} handwritten digits that come with Likewise.",
    )
    _terminal(workspace, (("ingest", "FOLDER_OF_IMAGES"), ("pretrain",), ("embed",)))


def folders_may_be_read() -> bool:
    """Whether a path typed on the page may be opened: only where the app serves this machine."""
    return os.environ.get("LIKEWISE_GATE") == "open"


def sample_steps(workspace: Workspace) -> Steps:
    """The commands from nothing to pairs of sample digits."""
    folder = str(workspace.path / "samples" / "digits")
    return ("sample", "digits", "--to", folder), ("ingest", folder), *first_model(SAMPLE_IMAGES)


def _folder(workspace: Workspace) -> None:
    with st.form("folder", border=False):
        left, right = st.columns([5, 1], vertical_alignment="bottom")
        typed = left.text_input(
            "Folder of images on this machine", key="folder-path", placeholder="/home/ada/photos"
        )
        looked = right.form_submit_button("Look", width="stretch")
    if looked:
        _look(workspace, typed)
    found: Survey | str | None = st.session_state.get("survey")
    if isinstance(found, str):
        st.error(found)
    elif found is not None:
        _found(workspace, found)


def _look(workspace: Workspace, typed: str) -> None:
    try:
        with st.spinner("Looking …"):
            found = survey(typed, workspace.path)
            st.session_state["survey"] = found
            st.session_state["examples"] = _thumbs(found.examples)
    except LikewiseError as error:
        st.session_state["survey"] = str(error)


def _found(workspace: Workspace, found: Survey) -> None:
    more = "" if found.complete else "at least "
    others = f" Left aside: {found.others}." if found.others else ""
    closed = f" {found.closed:,} folders cannot be read." if found.closed else ""
    st.html(
        f"<p class='lw-lead'><b>{more}{found.images:,} images</b> in "
        f"{escape(display(str(found.folder)))}.{escape(others)}{closed}</p>"
        f"<div class='lw-examples'>{''.join(st.session_state['examples'])}</div>"
    )
    steps = ("ingest", str(found.folder)), *first_model(found.images)
    start_button("Read images and learn a first model", workspace, steps, "first-images")


def _thumbs(examples: Sequence[Path]) -> list[str]:
    """Examples as HTML, those that can be shown. They are decoded elsewhere, as `ingest` does."""
    files = [each for each in scan(examples, workspace=_NOWHERE).files if each.size <= _LARGEST]
    return [
        _thumb(Path(each.path), each.image.pixels)
        for each in in_children(files, Reading(THUMB), 1, PATIENCE)
        if each.image is not None
    ]


def _thumb(file: Path, pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((2 * THUMB, THUMB))
    data = io.BytesIO()
    image.save(data, "PNG" if max(image.size) < THUMB else "JPEG")
    kind = "png" if max(image.size) < THUMB else "jpeg"
    code = base64.b64encode(data.getvalue()).decode()
    return f'<img src="data:image/{kind};base64,{code}" alt="{escape(display(file.name))}">'


def _terminal(workspace: Workspace, steps: Steps) -> None:
    with st.expander("Or in a terminal"):
        at = ("--workspace", str(workspace.path))
        st.code(in_words([(*step, *at) for step in steps]), "bash")
        look_again()


def look_again() -> None:
    """A button that looks whether things have changed."""
    _middle().button("Look again", key="look-again", width="stretch")


def _middle() -> st.delta_generator.DeltaGenerator:
    return st.columns([1, 4, 1])[1]


_STYLE = """<style>
.lw-welcome { font-size: 1.7rem; text-align: center; padding: .4rem 0 .2rem; }
.lw-lead { font-size: 1rem; opacity: .85; margin: .2rem 0; }
.lw-examples { display: flex; flex-wrap: wrap; gap: .4rem; max-height: 13rem; overflow: hidden; }
.lw-examples img { height: 4.6rem; border-radius: .35rem; }
</style>"""
