"""Search by vector against a sort of everything, and search by name."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.errors import LikewiseError, UsageError
from likewise.neighbours import search as module
from likewise.neighbours.search import find_names, search
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.workspace import Workspace


def made(count: int, dim: int = 4, seed: int = 0, different: int = 1000) -> Embeddings:
    """Unit vectors, of which only so many differ."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(different, dim)).astype(np.float32)[
        rng.integers(0, different, count)
    ]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([f"{row:032x}" for row in range(count)])
    return Embeddings(Path(), "f", "run", ids, vectors)


def unit(dim: int = 4, seed: int = 99) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def by_sorting(
    embeddings: Embeddings, vector: np.ndarray, k: int, among: list[int] | None
) -> list[int]:
    """One row at a time."""
    rows = sorted(set(among)) if among is not None else range(len(embeddings.ids))
    similarity = {row: float((embeddings.vectors[row] * vector).sum()) for row in rows}
    return sorted(rows, key=lambda row: -similarity[row])[:k]


@given(
    count=st.integers(0, 60),
    k=st.integers(0, 70),
    block=st.integers(1, 70),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_it_finds_what_a_sort_of_all_finds(
    count: int, k: int, block: int, seed: int, data: st.DataObject
) -> None:
    embeddings, vector = made(count, seed=seed), unit(seed=seed + 1)
    among = None
    if count and data.draw(st.booleans()):
        among = data.draw(st.lists(st.integers(0, count - 1), max_size=count))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        rows, similarities = search(
            embeddings, vector, k, None if among is None else np.array(among, np.int64)
        )
    expected = by_sorting(embeddings, vector, k, among)
    assert np.allclose(similarities, embeddings.vectors[expected] @ vector, atol=1e-6)
    assert np.allclose(similarities, embeddings.vectors[rows] @ vector, atol=1e-6)
    assert len(set(rows.tolist())) == len(expected)
    assert among is None or set(rows.tolist()) <= set(among)


def test_equal_images_come_in_order_of_row_also_across_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)
    embeddings = made(11, different=1)
    assert search(embeddings, unit(), 4)[0].tolist() == [0, 1, 2, 3]
    among = np.array([9, 2, 10, 2, 5, 4], np.int64)
    assert search(embeddings, unit(), 4, among)[0].tolist() == [2, 4, 5, 9]


def test_the_stored_neighbours_of_an_image_are_found_again(ready: Workspace) -> None:
    embeddings = load_embeddings(ready)
    near, _ = embeddings.neighbours()
    vector = np.array(embeddings.vectors[7])
    rows, similarities = search(embeddings, vector, 6)
    assert rows.tolist() == [7, *near[7, :5].tolist()]
    assert similarities[0] == pytest.approx(1, abs=1e-6)


def test_a_vector_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="3 numbers, the embeddings have 4"):
        search(made(5), unit(3), 2)
    with pytest.raises(LikewiseError, match="not finite"):
        search(made(5), np.array([np.nan, 0, 0, 1], np.float32), 2)


def test_names_hold_every_word_and_the_best_come_first() -> None:
    names = ["red cat.png", "Cat.png", "catalogue.jpg", "dog.png", "CAT", "big cat red.png"]
    assert find_names(names, "cat", 10) == [1, 4, 2, 0, 5]
    assert find_names(names, " Red  cat ", 10) == [0, 5]
    assert find_names(names, "cat", 2) == [1, 4]
    assert find_names(names, "  ", 10) == []
    assert find_names(names, "cow", 10) == []
