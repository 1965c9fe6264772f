"""A simulated annotator: answers proposals from a known truth, for demos and benchmarks."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from likewise.answers.ledger import Ledger
from likewise.answers.pool import Proposal
from likewise.answers.proposals import proposer_for
from likewise.answers.standing import Pair, Verdict, pair_of
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.truth import read_truth
from likewise.images.store import open_images
from likewise.neighbours.vectors import load_embeddings
from likewise.notebook import Displayed
from likewise.progress import progress
from likewise.settings import Simulate
from likewise.workspace import Workspace


@dataclass(frozen=True)
class Simulated(Displayed):
    """What `simulate` answered."""

    answers: int
    similar: int
    dissimilar: int
    unsure: int
    strategy: str
    """The one that was chosen; it may have gone over to another when groups turned out many."""
    asked: dict[str, int]
    """How many of the questions each way to ask came up with, the most first."""
    wrong: int
    """How many answers differ from the truth."""
    asked_for: int

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {name: value for name, value in vars(self).items() if name != "asked_for"}

    def as_text(self) -> str:
        """What a person reads."""
        lines = [
            f"{self.answers:,} answers: {self.similar:,} similar, {self.dissimilar:,} dissimilar, "
            f"{self.unsure:,} unsure; {self.wrong:,} of them wrong"
        ]
        if self.asked:
            ways = (f"{way} {count:,}" for way, count in self.asked.items())
            lines.append(f"asked by: {', '.join(ways)}")
        if self.answers < self.asked_for:
            lines.append("every pair is now answered or follows from the answers")
        lines.append("next: `likewise finetune`")
        return "\n".join(lines)


def simulate(workspace: Workspace, settings: Simulate) -> Simulated:
    """Answer ``settings.budget`` more questions about the newest embedding, and store each.

    Answers that stand already, whoever gave them, are built upon and not asked again. Held-out
    images are never asked about. An image of unknown class makes the answer "unsure".

    Raises:
        UsageError: a setting is out of range.
        LikewiseError: no images, embeddings or truth, or the answers cannot be stored.
    """
    if settings.budget < 1:
        raise UsageError("--budget must be at least 1")
    if not 0 <= settings.noise <= 1:
        raise UsageError("--noise is a share, from 0 to 1")
    images = open_images(workspace.require())
    embeddings = load_embeddings(workspace)
    classes = dict(
        zip(images.ids.tolist(), read_truth(images, settings.truth).tolist(), strict=True)
    )
    held_out = set(images.ids[images.held_out].tolist())
    gone = {str(each) for each in embeddings.ids} - classes.keys()
    if len(classes.keys() - held_out) < 2:
        raise LikewiseError("fewer than two images may be asked about: nothing to answer")
    proposer = proposer_for(settings.strategy, embeddings, held_out | gone, settings.seed)
    given: Counter[Verdict] = Counter()
    asked: Counter[str] = Counter()
    wrong = 0
    with open_answers(workspace) as store:
        ledger = Ledger(store.history())
        with progress("simulate", settings.budget, "answers") as advance:
            for _ in range(settings.budget):
                proposal = proposer.next(ledger, ledger.answered())
                if proposal is None:
                    break
                answer, errs = answer_to(proposal, classes, settings, embeddings.fingerprint)
                store.add([answer])
                for entry in store.history(ledger.standing.last):
                    ledger.add(entry)
                given[answer.verdict] += 1
                asked[proposal.strategy] += 1
                wrong += errs
                advance(1)
    return Simulated(
        answers=given.total(),
        similar=given["similar"],
        dissimilar=given["dissimilar"],
        unsure=given["unsure"],
        strategy=settings.strategy,
        asked=dict(asked.most_common()),
        wrong=wrong,
        asked_for=settings.budget,
    )


def answer_to(
    proposal: Proposal, classes: Mapping[str, str], settings: Simulate, fingerprint: str
) -> tuple[NewAnswer, bool]:
    """What the annotator says to a proposal, and whether that is wrong."""
    a, b = proposal.a, proposal.b
    right = true_verdict(classes[a], classes[b])
    wrong = right != "unsure" and is_mistaken((a, b), settings.noise, settings.seed)
    answer = NewAnswer(
        a,
        b,
        opposite(right) if wrong else right,
        settings.annotator,
        strategy=proposal.strategy,
        score=proposal.score,
        fingerprint=fingerprint,
    )
    return answer, wrong


def true_verdict(one: str, other: str) -> Verdict:
    """What someone who knows the classes answers; "" is an unknown class."""
    if not one or not other:
        return "unsure"
    return "similar" if one == other else "dissimilar"


def opposite(verdict: Verdict) -> Verdict:
    """Similar for dissimilar and the other way round; unsure stays."""
    swapped: dict[Verdict, Verdict] = {"similar": "dissimilar", "dissimilar": "similar"}
    return swapped.get(verdict, verdict)


def is_mistaken(pair: Pair, noise: float, seed: int) -> bool:
    """Whether the annotator errs on this pair: for a share ``noise`` (0 to 1) of all pairs.

    People err on the same pairs again and again, so it depends on the pair and the seed alone, not
    on when or how often it is asked. A greater share only adds errors.
    """
    text = "\n".join((str(seed), *pair_of(*pair)))
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
    return number < noise * 2**64
