"""The arms of the benchmark: who chooses the questions, and who learns from the answers."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np

from benchmarks.answers.datasets import Data
from benchmarks.answers.peers import available
from benchmarks.answers.selection import DedupeRule
from likewise.answers.pool import Proposer, pool_of
from likewise.answers.proposals import proposer_for
from likewise.answers.rivals import Rivals
from likewise.neighbours.vectors import Embeddings, embedded, load_embeddings, write_embeddings
from likewise.settings import Strategy
from likewise.workspace import Workspace

BUDGETS = (50, 100, 200, 500, 1000)
MORE = (2000, 5000, 10_000)
"""Further budgets of the arms against which saved answers are counted."""
COUNTED = ("random", "uncertain")
"""How those arms ask, whoever learns: our learner is made for other questions than theirs."""
DEFAULT = "cover-place-spread"
STRATEGIES: tuple[str, ...] = get_args(Strategy)
PEERS = ("pml-contrastive", "pml-multisimilarity", "oml-triplet")
LIKEWISE = "likewise"
DEDUPE = "dedupe"


@dataclass(frozen=True)
class Arm:
    """One way to get an embedding from answers."""

    asks: str
    """A strategy of Likewise, or "dedupe"."""
    learns: str
    """"likewise", or one of `PEERS`."""

    @property
    def name(self) -> str:
        """As in tables."""
        return self.asks if self.learns == LIKEWISE else f"{self.asks} + {self.learns}"

    @property
    def budgets(self) -> tuple[int, ...]:
        """How many answers it is measured at."""
        return BUDGETS + MORE if self.asks in COUNTED else BUDGETS


def all_arms() -> list[Arm]:
    """Every strategy with our learner; ours, random and uncertain ones with those of the peers."""
    ours = [Arm(each, LIKEWISE) for each in (*STRATEGIES, DEDUPE)]
    theirs = [
        Arm(asks, learns) for asks in (DEFAULT, *COUNTED) for learns in PEERS if available(learns)
    ]
    return sorted(ours, key=lambda arm: arm.asks != DEFAULT) + theirs


def pool_embeddings(data: Data, cache: Path) -> Embeddings:
    """The images that may be asked about, as `likewise embed` would leave them; made once.

    No other image is among them, nor in their neighbour graph.
    """
    vectors = np.ascontiguousarray(data.vectors[data.parts.pool])
    ids = data.ids[data.parts.pool]
    content = hashlib.blake2b(vectors.tobytes(), digest_size=8)
    content.update("\n".join(ids.tolist()).encode())
    workspace = Workspace(cache / "pools" / data.name)
    fingerprint = content.hexdigest()
    if fingerprint not in {str(meta["fingerprint"]) for meta in embedded(workspace)}:
        write_embeddings(workspace, [vectors], ids, vectors.shape[1], fingerprint, data.name)
    return load_embeddings(workspace, fingerprint)


def proposer_of(
    asks: str,
    embeddings: Embeddings,
    seed: int,
    rivals: Callable[[], Rivals | None] = lambda: None,
) -> Proposer:
    """The strategy, prepared for a pool; ``rivals`` as in `proposer_for`."""
    if asks == DEDUPE:
        return DedupeRule(pool_of(embeddings, ()), seed)
    return proposer_for(cast(Strategy, asks), embeddings, (), seed, rivals)
