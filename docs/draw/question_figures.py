"""Which pairs the strategies ask about, and how soon they know all kinds."""

import dataclasses
from typing import get_args

import numpy as np
from jaxtyping import Float32, Int64
from matplotlib.axes import Axes

from benchmarks.answers.simulation import ANNOTATORS, session
from docs.draw.setting import DIFFERENT, SAME, Setting
from likewise.answers.proposals import proposer_for
from likewise.answers.standing import Answer
from likewise.evaluation.plots import INK, QUIET, SERIES, new_figure, plain, tsne
from likewise.neighbours.vectors import Embeddings
from likewise.settings import Strategy

SHOWN: tuple[Strategy, ...] = ("nearest", "random", "uncertain", "cover-place-spread")
QUESTIONS = 60


def questions(setting: Setting) -> None:
    """The first questions of four strategies as lines on a map."""
    rows = setting.sample(200 if setting.quick else 1500, held_out=False)
    places = tsne(setting.vectors(setting.models[0], rows), seed=0)
    where = dict(zip(setting.images.ids[rows].tolist(), places, strict=True))
    figure = new_figure(9.5, 9.8)
    for axes, strategy in zip(figure.subplots(2, 2).flat, SHOWN, strict=True):
        answers = asked(setting, rows, strategy, QUESTIONS, seed=0)
        _draw_map(axes, places, setting.classes[rows], answers, where)
        same = sum(each.verdict == "similar" for each in answers)
        met = len({each for answer in answers for each in answer.pair})
        told = f"{strategy}: {same} same, {len(answers) - same} different, {met} images"
        axes.set_title(told, loc="left", fontsize=10.5, color=INK)
    setting.save(figure, "questions")


def imbalance(setting: Setting) -> None:
    """Kinds known after so many answers, where some are much rarer than others."""
    seeds, budget = (1, 40) if setting.quick else (5, 120)
    figure = new_figure(7.2, 3.4)
    axes = figure.add_subplot()
    chosen: tuple[Strategy, ...] = ("cover-place-spread", "random", "nearest")
    for strategy, colour in zip(chosen, SERIES[1:], strict=False):
        met = np.array([_met(setting, strategy, budget, seed) for seed in range(seeds)])
        steps = np.arange(1, budget + 1)
        axes.plot(steps, met.mean(axis=0), color=colour, linewidth=2, label=strategy)
        axes.fill_between(steps, met.min(axis=0), met.max(axis=0), color=colour, alpha=0.12)
    axes.set_xlabel("answers")
    axes.set_ylabel("kinds known")
    axes.set_ylim(0, 10.3)
    axes.set_xlim(0, budget)
    axes.legend(fontsize=9.5, frameon=False, loc="upper left")
    plain(axes)
    setting.save(figure, "imbalance")


def asked(
    setting: Setting, rows: Int64[np.ndarray, " n"], strategy: Strategy, budget: int, seed: int
) -> tuple[Answer, ...]:
    """The answers of someone who knows the classes to the first questions about some images."""
    assert strategy in get_args(Strategy)
    ids = setting.images.ids
    classes = dict(zip(ids.tolist(), setting.classes.tolist(), strict=True))
    others = set(ids.tolist()) - set(ids[rows].tolist())
    proposer = proposer_for(strategy, _whole(setting), others, seed)
    return session(proposer, ANNOTATORS["clean"], classes, budget, seed).answers


def _met(setting: Setting, strategy: Strategy, budget: int, seed: int) -> list[int]:
    """Kinds of which two images are known to be the same, where sizes fall by a third."""
    random = np.random.default_rng(seed)
    kinds = random.permutation(np.unique(setting.classes))
    most = 40 if setting.quick else 400
    rows = list[int]()
    for place, kind in enumerate(kinds):
        there = np.flatnonzero((setting.classes == kind) & ~setting.images.held_out)
        rows += random.permutation(there)[: max(2, round(most * (2 / 3) ** place))].tolist()
    answers = asked(setting, np.sort(np.array(rows)), strategy, budget, seed)
    classes = dict(zip(setting.images.ids.tolist(), setting.classes.tolist(), strict=True))
    seen, counts = set[str](), list[int]()
    for answer in answers:
        if answer.verdict == "similar":
            seen.add(classes[answer.a])
        counts.append(len(seen))
    return counts + [counts[-1]] * (budget - len(counts))


def _whole(setting: Setting) -> Embeddings:
    """The embedding before the answers, read once."""
    found = setting.models[0]
    return dataclasses.replace(found, vectors=np.asarray(found.vectors))


def _draw_map(
    axes: Axes,
    places: Float32[np.ndarray, "n 2"],
    classes: np.ndarray,
    answers: tuple[Answer, ...],
    where: dict[str, np.ndarray],
) -> None:
    axes.scatter(places[:, 0], places[:, 1], s=5, color="#d5d9df", linewidths=0)
    for answer in answers:
        ends = np.array([where[answer.a], where[answer.b]])
        colour = SAME if answer.verdict == "similar" else DIFFERENT
        axes.plot(*ends.T, color=colour, linewidth=1.1, alpha=0.75)
        axes.scatter(ends[:, 0], ends[:, 1], s=16, color=colour, linewidths=0, zorder=3)
    for kind in np.unique(classes):
        x, y = np.median(places[classes == kind], axis=0).tolist()
        axes.text(x, y, str(kind), color=QUIET, fontsize=13, ha="center", va="center")
    axes.set_aspect("equal")
    axes.axis("off")
