"""Is the network still learning to tell images apart? Watched without labels."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from likewise.wording import percent

COLLAPSED_STD = 0.1
"""Relative std of the projections below which all images look alike to the net."""
COLLAPSED_RANK = 1.5
"""Effective rank below which all embeddings lie on one line."""
GUESSING = 0.53
"""Chance of telling images apart below which the net guesses (which would be 0.5)."""

_ADVICE = (
    "Look at `likewise views`: views too strong to recognise, or images that are all alike, cause "
    "this. Then try a gentler --preset, half the --lr, or more images."
)


@torch.no_grad()
def relative_std(vectors: Float[Tensor, "N D"]) -> float:
    """Std of the unit-norm vectors per dimension, times √D: 1 for isotropic vectors, 0 collapsed.

    Chen & He 2021, section 4.1 (figure 2, middle).
    """
    unit = functional.normalize(vectors, dim=1)
    return float(unit.std(dim=0, unbiased=False).mean()) * math.sqrt(unit.shape[1])


@torch.no_grad()
def effective_rank(vectors: Float[Tensor, "N D"]) -> float:
    """exp(entropy) of the covariance's normalised eigenvalues: between 1 and min(N, D).

    Roy & Vetterli 2007, "The effective rank", on the centred unit-norm vectors. It sees partial
    (dimensional) collapse, which the std does not.
    """
    unit = functional.normalize(vectors.double(), dim=1)
    singular = torch.linalg.svdvals(unit - unit.mean(dim=0))
    eigenvalues = singular.square()
    total = eigenvalues.sum()
    if total <= 1e-12:
        return 1.0
    return float(torch.exp(torch.special.entr(eigenvalues / total).sum()))


@torch.no_grad()
def nearest(vectors: Float[Tensor, "N D"], k: int = 10) -> Int64[Tensor, "N k"]:
    """The k nearest other vectors of each by cosine similarity."""
    unit = functional.normalize(vectors, dim=1)
    similarities = (unit @ unit.T).fill_diagonal_(-2)
    return similarities.topk(min(k, len(vectors) - 1), dim=1).indices


@torch.no_grad()
def told_apart(z: Float[Tensor, "V B D"]) -> Float[Tensor, ""]:
    """Chance that a view is closer to the other view of its image than to one of another image.

    Of the first two views; 0.5 is guessing. On the device of ``z``, without waiting for it.
    """
    one, two = functional.normalize(z[:2].detach().float(), dim=2)
    similarities = one @ two.T
    same = similarities.diagonal()[:, None]
    closer = (same > similarities).float() + 0.5 * (same == similarities).float()
    count = len(similarities)
    chance: Tensor = (closer.sum() - 0.5 * count) / (count * (count - 1))
    return chance


def neighbour_stability(before: Int64[Tensor, "N k"], after: Int64[Tensor, "N k"]) -> float:
    """Share of each image's nearest neighbours that stayed since the last epoch, 0 to 1."""
    pairs = zip(before.numpy(), after.numpy(), strict=True)
    return float(np.mean([len(np.intersect1d(old, new)) / len(old) for old, new in pairs]))


def guessing_warning(chance: float, error: float) -> str | None:
    """Plain words with advice if the net surely guesses which views are of one image, else None.

    Takes the mean of `told_apart` over some steps, and the standard error of that mean.
    """
    if chance + 2 * error >= GUESSING:
        return None
    return (
        "the network cannot tell which views are of the same image "
        f"(right in {percent(chance)} of comparisons, guessing is 50 %). {_ADVICE}"
    )


def collapse_warning(projection_std: float, rank: float) -> str | None:
    """Plain words with advice if the figures show a collapse, else None.

    Takes the `relative_std` of the projections and the `effective_rank` of the embeddings.
    """
    if projection_std < COLLAPSED_STD:
        symptom = (
            "the network has collapsed: it gives (almost) the same vector to every image "
            f"(std {projection_std:.3f} of 1)"
        )
    elif rank < COLLAPSED_RANK:
        symptom = (
            "the embedding has collapsed to a line: only about one direction is in use "
            f"(effective rank {rank:.1f})"
        )
    else:
        return None
    return f"{symptom}. {_ADVICE}"
