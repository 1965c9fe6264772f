"""How the labelling goes: who answers how much and how fast, and how much is left. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from likewise.answers.consensus import GOLD
from likewise.answers.links import Links
from likewise.answers.placing import PATIENCE
from likewise.answers.standing import Answer, Verdict

PAUSE = timedelta(minutes=2)
"""A longer gap between two screens is a pause, not work."""
IMPORTED = ("import", GOLD)
"""Strategies of answers that came from a file: nobody's work at a screen."""
WINDOW = 500
"""The last answers, from which the pace of placing images is taken."""
FEWEST_PLACED = 5


@dataclass(frozen=True)
class Person:
    """One annotator's standing answers."""

    name: str
    answers: int
    today: int
    shares: dict[Verdict, float]
    """Share of each verdict, 0 to 1."""
    per_minute: float | None
    """Answers per minute of work, from all of them; None with too few to tell."""
    last: datetime
    """Time of the newest one."""


@dataclass(frozen=True)
class Day:
    """What one person answered on one (local) day."""

    day: date
    name: str
    answers: int


@dataclass(frozen=True)
class Outlook:
    """How many images have their place, and what the rest may cost."""

    images: int
    placed: int
    """Images that belong to a group of several, or that `PATIENCE` answers found no group for."""
    window: int
    """How many of the last answers the pace is taken from."""
    placed_lately: int
    """Images that got their place by them."""
    left: int | None
    """Answers until every image has its place, at this pace; None while that cannot be told."""


def people(answers: Iterable[Answer], now: datetime) -> list[Person]:
    """Everybody with standing answers, the most first; known truths are nobody's."""
    by_name: dict[str, list[Answer]] = {}
    for each in answers:
        if each.strategy != GOLD:
            by_name.setdefault(each.annotator, []).append(each)
    found = [_person(name, said, now) for name, said in by_name.items()]
    return sorted(found, key=lambda each: (-each.answers, each.name))


def _person(name: str, answers: Sequence[Answer], now: datetime) -> Person:
    verdicts = Counter(each.verdict for each in answers)
    kinds: tuple[Verdict, ...] = ("similar", "dissimilar", "unsure")
    return Person(
        name=name,
        answers=len(answers),
        today=sum(_local(each.time) == _local(now) for each in answers),
        shares={kind: verdicts[kind] / len(answers) for kind in kinds},
        per_minute=per_minute([e.time for e in answers if e.strategy not in IMPORTED]),
        last=max(each.time for each in answers),
    )


def per_minute(times: Iterable[datetime]) -> float | None:
    """Answers per minute of work, of one person.

    Answers with the same time came from one screen. The time of a screen is the gap to the one
    before it; screens after a gap above `PAUSE` are left out, with their time. None with fewer
    than three screens that count.
    """
    screens = sorted(Counter(times).items())
    timed = [
        (later - earlier, answers)
        for (earlier, _), (later, answers) in pairwise(screens)
        if later - earlier <= PAUSE
    ]
    if len(timed) < 3:
        return None
    worked = sum((gap for gap, _ in timed), timedelta())
    return 60 * sum(answers for _, answers in timed) / worked.total_seconds()


def per_day(answers: Iterable[Answer]) -> list[Day]:
    """Standing answers by local day and person, oldest first, without known truths."""
    counted = Counter(
        (_local(each.time), each.annotator) for each in answers if each.strategy != GOLD
    )
    return [Day(day, name, count) for (day, name), count in sorted(counted.items())]


def _local(time: datetime) -> date:
    return time.astimezone().date()


def outlook(settled: Sequence[Answer], images: Collection[str]) -> Outlook:
    """How many of ``images`` have their place, and how many answers the others may take.

    ``settled`` are the answers that count, oldest first. The estimate: what an image took over
    the last `WINDOW` answers (half of all while they are fewer), times the images without a place.
    """
    window = min(WINDOW, len(settled) // 2)
    links, before = Links(), 0
    for count, each in enumerate(settled, 1):
        links.add(each.a, each.b, each.verdict)
        if count == len(settled) - window:
            before = _placed(links, images)
    placed = _placed(links, images)
    lately = placed - before
    told = lately >= FEWEST_PLACED
    left = round((len(images) - placed) * window / lately) if told else None
    return Outlook(len(images), placed, window, lately, 0 if placed == len(images) else left)


def _placed(links: Links, images: Collection[str]) -> int:
    asked = links.asks.keys() & set(images)
    several = {image for image in asked if len(links.members(links.root(image))) > 1}
    return len(several | {image for image in asked if links.asks[image] >= PATIENCE})


def rounded(count: int) -> int:
    """A number with its first two digits, as estimates are shown."""
    return round(count, 2 - len(str(count))) if count > 99 else count
