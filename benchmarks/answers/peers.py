"""What a user would do with the same answers in other libraries, as their documentation has it.

Each trains a linear head, begun at the identity, on the frozen vectors. Baselines may tune on
test data: several learning rates and numbers of steps are tried, and the caller keeps the best.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from likewise.answers.links import links_from
from likewise.answers.standing import Answer

RATES = (1e-4, 1e-3, 1e-2)
STEPS = (30, 100, 300, 1000)
BATCH = 256
"""Pairs of each verdict in a batch, at most."""
Weights = Float32[np.ndarray, "D D"]
Embed = Callable[[Int64[np.ndarray, " b"]], Tensor]
"""The embeddings of a batch of rows: only these images pass through the head."""
Loss = Callable[[Embed, np.random.Generator], Tensor]
"""The loss of a batch that it draws itself."""


def available(peer: str) -> bool:
    """Whether the library of a peer is installed."""
    module = {"pml": "pytorch_metric_learning", "oml": "oml"}[peer.split("-")[0]]
    return importlib.util.find_spec(module) is not None


def heads(
    peer: str,
    vectors: Float32[np.ndarray, "N D"],
    rows: Mapping[str, int],
    answers: Sequence[Answer],
    seed: int,
) -> Iterator[tuple[str, Weights]]:
    """Every tried setting with the head it gave; none where the answers allow no training.

    Args:
        peer: "pml-contrastive", "pml-multisimilarity" or "oml-triplet".
        vectors: Unit vectors of the pool.
        rows: The row of each image.
        answers: "unsure" ones are left out.
        seed: Of the batches.
    """
    known = [each for each in answers if each.verdict != "unsure"]
    images = sorted({image for each in known for image in each.pair})
    place = {image: number for number, image in enumerate(images)}
    inputs = torch.from_numpy(np.ascontiguousarray(vectors[[rows[image] for image in images]]))
    loss = _oml_triplet(known, place) if peer == "oml-triplet" else _pml(peer, known, place)
    if loss is None:
        return
    for rate in RATES:
        for steps, weights in _trained(inputs, loss, rate, seed):
            yield f"lr {rate:g}, {steps} steps", weights


def _trained(
    inputs: Float32[Tensor, "n D"], loss: Loss, rate: float, seed: int
) -> Iterator[tuple[int, Weights]]:
    head = nn.Linear(inputs.shape[1], inputs.shape[1], bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(inputs.shape[1]))
    optimizer = torch.optim.Adam(head.parameters(), lr=rate)
    rng = np.random.default_rng(seed)

    def embed(rows: Int64[np.ndarray, " b"]) -> Tensor:
        return functional.normalize(head(inputs[torch.from_numpy(rows)]), dim=1)

    for step in range(1, max(STEPS) + 1):
        optimizer.zero_grad()
        loss(embed, rng).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step in STEPS:
            yield step, head.weight.detach().numpy().copy()


def _pml(peer: str, answers: Sequence[Answer], place: Mapping[str, int]) -> Loss | None:
    """Pairs go in as ``indices_tuple`` (anchor, positive, anchor, negative), without labels."""
    from pytorch_metric_learning import losses

    made: Any = (
        losses.ContrastiveLoss() if peer == "pml-contrastive" else losses.MultiSimilarityLoss()
    )
    ends = {
        verdict: np.array(
            [[place[each.a], place[each.b]] for each in answers if each.verdict == verdict],
            dtype=np.int64,
        ).reshape(-1, 2)
        for verdict in ("similar", "dissimilar")
    }
    if not len(answers):
        return None

    def loss(embed: Embed, rng: np.random.Generator) -> Tensor:
        drawn = [
            rng.choice(pairs, BATCH, replace=False) if len(pairs) > BATCH else pairs
            for pairs in ends.values()
        ]
        rows, places = np.unique(np.concatenate(drawn), return_inverse=True)
        batch = torch.from_numpy(places.reshape(-1, 2))
        parts = []
        for pairs in torch.split(batch, [len(each) for each in drawn]):
            parts += [torch.cat((pairs[:, 0], pairs[:, 1])), torch.cat((pairs[:, 1], pairs[:, 0]))]
        value: Tensor = made(embed(rows), indices_tuple=tuple(parts))
        return value

    return loss


def _oml_triplet(answers: Sequence[Answer], place: Mapping[str, int]) -> Loss | None:
    """Labels, which the library asks for, are the components of the similar answers.

    So images of two components count as different though nobody said so. Images without a similar
    answer are left out: the library refuses a batch in which a label has one image.
    """
    losses = importlib.import_module("oml.losses.triplet")
    miners = importlib.import_module("oml.miners.inbatch_all_tri")
    links = links_from(answers)
    roots = [links.root(image) for image in place]
    _, labels = np.unique(roots, return_inverse=True)
    if (np.bincount(labels) > 1).sum() < 2:
        return None
    criterion: Any = losses.TripletLossWithMiner(0.1, miners.AllTripletsMiner())

    def loss(embed: Embed, rng: np.random.Generator) -> Tensor:
        some = balanced(labels, rng)
        value: Tensor = criterion(embed(some), labels[some].tolist())
        return value

    return loss


def balanced(labels: Int64[np.ndarray, " n"], rng: np.random.Generator) -> Int64[np.ndarray, " b"]:
    """A batch much as the library's `BalanceSampler` draws it: 16 labels with 4 images each.

    Labels with one image are left out, and of one with two or three all are taken, once.
    """
    several = np.flatnonzero(np.bincount(labels) > 1)
    picked = [rng.permutation(np.flatnonzero(labels == each))[:4]
              for each in rng.permutation(several)[:16]]  # fmt: skip
    return np.concatenate(picked)
