"""Half-whitened vectors: no few directions outweigh the others when images are compared.

Whitening makes neighbours in a pretrained embedding more alike (Jégou & Chum 2012, "Negative
evidences and co-occurences in image retrieval"); all the way it lifts noise as well. So each
principal direction is divided by the fourth root of its variance. Cosines are then on nearly the
same scale whatever the embedding.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped

_SAMPLE = 5000
_SHRINK = 0.5
"""Share of the identity in the covariance."""


@dataclass(frozen=True)
class HalfWhitening:
    """A linear map, and what is taken away before it."""

    centre: Float64[np.ndarray, " D"]
    weight: Float64[np.ndarray, "D D"]

    def __call__(self, vectors: Shaped[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
        """Half-whitened unit vectors."""
        mapped = (vectors - self.centre) @ self.weight
        lengths = np.linalg.norm(mapped, axis=1, keepdims=True)
        return np.asarray(mapped / np.maximum(lengths, 1e-12), dtype=np.float32)


def half_whitening(
    vectors: Shaped[np.ndarray, "N D"], rows: Int64[np.ndarray, " n"]
) -> HalfWhitening:
    """The map for some rows of ``vectors``, estimated on at most 5,000 of them."""
    some = np.asarray(vectors[rows[:: max(1, len(rows) // _SAMPLE)]], dtype=np.float64)
    dim = vectors.shape[1]
    if len(some) < 2:
        return HalfWhitening(np.zeros(dim), np.eye(dim))
    centre = some.mean(axis=0)
    some -= centre
    covariance = some.T @ some / len(some)
    noise = max(float(np.trace(covariance)) / dim, 1e-12)
    values, basis = np.linalg.eigh((1 - _SHRINK) * covariance + _SHRINK * noise * np.eye(dim))
    return HalfWhitening(centre, (basis * values**-0.25) @ basis.T)
