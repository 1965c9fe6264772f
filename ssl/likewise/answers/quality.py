"""How well each model tells similar from dissimilar on answers that were new to it.

A model learnt from the answers that stood when its run began. New to it are settled pairs that
nobody had answered then and that those answers did not imply. Their images may have been known.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from jaxtyping import Bool, Float, Int

from likewise.answers.ledger import Ledger
from likewise.answers.outlook import IMPORTED
from likewise.answers.standing import Answer, Entry, Undo
from likewise.errors import LikewiseError
from likewise.files import read_json
from likewise.models.runs import read_config
from likewise.neighbours.vectors import Embeddings, embedded
from likewise.workspace import Workspace

FEWEST = 20
"""Pairs of a kind below which a figure says too little to be shown."""
MOST = 20_000
"""Pairs that are looked at, at most; the newest."""
RESAMPLES = 400
LEVEL = 0.95


@dataclass(frozen=True)
class Model:
    """A model whose embeddings are there."""

    name: str
    fingerprint: str
    began: datetime
    """When its run did; where the run is gone, when it was embedded."""
    learnt: bool
    """Whether it may have learnt from answers."""
    before: float | None = None
    """Pair AUC on answers that were held out when it was fine-tuned, of the model it began from."""
    after: float | None = None
    """The same of a copy that was tuned without these answers."""
    held_out: int = 0
    """How many these answers are."""


@dataclass(frozen=True)
class Quality:
    """How well a model tells similar from dissimilar pairs."""

    similar: int
    dissimilar: int
    auc: float | None
    """Chance that a similar pair is nearer than a dissimilar one, 0 to 1; None with fewer than
    `FEWEST` of a kind."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95 % bootstrap interval (percentiles, images resampled)."""


def models_of(workspace: Workspace) -> list[Model]:
    """The models with embeddings, oldest first.

    Raises:
        LikewiseError: a file about them cannot be read.
    """
    return sorted(_models(workspace), key=lambda each: (each.began, each.name))


def _models(workspace: Workspace) -> Iterable[Model]:
    """The models with embeddings, in no order."""
    for meta in embedded(workspace):
        folder = workspace.runs / str(meta["model"])
        try:
            run = read_config(folder)
        except LikewiseError:
            run = {"kind": "unknown", "started": meta["made"]}
        measured = folder / "measured.json"
        figures = read_json(measured) if measured.is_file() else {}
        yield Model(
            name=str(meta["model"]),
            fingerprint=str(meta["fingerprint"]),
            began=datetime.fromisoformat(run["started"]),
            learnt=run["kind"] not in ("adopt", "pretrain"),
            before=figures.get("before", {}).get("auc"),
            after=figures.get("after", {}).get("auc"),
            held_out=int(figures.get("before", {}).get("answers", 0)),
        )


def known_to(model: Model, history: Sequence[Entry]) -> list[Entry]:
    """The rows of the history, in order, that the model may have learnt from.

    All that come before the first answer given at a screen after its run began. Answers from
    files bear the times of the file, so they tell nothing.
    """
    if not model.learnt:
        return []
    for place, entry in enumerate(history):
        given = isinstance(entry, Undo) or entry.strategy not in IMPORTED
        if given and entry.time > model.began:
            return list(history[:place])
    return list(history)


def new_to(model: Model, history: Sequence[Entry], settled: Iterable[Answer]) -> list[Answer]:
    """The settled similar and dissimilar answers that were new to the model, oldest first."""
    known = Ledger(known_to(model, history))
    answered, links = known.answered(), known.links
    return [
        each
        for each in settled
        if each.verdict != "unsure"
        and each.pair not in answered
        and links.relation(*each.pair) is None
    ]


def enough(answers: Collection[Answer]) -> bool:
    """Whether there are `FEWEST` similar and as many dissimilar ones."""
    similar = sum(each.verdict == "similar" for each in answers)
    return min(similar, len(answers) - similar) >= FEWEST


def quality(embeddings: Embeddings, answers: Sequence[Answer], seed: int = 0) -> Quality:
    """How well an embedding tells the similar from the dissimilar among ``answers``.

    Pairs with an image that has no vector are left out.
    """
    rows = embeddings.positions
    answers = [each for each in answers if each.a in rows and each.b in rows][-MOST:]
    same = np.array([each.verdict == "similar" for each in answers], dtype=bool)
    similar, dissimilar = int(same.sum()), int((~same).sum())
    if not enough(answers):
        return Quality(similar, dissimilar, None)
    first = np.array([rows[each.a] for each in answers])
    second = np.array([rows[each.b] for each in answers])
    scores = np.empty(len(answers))
    for start in range(0, len(answers), 1024):
        part = slice(start, start + 1024)
        left, right = (np.asarray(embeddings.vectors[e[part]]) for e in (first, second))
        scores[part] = (left * right).sum(axis=1)
    low, high = auc_interval(scores, same, first, second, seed)
    return Quality(similar, dissimilar, auc(scores, same), low, high)


def auc(
    scores: Float[np.ndarray, " P"],
    same: Bool[np.ndarray, " P"],
    weights: Float[np.ndarray, " P"] | None = None,
) -> float:
    """The chance that a similar pair scores above a dissimilar one; a tie counts half.

    With ``weights`` a pair counts so often. NaN without both kinds.
    """
    order, starts = _ranked(scores)
    counts = np.ones(len(scores)) if weights is None else weights
    return _area(counts[order], same[order], starts)


def auc_interval(
    scores: Float[np.ndarray, " P"],
    same: Bool[np.ndarray, " P"],
    first: Int[np.ndarray, " P"],
    second: Int[np.ndarray, " P"],
    seed: int,
) -> tuple[float, float]:
    """The 95 % bootstrap interval of `auc`, resampling images.

    Pairs that share an image are not independent, so images are drawn, and a pair counts as often
    as the product of its two images' counts.
    """
    images, place = np.unique(np.stack((first, second)), return_inverse=True)
    one, two = place.reshape(2, -1)
    order, starts = _ranked(scores)
    one, two, same = one[order], two[order], same[order]
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        counts = np.bincount(rng.integers(len(images), size=len(images)), minlength=len(images))
        drawn.append(_area((counts[one] * counts[two]).astype(float), same, starts))
    known = np.array(drawn)[~np.isnan(drawn)]
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _ranked(
    scores: Float[np.ndarray, " P"],
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " T"]]:
    """Pairs by falling score, and where each run of equal scores starts."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    return order, np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))


def _area(
    weights: Float[np.ndarray, " P"], same: Bool[np.ndarray, " P"], starts: Int[np.ndarray, " T"]
) -> float:
    """The area under the ROC curve of ranked pairs."""
    similar = np.add.reduceat(weights * same, starts)
    dissimilar = np.add.reduceat(weights * ~same, starts)
    pairs = similar.sum() * dissimilar.sum()
    if pairs == 0:
        return float("nan")
    above = np.cumsum(similar) - similar / 2
    return float((above * dissimilar).sum() / pairs)
