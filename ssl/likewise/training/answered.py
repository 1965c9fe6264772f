"""From the answers of a workspace to a head: the parent's stored vectors are all it needs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64

from likewise import ranks
from likewise.answers.belief import belief_of
from likewise.answers.duels import duels_in
from likewise.answers.pool import Pool, pool_of
from likewise.answers.standing import Answer, pair_of
from likewise.errors import LikewiseError
from likewise.images.store import Images
from likewise.models.runs import Run
from likewise.models.together import from_first
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import Embed, Finetune
from likewise.training.gate import Learnt, learn
from likewise.workspace import Workspace

FEWEST_ANSWERS = 10
"""Similar and dissimilar answers without which nothing is taught."""
SURE = 0.95
"""Confidence from which an image that nobody answered about is taught."""


@dataclass(frozen=True)
class Basis:
    """What a model says of the images, and what people said."""

    folder: Path
    """Of its embeddings."""
    pool: Pool
    neighbours: Int64[np.ndarray, "N k"]
    similarities: Float32[np.ndarray, "N k"]
    among: Bool[np.ndarray, " N"]
    """Images that may be learnt from: not those held out or gone."""
    standing: Sequence[Answer]
    """One answer per pair and annotator."""


def basis_of(
    workspace: Workspace,
    images: Images,
    parent: Run,
    settings: Finetune,
    standing: Sequence[Answer],
) -> Basis | None:
    """The parent's vectors of all images, made where they are missing.

    Under `torchrun` all processes make them and the first one has them: None in the others.

    Raises:
        LikewiseError: they cannot be made.
    """
    embeddings = _embeddings(workspace, images, parent, settings)
    if embeddings is None:
        return None
    may = set(images.ids[~images.held_out].tolist())
    pool = pool_of(embeddings, {str(each) for each in embeddings.ids} - may)
    among = np.zeros(len(embeddings.ids), dtype=bool)
    among[pool.every] = True
    rows, similarities = embeddings.neighbours()
    return Basis(embeddings.folder, pool, rows, similarities, among, standing)


def learn_from(basis: Basis, answers: Collection[Answer], seed: int) -> Learnt:
    """The head that these answers teach; they are evidence, weighed by who gave them."""
    pairs = {each.pair for each in answers}
    evidence = [each for each in basis.standing if each.pair in pairs and each.verdict != "unsure"]
    placement = belief_of(basis.pool, evidence).placement()
    return learn(
        basis.pool.vectors,
        basis.neighbours,
        basis.similarities,
        placement,
        basis.among,
        seed,
        duels_in(evidence),
    )


def spread_answers(
    basis: Basis, answers: Sequence[Answer], count: int, hidden: Collection[str], seed: int
) -> list[Answer]:
    """Answers that follow: up to ``count`` surely told images, each similar to a placed one.

    Drawn at random, as many of each group as there are; ``hidden`` images are not among them.
    Whether groups differ is left to what people said.
    """
    told = learn_from(basis, answers, seed).spread
    asked = {image for each in answers for image in each.pair}
    rng = np.random.default_rng((seed, 5))
    members: dict[int, list[str]] = {}
    known: dict[int, str] = {}
    for row in rng.permutation(np.flatnonzero(told.confidence >= SURE)).tolist():
        image, group = basis.pool.ids[row], int(told.groups[row])
        if image in asked:
            known.setdefault(group, image)
        elif image not in hidden:
            members.setdefault(group, []).append(image)
    if not known:
        return []
    share = -(-count // len(known))
    found = [
        pair_of(known[group], image) for group in known for image in members.get(group, [])[:share]
    ]
    last = answers[-1]
    return [replace(last, a=a, b=b, verdict="similar") for a, b in found][:count]


def _embeddings(
    workspace: Workspace, images: Images, parent: Run, settings: Finetune
) -> Embeddings | None:
    first = ranks.here().first
    found = _complete(workspace, images, parent) if first else None
    if from_first(lambda: found is None):
        chosen = Embed(model=parent.name, precision=settings.precision, device=settings.device)
        embed(workspace, chosen)
        found = load_embeddings(workspace, parent.fingerprint) if first else None
    return found


def _complete(workspace: Workspace, images: Images, parent: Run) -> Embeddings | None:
    try:
        found = load_embeddings(workspace, parent.fingerprint)
    except LikewiseError:
        return None  # there are none, or they are damaged: they are made again
    return found if set(images.ids.tolist()) <= found.positions.keys() else None
