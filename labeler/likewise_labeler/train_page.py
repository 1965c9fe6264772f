"""The page on which models are trained: what there is, what is next, what is at work."""

import contextlib
import zoneinfo
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from html import escape
from typing import Any
from urllib.parse import quote

import streamlit as st

from likewise.answers.standing import Answer
from likewise.errors import LikewiseError
from likewise.jobs.control import RUN
from likewise.jobs.job import Job, Steps, jobs_of
from likewise.jobs.next_step import Holdings, flags, holdings_of, next_step
from likewise.jobs.options import Option, options_of
from likewise.jobs.records import records_of
from likewise.neighbours.vectors import embedded
from likewise.settings import Finetune, Pretrain
from likewise.workspace import Workspace
from likewise_labeler.desk import Desk, Missing, Ready
from likewise_labeler.first_run import folders_may_be_read, missing_page
from likewise_labeler.job_panel import begin, job_panel, log, start_button
from likewise_labeler.job_words import job_rows, model_rows, table

_FIELDS = {
    Pretrain: (
        "epochs",
        "batch_size",
        "backbone",
        "init",
        "preset",
        "image_size",
        "views",
        "lr",
        "precision",
        "device",
        "seed",
        "fresh",
    ),
    Finetune: (
        "depth",
        "loss",
        "steps",
        "batch_size",
        "lr",
        "margin",
        "temperature",
        "hold_out",
        "precision",
        "device",
        "seed",
    ),
}
_STYLE = """<style>
.lw-table { overflow-x: auto; }
.lw-table table { width: 100%; border-collapse: collapse; font-size: .86rem; }
.lw-table th { text-align: left; font-weight: 600; opacity: .6; }
.lw-table th, .lw-table td { padding: .3rem .9rem .3rem 0; white-space: nowrap; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.lw-go { display: block; padding: .45rem; border-radius: .6rem; text-align: center;
  background: #0f766e; color: #fff !important; text-decoration: none !important; }
.lw-next b { font-size: 1.15rem; } .lw-next span { opacity: .7; margin-left: .6rem; }
</style>"""


def train_page(desk: Desk) -> None:
    """Show what trains, what to train next, and what was trained."""
    workspace = desk.workspace
    state = desk.look()
    if isinstance(state, Missing) and state.what == "workspace":
        missing_page(state, workspace.path)
        return
    st.html(_STYLE)
    try:
        held = holdings_of(workspace, _answers(desk, state))
        job = job_panel(workspace, held.trainable)
        if job is None or not job.active:
            _next(workspace, held, job)
            _choose(workspace, held)
        _models(workspace)
        _jobs(workspace)
    except LikewiseError as error:
        missing_page(Missing("trouble", str(error)), workspace.path)


def _answers(desk: Desk, state: Ready | Missing) -> Sequence[Answer]:
    """What fine-tuning would learn from."""
    if isinstance(state, Ready):
        with state.questions.ledger() as ledger:
            return ledger.settled()
    return desk.store().settled()


def _next(workspace: Workspace, held: Holdings, job: Job | None) -> None:
    if job is not None and job.status in ("stopped", "lost"):
        return  # the panel offers to go on
    suggestion = next_step(held)
    with st.container(border=True):
        left, right = st.columns([3, 1], vertical_alignment="center")
        text = f"<b>Next</b><span>{escape(suggestion.reason)}</span>"
        left.html(f'<div class="lw-next">{text}</div>')
        with right:
            if suggestion.steps:
                start_button(suggestion.title, workspace, suggestion.steps, "next")
            elif suggestion.what == "answer":
                st.html(f'<a class="lw-go" href="{_label_page()}" target="_self">Label</a>')


def _label_page() -> str:
    """The way to the Label page, relative, with the name that the address holds."""
    name = st.query_params.get("annotator", "")
    return f".?annotator={quote(name)}" if name else "."


def _choose(workspace: Workspace, held: Holdings) -> None:
    with st.expander("Train with other options"):
        what = st.segmented_control(
            "What to train",
            ("Pretrain", "Fine-tune", "Embed"),
            default="Fine-tune" if held.models and held.answers else "Pretrain",
            label_visibility="collapsed",
            key="train-what",
        )
        if what == "Embed":
            _embed(workspace)
        elif what:
            settings: Pretrain | Finetune = Pretrain() if what == "Pretrain" else Finetune()
            _form(workspace, settings)


def _form(workspace: Workspace, settings: Pretrain | Finetune) -> None:
    command = type(settings).__name__.lower()
    st.caption((type(settings).__doc__ or "").splitlines()[0])
    options = dict(options_of(type(settings)))
    if command == "pretrain" and not folders_may_be_read():
        options["init"] = replace(options["init"], choices=("random", "pretrained"))
    names = _FIELDS[type(settings)]
    with st.form(f"options-{command}", border=False):
        columns = st.columns(4)
        chosen = {}
        for place, name in enumerate(names):
            with columns[place % len(columns)]:
                chosen[name] = _field(options[name], f"{command}-{name}")
        if command == "finetune":
            st.caption("The model to start from is the newest pretrained one.")
        if st.form_submit_button("Start", type="primary"):
            steps: Steps = ((command, *flags(settings, chosen)), ("embed", "--model", RUN))
            begin(workspace, steps)
            st.rerun()


def _field(option: Option, key: str) -> Any:
    """The widget for one setting."""
    match option.default:
        case bool():
            return st.toggle(option.label, option.default, key=key, help=option.help)
        case int():
            return int(
                st.number_input(option.label, value=option.default, key=key, help=option.help)
            )
        case float():
            return float(
                st.number_input(
                    option.label, value=option.default, format="%g", key=key, help=option.help
                )
            )
    if option.choices:
        usual = option.choices.index(option.default)
        return st.selectbox(option.label, option.choices, usual, key=key, help=option.help)
    return st.text_input(option.label, option.default, key=key, help=option.help).strip()


def _embed(workspace: Workspace) -> None:
    st.caption("Compute the embedding of every image; pairs then come from that model.")
    names = [each.name for each in reversed(records_of(workspace)) if each.finished]
    if not names:
        st.info("There is no model yet.")
        return
    with st.form("options-embed", border=False):
        name = st.selectbox("Model", names, key="embed-model")
        if st.form_submit_button("Start", type="primary"):
            begin(workspace, (("embed", "--model", str(name)),))
            st.rerun()


def _models(workspace: Workspace) -> None:
    made = {str(meta["model"]): str(meta["made"]) for meta in embedded(workspace)}
    rows = model_rows(records_of(workspace), made, _zone())
    if rows:
        st.markdown("#### Models")
        st.html(table(rows))


def _jobs(workspace: Workspace) -> None:
    jobs = jobs_of(workspace)
    ended = [each for each in jobs if not each.active]
    if not ended:
        return
    with st.expander(f"Earlier jobs ({len(ended)})"):
        st.html(table(job_rows(ended, _zone())))
        numbers = [each.number for each in reversed(ended)]
        number = st.selectbox(
            "Job",
            numbers,
            key="job-log",
            label_visibility="collapsed",
            format_func=lambda each: f"Job {each}",
        )
        if st.toggle("Show the log", key="log-earlier"):
            log(next(each for each in ended if each.number == number))


def _zone() -> tzinfo:
    """The time zone of the browser."""
    with contextlib.suppress(KeyError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return zoneinfo.ZoneInfo(st.context.timezone or "UTC")
    return UTC
