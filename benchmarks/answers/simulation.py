"""Simulated annotators, and one session of questions and answers. Pure but for the clock.

Every question comes from a real `Proposer`, which sees all answers so far.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from likewise.answers.ledger import Ledger
from likewise.answers.pool import Proposal, Proposer
from likewise.answers.standing import Answer, Pair, Verdict, pair_of
from likewise.evaluation.annotator import is_mistaken, opposite, true_verdict

PAIR_SECONDS = 2.0
"""A keyed pair."""
STRIP_SECONDS = 4.5
"""A strip of at most `STRIP_GROUPS` groups, "which of these, or none"."""
STRIP_GROUPS = 9
GRID_SECONDS = 10.0
"""A grid of `GRID_TILES` tiles, "throw out what doesn't belong"."""
GRID_TILES = 12
REFRESHED = 25
"""Answers between two refreshes, as in the labeler."""
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Annotator:
    """Somebody who errs on some pairs, and on the same ones every time."""

    name: str
    misses: float
    """Share (0 to 1) of the similar pairs that are called dissimilar."""
    false: float
    """Share (0 to 1) of the dissimilar pairs that are called similar."""

    def verdict(self, pair: Pair, classes: Mapping[str, str], seed: int) -> Verdict:
        """What is said of a pair; depends on the pair and the seed alone."""
        right = true_verdict(classes[pair[0]], classes[pair[1]])
        rate = self.misses if right == "similar" else self.false
        wrong = right != "unsure" and is_mistaken(pair, rate, seed)
        return opposite(right) if wrong else right


ANNOTATORS = {
    each.name: each
    for each in (
        Annotator("clean", 0.0, 0.0),
        Annotator("flips-5", 0.05, 0.05),
        Annotator("flips-10", 0.10, 0.10),
        Annotator("human", 0.17, 0.02),
    )
}


@dataclass(frozen=True)
class Session:
    """What was asked and answered, in order."""

    answers: tuple[Answer, ...]
    proposing: float
    """Seconds that choosing all questions took."""


def session(
    proposer: Proposer,
    annotator: Annotator,
    classes: Mapping[str, str],
    budget: int,
    seed: int,
    refresh: Callable[[Sequence[Answer]], None] = lambda answers: None,
) -> Session:
    """Ask and answer ``budget`` questions, fewer if none are left; refresh now and then."""
    ledger, answers, proposing = Ledger(), list[Answer](), 0.0
    while len(answers) < budget:
        if answers and len(answers) % REFRESHED == 0:
            refresh(answers)
        began = time.perf_counter()
        proposal = proposer.next(ledger, ledger.answered())
        proposing += time.perf_counter() - began
        if proposal is None:
            break
        verdict = annotator.verdict((proposal.a, proposal.b), classes, seed)
        answers.append(answered(proposal, verdict, len(answers) + 1))
        ledger.add(answers[-1])
    return Session(tuple(answers), proposing)


def answered(proposal: Proposal, verdict: Verdict, number: int) -> Answer:
    """The answer to a proposal as a row of the history."""
    a, b = pair_of(proposal.a, proposal.b)
    when = _START + timedelta(seconds=PAIR_SECONDS * number)
    return Answer(
        a, b, verdict, "simulated", when, proposal.strategy, proposal.score, "benchmark", number
    )


def seconds_as_pairs(answers: int) -> float:
    """A person's time if every answer is a keyed pair."""
    return PAIR_SECONDS * answers


def seconds_as_strips(pairs: list[Pair]) -> float:
    """A person's time if successive questions about one image are one strip.

    A single question stays a keyed pair, and a strip holds at most `STRIP_GROUPS` of them.
    """
    total, run, shared = 0.0, 0, set[str]()
    for pair in pairs:
        common = shared & set(pair)
        if run and common and run < STRIP_GROUPS:
            run, shared = run + 1, common
        else:
            total += _seconds_of(run)
            run, shared = 1, set(pair)
    return total + _seconds_of(run)


def _seconds_of(run: int) -> float:
    return min(STRIP_SECONDS, PAIR_SECONDS * run)


def grids_for(answers: int) -> int:
    """How many whole grids a budget pays for; a grid is `GRID_TILES` answers."""
    return answers // GRID_TILES
