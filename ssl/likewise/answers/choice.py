"""Which strategy fits what the answers show so far, and why."""

from dataclasses import dataclass

from likewise.answers.belief import Belief
from likewise.settings import Strategy
from likewise.wording import percent

MANY_GROUPS = {50: 0.7, 75: 0.6, 100: 0.3}
"""After how many answers it is judged, and the share of the images in groups not met yet above
which groups are taken to be many and small.

About ten digits it is at most .34, .18 and .10, about thirty faces .7 to .8, .7 to .8 and .6 to .7
(.3 to .4 after 100 where one answer in ten is wrong); of twenty groups of simulated vectors .62 to
.66, .16 to .50 and .01 to .23.
"""


@dataclass(frozen=True)
class Choice:
    """A strategy, and one sentence that says why."""

    strategy: Strategy
    reason: str


def choose_strategy(belief: Belief) -> Choice:
    """Cover, place and spread; likely-first once most groups prove to be unseen."""
    share = 0.0
    for count, bar in MANY_GROUPS.items():
        found = belief.undiscovered_after(count)
        if found is None:
            missing = count - len(belief.answers)
            return Choice(
                "cover-place-spread",
                f"Finds the group of typical images; judged again in {missing} answers.",
            )
        share = found
        if share > bar:
            return Choice(
                "likely-first",
                f"Many small groups: after {count} answers, about {percent(share)} of the images "
                "belonged to groups not met yet.",
            )
    return Choice(
        "cover-place-spread",
        f"Few large groups: after {max(MANY_GROUPS)} answers, only about {percent(share)} of the "
        "images belonged to groups not met yet.",
    )
