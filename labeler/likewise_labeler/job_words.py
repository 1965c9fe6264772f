"""Jobs and models in words and rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import Any, Literal

from likewise.jobs.job import Job
from likewise.jobs.records import Record
from likewise.jobs.watch import title_of

_STATES = {
    "running": "at work",
    "stopping": "stopping",
    "done": "done",
    "failed": "failed",
    "stopped": "stopped",
    "lost": "broken off",
}


def about_time(seconds: float) -> str:
    """A span of time in words, no more precise than a forecast is."""
    if seconds < 60:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 10 else f"{round(minutes / 60)} h"


def outcome(job: Job) -> tuple[Literal["good", "bad", "open"], str]:
    """How a job ended, and what that means for the user."""
    title = title_of(job.command)
    match job.status:
        case "done":
            return "good", _done(job)
        case "failed":
            return "bad", f"{title}: {job.error}"
        case "stopped":
            return "open", f"Stopped at: {title}. What was finished is kept; Go on takes it up."
        case _:
            return "open", (
                f"Broken off at: {title}. The machine was restarted, or the work was killed. "
                "Go on takes it up at the last saved state."
            )


def _done(job: Job) -> str:
    results = [job.result(step) or {} for step in range(len(job.steps))]
    text = "Done."
    last = results[-1]
    if job.steps[-1][0] == "embed" and "model" in last:
        text = f"Done. Pairs are now proposed by {last['model']}."
    for told in results:
        if told.get("kept"):
            text += " What the answers teach was not surely better, so there is no new model."
        after, before = (told.get(name) or {} for name in ("after", "before"))
        if after.get("auc") is not None and before.get("auc") is not None:
            text += (
                f" Same and different told apart on held-out answers (AUC): {before['auc']:.3f} "
                f"before, {after['auc']:.3f} after."
            )
        if warning := (told.get("health") or {}).get("warning"):
            text += f" Warning: {warning}"
    return text


def job_rows(jobs: Iterable[Job], zone: tzinfo | None) -> list[dict[str, str]]:
    """The jobs as a table, newest first."""
    return [
        {
            "Job": str(job.number),
            "Commands": ", ".join(step[0] for step in job.steps),
            "State": _STATES[job.status] + (f": {job.error}" if job.error else ""),
            "Started": _moment(job.started, zone),
            "Took": about_time((job.ended - job.started).total_seconds()) if job.ended else "",
        }
        for job in sorted(jobs, key=lambda each: each.number, reverse=True)
    ]


def model_rows(
    records: Iterable[Record], embedded: Mapping[str, str], zone: tzinfo | None
) -> list[dict[str, str]]:
    """The runs as a table, newest first; ``embedded``: when each model embedded the images."""
    newest = max(embedded, key=lambda name: embedded[name], default="")
    return [
        _model_row(each, newest, each.name in embedded, zone)
        for each in sorted(records, key=lambda each: each.started, reverse=True)
    ]


def _model_row(record: Record, newest: str, embedded: bool, zone: tzinfo | None) -> dict[str, str]:
    rows = record.rows
    last: Mapping[str, Any] = rows[-1] if rows else {}
    if record.kept:
        state = "no better, not used"
    elif not record.finished:
        state = "unfinished"
    elif record.name == newest:
        state = "proposes the pairs"
    else:
        state = "embedded" if embedded else "not embedded"
    measured = record.measured or {}
    pair = [(measured.get(part) or {}).get("auc") for part in ("before", "after")]
    return {
        "Model": record.name,
        "State": state,
        "Epochs": f"{len(rows)} of {record.epochs}"
        if rows or not (record.finished or record.kept)
        else "",
        "Loss": _figure(last.get("loss"), 3),
        "Spread": _figure(last.get("projection_std"), 2),
        "AUC on held-out answers": " → ".join(_figure(each, 3) for each in pair)
        if None not in pair
        else "",
        "Started": _moment(record.started, zone),
    }


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as an HTML table; empty columns are left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(row[name])}</td>" for name in names) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="lw-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _moment(time: datetime, zone: tzinfo | None) -> str:
    return time.astimezone(zone).strftime("%Y-%m-%d %H:%M")
