"""Do two images show the same? Verdicts by a threshold from answers, and what it costs."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from likewise import notebook
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links, links_from
from likewise.answers.quality import known_to, models_of
from likewise.answers.reserved import trainable
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.calibration import FEWEST
from likewise.evaluation.prospects import belief_on, drawn_for, rates_with
from likewise.evaluation.threshold import Threshold
from likewise.evaluation.verdict import Judgement, judge
from likewise.images.look import Look
from likewise.images.manifest import display
from likewise.images.store import open_images
from likewise.neighbours.pictures import embed_picture
from likewise.neighbours.vectors import load_embeddings
from likewise.notebook import Displayed
from likewise.wording import percent, rate
from likewise.workspace import Workspace


@dataclass(frozen=True)
class Verified(Displayed):
    """What is to be said of two images."""

    paths: tuple[Path, Path]
    similarity: float
    """Cosine, -1 to 1."""
    judgement: Judgement
    threshold: Threshold | None
    """None where too few answers tell it."""
    model: str
    fingerprint: str
    notes: tuple[str, ...]
    ids: tuple[str, str] = ("", "")
    look: Look | None = field(default=None, repr=False, compare=False)
    """Shows the pictures in a notebook."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import verified

        return notebook.text(self.as_text()) if self.look is None else verified(self, self.look)

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract; a figure that cannot be had is null."""
        judgement = self.judgement
        return {
            "similarity": self.similarity,
            "probability": judgement.probability,
            "probability_interval": [judgement.low, judgement.high],
            "verdict": judgement.verdict,
            **threshold_json(self.threshold),
            "paths": [display(str(each)) for each in self.paths],
            "model": self.model,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
        }

    def as_text(self) -> str:
        """What a person reads."""
        judgement, lines = self.judgement, [f"{self.judgement.verdict}"]
        lines[0] += f": similarity {self.similarity:.3f}"
        chance, low, high = judgement.probability, judgement.low, judgement.high
        if chance is not None and low is not None and high is not None:
            lines[0] += (
                f", the same with a probability of {percent(chance, 1)} "
                f"(95 %: {percent(low, 1)} to {percent(high, 1)})"
            )
        if self.threshold is not None:
            lines.append(f"{self.threshold.as_text()} ({self.threshold.answers_text()})")
        return "\n".join((*lines, *self.notes))


def threshold_json(threshold: Threshold | None) -> dict[str, Any]:
    """A threshold and what it costs, with 95 % intervals; nulls where there is none."""
    if threshold is None:
        nothing = dict.fromkeys(("threshold", "far", "far_interval", "frr", "frr_interval"))
        return nothing | {"answers": 0, "similar": 0}
    far, frr = threshold.false_accept, threshold.false_reject
    return {
        "threshold": threshold.similarity,
        "far": far.value,
        "far_interval": [far.low, far.high],
        "frr": frr.value,
        "frr_interval": [frr.low, frr.high],
        "answers": threshold.answers,
        "similar": threshold.similar,
    }


class Verifier:
    """Compares pairs of images by the newest embeddings; what it needs is opened once.

    The threshold is the one of `likewise status`: from the answers kept for calibration, on which
    no model was trained (docs/decisions/0018).
    """

    def __init__(self, workspace: Workspace, far: float = 0.01, seed: int = 0) -> None:
        """Open embeddings and answers, and choose the threshold.

        Args:
            workspace: Where they are.
            far: Share of the different pairs that may pass, between 0 and 1.
            seed: Of the intervals.

        Raises:
            UsageError: ``far`` is not between 0 and 1.
            LikewiseError: no images, no embeddings, or a file is damaged.
        """
        if not 0 < far < 1:
            raise UsageError("--far must lie between 0 and 1, without them")
        self.workspace, self.far = workspace, far
        self.images = open_images(workspace.require())
        self.embeddings = load_embeddings(workspace)
        with open_answers(workspace) as answers:
            history = answers.history()
        ledger = Ledger(history)
        model = next(
            each for each in models_of(workspace) if each.fingerprint == self.embeddings.fingerprint
        )
        hidden = set(self.images.ids[self.images.held_out].tolist())
        drawn = drawn_for(model, history, ledger.settled())
        self.drawn = Counter(each.verdict for each in drawn)
        self.learnt: Links = links_from(trainable(Ledger(known_to(model, history)).settled()))
        """What the model may have learnt from."""
        rates = None
        if len(drawn) >= FEWEST:
            told = belief_on(self.embeddings, ledger, hidden).rates
            rates = rates_with(workspace, self.embeddings, drawn, hidden, told, seed)
        self.calibration = None if rates is None else rates.calibration
        self.threshold = None if rates is None else rates.at_false_accept(far)
        self.smallest = (
            1.0
            if rates is None or self.threshold is None
            else rates.smallest(self.threshold.similarity)
        )
        """The smallest false-accept rate that so many answers can promise."""

    def judge(self, similarities: Float64[np.ndarray, " P"]) -> list[Judgement]:
        """The judgement of each cosine; without a threshold all are uncertain.

        Raises:
            LikewiseError: one is not finite.
        """
        if not np.isfinite(similarities).all():
            raise LikewiseError("a similarity is not finite; embed the images again")
        if self.calibration is None or self.threshold is None:
            return [Judgement("uncertain")] * len(similarities)
        return judge(similarities, self.calibration, self.threshold.similarity)

    def compare(self, a: str | Path, b: str | Path) -> Verified:
        """Judge two image files, in the workspace or not.

        Raises:
            UsageError: one is a folder or a list.
            LikewiseError: one is missing or no usable image, or its model is gone.
        """
        one, two = (embed_picture(self.workspace, self.embeddings, Path(each)) for each in (a, b))
        similarity = float(np.clip(one.vector.astype(np.float64) @ two.vector, -1, 1))
        (judgement,) = self.judge(np.array([similarity]))
        notes = self.notes()
        if one.id == two.id:
            judgement = Judgement("same", 1.0, 1.0, 1.0)
            notes = ("the two files are equal, byte for byte", *notes)
        elif judgement.verdict == "uncertain" and self.threshold is not None:
            notes = ("too close to call: what its probability may be holds the threshold's", *notes)
        return Verified(
            (one.path, two.path),
            similarity,
            judgement,
            self.threshold,
            self.embeddings.model,
            self.embeddings.fingerprint,
            notes,
            (one.id, two.id),
            Look(self.workspace, self.images),
        )

    def notes(self) -> tuple[str, ...]:
        """What the answers are too few for."""
        if self.threshold is None:
            missing = 10 * max(1, FEWEST - self.drawn.total())
            return (
                f"no threshold yet: it takes {FEWEST} answers on pairs drawn to measure, of both "
                f"kinds; there are {self.drawn['similar']:,} similar and "
                f"{self.drawn['dissimilar']:,} dissimilar ones. About one question in ten is such "
                f"a pair: answer about {missing:,} more with `likewise label`",
            )
        if self.smallest > self.far:
            return (
                f"{self.threshold.answers:,} answers cannot promise a false-accept rate of "
                f"{rate(self.far)}, at best {rate(self.smallest)} (rule of three); below "
                "that the curve's shape is trusted. Label more, or ask for a higher --far",
            )
        return ()
