"""What the embedding alone says about the group of an image, calibrated on what answers placed."""

import math
from typing import cast

import numpy as np
from jaxtyping import Bool, Float32, Int64, Shaped

START = 20.0
"""``k`` before anything is known of it; of half-whitened digits and faces 12 to 35 suit best."""
_CONCENTRATIONS = np.geomspace(0.125, 8.0, 13)
"""Factors on the start that are tried."""
_ASTRAY = (0.02, 0.05, 0.1, 0.2, 0.4)
_CALIBRATED_ON = 400
_SPREAD = 0.7
"""Standard deviation of the log of the concentration before anything is known of it."""
LANDMARKS = 1024
"""Asked images that one is compared with, besides its neighbours."""
_FEWEST = 20
"""Placed images without which the start stays."""


class Likeness:
    """The vectors of the asked images, and a kernel density over the members of each group.

    With ``K_g = sum_{y in g} c_y exp(k (cos(x, y) - 1))``, ``c_y`` being how much y counts,
    and ``u`` the share of the images whose group is not known yet:
    ``P(group g | x) = (1 - u) ((1 - e) K_g / sum K + e n_g / n)`` and ``P(new | x) = u``.
    So for a share ``e`` of the images similarity tells nothing, and that an image is far from all
    others does not tell that its group is new.

    Args:
        dim: Of the vectors.
    """

    def __init__(self, dim: int) -> None:
        self._vectors = np.zeros((256, dim), dtype=np.float32)
        self.count = 0
        self.landmarks: Int64[np.ndarray, " L"] = np.zeros(0, np.int64)
        """The asked images that stand for all in densities; all, while there are few."""
        self.place: Int64[np.ndarray, " capacity"] = np.full(256, -1)
        """By asked image: its place among the landmarks, or -1."""
        self._marked = self._vectors[:0]
        self.concentration = START
        """``k``."""
        self._intercept = self._slope = 0.0
        self.astray = 0.1
        """``e``."""

    def add(self, vector: Shaped[np.ndarray, " D"]) -> None:
        """Take in the vector of the next asked image."""
        if self.count == len(self._vectors):
            self._vectors = np.concatenate((self._vectors, np.zeros_like(self._vectors)))
            self.place = np.concatenate((self.place, np.full_like(self.place, -1)))
        self._vectors[self.count] = vector
        self.count += 1
        if self.count <= LANDMARKS:
            self.place[self.count - 1] = self.count - 1
            self.landmarks = np.arange(self.count)
            self._marked = self._vectors[: self.count]

    def choose_landmarks(self) -> None:
        """Take landmarks evenly from all asked images."""
        if self.count > LANDMARKS:
            self.landmarks = np.linspace(0, self.count - 1, LANDMARKS).astype(np.int64)
            self.place[:] = -1
            self.place[self.landmarks] = np.arange(LANDMARKS)
            self._marked = self._vectors[self.landmarks]

    def vectors(self, nodes: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m D"]:
        """The vectors of asked images."""
        return np.asarray(self._vectors[nodes])

    def kernel(self, similarities: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
        """``exp(k (cos - 1))``."""
        found = np.exp(np.float32(self.concentration) * (similarities - np.float32(1)))
        return cast("Float32[np.ndarray, '*shape']", found)

    def to_landmarks(self, vectors: Float32[np.ndarray, "B D"]) -> Float32[np.ndarray, "B L"]:
        """Cosine similarity of images to the landmarks."""
        return vectors @ self._marked.T

    def pair_odds(self, similarities: Float32[np.ndarray, "s m"]) -> float:
        """Mean log odds that pairs of such similarity are the same, if as many are as are not."""
        return self._intercept + self._slope * float(similarities.mean())

    def calibrate(self, groups: Int64[np.ndarray, " M"], grouped: Bool[np.ndarray, " M"]) -> None:
        """Choose the constants under which the groups foretell their members best.

        Leave-one-out log likelihood over up to 400 of the ``grouped`` images, those in a group of
        several, with a log-normal prior around the start.
        """
        nodes = np.flatnonzero(grouped)
        nodes = nodes[:: max(1, len(nodes) // _CALIBRATED_ON)][:_CALIBRATED_ON]
        others = ~np.eye(len(nodes), dtype=bool)
        own = (groups[nodes][:, None] == groups[nodes]) & others
        judged = own.any(axis=1)
        if judged.sum() < _FEWEST:
            return
        distances = 1 - self._vectors[nodes] @ self._vectors[nodes].T
        self._fit_pairs(1 - distances, own, others)
        inner, sizes = own.astype(np.float32), own.sum(axis=1)[judged] / (len(nodes) - 1)
        best = -math.inf
        for factor in _CONCENTRATIONS:
            kernel = np.exp(np.float32(-START * factor) * distances)
            np.fill_diagonal(kernel, 0)
            total = kernel.sum(axis=1, dtype=np.float64)[judged]
            inside = np.einsum("nm,nm->n", kernel, inner)[judged].astype(np.float64)
            for astray in _ASTRAY:
                share = (1 - astray) * inside / np.maximum(total, 1e-300) + astray * sizes
                score = float(np.log(share).sum()) - 0.5 * (math.log(factor) / _SPREAD) ** 2
                if score > best:
                    best = score
                    self.concentration, self.astray = float(START * factor), astray

    def _fit_pairs(
        self,
        near: Float32[np.ndarray, "n n"],
        own: Bool[np.ndarray, "n n"],
        others: Bool[np.ndarray, "n n"],
    ) -> None:
        """Balanced logistic regression of being in one group on similarity (Newton's method)."""
        apart = others & ~own
        if not apart.any():
            return
        x = np.concatenate((near[own], near[apart])).astype(np.float64)
        said = np.repeat((1.0, 0.0), (own.sum(), apart.sum()))
        weights = np.repeat((0.5 / own.sum(), 0.5 / apart.sum()), (own.sum(), apart.sum()))
        centre, width = float(x.mean()), max(float(x.std()), 1e-6)
        x = (x - centre) / width
        found = np.zeros(2)
        for _ in range(8):
            chance = 0.5 * (1 + np.tanh(0.5 * (found[0] + found[1] * x)))
            error, bend = weights * (chance - said), weights * chance * (1 - chance)
            gradient = np.array((error.sum(), error @ x)) + 1e-3 * found
            mixed = bend @ x
            curvature = np.array(((bend.sum(), mixed), (mixed, bend @ (x * x)))) + 1e-3 * np.eye(2)
            found -= np.clip(np.linalg.solve(curvature, gradient), -2, 2)
        self._slope = max(float(found[1]), 0.0) / width
        self._intercept = float(found[0]) - self._slope * centre
