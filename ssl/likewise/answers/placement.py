"""Which group each placed image belongs to, as far as answers tell."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64


@dataclass(frozen=True)
class Placement:
    """Images that answers placed, and how sure that is."""

    rows: Int64[np.ndarray, " n"]
    """Rows of the pool's vectors, each once."""
    groups: Int64[np.ndarray, " n"]
    """Number of the group of each, 0 to G - 1, the largest group first."""
    confidence: Float64[np.ndarray, " n"]
    """Posterior probability of that group, 0 to 1."""
    undiscovered: float
    """Share of the images, 0 to 1, whose group has no placed image yet (Good-Turing estimate)."""
