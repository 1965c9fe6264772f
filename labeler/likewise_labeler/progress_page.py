"""The page that shows how the labelling goes: pace, verdicts, agreement, quality, what is left."""

import contextlib
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from html import escape

import pandas as pd
import streamlit as st

from likewise.answers.agreement import Agreement, agreement_among, first_readings
from likewise.answers.ledger import Ledger
from likewise.answers.outlook import Day, Outlook, Person, outlook, people, per_day
from likewise.answers.quality import Model, Quality, enough, models_of, new_to, quality
from likewise.errors import LikewiseError
from likewise.evaluation.prospects import Prospects, prospects
from likewise.neighbours.vectors import load_embeddings
from likewise_labeler import progress_charts as charts
from likewise_labeler import progress_words as words
from likewise_labeler.desk import Desk, Missing, Ready
from likewise_labeler.first_run import missing_page
from likewise_labeler.look import state
from likewise_labeler.progress_prospects import prospects_html

_STYLE = """<style>
.lw-figures { display: grid; grid-template-columns: repeat(6, 1fr); gap: .8rem; margin: .3rem 0; }
.lw-figures > div { border: 1px solid var(--lw-edge); border-radius: .7rem; padding: .7rem .9rem;
  background: var(--lw-faint); min-width: 0; }
.lw-figures span { font-size: .8rem; opacity: .65; display: block; }
.lw-figures b { font-size: 1.65rem; font-weight: 650; letter-spacing: -.02em; line-height: 1.35;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.lw-part { font-size: 1.02rem; font-weight: 650; margin: .9rem 0 0; }
.lw-part + p, .lw-said { font-size: .88rem; opacity: .75; line-height: 1.5; margin: .25rem 0 0;
  max-width: 46rem; }
@media (max-width: 1100px) { .lw-figures { grid-template-columns: repeat(3, 1fr); } }
</style>"""


@dataclass(frozen=True)
class _Facts:
    """What the page shows of the answers."""

    people: list[Person]
    days: list[Day]
    agreement: Agreement
    outlook: Outlook
    groups: int


@dataclass(frozen=True)
class _Qualities:
    """How good the models are."""

    found: list[tuple[Model, Quality]]
    same: bool
    """Whether all were measured on the same pairs."""


def progress_page(desk: Desk) -> None:
    """Show how far the work is."""
    ready = desk.look()
    if isinstance(ready, Missing):
        missing_page(ready, desk.workspace.path)
        return
    try:
        _page(desk, ready)
    except LikewiseError as error:
        missing_page(Missing("trouble", str(error)), desk.workspace.path)


def _page(desk: Desk, ready: Ready) -> None:
    with ready.questions.ledger() as ledger:
        last = ledger.standing.last
    where, now = str(desk.workspace.path), datetime.now(UTC)
    facts = _facts(where, last, now.astimezone().date(), ready.embeddings.fingerprint, ready)
    if not facts.people:
        st.html(
            state(
                "No answers yet",
                "Answer some pairs on the Label page. Then this page shows who answers how fast, "
                "how well people agree, how good each model is, and how much is left.",
            )
        )
        return
    told = _prospects(where, last, _fingerprints(desk), desk, ready)
    stop = told is not None and told.forecast.stop
    st.html(_STYLE + _figures(facts, stop))
    if told is not None:
        st.html(prospects_html(told, desk.strategy))
    left, right = st.columns(2, gap="large")
    with left:
        _part("Answers per day")
        st.altair_chart(charts.days_chart(facts.days, facts.people, now.astimezone().date()))
    with right:
        _part("Verdicts")
        st.altair_chart(charts.verdicts_chart(facts.people))
    _part("People")
    _people(facts, now)
    left, right = st.columns(2, gap="large")
    with left:
        _agreement(facts)
        _part("What is left", words.left_words(facts.outlook, stop))
    with right:
        _quality(desk, ready, where, last)


def _fingerprints(desk: Desk) -> list[str]:
    return [each.fingerprint for each in models_of(desk.workspace)]


def _figures(facts: _Facts, stop: bool) -> str:
    cards = words.cards(facts.people, facts.agreement, facts.outlook, facts.groups, stop)
    shown = (
        f"<div><span>{escape(each.label)}</span><b>{escape(each.figure)}</b>"
        f"<span>{escape(each.note)}</span></div>"
        for each in cards
    )
    return f'<div class="lw-figures">{"".join(shown)}</div>'


def _part(title: str, text: str = "") -> None:
    below = f"<p>{escape(text)}</p>" if text else ""
    st.html(f'<h2 class="lw-part">{escape(title)}</h2>{below}')


def _people(facts: _Facts, now: datetime) -> None:
    rows = words.people_rows(facts.people, facts.agreement, now, _zone())
    share = {
        each: st.column_config.NumberColumn(format="%.0f %%")
        for each in ("Similar", "Dissimilar", "Unsure")
    }
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        width="stretch",
        column_config={
            **share,
            "Answers": st.column_config.NumberColumn(format="localized"),
            "A minute": st.column_config.TextColumn(
                help="Answers per minute of work; pauses of two minutes do not count."
            ),
            "Agreement": st.column_config.TextColumn(
                help="Kappa with what most others say of the same pairs, and its 95 % interval."
            ),
            "Known truths right": st.column_config.TextColumn(
                help="Of the pairs whose truth is known, with the 95 % interval."
            ),
        },
    )


def _agreement(facts: _Facts) -> None:
    overall = facts.agreement.overall
    _part("Agreement", words.agreement_words(overall, len(facts.people)))
    chart = charts.agreement_chart(facts.agreement)
    if chart is not None:
        st.altair_chart(chart)


def _quality(desk: Desk, ready: Ready, where: str, last: int) -> None:
    with st.spinner("Measuring the models …"):
        measured = _qualities(where, last, _fingerprints(desk), desk, ready)
    _part("Quality of each model", words.quality_words(measured.found, measured.same))
    chart = charts.quality_chart(measured.found, measured.same)
    if chart is not None:
        st.altair_chart(chart)
    tuned = any(words.held_out_words(model) for model, _ in measured.found)
    rows = [
        {
            "Model": model.name,
            "AUC": words.NONE if each.auc is None else f"{each.auc:.3f}",
            "Measured on": words.quality_note(model, each),
        }
        | ({"When it was tuned": words.held_out_words(model)} if tuned else {})
        for model, each in measured.found
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


@st.cache_data(max_entries=8, show_spinner="Adding up the answers …")
def _facts(where: str, last: int, today: date, fingerprint: str, _ready: Ready) -> _Facts:
    """Added up once for each newest row (``last``), day and embedding."""
    with _ready.questions.ledger() as ledger:
        answers, settled = ledger.standing.answers(), ledger.settled()
        readings = first_readings(ledger)
        groups = ledger.links.groups_of_several
    known = _ready.images.ids[~_ready.images.held_out].tolist()
    images = set(known) & _ready.embeddings.positions.keys()
    return _Facts(
        people=people(answers, datetime.now(UTC)),
        days=per_day(answers),
        agreement=agreement_among(*readings),
        outlook=outlook(settled, images),
        groups=groups,
    )


@st.cache_data(max_entries=8, show_spinner="Estimating the quality …")
def _prospects(
    where: str, last: int, fingerprints: Sequence[str], _desk: Desk, _ready: Ready
) -> Prospects | None:
    """Estimated once for each newest row (``last``) and set of models."""
    history = _ready.store.history()
    held_out = set(_ready.images.ids[_ready.images.held_out].tolist())
    return prospects(_desk.workspace, Ledger(history), history, held_out)


@st.cache_data(max_entries=8, show_spinner=False)
def _qualities(
    where: str, last: int, fingerprints: Sequence[str], _desk: Desk, _ready: Ready
) -> _Qualities:
    """Measured once for each newest row (``last``) and set of models."""
    with _ready.questions.ledger() as ledger:
        settled = ledger.settled()
    history = _ready.store.history()
    models = models_of(_desk.workspace)
    new = [new_to(model, history, settled) for model in models]
    pairs = set(new[0]).intersection(*new[1:]) if new else set()
    shared = [each for each in settled if each in pairs]
    same = enough(shared)
    found = []
    for model, own in zip(models, new, strict=True):
        current = model.fingerprint == _ready.embeddings.fingerprint
        embeddings = (
            _ready.embeddings if current else load_embeddings(_desk.workspace, model.fingerprint)
        )
        found.append((model, quality(embeddings, shared if same else own)))
    return _Qualities(found, same)


def _zone() -> tzinfo:
    """The reader's time zone, as the browser tells it."""
    with contextlib.suppress(TypeError, ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return zoneinfo.ZoneInfo(st.context.timezone or "")
    return UTC
