"""Every model of a workspace on a known truth, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt8

from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.scores import scores
from likewise.evaluation.table import ModelScores, table_html, table_lines
from likewise.evaluation.truth import read_truth, with_mate
from likewise.images.store import Images, open_images
from likewise.neighbours.vectors import Embeddings, embedded, load_embeddings
from likewise.notebook import Displayed, line
from likewise.progress import progress
from likewise.settings import Evaluate
from likewise.workspace import Workspace

RAW_PIXELS = "raw pixels"
LIMIT = 20_000
"""Queries, and gallery images, looked at; of more, a sample (intervals are narrow by then)."""
_SIDE = 32

Rows = Int64[np.ndarray, " n"]
Labels = Shaped[np.ndarray, " N"]


@dataclass(frozen=True)
class Chosen:
    """The images that all models are measured on."""

    queries: Rows
    gallery: Int64[np.ndarray, " g"] | None
    """Images that kNN votes among; None: the queries, each without itself."""
    labels: Labels
    """Of all images of the workspace; "" where unknown."""
    missing: Mapping[str, int]
    """By model: how many images it has no embedding of, which are left out for every model."""


@dataclass(frozen=True)
class Evaluation(Displayed):
    """What `evaluate` found: raw pixels first, the newest model last."""

    models: tuple[ModelScores, ...]
    chosen: Chosen

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        gallery = self.chosen.gallery
        return {
            "models": [model.as_json() for model in self.models],
            "queries": len(self.chosen.queries),
            "gallery": len(self.chosen.queries if gallery is None else gallery),
            "held_out": gallery is not None,
            "not_embedded": dict(self.chosen.missing),
        }

    def _repr_html_(self) -> str:
        told = (f"{self.explanation()} [low high]: 95 % interval.", *self.notes())
        return table_html(self.models) + "".join(map(line, told))

    def as_text(self) -> str:
        """A table with the best of each column marked, and what the columns are."""
        explanation = f"{self.explanation()} [low high]: 95 % interval. *: best."
        return "\n".join([*table_lines(self.models), "", explanation, *self.notes()])

    @property
    def mated(self) -> int:
        """Queries with another one of their class among them: recall and MAP@R are of these."""
        return int(with_mate(self.chosen.labels[self.chosen.queries]).sum())

    def explanation(self) -> str:
        """What was measured, and what the columns mean."""
        queries, gallery = self.chosen.queries, self.chosen.gallery
        classes, mated = len(np.unique(self.chosen.labels[queries])), self.mated
        where = (
            f"{len(queries):,} images of {classes:,} classes, all against all"
            if gallery is None
            else f"{len(queries):,} held-out images of {classes:,} classes; kNN votes among "
            f"{len(gallery):,} others"
        )
        if mated < len(queries):
            where += (
                f". {mated:,} of them have another one of their class; the figures are of these"
            )
        return (
            f"{where}. recall@k: one of the k nearest is right. map@r: how pure the "
            "neighbourhood of class size is. auc: a same pair is closer than a different one. "
            "eer (lower is better): error rate where both kinds of error are equal. knn: vote of "
            "the 20 nearest."
        )

    def notes(self) -> list[str]:
        """What else the reader should know."""
        told = [
            f"{name}: {count:,} images have no embedding (run `likewise embed --model {name}`); "
            "they are left out for every model"
            for name, count in self.chosen.missing.items()
        ]
        pixels, *models = (each.scores.values["recall@1"] for each in self.models)
        if models and max(models) < pixels:
            told.append(
                "no model finds as much as raw pixels do: train longer, look whether `likewise "
                "views` leaves what you go by, or begin with a net that others trained (`likewise "
                "adopt`)"
            )
        return told


def evaluate(
    workspace: Workspace,
    settings: Evaluate,
    models: Sequence[Embeddings] | None = None,
    limit: int = LIMIT,
) -> Evaluation:
    """Measure raw pixels and the models on the same images.

    Args:
        workspace: Where images and embeddings are.
        settings: What to measure on.
        models: By default every one that has embeddings.
        limit: Queries, and gallery images, that are looked at, at most.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: no embeddings, no usable truth, or nothing is held out though wanted.
    """
    if settings.bootstrap < 0:
        raise UsageError("--bootstrap must be 0 or more")
    images = open_images(workspace.require())
    labels = read_truth(images, settings.truth)
    models = embeddings_by_age(workspace) if models is None else models
    chosen = choose_images(images, labels, models, settings, limit)
    measured = []
    with progress("evaluate", len(models) + 1, "models") as advance:
        pixels = raw_pixels(images, _both(chosen))
        measured.append(_measure(RAW_PIXELS, f"pixels-{_SIDE}", pixels, chosen, settings))
        advance(1)
        for name, model in zip(distinct_names(models), models, strict=True):
            rows = [model.positions[each] for each in images.ids[_both(chosen)].tolist()]
            vectors = np.ascontiguousarray(model.vectors[rows])
            measured.append(_measure(name, model.fingerprint, vectors, chosen, settings))
            advance(1)
    return Evaluation(tuple(measured), chosen)


def embeddings_by_age(workspace: Workspace) -> list[Embeddings]:
    """The embeddings of every model, the newest last.

    Raises:
        LikewiseError: there are none, or some are damaged.
    """
    made = embedded(workspace)
    if not made:
        load_embeddings(workspace)  # says what to do
    return [load_embeddings(workspace, str(meta["fingerprint"])) for meta in made]


def distinct_names(models: Sequence[Embeddings]) -> list[str]:
    """The models' names; with the fingerprint where two are called the same."""
    names = [model.model for model in models]
    return [
        f"{model.model} ({model.fingerprint[:8]})" if names.count(model.model) > 1 else model.model
        for model in models
    ]


def choose_images(
    images: Images,
    labels: Labels,
    models: Sequence[Embeddings],
    settings: Evaluate,
    limit: int = LIMIT,
) -> Chosen:
    """Queries and gallery: images of known class that every model has an embedding of.

    Raises:
        LikewiseError: too few images of known class are left, or nothing is held out.
    """
    if settings.on == "held-out" and not images.held_out.any():
        raise LikewiseError(
            "no image is held out; run `likewise ingest --hold-out 0.2`, or evaluate --on all"
        )
    ids = images.ids.tolist()
    everywhere = np.ones(len(images), bool)
    missing = {}
    for name, model in zip(distinct_names(models), models, strict=True):
        there = np.array([each in model.positions for each in ids])
        everywhere &= there
        if not there.all():
            missing[name] = int((~there).sum())
    usable = everywhere & (labels != "")
    held_out = images.held_out if settings.on != "all" else np.zeros(len(images), bool)
    apart = bool((usable & held_out).any()) or settings.on == "held-out"
    queries = np.flatnonzero(usable & held_out if apart else usable)
    gallery = np.flatnonzero(usable & ~held_out) if apart else None
    if len(queries) < 2 or (gallery is not None and not len(gallery)):
        raise LikewiseError(
            f"only {len(queries):,} images of known class are embedded by every model; check "
            f"--truth {settings.truth}, or run `likewise embed`"
        )
    random = np.random.default_rng(settings.seed)
    return Chosen(
        _sample(queries, random, limit),
        None if gallery is None else _sample(gallery, random, limit),
        labels,
        missing,
    )


def raw_pixels(images: Images, rows: Rows) -> Float32[np.ndarray, "n 3072"]:
    """The baseline embedding of some images; see `raw_vector`."""
    vectors = np.empty((len(rows), _SIDE * _SIDE * 3), np.float32)
    for place, row in enumerate(rows.tolist()):
        vectors[place] = raw_vector(images[row])
    return vectors


def raw_vector(picture: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, " 3072"]:
    """The baseline embedding: an image squeezed to 32x32 RGB, flattened, of unit length.

    Shrinking averages over areas, so that nothing is aliased.
    """
    shrinks = min(picture.shape[:2]) > _SIDE
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    squeezed = cv2.resize(picture, (_SIDE, _SIDE), interpolation=how)
    vector = squeezed.ravel().astype(np.float32)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1.0), np.float32)


def _measure(
    name: str,
    fingerprint: str,
    vectors: Float32[np.ndarray, "n D"],
    chosen: Chosen,
    settings: Evaluate,
) -> ModelScores:
    """Scores of the vectors of the queries, followed by those of the gallery."""
    count = len(chosen.queries)
    apart = chosen.gallery is not None
    measured = scores(
        vectors[:count],
        chosen.labels[chosen.queries],
        vectors[count:] if apart else None,
        chosen.labels[chosen.gallery] if chosen.gallery is not None else None,
        bootstrap=settings.bootstrap,
        seed=settings.seed,
    )
    return ModelScores(name, fingerprint, measured)


def _both(chosen: Chosen) -> Int64[np.ndarray, " m"]:
    if chosen.gallery is None:
        return chosen.queries
    return np.concatenate((chosen.queries, chosen.gallery))


def _sample(rows: Rows, random: np.random.Generator, limit: int) -> Int64[np.ndarray, " m"]:
    if len(rows) <= limit:
        return rows
    return np.sort(random.choice(rows, limit, replace=False))
