"""The sections of a report: each draws its pictures and says in plain words what they show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped

from likewise.evaluation import plots, sheets
from likewise.evaluation.bootstrap import PAIRS, pairs_of
from likewise.evaluation.evaluate import RAW_PIXELS, Evaluation, raw_pixels
from likewise.evaluation.report import TITLES, Picture, Section, scores_table
from likewise.evaluation.scores import METRICS, pair_scores
from likewise.evaluation.view_sheet import draw_views
from likewise.images.augmentation import Recipe
from likewise.images.store import Images
from likewise.neighbours.vectors import Embeddings

MAPPED_IMAGES = 1000
"""Most images on an embedding map."""

Rows = Int64[np.ndarray, " n"]
Labels = Shaped[np.ndarray, " N"]


def views_section(images: Images, recipe: Recipe, size: int, seed: int) -> Section:
    """What pretraining sees."""
    return Section(
        "What the network sees",
        "Pretraining needs no labels: it shows the network two random views of one image at a "
        "time and asks it to describe them alike. A good view is hard, but still recognisable.",
        [
            Picture(
                draw_views(images, recipe, size, rows=6, columns=9, seed=seed),
                "images, each with nine augmented views",
                f"Each row: an image, then views of it (recipe {recipe}, {size} px).",
            )
        ],
    )


def training_section(metrics: Sequence[Mapping[str, Any]], warning: str | None) -> Section:
    """How pretraining went."""
    verdict = warning or "No sign of collapse: the network keeps telling the images apart."
    return Section(
        "How pretraining went",
        f"All of these are measured without labels. {verdict}",
        [
            Picture(
                plots.curves(metrics),
                "loss and health per epoch",
                "Under each title: what a healthy run looks like.",
            )
        ],
    )


def scores_section(evaluation: Evaluation) -> Section:
    """The table of all models."""
    models = evaluation.models
    names = [model.name for model in models]
    rising = [metric for metric in METRICS if metric != "eer"]
    values = {TITLES[m]: [each.scores.values[m] for each in models] for m in rising}
    intervals = {TITLES[m]: [each.scores.intervals[m] for each in models] for m in rising}
    return Section(
        "How good the embedding is",
        evaluation.explanation(),
        [Picture(plots.comparison(names, values, intervals), "bars of every model's figures")],
        scores_table(models),
    )


def neighbours_section(
    images: Images,
    models: Sequence[Embeddings],
    queries: Rows,
    labels: Labels | None,
    seed: int,
    shown: int = 8,
) -> Section:
    """The nearest neighbours of some images, by every model."""
    chosen = np.random.default_rng(seed).permutation(queries)[:shown]
    grids = [_neighbours(images, model, chosen, labels, count=6) for model in models]
    frames = " Green: the same class; red with a cross: another." if labels is not None else ""
    before = "before and after" if len(models) > 1 else "by the model"
    return Section(
        "What it finds similar",
        f"The nearest neighbours of some images, drawn at random, {before}.",
        [
            Picture(
                sheets.neighbour_grid([images[int(row)] for row in chosen], grids),
                "nearest neighbours of some images",
                f"Each row starts with the image that was asked about.{frames}",
            )
        ],
    )


def map_section(
    images: Images, models: Sequence[Embeddings], queries: Rows, labels: Labels | None, seed: int
) -> Section:
    """All images in the plane, by every model."""
    rows = np.sort(np.random.default_rng(seed).permutation(queries)[:MAPPED_IMAGES])
    maps: list[sheets.Map] = []
    for model in models:
        vectors = _vectors(images, model, rows)
        start = maps[-1].points if maps else None
        maps.append(sheets.Map(model.model, plots.tsne(vectors, seed, start)))
    frame = " The frame's colour is the class." if labels is not None else ""
    return Section(
        "A map of the images",
        "Images that the embedding finds similar lie together (t-SNE: only neighbourhoods mean "
        f"something, not distances across the map).{frame}",
        [
            Picture(
                sheets.embedding_map(
                    maps,
                    [images[int(row)] for row in rows],
                    None if labels is None else [str(labels[row]) for row in rows],
                ),
                "map of the images",
            )
        ],
    )


def roc_section(
    images: Images, models: Sequence[Embeddings], queries: Rows, labels: Labels, seed: int
) -> Section:
    """How well a similarity threshold tells same from different."""
    pairs = pairs_of(labels[queries], PAIRS, seed)
    scored = [plots.Scored(RAW_PIXELS, pair_scores(raw_pixels(images, queries), pairs), pairs.same)]
    for model in models:
        similarity = pair_scores(_vectors(images, model, queries), pairs)
        scored.append(plots.Scored(model.model, similarity, pairs.same))
    return Section(
        "Same or different?",
        "If every pair above some similarity were called the same: how many of the same pairs "
        "would be found, and how many different ones let through by mistake. The farther to the "
        "upper left, and the less the two humps overlap, the better.",
        [Picture(plots.roc(scored), "ROC curves and similarity histograms")],
    )


def _vectors(images: Images, model: Embeddings, rows: Rows) -> Any:
    places = [model.positions[each] for each in images.ids[rows].tolist()]
    return np.ascontiguousarray(model.vectors[places])


def _nearest(images: Images, model: Embeddings, rows: Rows, count: int) -> Int64[np.ndarray, "n k"]:
    """Positions in ``images`` of the nearest stored neighbours, nearest first: (n, count)."""
    graph, _ = model.neighbours()
    places = [model.positions[each] for each in images.ids[rows].tolist()]
    near = graph[places][:, : min(count, len(model.ids) - 1)]
    found = model.ids[near]
    return np.array([[images.positions[str(each)] for each in line] for line in found])


def _neighbours(
    images: Images, model: Embeddings, rows: Rows, labels: Labels | None, count: int
) -> sheets.Neighbours:
    found = _nearest(images, model, rows, count)
    right = None
    if labels is not None:
        right = [
            [bool(labels[other] == labels[row]) for other in line]
            for row, line in zip(rows, found, strict=True)
        ]
    pictures = [[images[int(other)] for other in line] for line in found]
    return sheets.Neighbours(model.model, pictures, right)
