"""What is believed of an image: similarity to the asked ones, and the answers on it, in one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from likewise.answers.likeness import Likeness
from likewise.answers.partition import Partition

_DENIED = 1.0
"""Log odds below zero from which a group counts as denied."""


@dataclass(frozen=True)
class Compared:
    """How similar B images are to groups, before any answers on them."""

    slots: Int64[np.ndarray, " S"]
    """Those told apart, ascending: of the landmarks, of known neighbours, and the wanted ones."""
    chances: Float64[np.ndarray, "B S"]
    """Probability of each."""
    rest: Float64[np.ndarray, " B"]
    """Of all other known groups together."""
    new: Float64[np.ndarray, " B"]
    """Of a group that is not known yet."""


@dataclass(frozen=True)
class Views:
    """What is believed of B images, answers included."""

    slots: Int64[np.ndarray, " S"]
    """As in `Compared`."""
    odds: Float64[np.ndarray, "B S"]
    """Probability of each."""
    new: Float64[np.ndarray, " B"]
    """Probability of a group of its own."""
    denied: Float64[np.ndarray, " B"]
    """Share, 0 to 1, of what the embedding gives to known groups that answers have denied."""


@dataclass(frozen=True)
class Queries:
    """B images to look at."""

    vectors: Float32[np.ndarray, "B D"]
    nodes: Int64[np.ndarray, " B"]
    """Their nodes, -1 for one that was not asked about."""
    near: Int64[np.ndarray, "B k"]
    """Nodes of the asked ones among their neighbours, -1 elsewhere."""


def compare(
    queries: Queries,
    likeness: Likeness,
    partition: Partition,
    sure: Float64[np.ndarray, " capacity"],
    undiscovered: float,
    wanted: Sequence[int] | Int64[np.ndarray, " w"] = (),
) -> Compared:
    """Kernel densities of the groups (see `Likeness`) around images that count for none of them.

    The landmarks stand for all asked images, but for the neighbours, which count themselves.
    """
    kernel = _weighed_kernel(queries, likeness, partition, sure)
    marks = partition.slots[likeness.landmarks]
    order = np.argsort(marks, kind="stable")
    marks = marks[order]
    starts = np.flatnonzero(np.diff(marks, prepend=-1))
    known = marks[starts]
    rows, columns = np.nonzero(_unmarked(queries, likeness))
    nodes = queries.near[rows, columns]
    slots = _distinct(np.concatenate((known, partition.slots[nodes], np.array(wanted, np.int64))))
    density = np.zeros((len(kernel), len(slots)))
    if len(known):
        density[:, np.searchsorted(slots, known)] = np.add.reduceat(
            kernel[:, order], starts, axis=1
        )
    if len(rows):
        close = np.einsum("nd,nd->n", queries.vectors[rows], likeness.vectors(nodes))
        places = np.searchsorted(slots, partition.slots[nodes])
        np.add.at(density, (rows, places), likeness.kernel(close) * _trust(nodes, partition, sure))
    return _chances(density, slots, queries.nodes, likeness, partition, undiscovered)


def _chances(
    density: Float64[np.ndarray, "B S"],
    slots: Int64[np.ndarray, " S"],
    nodes: Int64[np.ndarray, " B"],
    likeness: Likeness,
    partition: Partition,
    undiscovered: float,
) -> Compared:
    sizes = np.broadcast_to(partition.sizes[slots].astype(np.float64), density.shape).copy()
    asked = np.flatnonzero(nodes >= 0)
    own = np.searchsorted(slots, partition.slots[nodes[asked]])
    inside = own < len(slots)
    inside[inside] = slots[own[inside]] == partition.slots[nodes[asked[inside]]]
    sizes[asked[inside], own[inside]] -= 1
    others = np.full(len(nodes), max(likeness.count, 1), np.float64)
    others[asked] = max(likeness.count - 1, 1)
    astray, total = likeness.astray, np.maximum(density.sum(axis=1), 1e-300)
    told = (1 - astray) * (1 - undiscovered) / total
    share = astray * (1 - undiscovered) / others
    chances = told[:, None] * density + share[:, None] * sizes
    rest = share * np.maximum(others - sizes.sum(axis=1), 0) if likeness.count else 0 * share
    return Compared(slots, chances, rest, np.full(len(nodes), undiscovered))


def believe(compared: Compared, nodes: Int64[np.ndarray, " B"], partition: Partition) -> Views:
    """Bayes' rule with the answers on each image (their weights are log likelihood ratios)."""
    slots, chances = compared.slots, compared.chances
    evidence = np.zeros_like(chances)
    rows, found, weights = evidence_on(nodes, partition)
    np.add.at(evidence, (rows, np.searchsorted(slots, found)), weights)
    odds = np.log(np.maximum(chances, 1e-300)) - np.log(compared.new)[:, None]
    denied = np.where(evidence < -_DENIED, chances, 0).sum(axis=1)
    denied /= np.maximum(chances.sum(axis=1) + compared.rest, 1e-300)
    odds += evidence
    for row, node in enumerate(nodes.tolist()):
        if node >= 0 and partition.sizes[partition.slots[node]] == 1:
            odds[row, np.searchsorted(slots, partition.slots[node])] = -np.inf
    top = np.maximum(odds.max(axis=1, initial=-np.inf), 0.0)
    after, new = np.exp(odds - top[:, None]), np.exp(-top)
    total = after.sum(axis=1) + new * (1 + compared.rest / compared.new)
    return Views(slots, after / total[:, None], new / total, np.where(nodes >= 0, denied, 0.0))


def evidence_on(
    nodes: Int64[np.ndarray, " B"], partition: Partition
) -> tuple[Int64[np.ndarray, " E"], Int64[np.ndarray, " E"], Float64[np.ndarray, " E"]]:
    """Row, slot and weight of each pair that the nodes were asked in; their own slots weigh 0."""
    rows, others, weights = list[int](), list[int](), list[float]()
    for row, node in enumerate(nodes.tolist()):
        if node >= 0:
            pairs = partition.weights[node]
            rows += [row] * (len(pairs) + 1)
            others += (node, *pairs)
            weights += (0.0, *pairs.values())
    slots = partition.slots[np.array(others, np.int64)]
    return np.array(rows, np.int64), slots, np.array(weights, np.float64)


def _distinct(values: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """In ascending order; quicker than `np.unique` where most are sorted."""
    values = np.sort(values, kind="stable")
    return values[np.diff(values, prepend=-1) > 0]


def _weighed_kernel(
    queries: Queries,
    likeness: Likeness,
    partition: Partition,
    sure: Float64[np.ndarray, " capacity"],
) -> Float32[np.ndarray, "B L"]:
    kernel = likeness.kernel(likeness.to_landmarks(queries.vectors))
    scale = likeness.count / max(len(likeness.landmarks), 1)
    kernel *= (scale * _trust(likeness.landmarks, partition, sure)).astype(np.float32)
    for nodes, factor in ((queries.near, 1 / scale), (queries.nodes[:, None], 0.0)):
        places = likeness.place[nodes]
        rows, columns = np.nonzero((nodes >= 0) & (places >= 0))
        kernel[rows, places[rows, columns]] *= np.float32(factor)
    return kernel


def _trust(
    nodes: Int64[np.ndarray, " n"], partition: Partition, sure: Float64[np.ndarray, " capacity"]
) -> Float64[np.ndarray, " n"]:
    """How much each node counts in the density of its group: one that is alone in it, fully.

    However likely it is to belong elsewhere, it is all that the next of its kind can be asked
    against.
    """
    alone = partition.sizes[partition.slots[nodes]] == 1
    return np.asarray(np.where(alone, 1.0, sure[nodes]))


def _unmarked(queries: Queries, likeness: Likeness) -> Bool[np.ndarray, "B k"]:
    """Which of the neighbours are asked images that are no landmarks."""
    near = queries.near
    return np.asarray((near >= 0) & (likeness.place[near] < 0) & (near != queries.nodes[:, None]))
