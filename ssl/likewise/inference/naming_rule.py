"""From which similarity on an image is given a class, what that costs, and what tells it. Pure.

Three things can tell it; the first that can is taken (docs/decisions/0020). The gallery's own
classes, each held against the others, where there are enough of them. The images of the workspace,
of which the calibration answers say how likely each is of its nearest class. The same images alone,
all taken for strangers, which is strict.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from likewise.evaluation.calibration import FEWEST, Calibration
from likewise.inference.open_set import (
    Trials,
    fewest_classes,
    fewest_images,
    refuted,
    strangers_share,
    threshold_above,
    threshold_of,
)
from likewise.inference.weighed_strangers import weighed
from likewise.notebook import Displayed
from likewise.wording import rate

Source = Literal["classes", "answers", "images", "few classes", "nothing"]


@dataclass(frozen=True)
class NamingRule(Displayed):
    """Where names begin."""

    similarity: float
    """Cosine to the nearest exemplar from which on an image is named; infinite: none is."""
    source: Source
    """What told it."""
    far: float
    """Of the images of no class, the share that is named, at most or about."""
    far_interval: tuple[float, float] | None = None
    """95 %, where answers tell it."""
    frr: float | None = None
    """Of the images that are of a class, the share called unknown, where answers tell it."""
    frr_interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """What cannot be had is null."""
        return {
            "threshold": self.similarity if math.isfinite(self.similarity) else None,
            "far": self.far,
            "far_interval": _listed(self.far_interval),
            "frr": self.frr,
            "frr_interval": _listed(self.frr_interval),
            "calibrated_from": self.source,
        }

    def as_text(self) -> str:
        """What a person reads."""
        if not math.isfinite(self.similarity):
            return "no threshold: everything but copies of exemplars is unknown"
        about = "about" if self.source == "answers" else "at most"
        text = (
            f"named from a similarity of {self.similarity:.3f}: {about} {rate(self.far)} of the "
            f"images of no class are named"
        )
        if self.far_interval is not None:
            text += f" ({_between(self.far_interval)})"
        if self.frr is not None and self.frr_interval is not None:
            text += (
                f", about {rate(self.frr)} ({_between(self.frr_interval)}) of the others are "
                "called unknown"
            )
        return text


def naming_rule(
    far: float,
    trials: Trials,
    population: Float64[np.ndarray, " W"],
    evidence: Float64[np.ndarray, " W"],
    calibration: Calibration | None,
    *,
    seen: bool = False,
) -> NamingRule:
    """Choose where names begin, so that a share ``far`` of strangers is named.

    Args:
        far: Wanted share, between 0 and 1.
        trials: The gallery held against itself.
        population: Of images of the workspace, the cosine to the nearest exemplar, rising.
        evidence: Mean cosine to the exemplars of that one's class, if they are images of the
            workspace; else NaN. Only of pairs of such do the answers tell how likely they are the
            same: the class of any other exemplar may be shown nowhere in the workspace.
        calibration: Probability that two images are the same; None where answers are too few.
        seen: Whether the model was trained on these images of the workspace.
    """
    classes = _count(trials)
    if classes >= fewest_classes(far):
        return NamingRule(threshold_of(trials, far), "classes", far)
    rule = _from_images(far, population, evidence, calibration)
    if rule is None:
        return _from_few(far, trials)
    if not refuted(trials, rule.similarity, far):
        return replace(rule, notes=(*rule.notes, _SEEN)) if seen else rule
    note = (
        "classes of the gallery are more alike than the images of the workspace are to it, so the "
        "workspace cannot tell the threshold"
    )
    stricter = _from_few(far, trials)
    return replace(stricter, notes=(note, *stricter.notes))


_SEEN = (
    "the model was trained on the images that tell this threshold, and it sets those further apart "
    "than new ones, of which more are named (twice as many, on glyphs); images held out from the "
    "start (`likewise ingest --hold-out 0.2`), or more classes, would tell it better"
)


def _count(trials: Trials) -> int:
    return round(float(trials.weights.sum()))


def _from_images(
    far: float,
    population: Float64[np.ndarray, " W"],
    evidence: Float64[np.ndarray, " W"],
    calibration: Calibration | None,
) -> NamingRule | None:
    """From the images of the workspace, with or without answers; None where they are too few."""
    if len(population) < fewest_images(far):
        return None
    if calibration is None or not np.isfinite(evidence).any():
        note = (
            "nothing tells which images of the workspace are of these classes, so all were taken "
            f"for strangers, and the threshold is strict; {fewest_classes(far)} classes would tell "
            f"it better, or {FEWEST} answers on pairs drawn to measure (`likewise label`), where "
            "exemplars are images of the workspace"
        )
        return NamingRule(threshold_above(population, far), "images", far, notes=(note,))
    found = weighed(far, population, evidence, calibration)
    notes = (
        f"{calibration.answers:,} answers cannot promise that at most {rate(far)} of the images "
        f"of no class are named, at best {rate(found.smallest)} (rule of three); below that the "
        "curve's shape is trusted. Label more, or ask for a higher --far",
    )
    accept, reject = found.false_accept, found.false_reject
    return NamingRule(
        found.similarity,
        "answers",
        accept.value,
        (accept.low, accept.high),
        reject.value,
        (reject.low, reject.high),
        notes if found.smallest > far else (),
    )


def _from_few(far: float, trials: Trials) -> NamingRule:
    """From fewer classes than it takes: nearer than any of them comes to another."""
    classes, wanted = _count(trials), fewest_classes(far)
    similarity = threshold_of(trials, far)
    least = strangers_share(trials, similarity)
    if not classes:
        note = (
            "a single class and hardly any other image: nothing tells how near is near enough, so "
            "only copies of exemplars are named; add classes, embed more images, or --closed-set"
        )
        return NamingRule(math.inf, "nothing", 0.0, notes=(note,))
    note = (
        f"{classes} classes promise at best that {rate(least)} of the images of no class are "
        f"named; {wanted} classes would promise {rate(far)}"
    )
    return NamingRule(similarity, "few classes", least, notes=(note,))


def _between(interval: tuple[float, float]) -> str:
    low, high = (rate(each) for each in interval)
    return f"{low} to {high}"


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
