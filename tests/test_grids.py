import itertools
from collections.abc import Callable, Collection, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.answers.anchors import AnchorOrder
from likewise.answers.grids import GridProposal, propose_grid, propose_group, tight
from likewise.answers.links import Links
from likewise.answers.placing import PATIENCE
from likewise.answers.pool import Pool
from likewise.answers.standing import Pair, Verdict, pair_of

Propose = Callable[..., GridProposal | None]
BOTH = pytest.mark.parametrize("propose", [propose_grid, propose_group])


def pool_of(vectors: np.ndarray, hidden: Collection[int] = ()) -> Pool:
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    ids = [f"{row:06}" for row in range(len(vectors))]
    positions = {each: row for row, each in enumerate(ids) if row not in hidden}
    return Pool(ids, vectors, np.fromiter(positions.values(), np.int64), positions)


def cloud(count: int, seed: int = 0, dim: int = 8) -> Pool:
    return pool_of(np.random.default_rng(seed).normal(size=(count, dim)))


def circle(*degrees: float) -> Pool:
    """Images on a circle: the distance of two is their angle."""
    angles = np.radians(degrees)
    return pool_of(np.stack((np.cos(angles), np.sin(angles)), axis=1))


def pairs_of(proposal: GridProposal) -> list[Pair]:
    return [pair_of(proposal.anchor, each) for each in proposal.candidates]


@BOTH
@given(
    count=st.integers(0, 40),
    said=st.lists(
        st.tuples(
            st.integers(0, 39), st.integers(0, 39), st.sampled_from(["similar", "dissimilar"])
        ),
        max_size=40,
    ),
    unsure=st.integers(0, 20),
    busy=st.sets(st.integers(0, 39), max_size=10),
    hidden=st.sets(st.integers(0, 39), max_size=5),
    size=st.integers(2, 24),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_a_screen_asks_nothing_known_and_nothing_twice(
    propose: Propose,
    count: int,
    said: list[tuple[int, int, Verdict]],
    unsure: int,
    busy: set[int],
    hidden: set[int],
    size: int,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    pool = pool_of(rng.normal(size=(count, 4)), hidden)
    links = Links()
    for one, two, verdict in said:
        if one != two:
            links.add(f"{one:06}", f"{two:06}", verdict)
    taken = set(itertools.islice(itertools.combinations(pool.ids, 2), unsure))
    others = {f"{each:06}" for each in busy}
    order = rng.permutation(pool.ids).tolist()
    proposal = propose(pool, links, taken, others, order, size)
    if proposal is None:
        return
    images = [proposal.anchor, *proposal.candidates]
    assert 2 <= len(proposal.candidates) <= size
    assert not others & set(images)
    assert set(images) <= set(pool.positions)
    roots = [links.root(each) for each in images]
    assert len(set(roots)) == len(roots)
    for pair in pairs_of(proposal):
        assert pair not in taken
        assert links.relation(*pair) is None
    rows = [pool.positions[each] for each in images]
    expected = pool.vectors[rows[1:]] @ pool.vectors[rows[0]]
    np.testing.assert_allclose(proposal.scores, expected, atol=1e-6)
    assert list(proposal.scores) == sorted(proposal.scores, reverse=True)
    assert len(proposal.context) <= 6
    for each in proposal.context:
        assert each not in images
        assert links.relation(proposal.anchor, each) == "must"


@BOTH
@pytest.mark.parametrize("classes", [1, 3, 7, 20])
def test_screens_come_until_everything_is_known(propose: Propose, classes: int) -> None:
    """But for what single pairs settle: a screen holds at least two."""
    pool = cloud(20)
    kind = {image: row % classes for row, image in enumerate(pool.ids)}
    links, taken, asked = Links(), set[Pair](), 0
    while (found := propose(pool, links, taken, (), pool.ids)) is not None:
        asked += 1
        assert asked <= 60
        for one, two in pairs_of(found):
            taken.add((one, two))
            links.add(one, two, "similar" if kind[one] == kind[two] else "dissimilar")
    open_to: dict[str, set[str]] = {}
    for a, b in itertools.permutations(pool.ids, 2):
        if links.relation(a, b) is None:
            open_to.setdefault(links.root(a), set()).add(links.root(b))
    assert all(len(others) < 2 for others in open_to.values())


def test_the_anchor_is_the_first_without_a_place_then_those_that_wait_then_groups() -> None:
    pool = cloud(12)
    order = pool.ids[::-1]
    links = Links()
    links.add(order[0], order[1], "similar")
    for other in order[3 : 3 + PATIENCE]:
        links.add(order[2], other, "unsure")

    def anchor_with(busy: Iterable[str]) -> str | None:
        found = propose_grid(pool, links, set(), set(busy), order)
        return found.anchor if found else None

    assert anchor_with([]) == order[3]
    assert anchor_with(order[3:5]) == order[5]
    for image in order[3:]:
        for other in order[2:]:
            if image < other:
                links.add(image, other, "unsure")
    assert all(links.asks[image] > PATIENCE for image in order[2:])
    assert anchor_with([]) == min(order[2:], key=lambda each: (links.asks[each], order.index(each)))
    assert anchor_with(order[2:-2]) in order[-2:]
    one_group = Links()
    for image in order[1:-2]:
        one_group.add(order[0], image, "similar")
    for end in order[-2:]:
        for _ in range(PATIENCE):
            one_group.add(order[0], end, "unsure")
    found = propose_grid(pool, one_group, set(), set(order[-2:]), order)
    assert found is None
    found = propose_grid(pool, one_group, {pair_of(*order[-2:])}, set(), order)
    assert found is not None
    assert found.anchor == order[0]
    assert set(found.candidates) == set(order[-2:])
    assert set(found.context) <= set(order[1:-2])


def test_a_grid_holds_the_nearest_member_of_each_group_and_images_at_all_distances() -> None:
    rng = np.random.default_rng(1)
    pool = pool_of(rng.normal(size=(2000, 6)))
    links = Links()
    groups = [pool.ids[start : start + 10] for start in range(100, 300, 10)]
    for group in groups:
        for image in group[1:]:
            links.add(group[0], image, "similar")
    found = propose_grid(pool, links, set(), (), pool.ids)
    assert found is not None
    assert found.anchor == pool.ids[0]
    similarity = dict(zip(pool.ids, pool.vectors @ pool.vectors[0], strict=True))
    of_group = [max(group, key=similarity.__getitem__) for group in groups]
    likeliest = sorted(of_group, key=similarity.__getitem__, reverse=True)[:16]
    grouped = {image for group in groups for image in group}
    assert [each for each in found.candidates if each in grouped] == likeliest
    single = [each for each in found.candidates if each not in grouped]
    ranks = [sum(similarity[other] > similarity[each] for other in pool.ids) for each in single]
    assert len(single) == 8
    assert ranks[0] == 1  # the anchor itself is nearer
    growth = np.diff(np.log(np.array(ranks)))
    assert growth.max() < 4 * np.median(growth)
    assert ranks[-1] > 1500


@BOTH
def test_the_last_open_images_are_found_wherever_they_are(
    propose: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likewise.answers.grids._NEAR", 5)
    monkeypatch.setattr("likewise.answers.grids._FAR", 5)
    pool = cloud(100)
    anchor = pool.ids[0]
    nearest = np.argsort(-(pool.vectors @ pool.vectors[0]))
    left = {pool.ids[nearest[rank]] for rank in (52, 77)}
    others = [each for each in pool.ids[1:] if each not in left]
    links = Links()
    links.add(anchor, others[0], "dissimilar")
    for image in others[1:]:
        links.add(others[0], image, "similar")
    found = propose(pool, links, set(), (), pool.ids)
    assert found is not None
    assert (found.anchor, set(found.candidates)) == (anchor, left)


def test_without_groups_or_without_single_images_the_other_kind_fills_the_screen() -> None:
    pool = cloud(400)
    found = propose_grid(pool, Links(), set(), (), pool.ids)
    assert found is not None
    assert len(found.candidates) == 24
    links = Links()
    for row in range(2, 400, 2):
        links.add(pool.ids[row], pool.ids[row + 1], "similar")
    found = propose_grid(pool, links, set(), (), pool.ids)
    assert found is not None
    assert len(found.candidates) == 24
    assert sum(len(links.group_of(each)) > 1 for each in found.candidates) == 23


def test_a_group_ends_at_the_widest_gap() -> None:
    pool = circle(0, 5, 6, 7, 8, 60, 70, 80, 90, 100)
    found = propose_group(pool, Links(), set(), (), pool.ids)
    assert found is not None
    assert found.anchor == pool.ids[0]
    assert found.candidates == tuple(pool.ids[1:5])
    links = Links()
    links.add(pool.ids[1], pool.ids[3], "similar")
    links.add(pool.ids[0], pool.ids[2], "dissimilar")
    found = propose_group(pool, links, set(), (), pool.ids)
    assert found is not None
    assert found.candidates == (pool.ids[1], pool.ids[4])  # one of the group, none that differs


@given(st.integers(3, 24), st.floats(0.01, 1.0), st.integers(1, 8), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_wide_gap_is_found_at_any_scale_and_dimension(
    inside: int, scale: float, dim: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    near = np.sort(rng.uniform(0.5, 1, inside)) ** (1 / dim)
    far = 6 * np.sort(rng.uniform(0.9, 1, 30))
    assert tight((scale * np.concatenate((near, far))).tolist(), 24) == inside


def test_where_nothing_stands_out_every_size_is_about_as_likely() -> None:
    """Points that lie evenly in three dimensions: the rule prefers no place of its own."""
    rng = np.random.default_rng(0)
    sizes = [tight(np.sort(rng.uniform(0, 1, 400) ** (1 / 3)).tolist(), 24) for _ in range(2000)]
    counts = np.bincount(sizes, minlength=25)[2:]
    assert counts.min() > 0.5 * counts.mean()
    assert counts.max() < 1.6 * counts.mean()


def test_few_images_are_all_taken() -> None:
    assert tight([], 24) == 0
    assert tight([0.1], 24) == 1
    assert tight([0.1, 0.1], 24) == 2
    assert tight([0.0, 0.0, 0.0, 0.5], 24) == 3


def test_an_order_starts_after_the_placed_images_and_comes_back_after_an_undo() -> None:
    names = [f"{number:03}" for number in range(300)]
    reads = []

    def images() -> Iterable[str]:
        for each in names:
            reads.append(each)
            yield each

    order, links = AnchorOrder(images), Links()
    first_unplaced = 200
    for number in range(1, first_unplaced):
        links.add(names[0], names[number], "similar", number)
    assert next(order.read(links)) == names[first_unplaced]
    reads.clear()
    assert next(order.read(links)) == names[first_unplaced]
    assert not reads  # nothing is gone through again
    links.remove(150)
    came_back = [next(order.read(links)) for _ in range(10)]
    assert came_back[-1] == names[150]
    for _ in range(3):
        assert sorted(order.read(links)) == names
    rest = list(order.read(links))
    assert rest[: 300 - first_unplaced + 1] == [names[150], *names[first_unplaced:]]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.booleans()), max_size=30))
@settings(max_examples=60, deadline=None)
def test_an_order_always_holds_every_image_once(steps: list[tuple[int, int, bool]]) -> None:
    names = [f"{number:02}" for number in range(16)]
    order, links = AnchorOrder(lambda: names), Links()
    for number, (one, two, whole) in enumerate(steps, 1):
        if one != two:
            links.add(names[one], names[two], "similar", number)
        if number % 3 == 0 and one != two:
            links.remove(number)
        reader = order.read(links)
        if whole:
            assert sorted(reader) == names
        else:
            next(reader)
    open_ones = [each for each in names if len(links.group_of(each)) == 1]
    for _ in range(3):
        found = list(order.read(links))
    assert set(found[: len(open_ones)]) == set(open_ones)


class CountingLinks(Links):
    """Links that count how often they are asked for a root."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def root(self, image: str) -> str:
        self.asked += 1
        return super().root(image)


@BOTH
def test_the_work_for_a_screen_does_not_grow_with_images_or_answers(propose: Propose) -> None:
    asked = []
    for count in (4_000, 20_000):
        pool, links = cloud(count), CountingLinks()
        for row in range(1, count // 4):
            links.add(pool.ids[0], pool.ids[row], "similar")
        order = AnchorOrder(lambda ids=pool.ids: ids)  # type: ignore[misc]
        for _ in range(3):  # the first two find and put aside what has a place
            links.asked = 0
            found = propose(pool, links, set(), (), order)
            assert found is not None
            assert found.anchor == pool.ids[count // 4]
        asked.append(links.asked)
    assert asked[1] < 1.2 * asked[0] < 3_000


def test_too_many_images_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.answers.pool._COMPARED", 2048 * 8)
    pool = cloud(20_000)
    one = propose_grid(pool, Links(), set(), (), pool.ids)
    assert one is not None
    assert len(one.candidates) == 24
    blocks = {int(each) // 1024 for each in one.candidates}
    assert len(blocks) <= 2
    assert one == propose_grid(pool, Links(), set(), (), pool.ids)
