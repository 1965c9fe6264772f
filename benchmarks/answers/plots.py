"""Plots of the results: what each arm makes of its answers."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from benchmarks.answers.arms import DEFAULT
from benchmarks.answers.measure import ALL, MAIN, NONE
from benchmarks.answers.simulation import ANNOTATORS
from benchmarks.answers.tables import KINDS, Record, arms_in, curve

METRICS = {"map@r": "MAP@R", "recall@1": "recall@1"}
_TITLES = {MAIN: "held-out images", "transductive": "the pool itself", "unseen": "unseen classes"}


def draw(name: str, found: Sequence[Record], folder: Path) -> list[Path]:
    """A picture for each annotator: a row per metric, a column per kind of images."""
    made = []
    for noise in ANNOTATORS:
        mine = [
            each for each in found if each["annotator"] == noise and each["arm"] not in (NONE, ALL)
        ]
        if mine:
            made.append(_picture(name, noise, mine, found, folder / f"{name}-{noise}.png"))
    return made


def _picture(
    name: str, noise: str, mine: Sequence[Record], found: Sequence[Record], file: Path
) -> Path:
    kinds = [kind for kind in KINDS if any(kind in each for each in mine)]
    figure = Figure(figsize=(5.2 * len(kinds), 4.2 * len(METRICS) + 1.2), layout="constrained")
    axes = figure.subplots(len(METRICS), len(kinds), squeeze=False)
    for line, metric in zip(axes, METRICS, strict=True):
        for axis, kind in zip(line, kinds, strict=True):
            _panel(axis, mine, found, kind, metric)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"{name}, annotator: {noise} (mean and standard deviation over seeds)")
    figure.savefig(file, dpi=110)
    return file


def _panel(
    axis: Axes, mine: Sequence[Record], found: Sequence[Record], kind: str, metric: str
) -> None:
    colours = mpl.colormaps["tab10"]
    for place, arm in enumerate(arms_in(mine)):
        budgets, means, spreads = curve(
            [each for each in mine if each["arm"] == arm], lambda each: each[kind][metric]
        )
        ours = arm == DEFAULT
        axis.errorbar(
            budgets, means, spreads, label=arm, capsize=2, marker="o", markersize=3,
            color="black" if ours else colours(place % 10), linewidth=2.4 if ours else 1.5,
            linestyle="--" if "+" in arm else "-", zorder=3 if ours else 2,
        )  # fmt: skip
    for arm, style in ((NONE, ":"), (ALL, "-.")):
        levels = [each[kind][metric] for each in found if each["arm"] == arm and kind in each]
        if levels:
            mean = sum(levels) / len(levels)
            axis.axhline(mean, color="grey", linestyle=style, linewidth=1, label=arm)
    axis.set_xscale("log")
    axis.set_xticks([50, 100, 200, 500, 1000])
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.minorticks_off()
    axis.set_title(_TITLES[kind])
    axis.set_xlabel("answers")
    axis.set_ylabel(METRICS[metric])
    axis.grid(alpha=0.25)
