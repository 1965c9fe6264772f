"""Plots of the results: what each arm makes of its answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from benchmarks.answers.arms import DEDUPE, DEFAULT, LIKEWISE, PEERS, STRATEGIES
from benchmarks.answers.measure import ALL, MAIN, NONE
from benchmarks.answers.simulation import ANNOTATORS
from benchmarks.answers.tables import KINDS, Record, arms_in, curve

COLOURS = dict(
    zip((DEFAULT, *(each for each in (*STRATEGIES, DEDUPE) if each != DEFAULT)),
        ("black", "tab:orange", "tab:red", "tab:green", "tab:purple", "tab:blue", "tab:brown"),
        strict=True)
)  # fmt: skip
"""Of the ways to ask."""
LINES = dict(
    zip((LIKEWISE, *PEERS), (("-", "o"), ("--", "^"), ("-.", "s"), (":", "D")), strict=True)
)
"""Line and marker of the learners."""
DODGE = 1.012
"""Arms stand so many times further right than the one before."""
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
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, handlelength=3.5
    )
    figure.suptitle(f"{name}, annotator: {noise} (mean and standard deviation over seeds)")
    figure.savefig(file, dpi=110)
    return file


def _panel(
    axis: Axes, mine: Sequence[Record], found: Sequence[Record], kind: str, metric: str
) -> None:
    arms = arms_in(mine)
    budgets = sorted({each["budget"] for each in mine})
    for place, arm in enumerate(arms):
        at, means, spreads = curve(
            [each for each in mine if each["arm"] == arm], lambda each: each[kind][metric]
        )
        beside = DODGE ** (place - (len(arms) - 1) / 2)
        ours = arm == DEFAULT
        axis.errorbar(
            [budget * beside for budget in at], means, spreads, label=arm, **style(arm),
            linewidth=2.2 if ours else 1.3, elinewidth=0.8, capsize=1.5, markersize=4,
            zorder=3 if ours else 2,
        )  # fmt: skip
    for arm, line in ((NONE, ":"), (ALL, "-.")):
        levels = [each[kind][metric] for each in found if each["arm"] == arm and kind in each]
        if levels:
            mean = sum(levels) / len(levels)
            axis.axhline(mean, color="grey", linestyle=line, linewidth=1, label=arm)
    axis.set_xscale("log")
    axis.set_xticks(budgets)
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.minorticks_off()
    axis.set_title(_TITLES[kind])
    axis.set_xlabel("answers")
    axis.set_ylabel(METRICS[metric])
    axis.grid(alpha=0.25)


def style(arm: str) -> dict[str, Any]:
    """A colour for how the arm asks, a line and a marker for who learns."""
    asks, _, learner = arm.partition(" + ")
    line, marker = LINES[learner or LIKEWISE]
    return {"color": COLOURS[asks], "linestyle": line, "marker": marker}
