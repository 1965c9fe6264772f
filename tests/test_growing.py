"""A grown neighbour graph is that of comparing all images with all."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float32, Shaped

from likewise.neighbours import growing
from likewise.neighbours import vectors as vectors_module
from likewise.neighbours.growing import Graph, grown_graph
from likewise.neighbours.vectors import NEIGHBOURS_KEPT, load_embeddings, write_embeddings
from likewise.workspace import Workspace


def exact(vectors: Float32[np.ndarray, "N D"], k: int) -> Graph:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
    near = np.take_along_axis(scores, rows, axis=1).astype(np.float32)
    rows[near < -1.5], near[near < -1.5] = -1, -1
    missing = k - rows.shape[1]
    return (
        np.pad(rows, ((0, 0), (0, max(0, missing))), constant_values=-1),
        np.pad(near, ((0, 0), (0, max(0, missing))), constant_values=-1),
    )


def unit(count: int, seed: int) -> Float32[np.ndarray, "N D"]:
    vectors = np.random.default_rng(seed).normal(size=(count, 6))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(0, 12),
    st.integers(0, 8),
    st.integers(1, 10),
    st.integers(0, 10**6),
)
def test_any_change_gives_the_graph_from_scratch(
    before: int, gone: int, new: int, k: int, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing, "MOST", 1.0)
        patch.setattr(growing, "_BLOCK", 16)
        patch.setattr(growing, "_AT_ONCE", 3)
        rng = np.random.default_rng(seed)
        old, extra = unit(before, seed), unit(new, seed + 1)
        stay = rng.permutation(before)[: max(0, before - gone)]
        came_from = rng.permutation(np.concatenate((stay, np.full(new, -1)))).astype(np.int64)
        vectors = np.empty((len(came_from), 6), np.float32)
        vectors[came_from >= 0] = old[came_from[came_from >= 0]]
        vectors[came_from < 0] = extra
        if not len(vectors):
            return
        found = grown_graph(exact(old, k), came_from, vectors)
        assert found is not None
        rows, near = exact(vectors, k)
        np.testing.assert_allclose(found[1], near, atol=1e-6)
        same = np.abs(np.diff(near, axis=1, append=-3)) > 1e-6
        same &= np.abs(np.diff(near, axis=1, prepend=3)) > 1e-6
        assert (found[0][same] == rows[same]).all()


def test_copies_of_an_image_do_not_push_it_into_its_own_list() -> None:
    old = np.repeat(unit(3, 0), 8, axis=0)
    came_from = np.append(np.arange(24), [-1, -1]).astype(np.int64)
    vectors = np.concatenate((old, old[:2]))
    found = grown_graph(exact(old, 5), came_from, vectors)
    assert found is not None
    rows, near = found
    assert (rows != np.arange(26)[:, None]).all()
    np.testing.assert_allclose(near, 1.0, atol=1e-5)


def test_where_most_is_new_it_leaves_it_to_others() -> None:
    old = unit(10, 0)
    came_from = np.append(np.arange(10), np.full(10, -1)).astype(np.int64)
    assert grown_graph(exact(old, 3), came_from, np.concatenate((old, unit(10, 1)))) is None


def ids_of(numbers: list[int]) -> Shaped[np.ndarray, " N"]:
    return np.array([f"{2 * number:016x}{0:016x}" for number in numbers])


def test_adding_images_grows_the_graph_on_disk(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = unit(420, 3)
    write_embeddings(workspace, [every[:400]], ids_of(list(range(400))), 6, "f", "model")
    made_anew = []
    original = vectors_module._write_graph

    def watched(*args: Any) -> None:
        made_anew.append(1)
        original(*args)

    monkeypatch.setattr(vectors_module, "_write_graph", watched)
    now = [*range(1, 200), *range(400, 420), *range(200, 400)]  # 0 is gone, 20 are new
    write_embeddings(workspace, [every[now]], ids_of(now), 6, "f", "model")
    assert not made_anew
    rows, near = load_embeddings(workspace).neighbours()
    expected = exact(every[now], NEIGHBOURS_KEPT)
    np.testing.assert_allclose(near, expected[1], atol=1e-6)
    assert (rows == expected[0]).mean() > 0.999
    other = every[now].copy()
    other[5] = -other[5]
    write_embeddings(workspace, [other], ids_of(now), 6, "f", "model")
    assert made_anew  # another vector: the earlier graph is none of it
    np.testing.assert_allclose(
        load_embeddings(workspace).neighbours()[1], exact(other, NEIGHBOURS_KEPT)[1], atol=1e-6
    )
