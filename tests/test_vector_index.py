"""One contract for FAISS and Milvus: what is filled in is found, and nothing else is let in."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from likewise.errors import LikewiseError, UsageError
from likewise.neighbours import faiss_index, milvus_index
from likewise.neighbours.faiss_index import FaissIndex
from likewise.neighbours.milvus_index import MilvusIndex
from likewise.neighbours.milvus_place import Place
from likewise.neighbours.search import search
from likewise.neighbours.searcher import Searcher
from likewise.neighbours.vector_index import (
    MOST,
    VectorIndex,
    check_vectors,
    key_of,
    keys_of,
    neighbour_blocks,
    neighbour_graph,
)
from likewise.neighbours.vectors import INDEX, Embeddings
from tests.conftest import close_milvus

DIM = 16


def unit_vectors(count: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Half of them around a few centres, half anywhere."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dim))
    centres = rng.normal(size=(max(1, count // 40), dim))
    some = rng.permutation(count)[: count // 2]
    vectors[some] = centres[rng.integers(0, len(centres), len(some))] + 0.4 * vectors[some]
    vectors = vectors.astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def ids_of(count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).integers(0, 256, (count, 16), np.uint8)
    return np.array([bytes(each).hex() for each in drawn])


class Bench:
    """A back end, and where its index is."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend, self.folder = backend, folder
        self.place = Place(str(folder / "milvus.db"), "contract") if backend == "milvus" else None

    @functools.cached_property
    def index(self) -> VectorIndex:
        """The index, kept open."""
        return self.open()

    def open(self) -> VectorIndex:
        """The index, as a new process finds it."""
        close_milvus()
        if self.place is not None:
            return MilvusIndex(self.place)
        return FaissIndex(self.folder / INDEX)

    def filled(self, keys: np.ndarray, vectors: np.ndarray) -> VectorIndex:
        index = self.open()
        index.fill(keys, vectors)
        return index


@pytest.fixture(params=["faiss", "milvus"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield Bench(request.param, tmp_path)
    close_milvus()


def recall(index: VectorIndex, keys: np.ndarray, vectors: np.ndarray, asked: np.ndarray) -> float:
    """Share of the true ten nearest that are found; similarities must be right for those."""
    near = asked @ vectors.T
    true = np.argpartition(-near, 10, axis=1)[:, :10]
    found, similarities = index.search(asked, 10)
    row = {int(key): place for place, key in enumerate(keys)}
    shares = []
    for line, cosines, best, exact in zip(found, similarities, true, near, strict=True):
        rows = [row[int(key)] for key in line]
        assert len(set(rows)) == 10
        assert cosines == pytest.approx(exact[rows], abs=1e-4)
        assert (np.diff(cosines) <= 1e-6).all()
        shares.append(len(set(rows) & set(best.tolist())) / 10)
    return float(np.mean(shares))


def test_it_finds_what_comparing_everything_finds(bench: Bench) -> None:
    vectors, keys = unit_vectors(2000), keys_of(ids_of(2000))
    index = bench.filled(keys, vectors)
    assert index.count() == 2000
    assert recall(index, keys, vectors, unit_vectors(50, seed=9)) >= 0.99


@pytest.mark.long
def test_fifty_thousand_vectors_are_found_as_by_comparing_everything(bench: Bench) -> None:
    vectors, keys = unit_vectors(50_000, 128), keys_of(ids_of(50_000))
    index = bench.filled(keys, vectors)
    asked = np.concatenate([vectors[::250], unit_vectors(200, 128, seed=9)])
    assert recall(index, keys, vectors, asked) >= 0.99
    assert recall(bench.open(), keys, vectors, asked) >= 0.99


@pytest.mark.long
def test_the_approximate_kinds_miss_little(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What larger sets get, here on vectors that form groups."""
    for module in (faiss_index, milvus_index):
        monkeypatch.setattr(module, "FLAT_UP_TO", 1000)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 64))[rng.integers(0, 500, 20_000)]
    vectors = (vectors + 0.7 * rng.normal(size=vectors.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = ids_of(20_000)
    index = bench.filled(keys_of(ids), vectors)
    assert index.described(20_000).find("approximate") >= 0
    asked = Searcher(Embeddings(bench.folder, "f", "run", ids, vectors, bench.place))
    shares = []
    for vector in vectors[::100]:
        rows, _ = asked.search(vector, 10)
        true, _ = search(asked.embeddings, vector, 10)
        shares.append(len(set(rows.tolist()) & set(true.tolist())) / 10)
    assert np.mean(shares) >= 0.97


def test_there_may_be_fewer_than_are_asked_for_or_none(bench: Bench) -> None:
    vectors, keys = unit_vectors(3), keys_of(ids_of(3))
    index = bench.filled(keys, vectors)
    found, similarities = index.search(vectors, 5)
    assert [set(line[:3].tolist()) for line in found] == [set(keys.tolist())] * 3
    assert (found[:, 0] == keys).all()
    assert (found[:, 3:] == -1).all()
    assert (similarities[:, 3:] == -1).all()
    index.fill(keys[:0], vectors[:0])
    assert index.count() == 0
    assert (index.search(vectors, 2)[0] == -1).all()


def test_copies_are_all_found_and_are_neighbours_of_each_other(bench: Bench) -> None:
    vectors, keys = np.repeat(unit_vectors(1), 5, axis=0), keys_of(ids_of(5))
    index = bench.filled(keys, vectors)
    found, similarities = index.search(vectors[:1], 5)
    assert set(found[0].tolist()) == set(keys.tolist())
    assert similarities[0] == pytest.approx(1, abs=1e-5)
    rows, near = neighbour_graph(index, keys, vectors, 6)
    for row in range(5):
        assert sorted(rows[row, :4]) == [each for each in range(5) if each != row]
    assert (rows[:, 4:] == -1).all()
    assert (near[:, 4:] == -1).all()


def test_the_graph_is_that_of_comparing_everything(bench: Bench) -> None:
    vectors, keys = unit_vectors(700), keys_of(ids_of(700))
    rows, similarities = neighbour_graph(bench.filled(keys, vectors), keys, vectors, 7)
    exact = vectors @ vectors.T
    np.fill_diagonal(exact, -2)
    expected = np.argsort(-exact, axis=1)[:, :7]
    assert np.array_equal(rows, expected)
    assert similarities == pytest.approx(np.take_along_axis(exact, expected, axis=1), abs=1e-5)


def test_a_key_that_comes_twice_is_refused(bench: Bench) -> None:
    vectors, keys = unit_vectors(10), keys_of(ids_of(10))
    index = bench.filled(keys, vectors)
    twice = keys.copy()
    twice[4] = twice[7]
    with pytest.raises(LikewiseError, match="two images have the same key"):
        index.fill(twice, vectors)
    assert index.search(vectors, 1)[0][:, 0].tolist() == keys.tolist()  # as before


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_refused(bench: Bench, number: float) -> None:
    vectors, keys = unit_vectors(10), keys_of(ids_of(10))
    index = bench.filled(keys, vectors)
    spoilt = vectors.copy()
    spoilt[3, 2] = spoilt[5, 0] = number
    with pytest.raises(LikewiseError, match=r"^2 embedding\(s\) are not finite"):
        index.fill(keys, spoilt)
    with pytest.raises(LikewiseError, match="to look for is not finite"):
        index.search(spoilt, 2)
    assert index.search(vectors, 1)[0][:, 0].tolist() == keys.tolist()


def test_vectors_are_of_length_one(bench: Bench) -> None:
    vectors, keys = unit_vectors(10), keys_of(ids_of(10))
    index = bench.open()
    longer = vectors * np.linspace(1, 1.5, 10, dtype=np.float32)[:, None]
    with pytest.raises(LikewiseError, match=r"^9 embedding\(s\) are not of length 1"):
        index.fill(keys, longer)
    index.fill(keys, vectors * np.float32(1.001))  # half precision rounds


def test_questions_have_the_vectors_dimension_and_ask_for_a_possible_number(bench: Bench) -> None:
    vectors, keys = unit_vectors(10), keys_of(ids_of(10))
    index = bench.filled(keys, vectors)
    with pytest.raises(UsageError, match="the vector has 3 numbers, the embeddings have 16"):
        index.search(unit_vectors(2, 3), 2)
    for k in (0, -1, MOST + 1):
        with pytest.raises(UsageError, match="1 to 16,384 neighbours"):
            index.search(vectors, k)


def test_what_is_gone_is_found_no_more_and_what_is_new_is(bench: Bench) -> None:
    vectors, keys = unit_vectors(300), keys_of(ids_of(300))
    index = bench.filled(keys[:200], vectors[:200])
    index.fill(keys[100:], vectors[100:])
    assert index.count() == 200
    found, _ = index.search(vectors, 200)
    assert all(set(line.tolist()) == set(keys[100:].tolist()) for line in found)
    assert (found[100:, 0] == keys[100:]).all()


def test_it_is_there_after_a_restart(bench: Bench) -> None:
    vectors, keys = unit_vectors(100), keys_of(ids_of(100))
    before = bench.filled(keys, vectors).search(vectors, 4)
    index = bench.open()
    assert index.count() == 100
    after = index.search(vectors, 4)
    assert np.array_equal(before[0], after[0])
    index.fill(keys[:60], vectors[:60])
    assert bench.open().count() == 60


def test_before_it_is_filled_there_is_nothing_to_ask(bench: Bench) -> None:
    index = bench.open()
    assert index.count() == 0
    with pytest.raises(LikewiseError, match="run `likewise embed`"):
        index.search(unit_vectors(1), 1)


def test_a_filter_is_kept_to(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows, half of them, all but some, and those farthest from the question."""
    monkeypatch.setattr("likewise.neighbours.searcher.FEW", 20)
    vectors, ids = unit_vectors(900), ids_of(900)
    bench.filled(keys_of(ids), vectors)
    embeddings = Embeddings(bench.folder, "f", "run", ids, vectors, bench.place)
    searcher, asked = Searcher(embeddings), unit_vectors(1, seed=4)[0]
    assert searcher.exact == (bench.backend == "faiss")
    far = np.argsort(vectors @ asked)[:100]
    odd = np.arange(1, 900, 2)
    for among in (None, np.arange(15), odd, np.arange(5, 900), far, np.array([7, 7, 8])):
        for k in (0, 1, 12, 100, 1000):
            rows, similarities = searcher.search(asked, k, among)
            true, exact = search(embeddings, asked, k, among)
            assert rows.tolist() == true.tolist()
            assert similarities == pytest.approx(exact, abs=1e-6)


def vector_of(key: int) -> np.ndarray:
    """Whatever is filled in, a key has the same vector; every fifth is a copy of the one before."""
    made = np.random.default_rng(key - (key % 5 == 4)).normal(size=6)
    return np.asarray(made / np.linalg.norm(made), np.float32)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sets(st.integers(0, 60), max_size=40), min_size=1, max_size=3), st.data())
def test_after_any_changes_it_answers_as_a_slow_loop(
    bench: Bench, contents: list[set[int]], data: st.DataObject
) -> None:
    index = bench.index
    for content in contents:
        keys = np.array(sorted(content), np.int64)
        vectors = np.array([vector_of(key) for key in sorted(content)], np.float32).reshape(-1, 6)
        index.fill(keys, vectors)
    assert index.count() == len(content)
    asked, k = vector_of(data.draw(st.integers(61, 99))), data.draw(st.integers(1, 50))
    found, similarities = index.search(asked[None], k)
    told = {int(key): float(cosine) for key, cosine in zip(found[0], similarities[0], strict=True)}
    true = {
        key: sum(float(a) * float(b) for a, b in zip(vector_of(key), asked, strict=True))
        for key in content
    }
    told.pop(-1, None)
    assert len(told) == min(k, len(content))
    assert told == pytest.approx({key: true[key] for key in told}, abs=1e-5)
    best = sorted(true.values(), reverse=True)[:k]
    assert sorted(told.values(), reverse=True) == pytest.approx(best, abs=1e-5)


def test_keys_are_63_bits_of_the_id() -> None:
    assert key_of("ffffffffffffffff" + "0" * 16) == 2**63 - 1
    assert key_of("0000000000000003" + "f" * 16) == 1
    assert keys_of(np.array(["00000000000000ff" + "0" * 16])).tolist() == [127]


def test_vectors_are_checked_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.neighbours.vector_index._BLOCK", 4)
    vectors, keys = unit_vectors(11), np.arange(11)
    check_vectors(keys, vectors)
    vectors[[2, 9, 10], 3] = np.nan
    with pytest.raises(LikewiseError, match="3 embedding"):
        check_vectors(keys, vectors)


def test_the_graph_comes_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise.neighbours.vector_index._QUESTIONS", 64)
    vectors, keys = unit_vectors(150), keys_of(ids_of(150))
    index = FaissIndex()
    index.fill(keys, vectors)
    done: list[int] = []
    blocks = neighbour_blocks(index, keys, vectors, 5, done.append)
    rows, similarities = next(blocks)
    assert (rows.shape, similarities.shape, done) == ((64, 5), (64, 5), [])
    assert [len(block[0]) for block in blocks] == [64, 22]
    assert done == [64, 64, 22]
