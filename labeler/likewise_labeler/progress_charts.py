"""The charts of the Progress page."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

import altair as alt
import pandas as pd

from likewise.answers.agreement import Agreement
from likewise.answers.outlook import Day, Person
from likewise.answers.quality import Model, Quality
from likewise.answers.standing import VERDICTS
from likewise_labeler.cards import COLOURS

Chart = alt.Chart | alt.LayerChart | alt.FacetChart
_OTHERS = "others"
_TEAL = COLOURS["similar"]
_MANY = 7
"""People with a colour of their own; the others share one."""
_ROWS = 12
"""People in a chart with a line for each."""
_PALETTE = ("#0d9488", "#6366f1", "#f59e0b", "#ec4899", "#0ea5e9", "#84cc16", "#a855f7", "#94a3b8")


def days_chart(days: Sequence[Day], people: Sequence[Person], today: date) -> Chart:
    """Answers per day, a colour for each person; two weeks at least."""
    names = [each.name for each in people[:_MANY]]
    counted: Counter[tuple[str, str]] = Counter()
    for each in days:
        counted[each.day.isoformat(), _among(each.name, names)] += each.answers
    rows = [{"day": day, "name": name, "answers": said} for (day, name), said in counted.items()]
    shown = [*names, *([_OTHERS] if len(people) > _MANY else [])]
    first = min(min(each.day for each in days), today - timedelta(days=13))
    span = [first.isoformat(), (today + timedelta(days=1)).isoformat()]
    chart: Chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=alt.X(
                "yearmonthdate(day):T",
                title=None,
                scale=alt.Scale(domain=span),
                axis=alt.Axis(format="%-d %b", grid=False, tickCount=7, labelOverlap=True),
            ),
            y=alt.Y("answers:Q", title=None, axis=alt.Axis(tickMinStep=1, tickCount=4)),
            color=alt.Color(
                "name:N",
                scale=alt.Scale(domain=shown, range=list(_PALETTE[: len(shown)])),
                legend=alt.Legend(title=None, orient="top", offset=4) if len(shown) > 1 else None,
            ),
            tooltip=[
                alt.Tooltip("yearmonthdate(day):T", title="day", format="%-d %B"),
                alt.Tooltip("name:N", title="who"),
                alt.Tooltip("answers:Q", format=","),
            ],
        )
        .properties(height=240)
    )
    return chart


def _among(name: str, names: Sequence[str]) -> str:
    return name if name in names else _OTHERS


def verdicts_chart(people: Sequence[Person]) -> Chart:
    """Share of each verdict, a line for each person."""
    shown = people[:_ROWS]
    table = pd.DataFrame(
        [
            {"name": each.name, "verdict": verdict, "share": each.shares[verdict], "place": place}
            for each in shown
            for place, verdict in enumerate(VERDICTS)
        ]
    )
    chart: Chart = (
        alt.Chart(table)
        .mark_bar(size=18)
        .encode(
            y=alt.Y(
                "name:N",
                sort=[each.name for each in shown],
                title=None,
                axis=alt.Axis(labelLimit=120, ticks=False, domain=False),
            ),
            x=alt.X(
                "share:Q",
                title=None,
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", grid=False, tickCount=5),
            ),
            color=alt.Color(
                "verdict:N",
                scale=alt.Scale(domain=list(VERDICTS), range=[COLOURS[each] for each in VERDICTS]),
                legend=alt.Legend(title=None, orient="top", offset=4),
            ),
            order=alt.Order("place:Q"),
            tooltip=["name:N", "verdict:N", alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(height=max(240, 30 * len(shown) + 60))
    )
    return chart


def agreement_chart(agreement: Agreement) -> Chart | None:
    """Kappa with its interval, of all and of each person; None without any."""
    rows = [("all", agreement.overall)]
    rows += [(each.name, each.with_others) for each in agreement.readers[:_ROWS]]
    table = pd.DataFrame(
        [
            {"name": name, "kappa": kappa.value, "low": kappa.low, "high": kappa.high}
            for name, kappa in rows
            if kappa.value is not None
        ]
    )
    if table.empty:
        return None
    lowest = min(0.0, *(kappa.low for _, kappa in rows if kappa.low is not None), 0.0)
    y = alt.Y(
        "name:N",
        sort=[name for name, _ in rows],
        title=None,
        axis=alt.Axis(labelLimit=120, ticks=False, domain=False),
    )
    scale = alt.Scale(domain=[max(-1.0, round(lowest - 0.05, 1)), 1])
    base = alt.Chart(table).encode(
        y=y, tooltip=["name:N", *(alt.Tooltip(f"{e}:Q", format=".2f") for e in table.columns[1:])]
    )
    bars = base.mark_rule(strokeWidth=3, opacity=0.45, color=_TEAL).encode(
        x=alt.X("low:Q", title=None, scale=scale, axis=alt.Axis(tickCount=6)), x2="high:Q"
    )
    points = base.mark_circle(size=110, opacity=1, color=_TEAL).encode(
        x=alt.X("kappa:Q", title=None, scale=scale)
    )
    height = max(110, 34 * len(table) + 40)
    chart: Chart = alt.layer(bars, points).properties(height=height)
    return chart


def quality_chart(found: Sequence[tuple[Model, Quality]], same: bool) -> Chart | None:
    """Pair AUC with its interval, a point for each model, oldest first; None without any.

    Points are joined where all were measured on the ``same`` pairs.
    """
    table = pd.DataFrame(
        [
            {
                "model": model.name,
                "auc": each.auc,
                "low": each.low,
                "high": each.high,
                "pairs": each.similar + each.dissimilar,
            }
            for model, each in found
            if each.auc is not None
        ]
    )
    if table.empty:
        return None
    x = alt.X(
        "model:N",
        sort=[model.name for model, _ in found],
        title=None,
        axis=alt.Axis(labelAngle=0, labelLimit=110, grid=False),
    )
    lowest = min(0.5, float(table["low"].min()))
    scale = alt.Scale(domain=[round(lowest - 0.02, 2), 1], nice=False, zero=False)
    base = alt.Chart(table).encode(
        x=x,
        tooltip=[
            "model:N",
            *(alt.Tooltip(f"{each}:Q", format=".3f") for each in ("auc", "low", "high")),
            alt.Tooltip("pairs:Q", format=","),
        ],
    )
    bars = base.mark_rule(strokeWidth=3, opacity=0.45, color=_TEAL).encode(
        y=alt.Y("low:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5)), y2="high:Q"
    )
    y = alt.Y("auc:Q", title=None, scale=scale)
    points = base.mark_circle(size=110, opacity=1, color=_TEAL).encode(y=y)
    line = base.mark_line(strokeWidth=2, opacity=0.6, color=_TEAL).encode(y=y)
    layers = [line, bars, points] if same else [bars, points]
    chart: Chart = alt.layer(*layers).properties(height=260)
    return chart
