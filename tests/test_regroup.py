import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.ledger import Ledger
from likewise.answers.links import Links
from likewise.answers.regroup import Change, merge, split, throw_out
from likewise.answers.standing import Answer, Entry, Undo, Verdict
from likewise.errors import UsageError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES = "abcdefgh"
PEOPLE = ["ada", "bob", "cyd"]
Said = tuple[tuple[str, str], Verdict, str]

said = st.tuples(
    st.sampled_from(list(itertools.combinations(IMAGES, 2))),
    st.sampled_from(["similar", "similar", "similar", "dissimilar", "unsure"]),
    st.sampled_from(PEOPLE),
)
history = st.lists(said, min_size=1, max_size=30)


def entries_of(steps: Sequence[Said]) -> list[Entry]:
    return [
        Answer(*pair, verdict, name, NOW, "", None, "", number)
        for number, (pair, verdict, name) in enumerate(steps, 1)
    ]


def after(entries: Sequence[Entry], change: Change) -> Ledger:
    """The ledger once the change is stored: undos by the reviewer, then the new answers."""
    rows = list(entries)
    for number in change.retract:
        rows.append(Undo(number, "rev", NOW, len(rows) + 1))
    for new in change.add:
        a, b = sorted((new.a, new.b))
        rows.append(
            Answer(a, b, new.verdict, new.annotator, NOW, new.strategy, None, "", len(rows) + 1)
        )
    return Ledger(rows)


def relations(links: Links, images: Sequence[str]) -> dict[tuple[str, str], str | None]:
    return {(a, b): links.relation(a, b) for a, b in itertools.combinations(sorted(images), 2)}


def is_one_group(ledger: Ledger, images: Sequence[str]) -> bool:
    return all(ledger.links.relation(images[0], each) == "must" for each in images)


def differ(ledger: Ledger, one: Sequence[str], other: Sequence[str]) -> bool:
    return all(ledger.links.relation(a, b) == "cannot" for a in one for b in other)


def check_others(before: Ledger, later: Ledger, group: Sequence[str]) -> None:
    """Between other images nothing changes.

    Only where answers contradicted one another may one of them, about the group, now count, and
    link what nothing linked.
    """
    others = [each for each in IMAGES if each not in group]
    old, new = relations(before.links, others), relations(later.links, others)
    inside = set(group)
    if not any({each.a, each.b} & inside for each in before.links.contradictions):
        assert new == old
        for a, b in itertools.product(group, others):
            was, now = before.links.relation(a, b), later.links.relation(a, b)
            assert now in (was, None)


def check_rows(before: Ledger, change: Change, group: Sequence[str]) -> None:
    for new in change.add:
        assert {new.a, new.b} <= set(group)
        assert (new.strategy, new.annotator) == ("review", "rev")
    assert len({new.token for new in change.add}) == len(change.add)
    standing = {each.number: each for each in before.standing.answers()}
    assert [each.number for each in change.lost] == [
        number for number in change.retract if number in standing
    ]
    assert all(each == standing[each.number] for each in change.lost)


@given(history, st.data())
@settings(max_examples=80, deadline=None)
def test_after_throwing_out_the_rest_is_one_group_and_differs_from_each(
    steps: list[Said], data: st.DataObject
) -> None:
    entries = entries_of(steps)
    before = Ledger(entries)
    groups = [each for each in before.groups() if len(each) > 1]
    if not groups:
        return
    group = data.draw(st.sampled_from(groups))
    out = data.draw(
        st.lists(st.sampled_from(group), min_size=1, max_size=len(group) - 1, unique=True)
    )
    rest = [each for each in group if each not in out]
    change = throw_out(before, group, out, "rev")
    later = after(entries, change)
    assert is_one_group(later, rest)
    assert differ(later, out, rest)
    check_rows(before, change, group)
    check_others(before, later, group)
    if not before.links.contradictions:
        kept = Links()  # those thrown out stay linked where answers on them alone say so
        for each in before.settled():
            if each.a in out and each.b in out:
                kept.add(each.a, each.b, each.verdict)
        assert relations(later.links, out) == relations(kept, out)


@given(history, st.data())
@settings(max_examples=80, deadline=None)
def test_after_a_split_there_are_two_whole_groups_that_differ(
    steps: list[Said], data: st.DataObject
) -> None:
    entries = entries_of(steps)
    before = Ledger(entries)
    groups = [each for each in before.groups() if len(each) > 1]
    if not groups:
        return
    group = data.draw(st.sampled_from(groups))
    part = data.draw(
        st.lists(st.sampled_from(group), min_size=1, max_size=len(group) - 1, unique=True)
    )
    rest = [each for each in group if each not in part]
    change = split(before, group, part, "rev")
    later = after(entries, change)
    assert is_one_group(later, part)
    assert is_one_group(later, rest)
    assert differ(later, part, rest)
    check_rows(before, change, group)
    check_others(before, later, group)


@given(history, st.data())
@settings(max_examples=80, deadline=None)
def test_after_a_merge_there_is_one_group_that_differs_from_what_either_did(
    steps: list[Said], data: st.DataObject
) -> None:
    entries = entries_of(steps)
    before = Ledger(entries)
    groups = before.groups()
    if len(groups) < 2:
        return
    one, other = data.draw(st.permutations(groups))[:2]
    change = merge(before, one, other, "rev")
    later = after(entries, change)
    assert is_one_group(later, [*one, *other])
    check_rows(before, change, [*one, *other])
    others = [each for each in IMAGES if each not in one and each not in other]
    if not before.links.contradictions:
        assert relations(later.links, others) == relations(before.links, others)
        for each in others:
            was = {before.links.relation(each, one[0]), before.links.relation(each, other[0])}
            expected = "cannot" if "cannot" in was else None
            assert later.links.relation(each, one[0]) == expected


def test_a_chain_through_the_image_that_goes_is_closed_again() -> None:
    steps: list[Said] = [(("a", "b"), "similar", "ada"), (("b", "c"), "similar", "bob")]
    change = throw_out(Ledger(entries_of(steps)), ["a", "b", "c"], ["b"], "rev")
    assert change.retract == [1, 2]
    assert [(new.a, new.b, new.verdict) for new in change.add] == [
        ("a", "c", "similar"),
        *[(new.a, new.b, "dissimilar") for new in change.add[1:]],
    ]
    assert len(change.add) == 2


def test_only_what_says_the_opposite_goes() -> None:
    steps: list[Said] = [
        (("a", "b"), "similar", "ada"),
        (("a", "b"), "similar", "bob"),
        (("a", "b"), "unsure", "cyd"),
        (("b", "c"), "similar", "ada"),
        (("a", "x"), "dissimilar", "ada"),
    ]
    change = split(Ledger(entries_of(steps)), ["a", "b", "c"], ["a"], "rev")
    assert change.retract == [1, 2]
    assert [new.verdict for new in change.add] == ["dissimilar"]
    assert {change.add[0].a, change.add[0].b} == {"a", "c"}  # nobody answered that pair yet


def test_an_equal_answer_below_a_retracted_one_goes_too() -> None:
    steps: list[Said] = [(("a", "b"), "similar", "ada"), (("a", "b"), "similar", "ada")]
    entries = entries_of(steps)
    change = split(Ledger(entries), ["a", "b"], ["b"], "rev")
    assert change.retract == [1, 2]
    assert [each.number for each in change.lost] == [2]
    assert differ(after(entries, change), ["a"], ["b"])


def test_one_outvoted_answer_stays() -> None:
    steps: list[Said] = [
        (("a", "b"), "dissimilar", "ada"),
        (("a", "b"), "dissimilar", "bob"),
        (("a", "b"), "similar", "cyd"),
    ]
    change = merge(Ledger(entries_of(steps)), ["a"], ["b"], "rev")
    assert change.retract == [1, 2]


def test_an_outvoted_answer_between_the_parts_stays() -> None:
    steps: list[Said] = [
        (("a", "x"), "similar", "ada"),
        (("b", "x"), "similar", "ada"),
        (("a", "b"), "dissimilar", "ada"),
        (("a", "b"), "dissimilar", "bob"),
        (("a", "b"), "similar", "cyd"),
    ]
    assert split(Ledger(entries_of(steps)), list("abx"), ["a"], "rev").retract == [1]


def test_what_stands_in_the_way_may_lead_through_another_group() -> None:
    """Without b, a and c are held apart by h, which is like c and unlike a."""
    steps: list[Said] = [
        (("a", "b"), "similar", "ada"),
        (("b", "c"), "similar", "ada"),
        (("a", "h"), "dissimilar", "ada"),
        (("c", "h"), "similar", "bob"),
    ]
    entries = entries_of(steps)
    change = throw_out(Ledger(entries), ["a", "b", "c"], ["b"], "rev")
    assert change.retract == [1, 2, 4]
    later = after(entries, change)
    assert is_one_group(later, ["a", "c"])
    assert differ(later, ["h"], ["a", "c"])


def test_the_change_is_taken_back_by_storing_what_was_lost() -> None:
    steps: list[Said] = [
        (("a", "b"), "similar", "ada"),
        (("b", "c"), "similar", "bob"),
        (("c", "d"), "similar", "ada"),
    ]
    entries = entries_of(steps)
    before = Ledger(entries)
    change = throw_out(before, list("abcd"), ["b"], "rev")
    rows = list(entries)
    rows += [Undo(number, "rev", NOW, len(rows) + place) for place, number in
             enumerate(change.retract, 1)]  # fmt: skip
    for each in change.lost:
        rows.append(
            Answer(each.a, each.b, each.verdict, each.annotator, NOW, "", None, "", len(rows) + 1)
        )
    assert relations(Ledger(rows).links, "abcd") == relations(before.links, "abcd")


def test_an_answer_that_was_a_contradiction_goes_when_it_stands_in_the_way() -> None:
    steps: list[Said] = [
        (("a", "b"), "similar", "ada"),
        (("b", "c"), "similar", "ada"),
        (("a", "c"), "dissimilar", "bob"),
    ]
    entries = entries_of(steps)
    before = Ledger(entries)
    assert [each.pair for each in before.links.contradictions] == [("a", "c")]
    change = throw_out(before, ["a", "b", "c"], ["b"], "rev")
    assert change.retract == [1, 2, 3]
    assert is_one_group(after(entries, change), ["a", "c"])


@pytest.mark.parametrize("deed", [throw_out, split])
@pytest.mark.parametrize(
    ("group", "part", "message"),
    [
        ("ab", "a", "has changed meanwhile"),
        ("abcd", "a", "has changed meanwhile"),
        ("", "a", "has changed meanwhile"),
        ("abc", "", "not all of them"),
        ("abc", "abc", "not all of them"),
        ("abc", "x", "not all of them"),
    ],
)
def test_what_the_page_showed_must_still_be_so(
    deed: object, group: str, part: str, message: str
) -> None:
    ledger = Ledger(entries_of([(("a", "b"), "similar", "ada"), (("b", "c"), "similar", "ada")]))
    with pytest.raises(UsageError, match=message):
        deed(ledger, list(group), list(part), "rev")  # type: ignore[operator]


def test_a_group_is_not_merged_with_itself_nor_with_part_of_another() -> None:
    ledger = Ledger(entries_of([(("a", "b"), "similar", "ada"), (("c", "d"), "similar", "ada")]))
    with pytest.raises(UsageError, match="one group already"):
        merge(ledger, ["a", "b"], ["b", "a"], "rev")
    with pytest.raises(UsageError, match="has changed"):
        merge(ledger, ["a", "b"], ["c"], "rev")


def test_a_change_reaches_the_database_as_one_transaction(tmp_path: object) -> None:
    from likewise.answers.store import AnswerStore, NewAnswer

    with AnswerStore(f"sqlite:///{tmp_path}/labels.db") as store:
        store.add([NewAnswer("a", "b", "similar", "ada"), NewAnswer("b", "c", "similar", "ada")])
        change = throw_out(Ledger(store.history()), ["a", "b", "c"], ["c"], "rev")
        store.change(add=change.add, retract=change.retract, annotator="rev")
        later = Ledger(store.history())
        assert differ(later, ["a", "b"], ["c"])
        assert is_one_group(later, ["a", "b"])
        assert [each.verdict for each in store.current()] == ["similar", "dissimilar"]
