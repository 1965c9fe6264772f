"""Groups changed by hand: which answers to retract and which to add so that the links say so.

Nothing here stores anything; `likewise.answers.store.AnswerStore.change` does, in one transaction.
What others answered stays unless it says the opposite of what was asked. An answer that was
already in contradiction with others may stand in the way once those are gone; then it goes too.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product

from likewise.answers.ability import Ability
from likewise.answers.consensus import REVIEW, settled_by
from likewise.answers.ledger import Ledger
from likewise.answers.links import Links, explain
from likewise.answers.standing import Answer, Pair, Standing, Verdict, pair_of
from likewise.answers.store import NewAnswer
from likewise.errors import LikewiseError, UsageError

_Wish = tuple[Sequence[str], Sequence[str], Verdict]
"""Two sets of images, any pair of which is to get this verdict."""


@dataclass(frozen=True)
class Change:
    """Rows to store."""

    add: list[NewAnswer]
    retract: list[int]
    """Numbers of answers to undo; among them corrected ones that an undo would uncover."""
    lost: tuple[Answer, ...] = ()
    """The standing ones of those, oldest first: storing them again takes the change back."""


def throw_out(ledger: Ledger, group: Sequence[str], out: Collection[str], annotator: str) -> Change:
    """Take images out of a group: the rest stays one group, and differs from each of them.

    Images that were thrown out stay linked with one another where answers on them alone say so.

    Raises:
        UsageError: ``group`` is not a whole group (any more), or ``out`` none or all of it.
    """
    gone, rest = _divided(ledger, group, out)

    def wishes(links: Links) -> Iterator[_Wish]:
        yield from _whole(links, rest)
        yield from ((piece, rest, "dissimilar") for piece in _pieces(links, gone))

    return _change(ledger, (gone, rest), "similar", wishes, annotator)


def split(ledger: Ledger, group: Sequence[str], part: Collection[str], annotator: str) -> Change:
    """Divide a group in two: ``part`` and the rest each stay one group, and they differ.

    Raises:
        UsageError: ``group`` is not a whole group (any more), or ``part`` none or all of it.
    """
    part, rest = _divided(ledger, group, part)

    def wishes(links: Links) -> Iterator[_Wish]:
        yield from _whole(links, rest)
        yield from _whole(links, part)
        yield part, rest, "dissimilar"

    return _change(ledger, (part, rest), "similar", wishes, annotator)


def merge(ledger: Ledger, one: Sequence[str], other: Sequence[str], annotator: str) -> Change:
    """Make one group of two.

    Raises:
        UsageError: ``one`` or ``other`` is not a whole group (any more), or they are the same.
    """
    _check_whole(ledger, one)
    _check_whole(ledger, other)
    if set(one) & set(other):
        raise UsageError("these images are one group already")

    def wishes(links: Links) -> Iterator[_Wish]:
        yield one, other, "similar"

    return _change(ledger, (one, other), "dissimilar", wishes, annotator)


def _divided(
    ledger: Ledger, group: Sequence[str], part: Collection[str]
) -> tuple[list[str], list[str]]:
    """The images of ``part``, and the others of the group."""
    _check_whole(ledger, group)
    inside, rest = [e for e in group if e in part], [e for e in group if e not in part]
    if not inside or not rest or not set(part) <= set(group):
        raise UsageError("choose some of the group's images, and not all of them")
    return inside, rest


def _check_whole(ledger: Ledger, group: Sequence[str]) -> None:
    if not group or set(group) != set(ledger.links.group_of(group[0])):
        raise UsageError("the group has changed meanwhile; look again")


def _pieces(links: Links, images: Sequence[str]) -> list[list[str]]:
    """The images in the groups that they form now."""
    pieces: dict[str, list[str]] = {}
    for image in images:
        pieces.setdefault(links.root(image), []).append(image)
    return list(pieces.values())


def _whole(links: Links, images: Sequence[str]) -> Iterator[_Wish]:
    """What makes one group of the images where they have come apart."""
    first, *others = _pieces(links, images)
    yield from ((first, each, "similar") for each in others)


def _change(
    ledger: Ledger,
    sides: tuple[Sequence[str], Sequence[str]],
    against: Verdict,
    wishes: Callable[[Links], Iterable[_Wish]],
    annotator: str,
) -> Change:
    """Retract what says ``against`` between the sides, and add what ``wishes`` ask for.

    A wish may be held up by a chain of other answers. Those that implied something before agree
    with one another and, without the retracted ones, with the wishes; so the chain holds an answer
    that was a contradiction before. That one goes, and all is tried again.
    """
    kept = _answers_around(ledger, {*sides[0], *sides[1]})
    contradicting = {each.pair for each in ledger.links.contradictions}
    gone: dict[int, Answer] = {}
    one, other = map(set, sides)
    for pair, on in kept.items():
        crosses = (pair[0] in one and pair[1] in other) or (pair[1] in one and pair[0] in other)
        if crosses and ledger.verdict(pair) == against:
            gone |= _saying(on, against)
    while True:
        answers = [each for on in kept.values() for each in on if each.number not in gone]
        new, foreign = _granted(wishes(_links(answers, ledger.ability)), answers, annotator)
        links = _links([*answers, *new], ledger.ability)
        blocked = [] if foreign else [each for each in new if not _holds(links, each)]
        for step in explain(links, *blocked[0].pair) if blocked else ():
            if pair_of(*step[:2]) in contradicting:
                foreign |= _saying(kept[pair_of(*step[:2])], step[2])
        if blocked and not foreign:
            raise LikewiseError(
                "the answers about these images contradict one another; settle that first"
            )
        if not foreign:
            break
        gone |= foreign
    return Change(
        add=[NewAnswer(e.a, e.b, e.verdict, annotator, strategy=REVIEW) for e in new],
        retract=sorted(gone),
        lost=tuple(each for _, each in sorted(gone.items()) if _stands(ledger, each)),
    )


def _answers_around(ledger: Ledger, images: set[str]) -> dict[Pair, list[Answer]]:
    """The answers not undone, by pair, among all images whose links a change may alter.

    These are ``images``, which make up whole groups, and what contradictions connect with them.
    """
    links = ledger.links
    inside = set(images)
    grown = True
    while grown:
        grown = False
        for each in links.contradictions:
            if (each.a in inside) != (each.b in inside):
                inside |= {*links.group_of(each.a), *links.group_of(each.b)}
                grown = True
    pairs = [each for each in ledger.answered() if each[0] in inside and each[1] in inside]
    return {pair: ledger.standing.kept(pair) for pair in pairs}


def _saying(kept: Sequence[Answer], verdict: Verdict) -> dict[int, Answer]:
    """What has to go, by number, so that nobody says ``verdict`` on a pair.

    Earlier equal answers of the same people go too, as an undo would uncover them.
    """
    last = {each.annotator: each.verdict for each in kept}
    return {each.number: each for each in kept if each.verdict == verdict == last[each.annotator]}


def _links(answers: Iterable[Answer], ability: Ability | None) -> Links:
    """The links that follow from answers that were not undone."""
    standing = Standing(sorted(answers, key=lambda each: each.number))
    settled = [settled_by(standing.on(pair), ability) for pair in standing.pairs()]
    links = Links()
    for each in sorted((each for each in settled if each), key=lambda each: each.number):
        links.add(each.a, each.b, each.verdict, each.number)
    return links


def _granted(
    wishes: Iterable[_Wish], answers: Sequence[Answer], annotator: str
) -> tuple[list[Answer], dict[int, Answer]]:
    """An answer for each wish, on a pair without answers where there is one.

    Where there is none, also the answers of others that say something else on the pair.
    """
    answered = {each.pair for each in answers}
    next_number = max((each.number for each in answers), default=0) + 1
    new: list[Answer] = []
    foreign: dict[int, Answer] = {}
    for one, other, verdict in wishes:
        pairs = (pair_of(a, b) for a, b in product(one, other))
        first = pair_of(next(iter(one)), next(iter(other)))
        a, b = next((pair for pair in pairs if pair not in answered), first)
        foreign |= {e.number: e for e in answers if e.pair == (a, b) and e.verdict != verdict}
        number = next_number + len(new)
        new.append(Answer(a, b, verdict, annotator, datetime.now(UTC), REVIEW, None, "", number))
    return new, foreign


def _holds(links: Links, wish: Answer) -> bool:
    return links.relation(*wish.pair) == ("must" if wish.verdict == "similar" else "cannot")


def _stands(ledger: Ledger, answer: Answer) -> bool:
    return ledger.standing.of(*answer.pair, answer.annotator) == answer
