"""What the answers of a workspace say: quality now, what more of them would buy, the threshold."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from likewise.answers.belief import Belief
from likewise.answers.ledger import Ledger
from likewise.answers.outlook import IMPORTED
from likewise.answers.pool import pool_of
from likewise.answers.quality import known_to, models_of, new_to
from likewise.answers.reserved import CALIBRATION, trainable, unspoilt
from likewise.answers.standing import Answer, Entry
from likewise.errors import LikewiseError
from likewise.evaluation.calibration import FEWEST as FEWEST_DRAWN
from likewise.evaluation.calibration import calibrate, levels_of
from likewise.evaluation.forecast import Forecast, forecast
from likewise.evaluation.threshold import (
    ErrorRates,
    Threshold,
    draw_weights,
    similarity_sample,
)
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.workspace import Workspace

FALSE_ACCEPT = 0.01
"""Share of different pairs that may pass, by default."""
NOTHING_TOLD: dict[str, Any] = {"quality": None, "threshold": None, "calibration_answers": 0}
"""What `likewise status --json` says without embeddings."""
_COMPARED = 3_000
"""Placed images that are judged, at most: the newest."""
_UNBIASED = (CALIBRATION, "random")
"""Strategies whose pairs, at a given similarity, are like any other."""


@dataclass(frozen=True)
class Prospects:
    """What answers say about a model."""

    forecast: Forecast
    judged_by: str
    """Model whose embedding the forecast was made with; "" without any."""
    threshold: Threshold | None
    """Of the newest embedding; None with too few answers to tell."""
    drawn: int
    """Answers kept for calibration that count."""

    def as_json(self) -> dict[str, Any]:
        """For `likewise status --json`."""
        return {
            "quality": self.forecast.as_json() | {"model": self.judged_by},
            "threshold": None if self.threshold is None else self.threshold.as_json(),
            "calibration_answers": self.drawn,
        }

    def threshold_text(self) -> str:
        """The threshold, or what is missing to tell it."""
        if self.threshold is not None:
            return f"{self.threshold.as_text()}."
        return (
            f"Too early to tell: it takes {FEWEST_DRAWN} answers on pairs that are drawn for it, "
            f"similar and dissimilar ones; there are {self.drawn:,}. About one question in ten "
            "is such a pair."
        )


def prospects(
    workspace: Workspace,
    ledger: Ledger,
    history: Sequence[Entry],
    held_out: Collection[str],
) -> Prospects | None:
    """Look at the answers with the embeddings that are there; None without any.

    The forecast is made with the newest embedding that did not learn from too many of the answers.

    Raises:
        LikewiseError: a file cannot be read.
    """
    models = models_of(workspace)
    if not models:
        return None
    said, name = Forecast(0), ""
    for model in reversed(models):
        embeddings = load_embeddings(workspace, model.fingerprint)
        found = forecast_with(embeddings, ledger, held_out, _images(known_to(model, history)))
        if not name or found.now is not None:
            said, name = found, model.name
        if found.now is not None:
            break
    newest = load_embeddings(workspace)
    model = next(each for each in models if each.fingerprint == newest.fingerprint)
    new = new_to(model, history, ledger.settled())
    drawn = unspoilt(new)
    return Prospects(said, name, threshold_with(workspace, newest, new, held_out), len(drawn))


def forecast_with(
    embeddings: Embeddings,
    ledger: Ledger,
    held_out: Collection[str],
    learnt: Collection[str] = (),
    seed: int = 0,
) -> Forecast:
    """The forecast for an embedding that has learnt from answers on the images ``learnt``."""
    pool = pool_of(embeddings, held_out)
    belief = Belief(pool)
    belief.follow(ledger)
    placement = belief.placement()
    if len(placement.rows) > _COMPARED:
        placement = type(placement)(
            placement.rows[-_COMPARED:],
            placement.groups[-_COMPARED:],
            placement.confidence[-_COMPARED:],
            placement.undiscovered,
        )
    ids = [pool.ids[row] for row in placement.rows.tolist()]
    fresh = np.array([each not in learnt for each in ids], dtype=bool)
    answers = max(1, len(belief.answers))
    return forecast(pool.vectors, pool.rows, placement, answers, fresh, seed)


def threshold_with(
    workspace: Workspace,
    embeddings: Embeddings,
    answers: Sequence[Answer],
    held_out: Collection[str],
    most: float = FALSE_ACCEPT,
    seed: int = 0,
) -> Threshold | None:
    """The lowest threshold at which ``most`` of the different pairs pass; None if too few tell it.

    ``answers`` are settled ones that the embedding has not learnt from. What was drawn for
    calibration or at random counts as it is; what was asked for another reason tells the slope.
    """
    places = embeddings.positions
    drawn = unspoilt(answers)
    others = [
        each
        for each in trainable(answers)
        if each.verdict != "unsure" and each.strategy not in IMPORTED
    ]
    used = [each for each in (*drawn, *others) if each.a in places and each.b in places]
    open_rows = pool_of(embeddings, held_out).rows
    if len(used) < FEWEST_DRAWN or len(open_rows) < 2:
        return None
    pairs = np.array([[places[each.a], places[each.b]] for each in used])
    similarities = np.einsum(
        "pd,pd->p", embeddings.vectors[pairs[:, 0]], embeddings.vectors[pairs[:, 1]]
    ).astype(np.float64)
    population = similarity_sample(embeddings.vectors, open_rows, seed)
    calibration = calibrate(
        similarities,
        np.array([each.verdict == "similar" for each in used]),
        levels_of(population),
        _ways(used),
        _weights(workspace, embeddings, used, held_out),
        seed,
    )
    return (
        None if calibration is None else ErrorRates(calibration, population).at_false_accept(most)
    )


def _ways(answers: Sequence[Answer]) -> Int64[np.ndarray, " n"]:
    """0 where a pair was drawn, else the number of its strategy."""
    names = sorted({each.strategy for each in answers} - set(_UNBIASED))
    number = {name: place for place, name in enumerate(names, 1)}
    return np.array([number.get(each.strategy, 0) for each in answers], np.int64)


def _weights(
    workspace: Workspace,
    embeddings: Embeddings,
    answers: Sequence[Answer],
    held_out: Collection[str],
) -> Float64[np.ndarray, " n"]:
    """How many pairs each answer stands for; 1 unless another embedding drew it for calibration."""
    weights = np.ones(len(answers))
    origins = {each.fingerprint for each in answers if each.strategy == CALIBRATION}
    for origin in sorted(origins - {embeddings.fingerprint}):
        places = [
            place
            for place, each in enumerate(answers)
            if each.strategy == CALIBRATION and each.fingerprint == origin
        ]
        scores = [answers[place].score for place in places]
        try:
            older = load_embeddings(workspace, origin)
        except LikewiseError:
            continue  # gone: its answers count as they are
        asked_at = np.array([0.0 if each is None else each for each in scores])
        population = similarity_sample(older.vectors, pool_of(older, held_out).rows)
        weights[places] = draw_weights(asked_at, population)
    return weights


def _images(history: Sequence[Entry]) -> set[str]:
    """The images that answers of a history are about."""
    return {image for each in history if isinstance(each, Answer) for image in each.pair}
