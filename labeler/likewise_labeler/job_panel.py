"""The job at work, live: steps, progress, curves, a button to stop it; and how the last one ended.

The panel redraws itself every two seconds, without the rest of the page.
"""

from datetime import UTC, datetime, timedelta
from html import escape

import streamlit as st

from likewise.errors import LikewiseError
from likewise.jobs.control import again, fill_in, in_words, start, stop
from likewise.jobs.job import Job, Steps, newest_job, read_job
from likewise.jobs.log import tail
from likewise.jobs.watch import Watched, steps_shown, watch
from likewise.workspace import Workspace
from likewise_labeler.curves import curves_of, draw_curves
from likewise_labeler.job_words import about_time, outcome

EVERY = timedelta(seconds=2)
LINES = 40
_SIGNS = {"done": "✓", "now": "●", "waiting": "○", "stopped": "■", "failed": "✕"}


def job_panel(workspace: Workspace, trainable: int, *, show_done: bool = True) -> Job | None:
    """Show the newest job, live while it works; return it.

    ``trainable`` images can be learnt from. Without ``show_done`` a job that went well is not
    shown.
    """
    problem = st.session_state.pop("job-problem", "")
    if problem:
        st.error(problem)
    job = newest_job(workspace)
    if job is None:
        return None
    if job.active:
        st.fragment(_live, run_every=EVERY)(workspace, job, trainable)
    elif job.status != "done" or show_done:
        with st.container(border=True):
            _ended(workspace, job, trainable)
    return job


def start_button(label: str, workspace: Workspace, steps: Steps, key: str) -> None:
    """The page's primary button, which starts a job."""
    st.button(
        label,
        key=key,
        type="primary",
        width="stretch",
        on_click=begin,
        args=(workspace, steps),
    )


def begin(workspace: Workspace, steps: Steps) -> None:
    """Start a job; a callback. Trouble is shown by the panel."""
    try:
        start(workspace, steps)
    except LikewiseError as error:
        st.session_state["job-problem"] = str(error)


def _live(workspace: Workspace, drawn: Job, trainable: int) -> None:
    try:
        job = read_job(drawn.folder)
        seen = watch(workspace, job, trainable, datetime.now(UTC))
    except LikewiseError as error:
        st.error(str(error))
        return
    if not job.active or job.step != drawn.step:
        st.rerun()  # the whole page, which tells of the step as well
    with st.container(border=True):
        _steps(job)
        text = seen.text
        if seen.seconds_left is not None:
            text += f", {about_time(seen.seconds_left)} left"
        if job.status == "stopping":
            text = "stopping; what was learnt is saved"
        st.progress(min(1.0, seen.share or 0.0), text=text[:1].upper() + text[1:])
        _curves(job, seen)
        left, middle, right = st.columns([2, 3, 1], vertical_alignment="center")
        shown = left.toggle("Show the log", key=f"log-live-{job.number}")
        middle.caption("This page may be closed; the work goes on.")
        right.button(
            "Stop",
            key=f"stop-{job.number}",
            disabled=job.status == "stopping",
            width="stretch",
            on_click=_stop,
            args=(job,),
            help="What was learnt is saved, and can be taken up again.",
        )
        if shown:
            log(job)


def _ended(workspace: Workspace, job: Job, trainable: int) -> None:
    _steps(job)
    seen = watch(workspace, job, trainable, datetime.now(UTC))
    kind, text = outcome(job)
    {"good": st.success, "bad": st.error, "open": st.info}[kind](text)
    _curves(job, seen)
    if job.status != "done":
        label = "Try again" if job.status == "failed" else "Go on"
        left, right = st.columns([1, 4], vertical_alignment="center")
        left.button(
            label,
            key=f"again-{job.number}",
            type="primary",
            width="stretch",
            on_click=_again,
            args=(workspace, job),
        )
        if right.toggle("Show the log", key=f"log-ended-{job.number}"):
            log(job)


def _steps(job: Job) -> None:
    items = "".join(
        f'<span class="lw-{state}"><b>{_SIGNS[state]}</b> {escape(title)}</span>'
        for title, state in steps_shown(job)
    )
    st.html(f'{_STYLE}<div class="lw-job-steps">{items}</div>')


def _curves(job: Job, seen: Watched) -> None:
    if seen.run is not None:
        curves = curves_of(seen.run.kind, seen.rows, seen.speeds)
        draw_curves(curves, seen.epochs, f"curves-{job.number}")


def log(job: Job) -> None:
    """What was run, and what it said last."""
    lines = tail(job.log_file, LINES)
    steps = [fill_in(job, step) for step in job.steps]
    st.code("\n".join((in_words(steps), "", *lines)), language=None, wrap_lines=True)


def _stop(job: Job) -> None:
    try:
        stop(job)
    except LikewiseError as error:
        st.session_state["job-problem"] = str(error)


def _again(workspace: Workspace, job: Job) -> None:
    try:
        again(workspace, job)
    except LikewiseError as error:
        st.session_state["job-problem"] = str(error)


_STYLE = """<style>
.lw-job-steps { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; font-size: .95rem; }
.lw-job-steps span { opacity: .55; }
.lw-job-steps .lw-now, .lw-job-steps .lw-stopped, .lw-job-steps .lw-failed { opacity: 1;
  font-weight: 600; }
.lw-job-steps .lw-now b, .lw-job-steps .lw-done b { color: #0d9488; }
.lw-job-steps .lw-failed b { color: #e11d48; }
</style>"""
