"""What answers weigh: the log of how much likelier they are if the two images are the same."""

from collections.abc import Sequence

from likewise.answers.consensus import REVIEW, decision
from likewise.answers.rates import CERTAIN, ErrorRates, Rates
from likewise.answers.standing import Answer

_REVIEWED = Rates(0.01, 0.01)
"""Of those who changed groups by hand, having seen them."""


def weight_of(answers: Sequence[Answer], rates: ErrorRates, given: bool = False) -> float:
    """The weight of all standing answers on a pair; ``given`` rates hold for reviews too."""
    decided = decision(answers)
    if decided:
        return {"similar": CERTAIN, "dissimilar": -CERTAIN}.get(decided.verdict, 0.0)
    total = 0.0
    for each in answers:
        reviewed = each.strategy == REVIEW and not given
        total += (_REVIEWED if reviewed else rates.of(each.annotator)).weight(each.verdict)
    return total


def tally_of(answer: Answer, same: bool, counts: list[int]) -> None:
    """Count an answer on a pair that is, or is not, the same, in the order of `Tally`."""
    if answer.verdict != "unsure":
        at = 0 if same else 2
        counts[at] += same != (answer.verdict == "similar")
        counts[at + 1] += 1
