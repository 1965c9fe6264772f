"""The figures of several models as a table of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from likewise.evaluation.scores import LOWER_IS_BETTER, METRICS, Metric, Scores
from likewise.notebook import Markup, table


@dataclass(frozen=True)
class ModelScores:
    """One line of the table."""

    name: str
    fingerprint: str
    scores: Scores

    def as_json(self) -> dict[str, Any]:
        """The contract's fields; a figure that cannot be had is null."""
        intervals = self.scores.intervals
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            **{metric: _number(self.scores.values[metric]) for metric in METRICS},
            "threshold": _number(self.scores.threshold),
            "intervals": {metric: [_number(e) for e in intervals[metric]] for metric in METRICS},
            "images": self.scores.images,
        }


def table_lines(models: Sequence[ModelScores]) -> list[str]:
    """A line per model: figures with intervals, the best of each column marked with a star."""
    best = {metric: best_of(metric, models) for metric in METRICS}
    cells = [["model", *METRICS]]
    for model in models:
        values, intervals = model.scores.values, model.scores.intervals
        figures = [
            f"{_figure(values[metric])}{'*' if values[metric] == best[metric] else ' '}"
            f"{_bracket(intervals[metric])}"
            for metric in METRICS
        ]
        cells.append([model.name, *figures])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    return [lines[0], "-" * (sum(widths) + 2 * len(METRICS)), *lines[1:]]


def table_html(models: Sequence[ModelScores]) -> str:
    """The same for a notebook: the best of each column in bold, intervals below."""
    best = {metric: best_of(metric, models) for metric in METRICS}
    rows: list[list[str]] = []
    for model in models:
        values, intervals = model.scores.values, model.scores.intervals
        rows.append([model.name])
        for metric in METRICS:
            figure = _figure(values[metric])
            strong = f"<b>{figure}</b>" if values[metric] == best[metric] else figure
            rows[-1].append(Markup(f"{strong}<br><small>{_bracket(intervals[metric])}</small>"))
    return table(("model", *METRICS), rows)


def best_of(metric: Metric, models: Sequence[ModelScores]) -> float:
    """The best figure of a column; NaN if there is none."""
    figures = [model.scores.values[metric] for model in models]
    figures = [each for each in figures if not math.isnan(each)]
    if not figures:
        return math.nan
    return min(figures) if metric in LOWER_IS_BETTER else max(figures)


def _figure(value: float) -> str:
    return "  n/a" if math.isnan(value) else f"{value:.3f}"


def _bracket(interval: tuple[float, float]) -> str:
    low, high = interval
    return "" if math.isnan(low) else f"[{low:.3f} {high:.3f}]"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
