"""The groups that were found, how even they are, and what the model confuses."""

from collections import Counter

import numpy as np

from likewise.answers.standing import Answer
from likewise.evaluation.truth import with_mate
from likewise.inference.sorted_images import DOUBTFUL, GroupsFound
from likewise.report.charts import group_sizes
from likewise.report.page import Html, Section, box, chance, escape, heading, paragraph
from likewise.report.similar import nearest_of
from likewise.report.subject import MEASURED, Subject
from likewise.wording import counted, percent

_LARGEST, _SMALLEST, _TILES = 8, 3, 10
_PAIRS = 6
_CONFUSED = 6


def groups_section(subject: Subject) -> Section | None:
    """Groups from answers and embedding together, as `likewise groups` tells them."""
    found = subject.groups
    if found is None or not found.balance.groups:
        return None
    told, balance = found.told, found.balance
    known = int((told.groups >= 0).sum())
    by_answers = int((told.answered & (told.groups >= 0)).sum())
    lead = (
        f"{known:,} of {len(told.rows):,} images have a group: {by_answers:,} because of answers, "
        f"{known - by_answers:,} because they look enough like these. The others are left open "
        f"rather than guessed. About {percent(told.undiscovered)} of the images belong to groups "
        "that nobody met yet."
    )
    sizes = np.bincount(told.groups[told.groups >= 0])
    even = f"{counted(balance.groups, 'group')}; the largest has {balance.largest:,} images."
    if balance.groups > 1:
        even += (
            f" They are as even as {balance.effective:,.1f} groups of equal size would be "
            f"(evenness {balance.evenness:.2f} of 1)."
        )
    if alone := int(told.alone.sum()):
        even += f" {counted(alone, 'image')} more: by answers like no other so far."
    body = [group_sizes(sizes) if balance.groups > 1 else Html(""), paragraph(even, "note")]
    shown = list(range(min(_LARGEST, balance.groups)))
    rare = [each for each in range(balance.groups) if each >= _LARGEST][-_SMALLEST:]
    body += [heading("The largest"), *(_group(subject, found, each) for each in shown)]
    if rare:
        body += [heading("The smallest"), *(_group(subject, found, each) for each in rare)]
    body += _places(subject, found, "Outliers, in no group and far from everything", found.outliers)
    doubtful = f"Doubtful members, less than {percent(DOUBTFUL)} sure"
    body += _places(subject, found, doubtful, found.doubtful)
    return Section("The groups that were found", lead, body)


def _group(subject: Subject, found: GroupsFound, group: int) -> Html:
    places = found.members(group)
    answered = int(found.told.answered[places].sum())
    sure = float(found.told.confidence[places].mean())
    rows = [int(found.told.rows[each]) for each in places[:_TILES]]
    told = (
        f"<p><b>{escape(found.name(group))}</b> {len(places):,} images, {answered:,} of them by "
        f"answers; on average {percent(sure)} sure</p>"
    )
    return box("group", [told, subject.thumbnails.strip(rows, len(places))])


def _places(subject: Subject, found: GroupsFound, title: str, places: list[int]) -> list[Html]:
    if not places:
        return []
    rows = [int(found.told.rows[each]) for each in places[:_TILES]]
    shown = subject.thumbnails.strip(rows, len(places))
    return [heading(f"{title}: {len(places):,}"), shown]


def confusions_section(subject: Subject) -> Section | None:
    """Where the model is of another mind than the people, or than the truth."""
    if subject.after is None:
        return None
    body = [*_answered(subject), *_classes(subject)]
    if not body:
        return None
    told = (
        f"Where the model and {'the known truth' if subject.labels is not None else 'people'} "
        "disagree most. Some of it is hard, some shows what the model has not learnt, and some "
        "answers are wrong."
    )
    return Section("What it confuses", told, body)


def _answered(subject: Subject) -> list[Html]:
    """The nearest pairs that were called different, and the furthest that were called the same."""
    model = subject.after
    assert model is not None
    answers = [
        each
        for each in subject.ledger.settled()
        if each.verdict != "unsure"
        and all(i in model.positions and i in subject.images.positions for i in each.pair)
    ]
    if not answers:
        return []
    ends = np.array([[model.positions[i] for i in each.pair] for each in answers])
    near = np.einsum("nd,nd->n", model.vectors[ends[:, 0]], model.vectors[ends[:, 1]])
    body = []
    for verdict, order, title in (
        ("dissimilar", np.argsort(-near, kind="stable"), "Look alike to it, but are different"),
        ("similar", np.argsort(near, kind="stable"), "Look different to it, but are the same"),
    ):
        chosen = [n for n in order.tolist() if answers[n].verdict == verdict][:_PAIRS]
        pairs = [_pair(subject, answers[n], float(near[n])) for n in chosen]
        if pairs:
            body += [heading(title), box("pairs", pairs)]
    return body


def _pair(subject: Subject, answer: Answer, similarity: float) -> Html:
    rows = [subject.images.positions[each] for each in answer.pair]
    wrong = subject.doubts.get(answer.pair, 0.0)
    doubt = f"; wrong with a chance of {chance(wrong)}" if wrong else ""
    said = f"similarity {similarity:.2f}; called {answer.verdict} by {answer.annotator}{doubt}"
    return subject.thumbnails.pair(rows, said)


def _classes(subject: Subject) -> list[Html]:
    """The classes that are most often taken for each other, by the known truth."""
    model, labels = subject.after, subject.labels
    if model is None or labels is None:
        return []
    rows = subject.drawn(subject.candidates, MEASURED)
    rows = rows[with_mate(labels)[rows]]
    found = nearest_of(subject, model, rows).rows
    totals = Counter(str(labels[row]) for row in rows.tolist())
    examples: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for row, others in zip(rows.tolist(), found, strict=True):
        nearest = next((each for each in others if labels[each] != ""), None)
        if nearest is not None and labels[nearest] != labels[row]:
            key = str(labels[row]), str(labels[nearest])
            examples.setdefault(key, []).append((row, nearest))
    if not examples:
        return []
    most = sorted(examples.items(), key=lambda each: (-len(each[1]), each[0]))[:_CONFUSED]
    pairs = [
        subject.thumbnails.pair(
            some[0],
            f"{one}: the most similar image is {two} for {len(some):,} of {totals[one]:,} "
            f"({percent(len(some) / totals[one])})",
        )
        for (one, two), some in most
    ]
    return [heading("Classes taken for each other most often"), box("pairs", pairs)]
