import itertools
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from likewise.answers.grids import GridProposal
from likewise.answers.history import Past
from likewise.answers.links import Links
from likewise.answers.placing import PATIENCE
from likewise.answers.pool import Pool
from likewise.answers.replies import Reply, answers_of
from likewise.answers.screens import (
    Kind,
    Screen,
    close,
    open_screens,
    put_back,
    reserve,
    screen_of,
)
from likewise.answers.standing import Answer, Pair, Verdict, pair_of
from likewise.answers.store import AnswerStore
from likewise.answers.strips import FURTHER, GROUPS, founded, propose_strip
from likewise.answers.tables import screens_table
from likewise.answers.worth import LARGEST, Pace, paces, worth

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def pool_of(vectors: np.ndarray, hidden: Collection[int] = ()) -> Pool:
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{row:06}" for row in range(len(vectors))]
    positions = {each: row for row, each in enumerate(ids) if row not in hidden}
    return Pool(ids, vectors, np.fromiter(positions.values(), np.int64), positions)


def cloud(count: int, seed: int = 0, dim: int = 6) -> Pool:
    return pool_of(np.random.default_rng(seed).normal(size=(count, dim)))


def grouped(pool: Pool, sizes: Collection[int], start: int = 0) -> tuple[Links, list[list[str]]]:
    """Groups of these sizes, from the pool's image ``start`` on."""
    links, groups = Links(), list[list[str]]()
    for size in sizes:
        groups.append(list(pool.ids[start : start + size]))
        start += size
        for image in groups[-1][1:]:
            links.add(groups[-1][0], image, "similar")
    return links, groups


@given(
    count=st.integers(0, 30),
    said=st.lists(
        st.tuples(
            st.integers(0, 29),
            st.integers(0, 29),
            st.sampled_from(["similar", "similar", "dissimilar", "unsure"]),
        ),
        max_size=60,
    ),
    unsure=st.integers(0, 40),
    busy=st.sets(st.integers(0, 29), max_size=8),
    hidden=st.sets(st.integers(0, 29), max_size=5),
    size=st.integers(2, 9),
    many=st.sampled_from([0, 4096]),
)
@settings(max_examples=150)
def test_a_strip_asks_nothing_known_and_shows_distinct_groups(
    count: int,
    said: list[tuple[int, int, Verdict]],
    unsure: int,
    busy: set[int],
    hidden: set[int],
    size: int,
    many: int,
) -> None:
    rng = np.random.default_rng(0)
    pool = pool_of(rng.normal(size=(count, 4)), hidden)
    links = Links()
    for one, two, verdict in said:
        if one != two:
            links.add(f"{one:06}", f"{two:06}", verdict)
    taken = set(itertools.islice(itertools.combinations(pool.ids, 2), unsure))
    others = {f"{each:06}" for each in busy}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likewise.answers.strips._MANY", many)
        found = propose_strip(pool, links, taken, others, rng.permutation(pool.ids).tolist(), size)
    if found is None:
        return
    assert found.strategy == "strip"
    assert 2 <= len(found.candidates) <= size
    assert found.anchor not in others
    assert {found.anchor, *found.candidates} <= set(pool.positions)
    roots = [links.root(each) for each in (found.anchor, *found.candidates)]
    assert len(set(roots)) == len(roots)
    for pair in found.pairs:
        assert pair not in taken
        assert links.relation(*pair) is None
    vectors = pool.vectors[[pool.positions[each] for each in (found.anchor, *found.candidates)]]
    np.testing.assert_allclose(found.scores, vectors[1:] @ vectors[0], atol=1e-6)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    for candidate, further in zip(found.candidates, found.further, strict=True):
        group = set(links.group_of(candidate)) & set(pool.positions) - {candidate}
        assert set(further) <= group
        assert len(set(further)) == len(further) == min(FURTHER, len(group))
    assert set(found.context) <= set(links.group_of(found.anchor)) - {found.anchor}


@pytest.mark.parametrize("many", [0, 4096])
def test_the_likeliest_groups_are_shown_by_their_nearest_member(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr("likewise.answers.strips._MANY", many)
    pool = cloud(600)
    links, groups = grouped(pool, [7] * 20, start=100)
    far, gone = groups[3], groups[5]
    links.add(pool.ids[0], far[0], "dissimilar")
    similarity = dict(zip(pool.ids, pool.vectors @ pool.vectors[0], strict=True))
    nearest = {id(each): max(each, key=similarity.__getitem__) for each in groups}
    taken = {pair_of(pool.ids[0], nearest[id(gone)])}
    found = propose_strip(pool, links, taken, (), pool.ids)
    left = [nearest[id(each)] for each in groups if each not in (far, gone)]
    expected = sorted(left, key=similarity.__getitem__, reverse=True)[:GROUPS]
    assert found is not None
    assert (found.anchor, found.candidates) == (pool.ids[0], tuple(expected))
    assert "9 likeliest of 18 groups" in found.reason
    busy = {pool.ids[0], *found.candidates}
    again = propose_strip(pool, links, set(found.pairs), busy, pool.ids)
    assert again is not None
    assert again.anchor == pool.ids[1], "a group may be on several screens, an anchor may not"
    assert len(again.candidates) == GROUPS


def test_an_image_that_is_in_no_group_may_found_one() -> None:
    names = [f"{letter}" for letter in "abcdefghijkl"]
    links = Links()
    links.add("a", "b", "similar")
    assert founded(links, names[:2]) == {links.root("a")}
    links.add("c", "a", "dissimilar")
    links.add("d", "b", "dissimilar")
    links.add("d", "e", "unsure")
    placed = founded(links, ["a", "b", "c", "d"])
    assert placed == {links.root("a"), "c"}, "d was not compared with c yet"
    links.add("d", "c", "dissimilar")
    assert founded(links, ["a", "b", "c", "d"]) == {links.root("a"), "c", "d"}
    groups = names[:PATIENCE] + names[PATIENCE + 1 : -1]
    links = Links()
    for one, two in itertools.combinations(groups, 2):
        links.add(one, two, "dissimilar")
    for other in groups[: PATIENCE - 1]:
        links.add(names[-1], other, "dissimilar")
    assert names[-1] not in founded(links, [*groups, names[-1]])
    links.add(names[-1], groups[PATIENCE - 1], "dissimilar")
    assert names[-1] in founded(links, [*groups, names[-1]]), "enough have denied it"


@pytest.mark.parametrize("many", [0, 4096])
def test_with_fewer_than_two_groups_there_is_no_strip(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr("likewise.answers.strips._MANY", many)
    pool = cloud(30)
    assert propose_strip(pool, Links(), set(), (), pool.ids) is None
    links, groups = grouped(pool, [5])
    assert propose_strip(pool, links, set(), (), pool.ids) is None
    links, groups = grouped(pool, [5, 5])
    found = propose_strip(pool, links, set(), (), pool.ids)
    assert found is not None
    assert found.anchor == pool.ids[10]
    assert {links.root(each) for each in found.candidates} == {links.root(g[0]) for g in groups}
    for image in pool.ids[10:]:
        links.add(image, groups[0][0], "dissimilar")
    assert propose_strip(pool, links, set(), (), pool.ids[:12]) is None


@pytest.mark.parametrize("classes", [2, 5, 14])
def test_strips_place_every_image(classes: int) -> None:
    """Two answers to begin with; then strips, and a pair where there is no strip."""
    pool = cloud(60)
    kind = {image: row % classes for row, image in enumerate(pool.ids)}
    links, taken = Links(), set[Pair]()

    def say(pairs: Collection[Pair]) -> None:
        for one, two in pairs:
            taken.add((one, two))
            links.add(one, two, "similar" if kind[one] == kind[two] else "dissimilar")

    say([(pool.ids[0], pool.ids[1])])
    strips = 0
    while (found := propose_strip(pool, links, taken, (), pool.ids)) is not None:
        strips += 1
        assert strips <= 2 * 60
        say(found.pairs)
    assert not links.contradictions
    placed = sum(len(links.group_of(image)) > 1 for image in pool.ids)
    assert placed >= 60 - 2 * classes
    for group in links.groups():
        assert len({kind[image] for image in group}) == 1


def strip(**fields: object) -> Screen:
    known = {
        "kind": "strip",
        "annotator": "ada",
        "anchor": "x",
        "candidates": ("a", "b", "c"),
        "scores": (0.9, 0.5, None),
        "strategy": "strip",
        "reason": "because",
        "fingerprint": "f",
        "expires": NOW,
        "context": ("x1",),
        "further": (("a1", "a2"), (), ("c1",)),
    }
    return Screen(**{**known, **fields})  # type: ignore[arg-type]


def test_further_images_stay_with_their_group(database_url: str) -> None:
    """Where somebody else has a pair, and after an undo."""
    with AnswerStore(database_url) as store:
        with store.leasing() as connection:
            reserve(connection, strip(candidates=("b",), scores=(None,), further=(), anchor="x"))
            kept = reserve(connection, strip(annotator="bob"))
        assert kept is not None
        assert (kept.candidates, kept.further) == (("a", "c"), (("a1", "a2"), ("c1",)))
        with store.leasing() as connection:
            assert open_screens(connection, "bob") == [kept]
            assert open_screens(connection, "ada")[0].further == ()
            close(connection, kept.token, kept.pairs, NOW)
            again = put_back(connection, kept, [("c", "x")])
            assert again is not None
            assert again.further == (("c1",),)
            assert open_screens(connection, "bob") == [again]


def test_rows_of_older_versions_are_read(database_url: str) -> None:
    with AnswerStore(database_url) as store, store.leasing() as connection:
        grid = strip(kind="grid", further=())
        reserve(connection, grid)
        row = connection.execute(screens_table.select()).mappings().one()
        assert row["context"] == ["x1"], "grids are written as ever"
        connection.execute(update(screens_table).values(context=["x2"]))
        stored = screen_of(connection, grid.token, "ada")
        assert stored is not None
        assert (stored.screen.context, stored.screen.further) == (("x2",), ())


def test_a_proposal_loses_candidates_with_their_further_images() -> None:
    found = GridProposal("x", ("a", "z"), (0.5, 0.4), "strip", "", (), (("a1",), ("z1",)))
    assert found.pairs == (("a", "x"), ("x", "z"))
    assert found.without({("a", "x")}) == GridProposal(
        "x", ("z",), (0.4,), "strip", "", (), (("z1",),)
    )
    assert found.without(found.pairs) is None
    assert found.without(()) == found


@given(st.sampled_from(get_args(Kind)), st.integers(1, 24), st.integers(0, 24), st.booleans())
def test_what_a_screen_is_worth_is_what_it_stores(
    kind: Kind, count: int, marked: int, shift: bool
) -> None:
    """Against the answers that the browser's reply makes, spelt out for each kind."""
    count, marked = (1, 1) if kind == "pair" else (count, min(marked, count))
    names = [f"{number:02}" for number in range(count)]
    same: Verdict = "similar"
    other: Verdict = "dissimilar"
    chosen, rest = names[:marked], names[marked:]
    said: dict[str, Verdict] = {}
    together: list[str] = []
    match kind:
        case "pair":
            said = {names[0]: "unsure"}
        case "strip":
            said = dict.fromkeys(names, other) | {names[0]: same}
        case "grid":
            said = dict.fromkeys(chosen, same) | dict.fromkeys(rest if shift else [], other)
        case "group":
            said = dict.fromkeys(chosen, other) | dict.fromkeys(rest, same)
            together = chosen if shift else []
    screen = strip(kind=kind, candidates=tuple(names), scores=(None,) * count, further=())
    stored = answers_of(screen, Reply(screen.token, said, 3.0, tuple(together)), NOW)
    assert worth(kind, count, marked, shift) == len(stored)


def test_at_most_so_many_answers_a_screen() -> None:
    assert {kind: worth(kind, LARGEST[kind]) for kind in get_args(Kind)} == {
        "pair": 1,
        "strip": 9,
        "grid": 24,
        "group": 24,
    }


def past(number: int, kind: Kind, seconds: float, answers: int) -> Past:
    time = NOW + timedelta(seconds=seconds)
    given_ = tuple(
        Answer("a", f"b{place}", "similar", "ada", time, "", None, "", number + place)
        for place in range(answers)
    )
    return Past(str(number), kind, number, given_, "a")


def test_what_an_answer_takes_is_measured_by_kind() -> None:
    history = [
        past(1, "pair", 0, 1),
        past(10, "strip", 6, 9),
        past(20, "pair", 8, 1),
        past(30, "strip", 12, 3),
        past(40, "strip", 1000, 9),  # after a pause
        past(50, "strip", 1002, 6),
        past(60, "grid", 1003, 9),
    ]
    expected = {"strip": Pace(3, 18, 12.0)}
    assert paces(history) == paces(history[::-1]) == expected
    assert (expected["strip"].per_screen, expected["strip"].per_answer) == (4.0, 12 / 18)
    assert paces([]) == {}
