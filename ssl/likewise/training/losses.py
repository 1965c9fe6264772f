"""Losses as pure functions on tensors.

Shapes: V views, B images, D dimensions. Relations say what is known about each pair of a batch:
+1 must-link, -1 cannot-link, 0 unknown. They are symmetric and their diagonal is ignored; a pair
that is unknown has no influence on any loss or gradient. Distances are Euclidean, in [0, 2]
between unit vectors, and margins are on that scale.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor
from torch.nn import functional

Mining = Literal["all", "semihard", "hard"]


def negative_cosine(p: Float[Tensor, "B D"], z: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Mean over the batch of -cos(p, z), in [-1, 1]; no gradient reaches ``z``.

    Both are normalised inside. Chen & He 2021, "Exploring Simple Siamese Representation
    Learning", eq. 1, with the stop-gradient of eq. 3.
    """
    return -functional.cosine_similarity(p, z.detach(), dim=-1).mean()


def simsiam_loss(p: Float[Tensor, "V B D"], z: Float[Tensor, "V B D"]) -> Float[Tensor, ""]:
    """Mean over the views v of negative_cosine(p[v], mean of the other views' z), in [-1, 1].

    With two views this is SimSiam's symmetric loss, (D(p1, z2) + D(p2, z1)) / 2 (Chen & He 2021,
    eq. 4). With more it is FastSiam's (Pototzky et al. 2022): one target per view, the mean of
    the *raw* projections of all other views, normalised only after averaging, as in lightly's
    implementation. No gradient reaches ``z``.

    Args:
        p: The predictor's output.
        z: The projector's output.

    Raises:
        ValueError: fewer than two views.
    """
    if len(p) < 2:
        raise ValueError("a view needs at least one other view as its target")
    losses = [
        negative_cosine(p[v], torch.cat((z[:v], z[v + 1 :])).mean(dim=0)) for v in range(len(p))
    ]
    return torch.stack(losses).mean()


def contrastive_loss(
    embeddings: Float[Tensor, "B D"], relations: Int8[Tensor, "B B"], margin: float
) -> Float[Tensor, ""]:
    """Mean of d²/2 over must-links plus mean of max(0, margin - d)²/2 over cannot-links.

    d is the Euclidean distance; embeddings are expected to be unit vectors and are used as they
    are. The two means are taken apart, so neither kind of answer outweighs the other by number,
    and over *all* pairs of their kind, satisfied ones too. A batch without must-links (or
    cannot-links) has 0 for that half. Hadsell, Chopra & LeCun 2006, "Dimensionality Reduction by
    Learning an Invariant Mapping", eq. 4.
    """
    must, cannot = _known_pairs(relations)
    distances = _distances(embeddings)
    pull = distances[must].square() / 2
    push = functional.relu(margin - distances[cannot]).square() / 2
    return _mean(pull, embeddings) + _mean(push, embeddings)


def triplet_loss(
    embeddings: Float[Tensor, "B D"],
    relations: Int8[Tensor, "B B"],
    margin: float,
    mining: Mining = "all",
) -> Float[Tensor, ""]:
    """Mean of d(anchor, positive) - d(anchor, negative) + margin over the triplets above zero.

    A triplet is an anchor with one of its must-links and one of its cannot-links. Embeddings are
    expected to be unit vectors and are used as they are. The hinge and the name are FaceNet's
    (Schroff et al. 2015, eq. 2); the distance is not squared and satisfied triplets do not dilute
    the mean, as Hermans et al. 2017, "In Defense of the Triplet Loss", found better (eq. 6).

    Args:
        embeddings: One row per image.
        relations: What is known of each pair.
        margin: How much farther a negative should be, as a distance.
        mining: "all" takes every triplet (Hermans' "batch all, non-zero"; the default, since a
            wrong answer then weighs no more than others); "semihard" those whose negative is
            farther than the positive but within the margin (FaceNet, section 3.2); "hard" one per
            anchor, its farthest positive and nearest negative (Hermans' "batch hard", eq. 5).
    """
    must, cannot = _known_pairs(relations)
    distances = _distances(embeddings)
    if mining == "hard":
        anchors = must.any(dim=1) & cannot.any(dim=1)
        farthest = distances.masked_fill(~must, -torch.inf)[anchors].amax(dim=1)
        nearest = distances.masked_fill(~cannot, torch.inf)[anchors].amin(dim=1)
        gaps = nearest - farthest
    else:
        anchor, positive = must.nonzero(as_tuple=True)
        to_positive = distances[anchor, positive].unsqueeze(1)
        gaps = (distances[anchor] - to_positive)[cannot[anchor]]
    if mining == "semihard":
        gaps = gaps[gaps > 0]
    violations = margin - gaps
    return _mean(violations[violations > 0], embeddings)


def supervised_contrastive_loss(
    embeddings: Float[Tensor, "B D"], relations: Int8[Tensor, "B B"], temperature: float
) -> Float[Tensor, ""]:
    """Mean over anchors of -mean over positives p of log(exp(s_p) / sum over known a of exp(s_a)).

    s is the cosine similarity divided by ``temperature``; embeddings are normalised inside.
    Positives are the anchor's must-links; the sum runs over its must- and cannot-links alone, so
    an unknown pair is neither attracted nor repelled. Anchors without a positive contribute
    nothing, and do not count in the mean. Where every pair is known this is L_out of Khosla et
    al. 2020, "Supervised Contrastive Learning", eq. 2, divided by the number of anchors.
    """
    must, cannot = _known_pairs(relations)
    anchors = must.any(dim=1)
    unit = functional.normalize(embeddings, dim=1)
    logits = (unit[anchors] @ unit.T) / temperature
    known = logits.masked_fill(~(must | cannot)[anchors], -torch.inf)
    log_probability = logits - known.logsumexp(dim=1, keepdim=True)
    positives = must[anchors]
    per_anchor = -log_probability.masked_fill(~positives, 0).sum(dim=1) / positives.sum(dim=1)
    return _mean(per_anchor, embeddings)


def _known_pairs(
    relations: Int8[Tensor, "B B"],
) -> tuple[Bool[Tensor, "B B"], Bool[Tensor, "B B"]]:
    """Masks of the must-links and of the cannot-links, without the diagonal."""
    others = ~torch.eye(len(relations), dtype=torch.bool, device=relations.device)
    return (relations > 0) & others, (relations < 0) & others


def _distances(embeddings: Float[Tensor, "B D"]) -> Float[Tensor, "B B"]:
    """Euclidean distances, exact for near-equal rows, with gradient 0 (not NaN) at distance 0."""
    return torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")


def _mean(values: Float[Tensor, "..."], embeddings: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """The mean of ``values``; of none, a zero that can still be differentiated."""
    return values.mean() if values.numel() else embeddings.sum() * 0
