import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers import ability
from likewise.answers.ability import Ability
from likewise.answers.ledger import Conflict, Dispute, Evidence, Ledger
from likewise.answers.links import explain
from likewise.answers.readings import chance
from likewise.answers.standing import Answer, Entry, Pair, Undo, Verdict, pair_of

START = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES = "abcde"
PEOPLE = ("ann", "bob", "cyd", "dan")
READINGS = ("cover-place", "second reading", "gold check", "import")
DECIDED = ("gold", "adjudication")


def row(
    number: int, a: str, b: str, verdict: Verdict, annotator: str = "ann", strategy: str = "random"
) -> Answer:
    time = START + timedelta(minutes=number)
    return Answer(*pair_of(a, b), verdict, annotator, time, strategy, None, "", number)


def undo(number: int, undoes: int, annotator: str = "ann") -> Undo:
    return Undo(undoes, annotator, START, number)


# A reference that starts from nothing each time: lists, sets and searches.


def slow_standing(rows: list[Entry]) -> dict[Pair, list[Answer]]:
    """The answers that stand on each pair, oldest first."""
    undone = {each.undoes for each in rows if isinstance(each, Undo)}
    kept = [each for each in rows if isinstance(each, Answer) and each.number not in undone]
    last = {(each.pair, each.annotator): each for each in kept}
    found: dict[Pair, list[Answer]] = {}
    for each in sorted(last.values(), key=lambda each: each.number):
        found.setdefault(each.pair, []).append(each)
    return found


def slow_verdict(answers: list[Answer], known: Ability | None) -> Verdict | None:
    for strategy in DECIDED:
        for each in reversed(answers):
            if each.strategy == strategy:
                return each.verdict
    said = [each.verdict for each in answers]
    yes, no = said.count("similar"), said.count("dissimilar")
    if yes == no == 0:
        return "unsure"
    if known and yes and no:
        weight = [known.share, 1 - known.share]
        for each in answers:
            right = known.right.get(each.annotator, known.average)
            if each.verdict == "similar":
                weight = [weight[0] * right[0], weight[1] * (1 - right[1])]
            if each.verdict == "dissimilar":
                weight = [weight[0] * (1 - right[0]), weight[1] * right[1]]
        similar = weight[0] / sum(weight)
        return "similar" if similar > 0.8 - 1e-9 else "dissimilar" if similar < 0.2 + 1e-9 else None
    return None if yes == no else "similar" if yes > no else "dissimilar"


def slow_settled(standing: dict[Pair, list[Answer]], known: Ability | None) -> list[Answer]:
    found = []
    for answers in standing.values():
        verdict = slow_verdict(answers, known)
        found += [each for each in answers if each.verdict == verdict][:1]
    return sorted(found, key=lambda each: each.number)


class SlowLinks:
    """Answers in order; groups are searched for anew at every question."""

    def __init__(self, settled: list[Answer]) -> None:
        self.same: list[Pair] = []
        self.differ: list[Pair] = []
        self.wrong: list[Answer] = []
        for each in settled:
            relation = self.relation(*each.pair)
            if each.verdict == "similar":
                (self.wrong.append(each) if relation == "cannot" else self.same.append(each.pair))
            elif each.verdict == "dissimilar":
                (self.wrong.append(each) if relation == "must" else self.differ.append(each.pair))

    def group(self, image: str) -> set[str]:
        found = {image}
        while more := {end for pair in self.same if found & set(pair) for end in pair} - found:
            found |= more
        return found

    def relation(self, a: str, b: str) -> str | None:
        one, two = self.group(a), self.group(b)
        if b in one:
            return "must"
        across = [pair for pair in self.differ if one & set(pair) and two & set(pair)]
        return "cannot" if across else None


def check(ledger: Ledger, rows: list[Entry]) -> None:
    """The ledger says what the reference says."""
    standing = slow_standing(rows)
    settled = slow_settled(standing, ledger.ability)
    slow = SlowLinks(settled)
    assert ledger.settled() == settled
    assert {pair: ledger.answers_on(pair) for pair in standing} == standing
    assert set(ledger.answered()) == set(standing)
    stand = [each for answers in standing.values() for each in answers]
    assert len(ledger.standing) == len(stand)
    assert +ledger.standing.verdicts == Counter(each.verdict for each in stand)
    days = Counter((each.annotator, each.time.astimezone().date()) for each in stand)
    assert +ledger.standing.days == days
    verdicts = {each.pair: each.verdict for each in settled}
    for a, b in itertools.combinations(IMAGES, 2):
        assert ledger.verdict((a, b)) == verdicts.get((a, b))
        assert ((a, b) in ledger.answered()) == ((a, b) in standing)
        assert ledger.links.relation(a, b) == slow.relation(a, b)
        steps = explain(ledger.links, a, b)
        assert bool(steps) == (slow.relation(a, b) is not None)
        check_chain(steps, a, b, verdicts, int(slow.relation(a, b) == "cannot"))
    known = {image for each in settled if each.verdict != "unsure" for image in each.pair}
    groups = {tuple(sorted(slow.group(image))) for image in known}
    assert ledger.groups() == sorted(map(list, groups), key=lambda group: (-len(group), group))
    assert ledger.links.asks == Counter(image for pair in standing for image in pair)
    check_contradictions(ledger, slow.wrong, settled, standing)
    check_readings(ledger, rows, standing)


def check_chain(
    steps: list[tuple[str, str, Verdict]],
    a: str,
    b: str,
    verdicts: dict[Pair, Verdict],
    dissimilar: int,
) -> None:
    if steps:
        assert (steps[0][0], steps[-1][1]) == (a, b)
        assert all(one[1] == two[0] for one, two in itertools.pairwise(steps))
        assert all(verdicts[pair_of(*step[:2])] == step[2] for step in steps)
        assert [step[2] for step in steps].count("dissimilar") == dissimilar


def check_contradictions(
    ledger: Ledger, wrong: list[Answer], settled: list[Answer], standing: dict[Pair, list[Answer]]
) -> None:
    found = ledger.contradictions()
    assert [(each.claim.pair, each.claim.verdict) for each in found] == [
        (each.pair, each.verdict) for each in wrong
    ]
    for conflict, answer in zip(found, wrong, strict=True):
        earlier = {each.pair: each.verdict for each in settled if each.number < answer.number}
        chain = [(each.a, each.b, each.verdict) for each in conflict.chain]
        assert chain
        ends = conflict.claim.a, conflict.claim.b
        check_chain(chain, *ends, earlier, int(answer.verdict == "similar"))
        for each in (conflict.claim, *conflict.chain):
            assert list(each.answers) == standing[each.pair]
            bearing = [other for other in each.answers if other.number in each.numbers]
            assert bearing
            assert {other.verdict for other in bearing} == {each.verdict}


def check_readings(ledger: Ledger, rows: list[Entry], standing: dict[Pair, list[Answer]]) -> None:
    undone = {each.undoes for each in rows if isinstance(each, Undo)}
    readers: dict[Pair, set[str]] = {}
    for each in rows:
        if isinstance(each, Answer) and each.number not in undone and each.strategy in READINGS:
            readers.setdefault(each.pair, set()).add(each.annotator)
    shared = {pair: names for pair, names in readers.items() if len(names) > 1}
    assert {pair: set(names) for pair, names in ledger.readings.shared.items()} == shared
    assert +ledger.readings.overlap == Counter(name for names in shared.values() for name in names)
    gold = {pair for pair, each in standing.items() if any(one.strategy == "gold" for one in each)}
    assert set(ledger.readings.gold()) == gold
    for person in PEOPLE:
        open_gold = {pair for pair in gold if person not in {o.annotator for o in standing[pair]}}
        assert set(ledger.gold_for(person)) == open_gold
        for share in (0.0, 0.5, 1.0):
            waiting = [
                pair
                for pair, each in standing.items()
                if len(each) == 1 and each[0].annotator != person and each[0].strategy in READINGS
                if chance(pair) < share and len(readers[pair]) == 1
            ]
            found = list(ledger.awaiting(person, share))
            assert sorted(found) == sorted(waiting)
    disputed = [
        pair
        for pair, each in standing.items()
        if {"similar", "dissimilar"} <= {one.verdict for one in each}
        and not {one.strategy for one in each} & set(DECIDED)
    ]
    disputes = ledger.disputes()
    assert sorted(each.pair for each in disputes) == sorted(disputed)
    for dispute in disputes:
        assert list(dispute.answers) == standing[dispute.pair]
        assert dispute.verdict == ledger.verdict(dispute.pair)


pairs = st.sampled_from(list(itertools.combinations(IMAGES, 2)))
verdicts = st.sampled_from(["similar", "similar", "dissimilar", "dissimilar", "unsure"])
strategies = st.sampled_from([*READINGS, *READINGS, *DECIDED, "review"])
operations = st.one_of(
    st.tuples(pairs, verdicts, st.sampled_from(PEOPLE), strategies),
    st.tuples(pairs, verdicts, st.sampled_from(PEOPLE), strategies),
    st.tuples(st.integers(0, 99), st.sampled_from(PEOPLE)),
)


def play(steps: list[tuple[Any, ...]]) -> list[Entry]:
    """A history: answers, corrections, and undos by anybody of any row not yet undone."""
    rows: list[Entry] = []
    for number, step in enumerate(steps, 1):
        if len(step) == 4:
            pair, verdict, person, strategy = step
            rows.append(row(number, pair[0], pair[1], verdict, person, strategy))
            continue
        undone = {each.undoes for each in rows if isinstance(each, Undo)}
        there = [each for each in rows if isinstance(each, Answer) and each.number not in undone]
        if there:
            rows.append(undo(number, there[step[0] % len(there)].number, step[1]))
    return rows


@settings(deadline=None)
@given(st.lists(operations, max_size=40))
def test_after_every_row_the_ledger_equals_one_computed_from_scratch(
    steps: list[tuple[Any, ...]],
) -> None:
    rows = play(steps)
    ledger = Ledger()
    for count, entry in enumerate(rows, 1):
        ledger.add(entry)
        check(ledger, rows[:count])


@settings(deadline=None, max_examples=50)
@given(st.lists(operations, min_size=10, max_size=60))
def test_so_it_does_once_abilities_decide(steps: list[tuple[Any, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ability, "FEWEST_SHARED", 1)
        rows = play(steps)
        ledger = Ledger()
        for count, entry in enumerate(rows, 1):
            ledger.add(entry)
            check(ledger, rows[:count])
        again = Ledger(rows)
        assert again.ability == ledger.ability
        assert again.settled() == ledger.settled()


def test_a_dispute_implies_nothing_until_a_third_person_or_an_adjudication_decides() -> None:
    rows: list[Entry] = [
        row(1, "a", "b", "similar", "ann"),
        row(2, "b", "c", "similar", "ann"),
        row(3, "a", "b", "dissimilar", "bob", "second reading"),
    ]
    ledger = Ledger(rows)
    assert ledger.disputes() == [Dispute(("a", "b"), (rows[0], rows[2]), None)]  # type: ignore[arg-type]
    assert ledger.links.relation("a", "c") is None
    assert [each.number for each in ledger.settled()] == [2]
    ledger.add(row(4, "a", "b", "similar", "cyd"))
    assert ledger.verdict(("a", "b")) == "similar"
    assert ledger.links.relation("a", "c") == "must"
    assert [each.number for each in ledger.settled()] == [1, 2]
    assert len(ledger.disputes()) == 1, "the majority is no decision"
    ledger.add(row(5, "a", "b", "dissimilar", "dan", "adjudication"))
    assert ledger.disputes() == []
    assert ledger.links.relation("a", "c") == "cannot"
    assert [each.number for each in ledger.settled()] == [2, 3]
    ledger.add(row(6, "a", "b", "similar", "import", "gold"))
    assert ledger.links.relation("a", "c") == "must"
    ledger.add(undo(7, 6))
    ledger.add(undo(8, 5))
    assert ledger.links.relation("a", "c") == "must"


def test_a_contradiction_names_all_answers_and_goes_with_any_of_its_links() -> None:
    rows: list[Answer] = [
        row(1, "a", "b", "similar", "ann"),
        row(2, "a", "b", "unsure", "bob"),
        row(3, "b", "c", "similar", "bob"),
        row(4, "c", "d", "dissimilar", "ann"),
        row(5, "a", "d", "similar", "cyd"),
        row(6, "b", "c", "similar", "cyd"),
    ]
    ledger = Ledger(rows)
    (conflict,) = ledger.contradictions()
    assert conflict == Conflict(
        Evidence("a", "d", "similar", (rows[4],)),
        (
            Evidence("a", "b", "similar", (rows[0], rows[1])),
            Evidence("b", "c", "similar", (rows[2], rows[5])),
            Evidence("c", "d", "dissimilar", (rows[3],)),
        ),
    )
    assert conflict.chain[0].numbers == (1,)
    assert conflict.chain[1].numbers == (3, 6)
    for each in (conflict.claim, *conflict.chain):
        undos = [undo(7 + place, number) for place, number in enumerate(each.numbers)]
        assert Ledger([*rows, *undos]).contradictions() == []


def test_second_readings_are_about_the_share_and_the_same_for_everybody() -> None:
    ledger = Ledger(row(number, f"{number:04}", "x", "similar", "ann") for number in range(1, 2001))
    tenth = list(ledger.awaiting("bob", 0.1))
    assert 150 < len(tenth) < 250
    assert list(ledger.awaiting("ann", 0.1)) == []
    assert list(ledger.awaiting("cyd", 0.1)) == tenth
    assert set(tenth) < set(ledger.awaiting("bob", 0.2))
    ledger.add(row(2001, *tenth[0], "similar", "bob", "second reading"))
    assert list(ledger.awaiting("cyd", 0.1)) == tenth[1:]
    assert list(ledger.awaiting("cyd", 0.1, readers=3)) == tenth, "the one that has two first"
    assert list(ledger.awaiting("bob", 0.1, readers=3)) == tenth[1:]
    ledger.add(row(2002, *tenth[0], "similar", "cyd", "second reading"))
    assert list(ledger.awaiting("dan", 0.1, readers=3)) == tenth[1:]


def test_abilities_are_estimated_rarely_and_settle_old_disputes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ann and Bob are always right, Cyd always says the contrary: alone she is not believed."""
    fits: list[int] = []
    estimate = Ledger._estimate

    def counted(self: Ledger) -> None:
        fits.append(len(self.readings.shared))
        estimate(self)

    monkeypatch.setattr(Ledger, "_estimate", counted)
    ledger = Ledger()
    ledger.add(row(1, "x", "y", "similar", "ann"))
    ledger.add(row(2, "x", "y", "dissimilar", "cyd"))
    assert ledger.verdict(("x", "y")) is None
    number = 2
    for place in range(200):
        right: Verdict = "similar" if place % 2 else "dissimilar"
        wrong: Verdict = "dissimilar" if place % 2 else "similar"
        for person in ("ann", "bob", "cyd"):
            number += 1
            verdict = wrong if person == "cyd" else right
            ledger.add(row(number, f"{place:03}", "z", verdict, person))
    assert fits[0] == 21, "when each of three shares 20 pairs"
    assert all(later >= 1.2 * earlier for earlier, later in itertools.pairwise(fits))
    assert len(fits) <= 14
    assert ledger.verdict(("x", "y")) == "similar"
    assert ledger.ability is not None
    assert ledger.ability.right["ann"][0] > 0.9
    assert ledger.ability.right["cyd"][0] < 0.1


def test_an_undo_by_somebody_else_and_one_of_an_unknown_row() -> None:
    ledger = Ledger([row(1, "a", "b", "similar"), undo(2, 1, "bob"), undo(3, 99), undo(4, 1)])
    assert ledger.settled() == []
    assert len(ledger.answered()) == 0
    assert ledger.standing.last == 4
