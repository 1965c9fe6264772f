"""What the Progress page says, as plain text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from likewise.answers.agreement import Agreement, Kappa, Reader, Share
from likewise.answers.outlook import Outlook, Person, rounded
from likewise.answers.quality import FEWEST, Model, Quality
from likewise.wording import percent

_DEGREES = (
    (0.8, "People mean nearly the same by similar."),
    (0.6, "People agree well; the disputed pairs are worth a look on the Review page."),
    (0.4, "People agree moderately; settle what similar means before going on."),
    (-1.0, "People agree little more than by chance; settle what similar means before going on."),
)
"""From this kappa on, what it means (the steps of Landis and Koch 1977, the lowest two as one)."""
NONE = "—"
"""Where there is no figure."""
_FEW = 30
"""Pairs below which a kappa is called rough."""


@dataclass(frozen=True)
class Card:
    """A figure on top of the page."""

    label: str
    figure: str
    note: str


def cards(
    people: Sequence[Person], agreement: Agreement, view: Outlook, groups: int, stop: bool = False
) -> tuple[Card, ...]:
    """The figures on top; ``stop``: more answers are not worth their while."""
    answers, today = sum(each.answers for each in people), sum(each.today for each in people)
    one = len(people) == 1
    paces = [each.per_minute for each in people if each.per_minute is not None]
    pace = f"{sum(paces) / len(paces):.0f}" if paces else NONE
    inside = "one group" if groups == 1 else f"{groups:,} groups"
    kappa = agreement.overall
    return (
        Card("Answers", f"{answers:,}", f"{today:,} today"),
        Card("People", f"{len(people):,}", "one person so far" if one else "have answered"),
        Card("Answers a minute", pace, "while working" + ("" if len(paces) < 2 else ", a person")),
        Card("Agreement", NONE if kappa.value is None else f"{kappa.value:.2f}", _range(kappa)),
        Card("Images placed", f"{view.placed:,}", f"of {view.images:,}, in {inside}"),
        _left_card(view, stop),
    )


def _left_card(view: Outlook, stop: bool) -> Card:
    if stop and view.left != 0:
        return Card("Answers left", NONE, "worth stopping")
    return Card("Answers left", _about(view.left), "estimated" if view.left else _left_note(view))


def _about(left: int | None) -> str:
    if left is None:
        return NONE
    return f"≈ {rounded(left):,}" if left else "0"


def _left_note(view: Outlook) -> str:
    return "every image has its place" if view.placed == view.images else "too early to tell"


def _range(kappa: Kappa) -> str:
    if kappa.value is None:
        return "not known yet"
    if kappa.low is None or kappa.high is None:
        return f"kappa, from {kappa.pairs:,} pairs"
    return f"kappa, {kappa.low:.2f} to {kappa.high:.2f}"


def left_words(view: Outlook, stop: bool = False) -> str:
    """How the number of answers left was estimated, or why it does not matter (``stop``)."""
    missing = view.images - view.placed
    if not missing:
        return "Every image has its place. What is left to ask compares groups with one another."
    there = f"{missing:,} of {view.images:,} images have no place yet."
    if stop:
        return (
            f"{there} It is not worth asking about each: most of them already look most like an "
            "image of their own kind, and more answers would hardly change that."
        )
    if view.left is None:
        return f"{there} With more answers there will be an estimate of how many they take."
    return (
        f"{there} The last {view.window:,} answers placed {view.placed_lately:,} images; at that "
        f"rate the others take about {rounded(view.left):,} more. A place is a group, or five "
        "answers that found none. You may stop earlier: when models no longer get better."
    )


def agreement_words(kappa: Kappa, people: int) -> str:
    """What the agreement means, or what is missing to tell it."""
    if people < 2:
        return (
            "Nobody else has answered yet. As soon as a second person labels, some pairs are shown "
            "to both, and their agreement appears here."
        )
    if kappa.value is None:
        return f"{kappa.note}. Some pairs are shown to a second person; keep labeling as a team."
    meaning = next(text for least, text in _DEGREES if kappa.value >= least)
    rough = " So few pairs give a rough figure only." if kappa.pairs < _FEW else ""
    note = f" {kappa.note}." if kappa.note else ""
    return (
        f"{meaning} On {kappa.pairs:,} pairs that more than one person read, "
        f"{percent(kappa.raw or 0.0)} of the verdicts agree. Kappa leaves out what chance alone "
        f"would give: 1 is perfect, 0 is chance.{rough}{note}"
    )


def quality_words(found: Sequence[tuple[Model, Quality]], same: bool) -> str:
    """What the figures of the models rest on, or what is missing."""
    shown = [each for _, each in found if each.auc is not None]
    if not shown:
        return (
            f"A figure takes {FEWEST} similar and {FEWEST} dissimilar answers that a model has not "
            "learnt from."
        )
    meaning = (
        "How often a similar pair is nearer than a dissimilar one: 1 is always, 0.5 is guessing. "
        "Measured on answers that were new to the model; bars show the 95 % interval. "
    )
    if same and len(shown) > 1:
        pairs = shown[0].similar + shown[0].dissimilar
        return f"{meaning}All models on the same {pairs:,} pairs, so they may be compared."
    if len(shown) > 1:
        return (
            f"{meaning}Each model on other pairs, as too few are new to all: compare with care. "
            "More answers after the last training make it fair."
        )
    return meaning.strip()


def quality_note(model: Model, quality: Quality) -> str:
    """What a model's figure rests on, in a few words."""
    if quality.auc is not None:
        return f"{quality.similar:,} similar, {quality.dissimilar:,} dissimilar pairs"
    return (
        f"too few new answers: {quality.similar:,} similar, {quality.dissimilar:,} dissimilar, of "
        f"{FEWEST} each"
    )


def held_out_words(model: Model) -> str:
    """What was measured when a model was fine-tuned."""
    if model.before is None or model.after is None:
        return ""
    return f"{model.before:.3f} → {model.after:.3f} on {model.held_out:,} answers"


def people_rows(
    people: Sequence[Person], agreement: Agreement, now: datetime, zone: tzinfo | None
) -> list[dict[str, object]]:
    """The table of people; shares in percent."""
    readers = {each.name: each for each in agreement.readers}
    return [
        {
            "Name": each.name,
            "Answers": each.answers,
            "Today": each.today,
            "A minute": NONE if each.per_minute is None else f"{each.per_minute:.1f}",
            "Similar": 100 * each.shares["similar"],
            "Dissimilar": 100 * each.shares["dissimilar"],
            "Unsure": 100 * each.shares["unsure"],
            "Agreement": _kappa(readers.get(each.name)),
            "Known truths right": _right(readers[each.name].gold if each.name in readers else None),
            "Last answer": ago(now - each.last, each.last.astimezone(zone)),
        }
        for each in people
    ]


def _kappa(reader: Reader | None) -> str:
    if reader is None or reader.with_others.value is None:
        return NONE
    kappa = reader.with_others
    if kappa.low is None or kappa.high is None:
        return f"{kappa.value:.2f} ({kappa.pairs:,} pairs)"
    return f"{kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"


def _right(share: Share | None) -> str:
    if share is None or share.value is None or share.low is None or share.high is None:
        return NONE
    return f"{share.right:,} of {share.of:,} ({percent(share.low)} to {percent(share.high)})"


def ago(since: timedelta, then: datetime) -> str:
    """When something was, as one says it."""
    minutes = int(since.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 24 * 60:
        return f"{minutes // 60} h ago"
    return f"{then:%Y-%m-%d}"
