import itertools
import sys
from collections import Counter, deque
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.holdout import components, split_answers
from likewise.answers.links import Links, explain, links_from
from likewise.answers.pending import Pending
from likewise.answers.standing import VERDICTS, Answer, Standing, Undo, Verdict
from likewise.errors import UsageError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES = "abcdefg"

verdicts = st.sampled_from(["similar", "dissimilar", "unsure"])
pairs = st.sampled_from(list(itertools.combinations(IMAGES, 2)))
said = st.lists(st.tuples(pairs, verdicts), max_size=25)


def answer(a: str, b: str, verdict: Verdict, number: int = 1, annotator: str = "ann") -> Answer:
    return Answer(min(a, b), max(a, b), verdict, annotator, NOW, "", None, "", number)


def answers_of(steps: list[tuple[tuple[str, str], Verdict]]) -> list[Answer]:
    return [answer(*pair, verdict, row) for row, (pair, verdict) in enumerate(steps, 1)]


def slow_relation(accepted: list[tuple[str, str, str]], start: str, end: str) -> str | None:
    """Breadth-first search over (image, dissimilar steps used): at most one may be used."""
    seen, queue = {(start, 0)}, deque([(start, 0)])
    while queue:
        here, used = queue.popleft()
        for a, b, verdict in accepted:
            if here in (a, b) and verdict != "unsure":
                step = (b if here == a else a, used + (verdict == "dissimilar"))
                if step[1] <= 1 and step not in seen:
                    seen.add(step)
                    queue.append(step)
    return "must" if (end, 0) in seen else "cannot" if (end, 1) in seen else None


def slow_reference(answers: list[Answer]) -> tuple[list[tuple[str, str, str]], list[Answer]]:
    """The answers that count, and those that contradict earlier ones, from scratch each time."""
    accepted: list[tuple[str, str, str]] = []
    contradicting = []
    wanted = {"similar": "must", "dissimilar": "cannot"}
    for each in answers:
        found = slow_relation(accepted, each.a, each.b)
        if each.verdict != "unsure" and found not in (None, wanted[each.verdict]):
            contradicting.append(each)
        else:
            accepted.append((each.a, each.b, each.verdict))
    return accepted, contradicting


@given(said)
def test_links_equal_the_closure_computed_from_scratch(
    steps: list[tuple[tuple[str, str], Verdict]],
) -> None:
    answers = answers_of(steps)
    links = links_from(answers)
    accepted, contradicting = slow_reference(answers)
    table = links.relations(list(IMAGES))
    for row, a in enumerate(IMAGES):
        for column, b in enumerate(IMAGES):
            expected = slow_relation(accepted, a, b)
            assert links.relation(a, b) == expected
            assert table[row, column] == {"must": 1, "cannot": -1, None: 0}[expected]
    assert [(each.a, each.b) for each in links.contradictions] == [
        each.pair for each in contradicting
    ]


@given(said)
def test_every_link_and_contradiction_is_explained_by_answers_that_were_given(
    steps: list[tuple[tuple[str, str], Verdict]],
) -> None:
    links = links_from(answers_of(steps))
    given = {(frozenset(pair), verdict) for pair, verdict in steps}
    chains = [(a, b, explain(links, a, b)) for a, b in itertools.permutations(IMAGES, 2)]
    for a, b, chain in chains:
        relation = links.relation(a, b)
        assert bool(chain) == (relation is not None)
        _check_chain(a, b, list(chain), 0 if relation == "must" else 1, given)
    for each in links.contradictions:
        _check_chain(each.a, each.b, list(each.chain), int(each.verdict == "similar"), given)


def _check_chain(
    a: str,
    b: str,
    chain: list[tuple[str, str, Verdict]],
    dissimilar: int,
    given: set[tuple[frozenset[str], Verdict]],
) -> None:
    if not chain:
        return
    assert chain[0][0] == a
    assert chain[-1][1] == b
    assert all(one[1] == two[0] for one, two in itertools.pairwise(chain))
    assert sum(step[2] == "dissimilar" for step in chain) == dissimilar
    assert all((frozenset(step[:2]), step[2]) in given for step in chain)


few_pairs = st.sampled_from(list(itertools.combinations("abcde", 2)))
clear = st.sampled_from(["similar", "similar", "dissimilar", "dissimilar", "unsure"])
Taken = dict[int, tuple[tuple[str, str], Verdict]]
changes = st.one_of(
    st.tuples(st.just("add"), few_pairs, clear, st.integers(1, 60)),
    st.tuples(st.just("add"), few_pairs, clear, st.integers(1, 60)),
    st.tuples(st.just("remove"), st.integers(0, 60)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(changes, max_size=40))
def test_links_after_any_insertions_and_removals_equal_those_from_scratch(
    steps: list[tuple[Any, ...]],
) -> None:
    links = Links()
    taken: Taken = {}
    for kind, *what in steps:
        if kind == "add":
            pair, verdict, number = what
            if number in taken:
                continue
            links.add(pair[0], pair[1], verdict, number)
            taken[number] = pair, verdict
        elif taken:
            number = sorted(taken)[what[0] % len(taken)]
            links.remove(number)
            del taken[number]
        _check_links(links, taken)


def _check_links(links: Links, taken: Taken) -> None:
    answers = [answer(*pair, verdict, number) for number, (pair, verdict) in sorted(taken.items())]
    accepted, contradicting = slow_reference(answers)
    relations = {
        (a, b): slow_relation(accepted, a, b) for a, b in itertools.permutations(IMAGES, 2)
    }
    assert {pair: links.relation(*pair) for pair in relations} == relations
    assert [(each.number, each.pair, each.verdict) for each in links.contradictions] == [
        (each.number, each.pair, each.verdict) for each in contradicting
    ]
    known = {image for each in answers if each.verdict != "unsure" for image in each.pair}
    groups = {frozenset([a, *(b for b in known if relations.get((a, b)) == "must")]) for a in known}
    assert sorted(map(set, links.groups()), key=sorted) == sorted(map(set, groups), key=sorted)
    assert links.groups_of_several == sum(len(group) > 1 for group in groups)
    assert links.asks == Counter(image for each in answers for image in each.pair)
    for a, b in relations:
        said = {(frozenset(each.pair), each.verdict) for each in answers}
        _check_chain(a, b, explain(links, a, b), int(relations[a, b] == "cannot"), said)
        assert bool(explain(links, a, b)) == (relations[a, b] is not None)
    for each in links.contradictions:
        earlier = [other for other in answers if other.number < each.number]
        said = {(frozenset(other.pair), other.verdict) for other in earlier}
        assert each.chain
        _check_chain(each.a, each.b, list(each.chain), int(each.verdict == "similar"), said)
    for root in links.roots():
        assert all(links.root(image) == root for image in links.members(root))
        assert all(links.root(other) == other for other in links.denied(root))
        assert all(root in links.denied(other) for other in links.denied(root))


def test_what_was_contradicted_counts_in_its_turn_once_nothing_contradicts_it() -> None:
    links = Links()
    links.add("d", "c", "dissimilar")
    links.add("a", "b", "similar")
    links.add("b", "c", "dissimilar")
    links.add("a", "c", "similar")
    links.add("a", "d", "similar")
    assert [each.pair for each in links.contradictions] == [("a", "c")]
    links.remove(2)
    assert links.relation("a", "c") == "must"
    assert [each.pair for each in links.contradictions] == [("a", "d")]
    links.add("a", "b", "similar", 2)
    assert [each.pair for each in links.contradictions] == [("a", "c")]


def test_a_number_is_taken_in_once_and_only_what_was_taken_in_is_removed() -> None:
    links = Links()
    links.add("a", "b", "similar", 5)
    with pytest.raises(ValueError, match="answer 5"):
        links.add("a", "c", "similar", 5)
    with pytest.raises(KeyError):
        links.remove(4)
    assert links.groups() == [["a", "b"]]


def _ring(groups: int) -> Links:
    """Groups of 100 images, each a chain; 100 answers say that each differs from the next one.

    Numbers 1 to 99 make the group 000, 100 to 198 the group 001, and so on.
    """
    links = Links()
    for group in range(groups):
        for place in range(99):
            links.add(f"{group:03}-{place:02}", f"{group:03}-{place + 1:02}", "similar")
    for group, place in itertools.product(range(groups), range(100)):
        other = (group + 1) % groups
        links.add(f"{group:03}-{place:02}", f"{other:03}-{(place * 7) % 100:02}", "dissimilar")
    return links


def _calls(links: Links, change: tuple[Any, ...]) -> int:
    """How many functions, built-in ones included, are called to add or remove an answer."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        if len(change) == 1:
            links.remove(change[0])
        else:
            links.add(*change)
    finally:
        sys.setprofile(None)
    return calls


def test_a_change_costs_the_same_however_many_other_groups_there_are() -> None:
    changes: list[tuple[Any, ...]] = [
        ("000-00", "000-50", "similar", 50_000),  # follows anyway
        (50_000,),
        (42,),  # tears the chain of group 000
        ("000-41", "000-42", "similar", 42),
        ("000-10", "001-20", "similar", 50_001),  # contradicts
        (5,),  # an answer that it disagrees with
        ("000-04", "000-05", "similar", 5),
        ("000-05", "000-95", "dissimilar", 0),  # contradicts newer ones, as the oldest of all
        (0,),
        ("000-10", "003-30", "similar", 50_002),  # joins two groups
        (50_002,),
    ]
    costs = []
    for links in (_ring(5), _ring(100)):
        costs.append([_calls(links, change) for change in changes])
        assert [each.number for each in links.contradictions] == [50_001]
        assert len(links.group_of("000-10")) == 100
    for few, many in zip(*costs, strict=True):
        assert many <= 1.2 * few + 50


@given(st.lists(st.one_of(st.tuples(pairs, verdicts), st.just("undo")), max_size=25))
def test_links_after_undos_and_corrections_equal_those_from_scratch(
    steps: list[tuple[tuple[str, str], Verdict] | str],
) -> None:
    standing = Standing()
    history: list[Answer | None] = []  # the model: a list in which undone answers become None
    for number, step in enumerate(steps, 1):
        if isinstance(step, str):
            live = [row for row, each in enumerate(history) if each is not None]
            if live:
                undone = history[live[-1]]
                assert undone is not None
                history[live[-1]] = None
                standing.add(Undo(undone.number, "ann", NOW, number))
        else:
            history.append(answer(*step[0], step[1], number))
            standing.add(history[-1])  # type: ignore[arg-type]
    latest = {each.pair: each for each in history if each is not None}
    expected = sorted(latest.values(), key=lambda each: each.number)
    assert standing.answers() == expected
    accepted, _ = slow_reference(expected)
    links = links_from(standing.answers())
    for a, b in itertools.combinations(IMAGES, 2):
        assert links.relation(a, b) == slow_relation(accepted, a, b)


def test_groups_hold_every_image_with_a_verdict_largest_first() -> None:
    links = Links()
    links.add("c", "d", "similar")
    links.add("d", "b", "similar")
    links.add("x", "b", "dissimilar")
    links.add("y", "z", "unsure")
    assert links.groups() == [["b", "c", "d"], ["x"]]
    assert sorted(links.group_of("b")) == ["b", "c", "d"]
    assert links.group_of("never seen") == ["never seen"]
    assert links.relation("c", "x") == "cannot"
    assert links.relation("y", "z") is None
    assert links.asks["z"] == 1


def test_an_image_is_no_pair_with_itself() -> None:
    with pytest.raises(UsageError, match="twice"):
        Links().add("a", "a", "similar")


def test_a_long_chain_is_explained_whole() -> None:
    links = Links()
    names = [f"{number:04}" for number in range(3000)]
    for one, two in itertools.pairwise(names):
        links.add(one, two, "similar")
    assert len(explain(links, names[0], names[-1])) == 2999
    links.add(names[0], names[-1], "dissimilar")
    assert len(links.contradictions[0].chain) == 2999


@given(said, st.integers(0, 3), st.sampled_from([0.0, 0.2, 0.5]))
def test_the_split_shares_no_image_and_breaks_no_component(
    steps: list[tuple[tuple[str, str], Verdict]], seed: int, share: float
) -> None:
    answers = answers_of(steps)
    train, held = split_answers(answers, share, seed)
    trained_on = {image for each in train for image in each.pair}
    held_out = {image for each in held for image in each.pair}
    assert not trained_on & held_out
    assert all(not (group & trained_on and group & held_out) for group in components(answers))
    assert set(train) | set(held) <= set(answers)
    assert share > 0 or train == answers
    assert (train, held) == split_answers(answers, share, seed)


def test_the_split_reaches_about_the_share_with_both_verdicts() -> None:
    """Twelve classes of ten images, placed as in practice; a fifth of the answers is wanted."""
    answers: list[Answer] = []
    for group in range(12):
        for other in range(group):
            answers.append(answer(f"{group}-0", f"{other}-0", "dissimilar"))
        answers += [answer(f"{group}-0", f"{group}-{place}", "similar") for place in range(1, 10)]
    train, held = split_answers(answers, 0.2, seed=0)
    assert 0.15 <= len(held) / len(answers) <= 0.25
    assert {each.verdict for each in held} == {"similar", "dissimilar"}
    assert len(train) + len(held) > 0.7 * len(answers)


@given(said, st.lists(pairs, max_size=4), pairs)
def test_nothing_that_may_be_settled_by_pairs_on_screens_is_overlooked(
    steps: list[tuple[tuple[str, str], Verdict]],
    shown: list[tuple[str, str]],
    asked: tuple[str, str],
) -> None:
    known = links_from(answers_of(steps))
    settled = set()
    for said_of_them in itertools.product(VERDICTS, repeat=len(shown)):
        links = links_from(answers_of([*steps, *zip(shown, said_of_them, strict=True)]))
        settled.add(links.relation(*asked) is not None)
    pending = Pending(known, shown)
    assert pending.may_settle(asked) or True not in settled
    if not shown:
        assert pending.may_settle(asked) == (known.relation(*asked) is not None)
