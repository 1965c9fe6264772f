"""How the models came about: what training saw, how it went, whether it stayed healthy."""

from typing import Any

import numpy as np

from likewise.evaluation.view_sheet import views_of
from likewise.files import read_json
from likewise.models.runs import Run
from likewise.report.charts import curves
from likewise.report.page import Html, Section, box, heading, paragraph
from likewise.report.subject import Subject, why_kept
from likewise.training.watch import collapse_of

_VIEWED, _VIEWS = 3, 6


def training_section(subject: Subject) -> Section | None:
    """The runs that led to the model, the first one first."""
    if not subject.lineage:
        return None
    body: list[Html] = []
    for run in subject.lineage:
        body += _run(subject, run)
    last = subject.runs[-1]
    if last.kept and last not in subject.lineage:
        body.append(paragraph(f"The newest run, {last.name}, left no model: {why_kept(last)}."))
    names = " → ".join(run.name for run in subject.lineage)
    return Section("How the training went", f"From the first to the last: {names}.", body)


def _run(subject: Subject, run: Run) -> list[Html]:
    metrics = run.metrics()
    body = [heading(run.name), paragraph(_story(run, metrics))]
    if run.kind == "pretrain" and metrics:
        warning = collapse_of(metrics[-1])
        body.append(paragraph(warning or _HEALTHY))
    if metrics:
        body.append(curves(metrics))
    if run.kind == "pretrain" and run.finished:
        body += _views(subject, run)
    return body


_HEALTHY = "No sign of collapse: the network keeps telling the images apart."


def _story(run: Run, metrics: list[dict[str, Any]]) -> str:
    wanted = run.settings.get("epochs")
    unfinished = ""
    if not run.finished and not run.kept:
        unfinished = f" It is not finished: {len(metrics)} of {wanted or 'some'} epochs."
    if run.kind == "adopt":
        return "A net that others trained, with its published weights; nothing was trained here."
    if run.kind == "pretrain":
        return (
            "Pretraining needs no labels: the network is shown random views of one image at a time "
            "and learns to describe them alike. All figures are measured without labels."
            f"{unfinished}"
        )
    head = f" {_headed(run)}" if run.finished else ""
    kept = f" {why_kept(run)}." if run.kept else ""
    return f"Fine-tuning learns from the answers.{head} {_measured(run)}{kept}{unfinished}"


def _headed(run: Run) -> str:
    depth = str(run.settings.get("depth", "backbone"))
    if depth != "head":
        return f"It trained the {depth}."
    return "It fitted a linear map (a head) on top of the frozen net."


def _measured(run: Run) -> str:
    file = run.folder / "measured.json"
    if not file.is_file():
        return ""
    told = read_json(file)
    before, after = (told.get(name, {}).get("auc") for name in ("before", "after"))
    if before is None or after is None:
        return "It was not measured on held-out answers, as none or too few were held out."
    similar, dissimilar = (told["after"].get(kind, 0) for kind in ("similar", "dissimilar"))
    return (
        f"On held-out answers ({similar:,} similar, {dissimilar:,} dissimilar) the chance that a "
        f"similar pair is nearer than a dissimilar one went from {before:.3f} to {after:.3f}, "
        "measured on a copy that was trained without them."
    )


def _views(subject: Subject, run: Run) -> list[Html]:
    recipe, size = run.settings.get("recipe"), int(run.architecture["image_size"])
    if recipe is None:
        return []
    seed = subject.settings.seed
    rows = np.random.default_rng(seed).permutation(len(subject.images))[:_VIEWED].tolist()
    strips = []
    for row, made in zip(
        rows, views_of(subject.images, rows, recipe, size, _VIEWS, seed), strict=True
    ):
        views = [subject.thumbnails.picture(each, "a random view") for each in made]
        strips.append(box("strip", [subject.thumbnails.tile(row, "asked"), *views]))
    told = (
        f"What it was shown: an image, then random views of it (recipe {recipe}, {size} px). A "
        "good view is hard, but still recognisable."
    )
    return [paragraph(told), *strips]
