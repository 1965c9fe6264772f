"""What the answers of a workspace say: quality now, what more of them would buy, the threshold."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from likewise.answers.belief import Belief
from likewise.answers.calibrating import draw_weights, similarity_sample
from likewise.answers.choice import Choice, choose_strategy
from likewise.answers.ledger import Ledger
from likewise.answers.links import links_from
from likewise.answers.pool import pool_of
from likewise.answers.quality import Model, known_to, models_of
from likewise.answers.rates import ErrorRates as AnnotatorRates
from likewise.answers.reserved import trainable, unspoilt
from likewise.answers.standing import Answer, Entry
from likewise.errors import LikewiseError
from likewise.evaluation.calibration import FEWEST as FEWEST_DRAWN
from likewise.evaluation.calibration import calibrate, levels_of
from likewise.evaluation.forecast import Forecast, forecast
from likewise.evaluation.threshold import ErrorRates, Threshold
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.workspace import Workspace

FALSE_ACCEPT = 0.01
"""Share of different pairs that may pass, by default."""
NOTHING_TOLD: dict[str, Any] = {
    "quality": None,
    "threshold": None,
    "calibration_answers": 0,
    "strategy": None,
}
"""What `likewise status --json` says without embeddings."""
_COMPARED = 3_000
"""Placed images that are judged, at most: the newest."""


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
    asked: Choice
    """The strategy that asks by default now."""

    def as_json(self) -> dict[str, Any]:
        """For `likewise status --json`."""
        return {
            "quality": self.forecast.as_json() | {"model": self.judged_by},
            "threshold": None if self.threshold is None else self.threshold.as_json(),
            "calibration_answers": self.drawn,
            "strategy": {"name": self.asked.strategy, "reason": self.asked.reason},
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
    about: Embeddings | None = None,
    belief: Belief | None = None,
) -> Prospects | None:
    """Look at the answers with the embeddings that are there; None without any.

    The forecast is made with the newest embedding that did not learn from too many of the answers.

    Args:
        workspace: Where the embeddings are.
        ledger: What the answers add up to.
        history: Its rows.
        held_out: Images that are never asked about.
        about: The embedding that is spoken of; by default the newest. Older ones may be the
            better judges.
        belief: What the ledger adds up to on that embedding, where that is known already.

    Raises:
        LikewiseError: a file cannot be read.
    """
    models = models_of(workspace)
    if not models:
        return None
    newest = about or load_embeddings(workspace)
    last = next(n for n, each in enumerate(models) if each.fingerprint == newest.fingerprint)
    current = belief or belief_on(newest, ledger, held_out)
    said, name = Forecast(0), ""
    for model in reversed(models[: last + 1] if about else models):
        if model.fingerprint == newest.fingerprint:
            judging = current
        else:
            older = load_embeddings(workspace, model.fingerprint)
            judging = belief_on(older, ledger, held_out)
        found = forecast_with(judging, _images(known_to(model, history)))
        if not name or found.now is not None:
            said, name = found, model.name
        if found.now is not None:
            break
    model = next(each for each in models if each.fingerprint == newest.fingerprint)
    drawn = drawn_for(model, history, ledger.settled())
    threshold = threshold_with(workspace, newest, drawn, held_out, current.rates)
    return Prospects(said, name, threshold, len(drawn), choose_strategy(current))


def belief_on(embeddings: Embeddings, ledger: Ledger, held_out: Collection[str]) -> Belief:
    """What all answers add up to, on an embedding."""
    belief = Belief(pool_of(embeddings, held_out))
    belief.follow(ledger)
    return belief


def forecast_with(belief: Belief, learnt: Collection[str] = (), seed: int = 0) -> Forecast:
    """The forecast for an embedding that has learnt from answers on the images ``learnt``."""
    pool, placement = belief.pool, belief.placement()
    if len(placement.rows) > _COMPARED:
        placement = type(placement)(
            placement.rows[-_COMPARED:],
            placement.groups[-_COMPARED:],
            placement.confidence[-_COMPARED:],
            placement.undiscovered,
        )
    ids = [pool.ids[row] for row in placement.rows.tolist()]
    fresh = np.array([each not in learnt for each in ids], dtype=bool)
    rates, answers = belief.rates.common, max(1, len(belief.answers))
    mistaken, misled = rates.miss + rates.false, misled_share(belief)
    return forecast(pool.vectors, pool.every, placement, answers, fresh, mistaken, misled, seed)


def misled_share(belief: Belief) -> float:
    """Of the pairs called similar, how many are probably not, 0 to 1."""
    said = Counter(each.verdict for answers in belief.answers.values() for each in answers)
    false = belief.rates.common.false * said["dissimilar"]
    return float(min(1.0, false / max(1, said["similar"])))


def drawn_for(model: Model, history: Sequence[Entry], settled: Sequence[Answer]) -> list[Answer]:
    """The answers kept for calibration that follow from nothing the model has learnt."""
    known = Ledger(known_to(model, history)).settled()
    return unspoilt(settled, links_from(trainable(known)))


def threshold_with(
    workspace: Workspace,
    embeddings: Embeddings,
    drawn: Sequence[Answer],
    held_out: Collection[str],
    rates: AnnotatorRates,
    most: float = FALSE_ACCEPT,
    seed: int = 0,
) -> Threshold | None:
    """The lowest threshold at which ``most`` of the different pairs pass; None if too few tell it.

    Args:
        workspace: Where the embeddings that drew the pairs may still be.
        embeddings: Whose similarity it is a threshold of.
        drawn: Answers kept for calibration that it has not learnt from.
        held_out: Images that are never asked about.
        rates: How often who answered is wrong.
        most: Share of the different pairs, 0 to 1.
        seed: Of the intervals.
    """
    found = rates_with(workspace, embeddings, drawn, held_out, rates, seed)
    return None if found is None else found.at_false_accept(most)


def rates_with(
    workspace: Workspace,
    embeddings: Embeddings,
    drawn: Sequence[Answer],
    held_out: Collection[str],
    rates: AnnotatorRates,
    seed: int = 0,
) -> ErrorRates | None:
    """Probabilities, and error rates at any threshold; None if too few answers tell them.

    The arguments are those of `threshold_with`.
    """
    places = embeddings.positions
    used = [each for each in drawn if each.a in places and each.b in places]
    rows = pool_of(embeddings, held_out).every
    if len(used) < FEWEST_DRAWN or len(rows) < 2:
        return None
    pairs = np.array([[places[each.a], places[each.b]] for each in used])
    first, second = (np.asarray(embeddings.vectors[ends]) for ends in pairs.T)
    population = similarity_sample(embeddings.vectors, rows)
    calibration = calibrate(
        np.einsum("pd,pd->p", first, second).astype(np.float64),
        np.array([each.verdict == "similar" for each in used]),
        levels_of(population),
        rates.of_each(each.annotator for each in used),
        pairs_behind(workspace, used, held_out, but=embeddings.fingerprint),
        seed,
    )
    return None if calibration is None else ErrorRates(calibration, population)


def pairs_behind(
    workspace: Workspace, answers: Sequence[Answer], held_out: Collection[str], but: str = ""
) -> Float64[np.ndarray, " n"]:
    """How many pairs each answer kept for calibration stands for, by the embedding that drew it.

    1 for answers that the embedding ``but`` drew, and those whose embedding is gone.
    """
    weights = np.ones(len(answers))
    origins = {each.fingerprint for each in answers}
    for origin in sorted(origins - {but}):
        places = [place for place, each in enumerate(answers) if each.fingerprint == origin]
        scores = [answers[place].score for place in places]
        try:
            older = load_embeddings(workspace, origin)
        except LikewiseError:
            continue  # gone: its answers count as they are
        asked_at = np.array([0.0 if each is None else each for each in scores])
        pool = pool_of(older, held_out)
        population = similarity_sample(older.vectors, pool.every, pool.reserve)
        weights[places] = draw_weights(asked_at, population)
    return weights


def _images(history: Sequence[Entry]) -> set[str]:
    """The images that answers of a history are about."""
    return {image for each in history if isinstance(each, Answer) for image in each.pair}
