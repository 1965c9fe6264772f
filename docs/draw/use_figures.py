"""What an embedding is used for: names from few exemplars, and thresholds on pairs."""

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy.special import ndtri

from docs.draw.setting import DIFFERENT, SAME, Setting
from likewise.evaluation.metrics import equal_error_rate, roc
from likewise.evaluation.plots import INK, QUIET, SERIES, new_figure, plain
from likewise.evaluation.protocol import rates_at, threshold_at
from likewise.wording import percent

EXEMPLARS = (1, 2, 3, 5, 10)
WANTED = 0.01
"""False-accept rate of the threshold that is shown."""
NAMES = ("before the answers", "after the answers")


def one_shot(setting: Setting) -> None:
    """Share of the held-out images named rightly by their nearest exemplar."""
    rows = setting.sample(10_000, held_out=True)
    labels = setting.classes[rows]
    draws = 5 if setting.quick else 200
    counts = [each for each in EXEMPLARS if each < min(np.unique(labels, return_counts=True)[1])]
    figure = new_figure(6.4, 3.3)
    axes = figure.add_subplot()
    for name, embeddings, colour in zip(NAMES, setting.models, SERIES, strict=False):
        vectors = setting.vectors(embeddings, rows)
        right = np.array([_named(vectors, labels, count, draws) for count in counts])
        deviation = right.std(axis=1)
        axes.errorbar(
            counts, right.mean(axis=1), deviation, color=colour, linewidth=2, marker="o", label=name
        )
    axes.set_xlabel("exemplars of each class")
    axes.set_ylabel("named rightly")
    axes.set_xticks(counts, [str(each) for each in counts])
    axes.legend(fontsize=9.5, frameon=False, loc="lower right")
    plain(axes)
    setting.save(figure, "one-shot")


def _named(
    vectors: Float32[np.ndarray, "n D"], labels: np.ndarray, count: int, draws: int
) -> list[float]:
    kinds = np.unique(labels)
    shares = []
    for seed in range(draws):
        random = np.random.default_rng(seed)
        drawn = np.concatenate(
            [random.permutation(np.flatnonzero(labels == kind))[:count] for kind in kinds]
        )
        rest = np.setdiff1d(np.arange(len(labels)), drawn)
        nearest = (vectors[rest] @ vectors[drawn].T).argmax(axis=1)
        shares.append(float((labels[drawn][nearest] == labels[rest]).mean()))
    return shares


def thresholds(setting: Setting) -> None:
    """Similarities of same and different pairs with a threshold, and DET curves."""
    rows = setting.sample(300 if setting.quick else 1000, held_out=True)
    first, second = np.triu_indices(len(rows), 1)
    same = setting.classes[rows][first] == setting.classes[rows][second]
    scored = []
    for embeddings in setting.models:
        vectors = setting.vectors(embeddings, rows)
        scored.append((vectors @ vectors.T)[first, second].astype(np.float64))
    figure = new_figure(9.5, 3.8)
    left, right = figure.subplots(1, 2)
    curve = roc(scored[1], same)
    threshold = threshold_at(curve, WANTED)
    bins = np.linspace(scored[1].min(), 1, 80)
    for kind, colour, name in ((same, SAME, "same"), (~same, DIFFERENT, "different")):
        left.hist(scored[1][kind], bins, density=True, color=colour, alpha=0.55, label=name)
    left.axvline(threshold, color=INK, linewidth=1.2, linestyle="--")
    accepted, rejected = (
        float(each[0]) for each in rates_at(curve, np.array([threshold], dtype=np.float64))
    )
    told = f"threshold {threshold:.2f}\nFAR {percent(accepted, 1)}, FRR {percent(rejected, 1)} "
    left.text(threshold, left.get_ylim()[1] * 0.96, told, ha="right", va="top", fontsize=9)
    left.set_title("after the answers", loc="left", fontsize=11, color=INK)
    left.set_xlabel("similarity of a pair")
    left.set_yticks([])
    left.legend(fontsize=9.5, frameon=False, loc="center left")
    for name, scores, colour in zip(NAMES, scored, SERIES, strict=False):
        _det(right, scores, same, f"{name}: EER", colour)
    ticks = [0.001, 0.01, 0.05, 0.2, 0.5]
    places = ndtri(np.array(ticks)).tolist()
    names = [f"{100 * each:g} %" for each in ticks]
    right.set_xticks(places, names)
    right.set_yticks(places, names)
    right.set(xlim=(places[0], places[-1]), ylim=(places[0], places[-1]))
    right.axvline(places[1], color=QUIET, linewidth=1, linestyle="--")
    right.set_title("DET curves", loc="left", fontsize=11, color=INK)
    right.set_xlabel("false accepts (FAR)")
    right.set_ylabel("false rejects (FRR)")
    right.legend(fontsize=9.5, frameon=False)
    for axes in (left, right):
        plain(axes)
    setting.save(figure, "thresholds")


def _det(
    axes: object,
    scores: Float64[np.ndarray, " P"],
    same: Bool[np.ndarray, " P"],
    name: str,
    colour: str,
) -> None:
    curve = roc(scores, same)
    rate, _ = equal_error_rate(curve)
    accept, reject = curve.false_accept, 1 - curve.true_accept
    inside = (accept > 5e-4) & (accept < 0.7) & (reject > 5e-4) & (reject < 0.7)
    shown = np.flatnonzero(inside)
    shown = shown[:: max(1, len(shown) // 500)]
    axes.plot(  # type: ignore[attr-defined]
        ndtri(accept[shown]),
        ndtri(reject[shown]),
        color=colour,
        linewidth=2,
        label=f"{name} {percent(rate, 1)}",
    )
