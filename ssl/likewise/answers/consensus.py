"""What a pair counts as when several people answered it.

A known truth ("gold") decides; else the newest adjudication; else what all agree on. Where people
disagree the majority decides, and, once they overlap enough, what is likeliest given how each of
them errs (`likewise.answers.ability`). ``unsure`` abstains unless nobody said anything else.
"""

from collections import Counter
from collections.abc import Sequence

from likewise.answers.ability import Ability
from likewise.answers.standing import Answer, Verdict

GOLD = "gold"
"""Strategy of an answer that states a known truth. What people say of gold pairs are readings."""
ADJUDICATION = "adjudication"
"""Strategy of an answer that settles a dispute, by somebody who saw it."""
REVIEW = "review"
"""Strategy of an answer that follows from changing groups by hand."""
SURE = 0.8
"""Probability below which people who disagree leave a pair open. By transitivity one wrong link
puts many images into a wrong group; an open pair merely waits for adjudication."""


def is_reading(answer: Answer) -> bool:
    """Whether somebody gave the answer by looking at the pair alone, not knowing other answers."""
    return answer.strategy not in (GOLD, ADJUDICATION, REVIEW)


def decision(answers: Sequence[Answer]) -> Answer | None:
    """The newest known truth on a pair, else the newest adjudication; None if there is neither."""
    for strategy in (GOLD, ADJUDICATION):
        found = [each for each in answers if each.strategy == strategy]
        if found:
            return max(found, key=lambda each: each.number)
    return None


def consensus(answers: Sequence[Answer], ability: Ability | None = None) -> Verdict | None:
    """What the standing answers on one pair, one per annotator, add up to.

    None: nobody answered, or they disagree and neither side prevails (with ``ability``: neither is
    at least `SURE`).
    """
    decided = decision(answers)
    if decided:
        return decided.verdict
    votes = {each.annotator: each.verdict for each in answers if each.verdict != "unsure"}
    if not votes:
        return "unsure" if answers else None
    tally = Counter(votes.values())
    if len(tally) == 1:
        return next(iter(tally))
    if ability:
        similar = ability.similar(votes)
        least = SURE - 1e-9  # however the last digit is rounded
        return "similar" if similar > least else "dissimilar" if 1 - similar > least else None
    if tally["similar"] == tally["dissimilar"]:
        return None
    return "similar" if tally["similar"] > tally["dissimilar"] else "dissimilar"


def settled_by(answers: Sequence[Answer], ability: Ability | None = None) -> Answer | None:
    """The oldest of the standing answers on a pair that says what their `consensus` is."""
    if len(answers) == 1:
        return answers[0]  # nearly all pairs
    verdict = consensus(answers, ability)
    bearing = [each for each in answers if each.verdict == verdict]
    return min(bearing, key=lambda each: each.number, default=None)


def disputed(answers: Sequence[Answer]) -> bool:
    """Whether both similar and dissimilar stand on a pair, and nothing has decided between them."""
    said = {each.verdict for each in answers}
    return len(said) > 1 and {"similar", "dissimilar"} <= said and not decision(answers)
