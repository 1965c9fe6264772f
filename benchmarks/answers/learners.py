"""From answers to an embedding: our learner, the peers', none, and all labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from benchmarks.answers.arms import LIKEWISE, Arm
from benchmarks.answers.peers import heads
from likewise.answers.belief import belief_of
from likewise.answers.duels import duels_in
from likewise.answers.pool import Pool
from likewise.answers.rivals import Rivals
from likewise.answers.standing import Answer
from likewise.models.heads import apply_head
from likewise.neighbours.vectors import Embeddings
from likewise.training.gate import learn, next_rivals
from likewise.training.head import fit_head
from likewise.training.rounds import blended, pool_of
from likewise.training.spread import ABSTAIN, Spread
from likewise.training.trials import SHARES

Vectors = Float32[np.ndarray, "N D"]
Map = Callable[[Vectors], Vectors]
"""From vectors of the backbone to the learnt embedding, unit vectors both."""


@dataclass(frozen=True)
class Learnt:
    """An embedding, and what its learner says about itself."""

    embed: Map
    groups: Int64[np.ndarray, " n"] | None
    """Of the pool's images, -1 where it cannot be told; None where the learner makes none."""
    placed: Int64[np.ndarray, " n"] | None
    """The same of the images that answers placed, -1 for all others."""
    setting: str
    """What was tuned, or how strongly the head counts."""


def untouched() -> Learnt:
    """The embedding as it came."""
    return Learnt(lambda vectors: vectors, None, None, "")


def learnt(
    arm: Arm, embeddings: Embeddings, pool: Pool, answers: Sequence[Answer], seed: int
) -> Iterator[Learnt]:
    """What the arm's learner makes of the answers; the peers give one for each setting they try."""
    if arm.learns == LIKEWISE:
        yield _ours(embeddings, pool, answers, seed)
        return
    vectors = np.asarray(embeddings.vectors)
    for setting, weights in heads(arm.learns, vectors, pool.positions, answers, seed):
        yield Learnt(linear(weights), None, None, setting)


def all_labels(
    embeddings: Embeddings, classes: Shaped[np.ndarray, " n"], seed: int
) -> Iterator[Learnt]:
    """Our head, told the class of every image of the pool, for each part that may count."""
    vectors = np.asarray(embeddings.vectors)
    _, codes = np.unique(classes, return_inverse=True)
    pool = pool_of(vectors, *embeddings.neighbours(), seed=seed)
    told = Spread(codes.astype(np.int64), np.ones(len(codes)))
    whole = fit_head(pool.basis, pool.coordinates, told, seed)
    for share in (*SHARES, 1.0):
        head = blended(pool, whole, share)
        yield Learnt(partial(apply_head, head), None, None, f"part {share:g}")


def linear(weights: Float32[np.ndarray, "D D"]) -> Map:
    """The embedding that a linear head makes."""

    def embed(vectors: Vectors) -> Vectors:
        mapped = vectors @ weights.T
        lengths = np.linalg.norm(mapped, axis=1, keepdims=True)
        return np.asarray(mapped / np.maximum(lengths, 1e-12), dtype=np.float32)

    return embed


class Refresh:
    """What a refresh while people label tells the questions: where the newest head differs."""

    def __init__(self, embeddings: Embeddings, pool: Pool, seed: int) -> None:
        self.embeddings, self.pool, self.seed = embeddings, pool, seed
        self.rivals: Rivals | None = None

    def __call__(self, answers: Sequence[Answer]) -> None:
        """Learn from these answers, where the questions want to know."""
        if all(each.strategy != "likely-first" for each in answers):
            return
        placement = belief_of(self.pool, answers).placement()
        vectors = np.asarray(self.embeddings.vectors)
        if len(placement.rows):
            near, duels = self.embeddings.neighbours(), duels_in(answers)
            self.rivals = next_rivals(vectors, *near, placement, duels, self.seed)


def _ours(embeddings: Embeddings, pool: Pool, answers: Sequence[Answer], seed: int) -> Learnt:
    placement = belief_of(pool, answers).placement()
    if not len(placement.rows):
        return untouched()
    rows, similarities = embeddings.neighbours()
    vectors = np.asarray(embeddings.vectors)
    found = learn(vectors, rows, similarities, placement, seed=seed, duels=duels_in(answers))

    placed = np.full(len(vectors), ABSTAIN, dtype=np.int64)
    placed[placement.rows] = placement.groups
    return Learnt(
        partial(apply_head, found.head),
        found.spread.groups,
        placed,
        f"blend {found.head.blend:.3f}",
    )
