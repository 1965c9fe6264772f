"""Which strategy fits what the answers show so far, and why."""

from dataclasses import dataclass

from likewise.answers.belief import JUDGED_AFTER, Belief
from likewise.settings import Strategy
from likewise.wording import percent

MANY_GROUPS = 0.4
"""Share of the images in groups not met yet, above which groups are taken to be many and small.

After 100 answers about ten digits it is .01 to .11, about thirty faces .53 to .64. Nearer to the
latter, as taking few groups for many costs more: they are found in fragments.
"""


@dataclass(frozen=True)
class Choice:
    """A strategy, and one sentence that says why."""

    strategy: Strategy
    reason: str


def choose_strategy(belief: Belief) -> Choice:
    """Cover, place and spread; likely-first if most groups are unseen after 100 answers."""
    early = belief.early
    if early is None:
        missing = JUDGED_AFTER - len(belief.answers)
        return Choice(
            "cover-place-spread",
            f"Finds the group of typical images; judged again in {missing} answers.",
        )
    share = f"{percent(early)} of the images"
    if early > MANY_GROUPS:
        return Choice(
            "likely-first",
            f"Many small groups: after {JUDGED_AFTER} answers, about {share} belonged to groups "
            "not met yet.",
        )
    return Choice(
        "cover-place-spread",
        f"Few large groups: after {JUDGED_AFTER} answers, only about {share} belonged to groups "
        "not met yet.",
    )
