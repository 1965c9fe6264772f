"""Which class each of many images is of, or none, and how sure that is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from likewise.evaluation.calibration import Calibration, calibrate, levels_of
from likewise.inference.exemplar_vectors import Members
from likewise.inference.naming_rule import NamingRule, naming_rule
from likewise.inference.open_set import answerable, hold_out
from likewise.neighbours.vectors import Embeddings

LOOKED_AT = 2_000
"""Images of the workspace that are held against the gallery, at most."""
_BLOCK = 1_024


class Nearest(NamedTuple):
    """The exemplar nearest to each of some images."""

    rows: Int64[np.ndarray, " Q"]
    similarities: Float64[np.ndarray, " Q"]
    """Cosines, -1 to 1."""


def nearest(members: Members, vectors: Float32[np.ndarray, "Q D"]) -> Nearest:
    """The nearest exemplar of each vector; of equally near ones the one that came first."""
    rows = np.empty(len(vectors), np.int64)
    similarities = np.empty(len(vectors))
    for start in range(0, len(vectors), _BLOCK):
        near = vectors[start : start + _BLOCK] @ members.vectors.T
        best = near.argmax(axis=1)
        rows[start : start + _BLOCK] = best
        similarities[start : start + _BLOCK] = near[np.arange(len(near)), best]
    return Nearest(rows, np.clip(similarities, -1, 1))


class Recogniser:
    """Decides for one gallery as one model sees it."""

    def __init__(
        self, members: Members, embeddings: Embeddings, answered: Calibration | None, seed: int = 0
    ) -> None:
        """Hold the gallery against itself and against the images of the workspace.

        Args:
            members: The gallery, of at least one class.
            embeddings: Of the workspace, by the same model.
            answered: What the calibration answers say; None where they are too few.
            seed: Which exemplars and images are looked at, where there are many.
        """
        rng = np.random.default_rng(seed)
        self.members = members
        self._answered = answered
        self._trials = hold_out(members.vectors, members.classes, rng)
        exemplars = set(members.images)
        others = [row for row, each in enumerate(embeddings.ids.tolist()) if each not in exemplars]
        looked = np.sort(rng.permutation(np.array(others, np.int64))[:LOOKED_AT])
        near = nearest(members, np.asarray(embeddings.vectors[looked]))
        self._population = np.sort(near.similarities)
        self._tried = None if answered is not None else self._from_trials(seed)
        self._rules: dict[float, NamingRule] = {}

    @property
    def certain_by(self) -> str | None:
        """What tells probabilities: "answers", "exemplars", or nothing."""
        if self._answered is not None:
            return "answers"
        return None if self._tried is None else "exemplars"

    def rule(self, far: float) -> NamingRule:
        """From which similarity on an image is named, if so many strangers may be named."""
        if far not in self._rules:
            self._rules[far] = naming_rule(far, self._trials, self._population, self._answered)
        return self._rules[far]

    def probabilities(
        self, similarities: Float64[np.ndarray, " Q"]
    ) -> Float64[np.ndarray, " Q"] | None:
        """The chance that the nearest class is the right one; None where nothing tells it."""
        told = self._answered or self._tried
        return None if told is None else told.probability(similarities)

    def _from_trials(self, seed: int) -> Calibration | None:
        """Probabilities from exemplars that were held against the others."""
        near, right = answerable(self._trials)
        if not len(near):
            return None
        return calibrate(near, right, levels_of(near), seed=seed)
