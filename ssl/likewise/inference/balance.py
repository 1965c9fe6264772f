"""How evenly images are spread over groups. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from likewise.notebook import Displayed
from likewise.wording import counted


@dataclass(frozen=True)
class Balance(Displayed):
    """Figures about the sizes of groups."""

    groups: int
    largest: int
    smallest: int
    ratio: float
    """Largest over smallest, 1 and up ("imbalance ratio"); 0 without groups."""
    effective: float
    """Groups of equal size that would be as even: exp of the entropy (Hill number of order 1)."""
    evenness: float
    """Entropy over its greatest possible value, 0 to 1 (Pielou 1966); 1 for a single group."""
    gini: float
    """Gini coefficient of the sizes, 0 (all equal) to below 1."""

    def as_json(self) -> dict[str, Any]:
        """The figures by name."""
        return dict(vars(self))

    def as_text(self) -> str:
        """What a person reads."""
        if not self.groups:
            return "no groups"
        if self.groups == 1:
            return f"1 group of {counted(self.largest, 'image')}"
        return (
            f"{self.groups:,} groups of {self.smallest:,} to {self.largest:,} images "
            f"(ratio {self.ratio:,.1f}); as even as {self.effective:,.1f} equal ones (evenness "
            f"{self.evenness:.2f}, Gini {self.gini:.2f})"
        )


def balance_of(sizes: Int64[np.ndarray, " G"]) -> Balance:
    """The figures for groups of these sizes, each at least 1.

    H = -sum p ln p with p the share of each group; effective = exp(H), evenness = H / ln G;
    Gini = sum over i of (2 i - G - 1) n_i / (G sum n), with sizes ascending and i from 1.
    """
    if not len(sizes):
        return Balance(0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    ascending = np.sort(sizes).astype(np.float64)
    count, share = len(sizes), ascending / ascending.sum()
    entropy = float(-(share * np.log(share)).sum())
    ranks = 2 * np.arange(1, count + 1) - count - 1
    return Balance(
        groups=count,
        largest=int(sizes.max()),
        smallest=int(sizes.min()),
        ratio=float(sizes.max() / sizes.min()),
        effective=float(np.exp(entropy)),
        evenness=entropy / float(np.log(count)) if count > 1 else 1.0,
        gini=max(0.0, float((ranks * share).sum() / count)),
    )
