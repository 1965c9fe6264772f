"""Charts as markup, in the page's own colours: crisp at any size, and they follow dark mode.

Each panel is a picture of its own, 300 units wide, so that the text stays legible on a phone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64

from likewise.evaluation.metrics import auc, equal_error_rate
from likewise.evaluation.metrics import roc as roc_curve
from likewise.report.page import Html, box, escape, legend
from likewise.wording import percent

_WIDE, _TALL = 300, 150
_POINTS = 300
"""Points of a drawn curve, at most."""
_COLOURS = 6


@dataclass(frozen=True)
class Range:
    """A figure with its interval, on a line."""

    label: str
    value: float
    low: float
    high: float
    top: float = 1.0
    """Right end of the line."""
    colour: int = 1
    share: bool = True
    """Whether it is told as a percentage."""


@dataclass(frozen=True)
class Scored:
    """The similarities a model gave some pairs, and the truth about them."""

    name: str
    scores: Float[np.ndarray, " P"]
    same: Bool[np.ndarray, " P"]


@dataclass(frozen=True)
class _Panel:
    key: str
    title: str
    healthy: str
    low: float | None = None
    high: float | None = None


_PANELS = (
    _Panel("loss", "Loss", "falls, then levels off; at once -1: collapsed"),
    _Panel("projection_std", "Spread of the projections", "near 1; towards 0: collapsed", 0.0, 1.1),
    _Panel("embedding_std", "Spread of the embedding", "steady, well above 0", 0.0, 1.1),
    _Panel("effective_rank", "Dimensions in use (effective rank)", "well above 1, steady", 0.0),
    _Panel("neighbour_stability", "Neighbours kept per epoch", "rises towards 1", 0.0, 1.0),
    _Panel("lr", "Learning rate", "falls to 0 along a cosine", 0.0),
)


def colour(place: int) -> str:
    """The colour of the series at a place; the first (raw pixels) is grey."""
    return f"var(--c{place % _COLOURS})"


def ranges(rows: Sequence[Range | str]) -> Html:
    """Figures under each other, each a dot on a line with its interval; a string is a heading."""
    return box("ranges", map(_range, rows))


def _range(row: Range | str) -> str:
    if isinstance(row, str):
        return f"<p>{escape(row)}</p>"
    value, low, high = row.value, row.low, row.high
    if math.isnan(value):
        return f"<div><span>{escape(row.label)}</span><span></span><span>n/a</span></div>"
    left, right = (100 * min(1.0, max(0.0, each / row.top)) for each in (low, high))
    fill = f"background: {colour(row.colour)}"
    known = not math.isnan(low)
    bar = f'<i style="left: {left:.1f}%; width: {right - left:.1f}%; {fill}"></i>' if known else ""
    low_end = told(row, low).removesuffix(" %")
    spread = f" <small>{low_end} to {told(row, high)}</small>" if known else ""
    at = 100 * min(1.0, max(0.0, value / row.top))
    return (
        f'<div><span>{escape(row.label)}</span><span class="track">{bar}'
        f'<u style="left: {at:.1f}%; {fill}"></u></span>'
        f"<b>{told(row, value)}{spread}</b></div>"
    )


def told(row: Range, value: float) -> str:
    """A figure of a row in words: a percentage, with a decimal where these are small."""
    if not row.share:
        return f"{value:.3f}"
    return percent(value, 1 if row.value < 0.095 else 0)


def curves(metrics: Sequence[Mapping[str, Any]]) -> Html:
    """Loss and health per epoch, one small chart each, with what healthy looks like.

    Args:
        metrics: One mapping per epoch, oldest first; what a mapping lacks is left out.
    """
    shown = []
    for panel in _PANELS:
        points = [
            (float(line.get("epoch", number)), float(line[panel.key]))
            for number, line in enumerate(metrics, start=1)
            if panel.key in line
        ]
        if panel.key == "neighbour_stability" and len(points) > 1:
            points = points[1:]  # the first epoch has nothing to compare with
        if points:
            shown.append(_line_chart(panel, np.array(points)))
    return box("charts", shown)


def _line_chart(panel: _Panel, points: Float[np.ndarray, "n 2"]) -> str:
    times, values = points[_thinned(len(points))].T
    low = float(values.min()) if panel.low is None else panel.low
    high = float(values.max()) if panel.high is None else panel.high
    high = high if high > low else low + 1
    span = max(1.0, float(times[-1] - times[0]))
    x, y = (times - times[0]) / span * _WIDE, _TALL * (1 - (values - low) / (high - low))
    line = _path(x, y, 1) if len(x) > 1 else f'<circle cx="0" cy="{y[0]:.1f}" r="3" />'
    last = f"{values[-1]:.3g}"
    text = (
        f'<text x="0" y="-4">{high:.3g}</text><text x="3" y="{_TALL - 4}">{low:.3g}</text>'
        f'<text x="2" y="{_TALL + 15}">epoch {times[0]:.0f}</text>'
        f'<text x="{_WIDE}" y="{_TALL + 15}" text-anchor="end">{times[-1]:.0f}</text>'
    )
    return _figure(
        f"{panel.title}: {last}",
        f"Healthy: {panel.healthy}",
        f"{_frame(_TALL)}{line}{text}",
        _TALL + 18,
    )


def group_sizes(sizes: Int64[np.ndarray, " G"]) -> Html:
    """The sizes of groups, the largest first, as columns."""
    shown = sizes[_thinned(len(sizes))]
    columns = "".join(
        f'<rect x="{place}" y="{100 * (1 - size / sizes[0]):.1f}" width="0.84" '
        f'height="{100 * size / sizes[0]:.1f}" fill="{colour(1)}" />'
        for place, size in enumerate(shown.tolist())
    )
    return Html(
        f'<svg class="columns" viewBox="0 0 {max(12, len(shown))} 100" role="img" '
        f'preserveAspectRatio="none" aria-label="sizes of the groups">{columns}</svg>\n'
    )


def roc(models: Sequence[Scored]) -> Html:
    """ROC curves with the equal error rate marked, and beside them how each model scores pairs."""
    lines, named, histograms = [], [], []
    for place, model in enumerate(models):
        curve = roc_curve(model.scores, model.same)
        rate, threshold = equal_error_rate(curve)
        kept = _thinned(len(curve.thresholds))
        lines.append(
            _path(curve.false_accept[kept] * _WIDE, (1 - curve.true_accept[kept]) * _WIDE, place)
            + f'<circle cx="{rate * _WIDE:.1f}" cy="{rate * _WIDE:.1f}" r="4" '
            f'fill="{colour(place)}" />'
        )
        named.append((f"{model.name}: AUC {auc(curve):.3f}, EER {percent(rate, 1)}", colour(place)))
        histograms.append(_histogram(model, threshold))
    guess = f'<path class="axis" d="M0 {_WIDE} L{_WIDE} 0" stroke-dasharray="3 4" />'
    text = (
        f'<text x="{_WIDE}" y="{_WIDE + 14}" text-anchor="end">different pairs let through</text>'
        f'<text x="0" y="-4">same pairs found</text>'
    )
    chart = _figure(
        "ROC curves",
        "Towards the upper left is better; dots: both errors equal; dashed: guessing",
        f"{_frame(_WIDE)}{guess}{''.join(lines)}{text}",
        _WIDE + 18,
    )
    keys = legend((name, key) for name, key in named)
    both = legend((("same", "var(--same)"), ("different", "var(--different)")))
    beside = box("", [*histograms, both])
    return Html(keys + box("charts wider", [chart, beside]))


def _histogram(model: Scored, threshold: float) -> str:
    low, high = (float(each) for each in np.quantile(model.scores, (0.0005, 1)))
    edges = np.linspace(low, high + 1e-6, 61)
    tall, parts = 70, ""
    for kind, name in ((True, "same"), (False, "different")):
        heights, _ = np.histogram(model.scores[model.same == kind], edges)
        heights = heights / max(1, heights.max()) * tall
        steps = np.linspace(0, _WIDE, len(edges))
        corners = " ".join(
            f"L{a:.1f} {tall - h:.1f} L{b:.1f} {tall - h:.1f}"
            for a, b, h in zip(steps[:-1], steps[1:], heights, strict=True)
        )
        parts += (
            f'<path d="M0 {tall} {corners} L{_WIDE} {tall} Z" fill="var(--{name})" opacity="0.5" />'
        )
    x = (threshold - low) / max(1e-9, high - low) * _WIDE
    parts += f'<path class="axis" d="M{x:.1f} 0 V{tall}" style="stroke: var(--ink)" />'
    text = (
        f'<text x="0" y="{tall + 13}">similarity {low:.2f}</text>'
        f'<text x="{_WIDE}" y="{tall + 13}" text-anchor="end">{high:.2f}</text>'
    )
    return _figure(model.name, "", f"{parts}{text}", tall + 18)


def _figure(title: str, note: str, drawn: str, tall: int) -> str:
    told = f"<p>{escape(note)}</p>" if note else ""
    view = f'viewBox="0 -14 {_WIDE} {tall + 14}" role="img" aria-label="{escape(title)}"'
    return f"<figure><h4>{escape(title)}</h4>{told}<svg {view}>{drawn}</svg></figure>"


def _frame(tall: int) -> str:
    return f'<path class="axis" d="M0 0 V{tall} H{_WIDE}" />'


def _path(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], place: int) -> str:
    points = " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<path class="line" d="M{points}" style="stroke: {colour(place)}" />'


def _thinned(count: int) -> Int64[np.ndarray, " m"]:
    """Places spread over so many, with both ends; all of them if they are few."""
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).astype(np.int64))
