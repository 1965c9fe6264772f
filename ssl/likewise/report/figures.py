"""How good the models are, with intervals: on a known truth, and by what the answers tell."""

import math

from likewise.answers.quality import Model, Quality, models_of, new_to, quality
from likewise.evaluation.bootstrap import PAIRS, pairs_of
from likewise.evaluation.evaluate import RAW_PIXELS, distinct_names, raw_pixels
from likewise.evaluation.forecast import MORE, Estimate
from likewise.evaluation.scores import METRICS, Metric, pair_scores
from likewise.evaluation.table import ModelScores, best_of
from likewise.report.charts import Range, Scored, ranges, roc
from likewise.report.page import Html, Section, Table, heading, paragraph, table
from likewise.report.subject import Subject

TITLES: dict[Metric, str] = {
    "recall@1": "recall@1",
    "recall@5": "recall@5",
    "map@r": "MAP@R",
    "auc": "AUC",
    "eer": "EER (lower is better)",
    "knn": "kNN accuracy",
}
"""The metrics as people write them."""
_SHOWN: dict[Metric, str] = {
    "recall@1": "The most similar image is of the same class (recall@1)",
    "map@r": "Purity of the neighbourhood (MAP@R)",
    "auc": "A same pair is more similar than a different one (AUC)",
}
_ROC_IMAGES = 2_000
_ROC_PAIRS = PAIRS // 5


def figures_section(subject: Subject) -> Section | None:
    """Figures on the truth where it is known, and what the answers tell in any case."""
    if subject.after is None:
        return None
    body = [*_on_truth(subject), *_by_answers(subject)]
    if not body:
        return Section(
            "How good it is",
            "Nobody has answered yet, and no truth is given, so nothing can be measured. It takes "
            "answers (`likewise label`), or known classes (`likewise report --truth folders`).",
        )
    told = (
        "A dot is the figure, the bar its interval: where the truth lies, as far as the images or "
        "answers at hand can tell. Where two bars overlap widely, the difference may be chance."
    )
    return Section("How good it is", told, body)


def _on_truth(subject: Subject) -> list[Html]:
    evaluation = subject.evaluation
    if evaluation is None:
        return []
    rows: list[Range | str] = []
    for metric, title in _SHOWN.items():
        rows.append(title)
        for place, model in enumerate(evaluation.models):
            value, (low, high) = model.scores.values[metric], model.scores.intervals[metric]
            rows.append(Range(model.name, value, low, high, colour=place))
    return [
        heading("On the known truth"),
        ranges(rows),
        table(scores_table(evaluation.models)),
        paragraph(f"Small figures: 95 % intervals. {evaluation.explanation()}", "note"),
        *(paragraph(each, "note") for each in evaluation.notes()),
        *_roc(subject),
    ]


def scores_table(models: tuple[ModelScores, ...]) -> Table:
    """Every model's figures with their 95 % intervals; the best of each column is marked."""
    rows, best = [], set()
    for row, model in enumerate(models):
        cells = [model.name]
        for column, metric in enumerate(METRICS, start=1):
            value = model.scores.values[metric]
            low, high = model.scores.intervals[metric]
            spread = "" if math.isnan(low) else f"\n{low:.3f} to {high:.3f}"
            cells.append("n/a" if math.isnan(value) else f"{value:.3f}{spread}")
            if value == best_of(metric, models):
                best.add((row, column))
        rows.append(cells)
    header = ["model", *(TITLES[metric] for metric in METRICS)]
    return Table(header, rows, frozenset(best))


def _roc(subject: Subject) -> list[Html]:
    assert subject.labels is not None
    rows = subject.drawn(subject.candidates, _ROC_IMAGES)
    pairs = pairs_of(subject.labels[rows], _ROC_PAIRS, subject.settings.seed)
    if not pairs.same.any() or pairs.same.all():
        return []
    scored = [Scored(RAW_PIXELS, pair_scores(raw_pixels(subject.images, rows), pairs), pairs.same)]
    for name, model in zip(distinct_names(subject.pair), subject.pair, strict=True):
        similarity = pair_scores(subject.vectors(model, rows), pairs)
        scored.append(Scored(name, similarity, pairs.same))
    told = (
        "If every pair above some similarity were called the same: how many of the same pairs "
        f"would be found, and how many different ones let through? On {len(pairs.same):,} pairs of "
        f"{len(rows):,} images. The less the two humps of a model overlap, the better; the line "
        "marks where both kinds of error are equal."
    )
    return [heading("Same or different?"), paragraph(told), roc(scored)]


def _by_answers(subject: Subject) -> list[Html]:
    told = subject.prospects
    if told is None or not len(subject.ledger.standing):
        return []
    body = [heading("By what the answers tell")]
    now, gain = told.forecast.now, told.forecast.gain
    if now is not None and gain is not None:
        body.append(
            ranges(
                [
                    "Images that would be put among their own kind",
                    Range("now", now.value, now.low, now.high),
                    _later(now, gain),
                ]
            )
        )
        note = (
            f"Estimated from {told.forecast.judged:,} answered images, each judged by the other "
            f"ones, with the embedding of {told.judged_by}. The truth lies in the bar at least 8 "
            "times out of 10."
        )
        body.append(paragraph(note, "note"))
    else:
        body.append(paragraph(told.forecast.as_text()))
    if told.threshold is None:
        why = told.threshold_text()
        body.append(paragraph(f"Where same begins: {why[:1].lower()}{why[1:]}"))
    else:
        accept, reject = told.threshold.false_accept, told.threshold.false_reject
        top = min(1.0, max(0.05, accept.high, reject.high))
        body.append(
            ranges(
                [
                    f"Same begins at a similarity of {told.threshold.similarity:.3f}",
                    Range("different pairs pass", accept.value, accept.low, accept.high, top),
                    Range("same pairs are missed", reject.value, reject.low, reject.high, top),
                ]
            )
        )
        note = (
            "Over all pairs of images, with 95 % intervals, from "
            f"{told.threshold.answers_text()}, that only measure and are never trained on."
        )
        body.append(paragraph(note, "note"))
    return [*body, *_by_models(subject)]


def _later(now: Estimate, gain: Estimate) -> Range:
    value, low, high = (
        min(1.0, each + more)
        for each, more in ((now.value, gain.value), (now.low, gain.low), (now.high, gain.high))
    )
    return Range(f"after {MORE} more answers", value, low, high)


def _by_models(subject: Subject) -> list[Html]:
    """Pair AUC of the models before and after, on answers that were new to them."""
    rows: list[Range | str] = ["Similar pairs are nearer than dissimilar ones (AUC)"]
    for place, (model, found) in enumerate(measured(subject), start=1):
        if found.auc is not None and found.low is not None and found.high is not None:
            label = f"{model.name}: {found.similar:,} similar, {found.dissimilar:,} dissimilar"
            rows.append(Range(label, found.auc, found.low, found.high, colour=place, share=False))
    if len(rows) < 2:
        return []
    note = "On answers that were new to each model, with 95 % intervals. 0.5 is guessing."
    return [ranges(rows), paragraph(note, "note")]


def measured(subject: Subject) -> list[tuple[Model, Quality]]:
    """How well the models before and after do on answers that were new to them."""
    by_print = {each.fingerprint: each for each in models_of(subject.workspace)}
    settled = subject.ledger.settled()
    return [
        (model, quality(each, new_to(model, subject.history, settled), subject.settings.seed))
        for each in subject.pair
        if (model := by_print.get(each.fingerprint)) is not None
    ]
