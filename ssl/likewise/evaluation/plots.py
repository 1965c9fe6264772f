"""Charts as PNG bytes: training curves, ROC, comparison of models, and t-SNE coordinates.

Figures are made without pyplot, so no global state is touched and nothing needs closing.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Float32
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from likewise.evaluation.metrics import auc, equal_error_rate
from likewise.evaluation.metrics import roc as roc_curve

INK = "#262b33"
QUIET = "#6b7280"
GRID = "#e3e6ea"
SERIES = ("#9aa3af", "#3b5bdb", "#e8590c", "#0b7285", "#862e9c", "#5c940d")
SAME, DIFFERENT = "#128c6a", "#d64045"
_POINTS = 2_000
"""Points of a drawn ROC curve; more cannot be seen."""


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
    at_least: float | None = None
    at_most: float | None = None


_PANELS = (
    _Panel("loss", "loss", "falls, then levels off; at once -1: collapsed"),
    _Panel("projection_std", "spread of the projections", "near 1; towards 0: collapsed", 0.0, 1.1),
    _Panel("embedding_std", "spread of the embedding", "steady, well above 0", 0.0, 1.1),
    _Panel("effective_rank", "dimensions in use (effective rank)", "well above 1, steady", 0.0),
    _Panel("neighbour_stability", "neighbours kept per epoch", "rises towards 1", 0.0, 1.0),
    _Panel("lr", "learning rate", "falls to 0 along a cosine", 0.0),
)


def curves(metrics: Sequence[Mapping[str, Any]]) -> bytes:
    """Loss and health per epoch, one small chart each, with what healthy looks like.

    Args:
        metrics: One mapping per epoch, oldest first; what a mapping lacks is left out.
    """
    panels = [each for each in _PANELS if any(each.key in line for line in metrics)]
    rows = max(1, -(-len(panels) // 3))
    figure = new_figure(9.5, 2.6 * rows)
    for place, panel in enumerate(panels):
        axes = figure.add_subplot(rows, 3, place + 1)
        points = [
            (line.get("epoch", number), line[panel.key])
            for number, line in enumerate(metrics, start=1)
            if panel.key in line
        ]
        if panel.key == "neighbour_stability" and len(points) > 1:
            points = points[1:]  # the first epoch has nothing to compare with
        axes.plot(*zip(*points, strict=True), color=SERIES[1], marker="o", markersize=3)
        axes.set_title(panel.title, loc="left", fontsize=11, color=INK, pad=20)
        axes.text(0, 1.04, panel.healthy, transform=axes.transAxes, fontsize=9, color=QUIET)
        axes.set_ylim(panel.at_least, panel.at_most)
        axes.locator_params(axis="x", integer=True)
        if place >= len(panels) - 3:
            axes.set_xlabel("epoch")
        plain(axes)
    return png_of(figure)


def roc(models: Sequence[Scored]) -> bytes:
    """ROC curves with the equal error rate marked, and below how each model scores pairs."""
    figure = new_figure(9.5, 4.8)
    halves = figure.add_gridspec(1, 2, width_ratios=(1.1, 1))
    curve_side, score_side = (figure.add_subfigure(each) for each in (halves[0], halves[1]))
    axes = curve_side.add_subplot()
    axes.plot((0, 1), (1, 0), color=GRID, zorder=0)
    axes.plot((0, 1), (0, 1), color=GRID, linestyle=":", zorder=0)
    axes.annotate("guessing", (0.62, 0.57), color=QUIET, fontsize=9, rotation=45, ha="center")
    histograms = np.atleast_1d(score_side.subplots(len(models), 1, sharex=True))
    for place, (model, colour) in enumerate(zip(models, _series(len(models)), strict=True)):
        curve = roc_curve(model.scores, model.same)
        rate, threshold = equal_error_rate(curve)
        label = f"{model.name}: AUC {auc(curve):.3f}, EER {rate:.1%}"
        shown = np.unique(np.linspace(0, len(curve.thresholds) - 1, _POINTS).astype(int))
        points = (curve.false_accept[shown], curve.true_accept[shown])
        axes.plot(*points, color=colour, label=label, linewidth=2)
        axes.plot(rate, 1 - rate, "o", color=colour, markersize=7, markeredgecolor="white")
        _histogram(histograms[place], model, threshold, first=place == 0)
    histograms[-1].set_xlabel("cosine similarity of a pair (dashed: threshold at the dot)")
    axes.set_xlabel("different pairs taken for same")
    axes.set_ylabel("same pairs recognised")
    axes.set_title("ROC curves (dots: equal error rate)", loc="left", fontsize=11, color=INK)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=9.5, frameon=True, edgecolor="white", framealpha=1)
    _percent(axes, "xy")
    plain(axes)
    return png_of(figure)


def comparison(
    models: Sequence[str],
    values: Mapping[str, Sequence[float]],
    intervals: Mapping[str, Sequence[tuple[float, float]]],
) -> bytes:
    """Bars of each model under each metric (0 to 1, higher is better), with 95 % intervals.

    Args:
        models: Names, in the order of the values.
        values: By the metric's title, one figure per model; NaN where it is undefined.
        intervals: By the metric's title, low and high per model.
    """
    rows = max(1, -(-len(values) // 3))
    figure = new_figure(9.5, rows * (0.8 + 0.36 * len(models)))
    for place, (title, figures) in enumerate(values.items()):
        axes = figure.add_subplot(rows, min(3, len(values)), place + 1)
        heights = np.arange(len(models))[::-1]
        axes.barh(heights, figures, color=_series(len(models)), height=0.7)
        for y, value, (low, high) in zip(heights, figures, intervals[title], strict=True):
            axes.plot((low, high), (y, y), color=INK, linewidth=1.4)
            text = "n/a" if np.isnan(value) else f"{value:.1%}"
            axes.text(0.015, y, text, va="center", color="white", fontsize=10, weight="bold")
        axes.set_yticks(heights, models if place % 3 == 0 else [""] * len(models))
        axes.set_xlim(0, 1)
        axes.set_title(title, loc="left", fontsize=11, color=INK)
        _percent(axes, "x")
        plain(axes)
        axes.grid(visible=False, axis="y")
    return png_of(figure)


def tsne(
    vectors: Float32[np.ndarray, "N D"],
    seed: int,
    start: Float[np.ndarray, "N 2"] | None = None,
) -> Float32[np.ndarray, "N 2"]:
    """Points in the plane that keep neighbours together (t-SNE, van der Maaten & Hinton 2008).

    Args:
        vectors: Unit vectors; about a thousand take some seconds.
        seed: Of everything random.
        start: Points to start from, such as another model's map of the same images, so that
            the two can be compared; by default the two main components.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(vectors) < 4:
        return np.pad(vectors, ((0, 0), (0, 2)))[:, :2].astype(np.float32)
    init: Any = "pca" if min(vectors.shape) >= 2 else "random"
    if start is not None:
        init = (start / (start[:, 0].std() + 1e-12) * 1e-4).astype(np.float32)
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # its many short parallel loops crawl on a machine that is busy
        points = TSNE(perplexity=perplexity, init=init, random_state=seed).fit_transform(vectors)
    return np.asarray(points, dtype=np.float32)


def _histogram(axes: Axes, model: Scored, threshold: float, first: bool) -> None:
    low, high = (float(each) for each in np.quantile(model.scores, (0.0005, 1)))
    bins = np.linspace(low, high + 1e-6, 60).tolist()
    for kind, colour, name in ((True, SAME, "same"), (False, DIFFERENT, "different")):
        chosen = model.scores[model.same == kind]
        axes.hist(chosen, bins, density=True, color=colour, alpha=0.55, label=name)
    axes.axvline(threshold, color=INK, linewidth=1, linestyle="--")
    axes.set_title(f"{model.name}: similarities", loc="left", fontsize=11, color=INK)
    axes.set_yticks([])
    if first:
        axes.legend(loc="best", fontsize=9.5, frameon=False)
    plain(axes)
    axes.grid(visible=False)


def _series(count: int) -> list[str]:
    """A colour per model; the first (raw pixels) is grey."""
    return [SERIES[place % len(SERIES)] for place in range(count)]


def new_figure(width: float, height: float) -> Figure:
    """A figure in inches, drawn at 150 dots per inch on white."""
    figure = Figure((width, height), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(axes: Axes) -> None:
    """The look of all charts."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=QUIET, labelsize=9.5, length=0)
    axes.xaxis.label.set(color=QUIET, fontsize=10)
    axes.yaxis.label.set(color=QUIET, fontsize=10)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _percent(axes: Axes, which: str) -> None:
    ticks: npt.NDArray[np.floating] = np.linspace(0, 1, 5)
    if "x" in which:
        axes.set_xticks(ticks, [f"{each:.0%}" for each in ticks])
    if "y" in which:
        axes.set_yticks(ticks, [f"{each:.0%}" for each in ticks])


def png_of(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
