import itertools
from collections import deque
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.answers.links import Links, components, explain, links_from, split_answers
from likewise.answers.standing import Answer, Standing, Undo, Verdict
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
