"""A head: a linear map that stands beside the embedding that it was fitted on.

With x the unit embedding of a model (D,), W (H, D) and c (H,), the new embedding is the unit
vector ``[sqrt(1 - a) x ; sqrt(a) unit(W x + c)]`` of D + H numbers, so that cosines blend:
``cos_new = (1 - a) cos(x, y) + a cos(Wx + c, Wy + c)``. With a = 0 nothing changes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from likewise.errors import LikewiseError

_BLOCK = 8192


@dataclass(frozen=True)
class Head:
    """A linear map of unit vectors, and how much it counts."""

    weight: Float32[np.ndarray, "H D"]
    offset: Float32[np.ndarray, " H"]
    blend: float
    """The part a, 0 to 1, of the head in the squared length of the new vector."""

    @property
    def dim_in(self) -> int:
        """Dimensions of the vectors that it takes."""
        return int(self.weight.shape[1])

    @property
    def dim_out(self) -> int:
        """Dimensions of the vectors that it gives."""
        return self.dim_in + (len(self.weight) if self.blend else 0)


def untouched(dim: int) -> Head:
    """The head that leaves vectors of ``dim`` numbers as they are."""
    return Head(np.zeros((0, dim), np.float32), np.zeros(0, np.float32), 0.0)


def project(head: Head, vectors: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "N H"]:
    """unit(W x + c) alone; a row of zeros where W x + c vanishes."""
    mapped = np.asarray(vectors @ head.weight.T + head.offset, dtype=np.float32)
    lengths = np.linalg.norm(mapped, axis=1, keepdims=True)
    return np.asarray(mapped / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def apply_head(head: Head, vectors: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, "N E"]:
    """The blended unit vectors of unit ``vectors``; these themselves where the head has no part.

    Raises:
        LikewiseError: the head was fitted on vectors of another length.
    """
    if vectors.shape[1] != head.dim_in:
        raise LikewiseError(
            f"a head for {head.dim_in} dimensions cannot take vectors of {vectors.shape[1]}; "
            "embed with the model that it was fitted on"
        )
    if not head.blend:
        return vectors
    out = np.empty((len(vectors), head.dim_out), np.float32)
    for start in range(0, len(vectors), _BLOCK):
        part = np.asarray(vectors[start : start + _BLOCK])
        both = out[start : start + _BLOCK]
        both[:, : head.dim_in] = np.sqrt(1 - head.blend) * part
        both[:, head.dim_in :] = np.sqrt(head.blend) * project(head, part)
        both /= np.linalg.norm(both, axis=1, keepdims=True)
    return out
