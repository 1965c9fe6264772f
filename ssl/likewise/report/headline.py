"""The head of the page: what was learnt, how sure that is and what comes next, in plain words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from likewise.answers.outlook import people
from likewise.evaluation.evaluate import Evaluation
from likewise.evaluation.forecast import MORE, points
from likewise.evaluation.scores import Metric
from likewise.evaluation.table import ModelScores
from likewise.report.page import Card
from likewise.report.subject import Subject, why_kept
from likewise.wording import counted, percent


@dataclass(frozen=True)
class Headline:
    """Title, a line about the page, and its cards."""

    title: str
    about: str
    cards: tuple[Card, ...]


def headline(subject: Subject) -> Headline:
    """Say it in some sentences."""
    count = f"{len(subject.images):,} images"
    title = f"What {subject.run.name} learnt" if subject.run else f"What was learnt from {count}"
    roots = ", ".join(root.name for root in subject.workspace.config.roots[:3])
    parts = [
        f"Images of {roots}" if roots else "",
        f"{count} in all" if subject.run else "",
        f"model {subject.after.model}" if subject.after else "no embedding yet",
        _answers(subject),
        f"made on {subject.now:%d %B %Y}",
    ]
    cards = (
        Card("What was learnt", " ".join(filter(None, _learnt(subject)))),
        Card("How sure that is", " ".join(filter(None, _sure(subject)))),
        Card("What to do next", " ".join(filter(None, _next(subject)))),
    )
    return Headline(title, "; ".join(filter(None, parts)), cards)


def _answers(subject: Subject) -> str:
    answers = len(subject.ledger.standing)
    count = len(people(subject.ledger.standing.answers(), subject.now))
    named = f"{count:,} {'person' if count == 1 else 'people'}"
    return f"{answers:,} answers by {named}" if answers else "no answers yet"


def _learnt(subject: Subject) -> list[str]:
    if subject.run is not None and subject.run.kept:
        return [f"No better model: {why_kept(subject.run)}."]
    if subject.after is None:
        if not subject.lineage:
            return ["Nothing yet: the images were read, and no model has looked at them."]
        done = "is trained" if subject.lineage[-1].finished else "is being trained"
        return [f"A model ({subject.lineage[-1].name}) {done}, but has not embedded the images."]
    evaluation = subject.evaluation
    if evaluation is not None:
        return _on_truth(subject, evaluation)
    found, told = subject.groups, subject.prospects
    said = []
    if told is not None and told.forecast.now is not None:
        said.append(
            f"About {percent(told.forecast.now.value)} of the images would be put among their own "
            "kind."
        )
    if found is not None and found.balance.groups:
        known = int((found.told.groups >= 0).sum())
        said.append(
            f"{counted(found.balance.groups, 'group')} found, with {known:,} of "
            f"{len(found.told.rows):,} images."
        )
    return said or [
        f"A model ({subject.after.model}) has looked at {len(subject.after.ids):,} images without "
        "labels, and knows which look alike to it."
    ]


def _on_truth(subject: Subject, evaluation: Evaluation) -> list[str]:
    last, before = evaluation.models[-1], _before(subject, evaluation.models)
    queries, mated = last.scores.images, evaluation.mated
    if not mated:
        return [f"None of {queries:,} images has another one of its class to be found by."]
    recall, purity = last.scores.values["recall@1"], last.scores.values["map@r"]
    was, pure = (
        f" ({before.name}: {percent(before.scores.values[metric])})"
        for metric in ("recall@1", "map@r")
    )
    where = " that were never trained on nor asked about" if subject.images.held_out.any() else ""
    said = [
        f"For {percent(recall)} of {mated:,} images{where} the most similar one is of the same "
        f"class{was}."
    ]
    if mated < queries:
        said.append(f"{queries - mated:,} more have no other of their class, so they do not count.")
    if not math.isnan(purity):
        said.append(f"The neighbourhood of an image is {percent(purity)} pure by MAP@R{pure}.")
    return said


def _before(subject: Subject, models: Sequence[ModelScores]) -> ModelScores:
    """The model to compare with: the one before, else raw pixels, which come first."""
    wanted = subject.before.fingerprint if subject.before else None
    return next((each for each in models[:-1] if each.fingerprint == wanted), models[0])


def _sure(subject: Subject) -> list[str]:
    said = []
    evaluation = subject.evaluation
    if evaluation is not None:
        last = evaluation.models[-1]
        low, high = last.scores.intervals["recall@1"]
        if not math.isnan(low):
            said.append(
                f"The first figure lies between {percent(low)} and {percent(high)} (95 % interval)."
            )
        said.append(gain_words(last, _before(subject, evaluation.models)))
    told = subject.prospects
    if evaluation is None and told is not None and told.forecast.now is not None:
        now = told.forecast.now
        said.append(
            f"The share lies between {percent(now.low)} and {percent(now.high)}, 8 times out of 10."
        )
    if told is not None and told.threshold is not None:
        at = told.threshold
        said.append(
            f"Where {percent(at.false_accept.value, 1)} of different pairs may pass for the same, "
            f"{percent(at.false_reject.value)} of same pairs are missed "
            f"({percent(at.false_reject.low)} to {percent(at.false_reject.high)})."
        )
    if len(subject.ledger.standing):
        if wrong := len(subject.wrong):
            said.append(f"{wrong:,} {'answers are' if wrong > 1 else 'answer is'} probably wrong.")
        if len(people(subject.ledger.standing.answers(), subject.now)) == 1:
            said.append("Only one person answered, so nobody knows how far people agree.")
    elif evaluation is None:
        said.append("Nobody can say: there are no answers, and no known truth to measure with.")
    return said


def gain_words(last: ModelScores, before: ModelScores) -> str:
    """Whether the two models differ by more than chance explains."""
    metric: Metric = "map@r"
    low, high = last.scores.intervals[metric]
    other_low, other_high = before.scores.intervals[metric]
    if math.isnan(low) or math.isnan(other_low):
        return ""
    if low > other_high:
        return f"The gain in purity over {before.name} is larger than chance explains."
    if high < other_low:
        return f"{last.name} is surely worse than {before.name}."
    return f"The difference between {before.name} and {last.name} may be chance."


def _next(subject: Subject) -> list[str]:
    said = []
    told = subject.prospects
    if told is not None and told.forecast.gain is not None:
        end = ": worth stopping" if told.forecast.stop else ""
        said.append(
            f"{MORE} more answers would add {points(told.forecast.gain)} to the share of images "
            f"among their own kind{end}."
        )
    elif not len(subject.ledger.standing) and subject.after is not None:
        said.append(f"About {MORE} answers are a start, some minutes of work.")
    return [*said, f"Next: {subject.next_step}."]
