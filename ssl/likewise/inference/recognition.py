"""Which class each of many images is of, or none, and how sure that is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from likewise.evaluation.calibration import Calibration, calibrate, levels_of
from likewise.images.store import is_held_out
from likewise.inference.exemplar_vectors import Members
from likewise.inference.naming_rule import NamingRule, naming_rule
from likewise.inference.open_set import answerable, hold_out
from likewise.models.runs import run_with
from likewise.neighbours.vectors import Embeddings
from likewise.workspace import Workspace

LOOKED_AT = 2_000
"""Images of the workspace that are held against the gallery, at most."""
FEWEST_UNSEEN = 100
"""Images that the model was not trained on, below which those that it was trained on are taken."""
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


def evidence_for(
    members: Members,
    vectors: Float32[np.ndarray, "Q D"],
    near: Nearest,
    known: Bool[np.ndarray, " M"],
) -> Float64[np.ndarray, " Q"]:
    """Mean cosine to the exemplars of the nearest class; NaN if the nearest is not ``known``."""
    sums = np.zeros((len(members.names), vectors.shape[1]))
    np.add.at(sums, members.classes, members.vectors)
    means = sums / np.bincount(members.classes, minlength=len(members.names))[:, None]
    found = np.einsum("qd,qd->q", vectors, means[members.classes[near.rows]])
    return np.where(known[near.rows], np.clip(found, -1, 1), np.nan)


def unseen_by(workspace: Workspace, embeddings: Embeddings) -> Bool[np.ndarray, " N"]:
    """Which images a model was not trained on: those held out, or all if others trained it.

    Raises:
        LikewiseError: the model is gone.
    """
    if run_with(workspace, embeddings.fingerprint).kind == "adopt":
        return np.ones(len(embeddings.ids), bool)
    share = workspace.config.hold_out
    return np.array([is_held_out(str(each), share) for each in embeddings.ids], bool)


class Recogniser:
    """Decides for one gallery as one model sees it."""

    def __init__(
        self,
        members: Members,
        embeddings: Embeddings,
        answered: Calibration | None,
        unseen: Bool[np.ndarray, " N"],
        seed: int = 0,
    ) -> None:
        """Hold the gallery against itself and against images of the workspace.

        These are ones that the model was not trained on, if there are `FEWEST_UNSEEN`.

        Args:
            members: The gallery, of at least one class.
            embeddings: Of the workspace, by the same model.
            answered: What the calibration answers say; None where they are too few.
            unseen: Which images of the embeddings the model was not trained on.
            seed: Which exemplars and images are looked at, where there are many.
        """
        rng = np.random.default_rng(seed)
        self.members = members
        self._answered = answered
        self._trials = hold_out(members.vectors, members.classes, rng)
        other = ~np.isin(embeddings.ids, members.images)
        self._seen = int((other & unseen).sum()) < FEWEST_UNSEEN
        rows = np.flatnonzero(other if self._seen else other & unseen)
        looked = np.sort(rng.permutation(rows)[:LOOKED_AT])
        vectors = np.asarray(embeddings.vectors[looked])
        near = nearest(members, vectors)
        known = np.isin(members.images, embeddings.ids)
        order = np.argsort(near.similarities, kind="stable")
        self._population = near.similarities[order]
        self._evidence = evidence_for(members, vectors, near, known)[order]
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
            self._rules[far] = naming_rule(
                far,
                self._trials,
                self._population,
                self._evidence,
                self._answered,
                seen=self._seen,
            )
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
