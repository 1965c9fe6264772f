"""What the embedding alone says about the group of an image, calibrated on what answers placed."""

import math
from typing import cast

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped

from likewise.answers.coverage import typical_distance

_CONCENTRATIONS = np.geomspace(0.125, 8.0, 13)
"""Factors on the start that are tried."""
_ASTRAY = (0.02, 0.05, 0.1, 0.2, 0.4)
_CALIBRATED_ON = 400
_SPREAD = 0.7
"""Standard deviation of the log of the concentration before anything is known of it."""
_FEWEST = 20
"""Placed images without which the start stays."""


class Likeness:
    """The vectors of the asked images, and a kernel density over the members of each group.

    With ``K_g = sum_{y in g} c_y exp(k (cos(x, y) - 1))``, ``c_y`` being how sure y's place is, and
    ``N = T u / (1 - u)``, ``u`` the share of the images whose group is not known yet and ``T`` the
    ``K_g`` that is typical of the own group of an image:
    ``P(group g | x) = (1 - e) K_g / (sum K + N) + e (1 - u) n_g / n`` and
    ``P(new | x) = (1 - e) N / (sum K + N) + e u``. So for a share ``e`` of the images similarity
    tells nothing.

    Args:
        vectors: Unit vectors of the whole pool.
        rows: Those that may be asked about.
    """

    def __init__(self, vectors: Shaped[np.ndarray, "N D"], rows: Int64[np.ndarray, " n"]) -> None:
        some = np.asarray(vectors[rows[:: max(1, len(rows) // 2048)]], dtype=np.float32)
        self._start = 1 / typical_distance(some) if len(some) > 1 else 1.0
        self._vectors = np.zeros((256, vectors.shape[1]), dtype=np.float32)
        self.count = 0
        self.concentration = self._start
        """``k``."""
        self.typical = math.exp(-1.0)
        """``T``."""
        self.astray = 0.1
        """``e``."""

    def add(self, vector: Shaped[np.ndarray, " D"]) -> None:
        """Take in the vector of the next asked image."""
        if self.count == len(self._vectors):
            self._vectors = np.concatenate((self._vectors, np.zeros_like(self._vectors)))
        self._vectors[self.count] = vector
        self.count += 1

    def vector(self, node: int) -> Float32[np.ndarray, " D"]:
        """The vector of an asked image."""
        return cast("Float32[np.ndarray, ' D']", self._vectors[node])

    def similarities(self, vector: Float32[np.ndarray, " D"]) -> Float32[np.ndarray, " M"]:
        """Cosine similarity of an image to each asked one."""
        return cast("Float32[np.ndarray, ' M']", self._vectors[: self.count] @ np.asarray(vector))

    def chances(
        self,
        similarities: Float32[np.ndarray, " M"],
        groups: Int64[np.ndarray, " M"],
        sureness: Float64[np.ndarray, " M"],
        slots: int,
        undiscovered: float,
    ) -> tuple[Float64[np.ndarray, " G"], float]:
        """Probability of each of ``slots`` groups, and of a new one, for an image."""
        kernel = np.exp(self.concentration * (similarities.astype(np.float64) - 1)) * sureness
        density = np.bincount(groups, kernel, minlength=slots)
        sizes = np.bincount(groups, sureness, minlength=slots)
        new = self.typical * undiscovered / (1 - undiscovered)
        told = (1 - self.astray) / (density.sum() + new)
        share = self.astray * (1 - undiscovered) / max(float(sizes.sum()), 1.0)
        return told * density + share * sizes, told * new + self.astray * undiscovered

    def relative_density(
        self, similarities: Float32[np.ndarray, "s m"], sureness: Float64[np.ndarray, " m"]
    ) -> Float64[np.ndarray, " s"]:
        """Log of ``K_g / T`` of a group of m members around each of s images."""
        kernel = np.exp(self.concentration * (similarities.astype(np.float64) - 1))
        return cast(
            "Float64[np.ndarray, ' s']",
            np.log(np.maximum(kernel @ sureness, 1e-300)) - math.log(self.typical),
        )

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
        distances = (1 - self._vectors[nodes] @ self._vectors[nodes].T).astype(np.float64)
        sizes = own.sum(axis=1)[judged] / (len(nodes) - 1)
        best = -math.inf
        for factor in _CONCENTRATIONS:
            kernel = np.exp(-self._start * factor * distances) * others
            total, inside = kernel.sum(axis=1)[judged], (kernel * own).sum(axis=1)[judged]
            for astray in _ASTRAY:
                share = (1 - astray) * inside / np.maximum(total, 1e-300) + astray * sizes
                score = float(np.log(share).sum()) - 0.5 * (math.log(factor) / _SPREAD) ** 2
                if score > best:
                    best = score
                    self.concentration, self.astray = float(self._start * factor), astray
                    scale = float(grouped.sum()) / len(nodes)
                    self.typical = max(float(np.median(inside)) * scale, 1e-12)
