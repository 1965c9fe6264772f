"""Duplicates: a partition in which every two are alike, whatever people or chains say."""

import csv
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float32
from PIL import Image
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from likewise import Workspace as Api
from likewise import cli
from likewise.answers.ledger import Ledger
from likewise.answers.standing import Answer, Entry, Verdict
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.inference import linkage, near
from likewise.inference.keepers import Copy, best_first, sharpness
from likewise.inference.near import Graph, components, near_groups, usual_threshold
from likewise.inference.verdicts import Denials
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Ingest
from likewise.workspace import Workspace

MOMENT = datetime(2026, 2, 3, tzinfo=UTC)


def cloud(seed: int, count: int, spread: float = 0.25) -> Float32[np.ndarray, "N D"]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, count // 5), 6))
    vectors = centres[rng.integers(len(centres), size=count)] + spread * rng.normal(size=(count, 6))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit, np.float32)


def graph_of(vectors: Float32[np.ndarray, "N D"], k: int) -> Graph:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    rows = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return Graph(vectors, rows, np.take_along_axis(cosines, rows, axis=1))


@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 8), st.floats(0.5, 0.99))
def test_components_are_those_of_all_pairs(seed: int, count: int, k: int, least: float) -> None:
    vectors = cloud(seed, count)
    cosines = vectors @ vectors.T
    if np.abs(cosines - least).min() < 1e-5:
        return  # which side a pair is on depends on the last digit
    found = {tuple(each) for each in components(graph_of(vectors, k), least, np.arange(count))}
    _, labels = connected_components(sparse.csr_array(cosines >= least), directed=False)
    truth = [tuple(np.flatnonzero(labels == label)) for label in range(labels.max() + 1)]
    assert found == {each for each in truth if len(each) > 1}


@given(st.integers(0, 10_000), st.integers(2, 60), st.floats(0.6, 0.99), st.booleans())
def test_groups_are_disjoint_alike_and_never_denied(
    seed: int, count: int, least: float, huge: bool
) -> None:
    vectors = cloud(seed, count, 0.1)
    rng = np.random.default_rng(seed)
    denied = np.triu(rng.random((count, count)) < 0.05, 1)
    denied |= denied.T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "LINKED_UP_TO", 3 if huge else 2000)
        found = near_groups(
            graph_of(vectors, 5), least, apart=lambda rows: denied[np.ix_(rows, rows)]
        )
    every = np.concatenate([each.rows for each in found.groups] or [np.empty(0, np.int64)])
    assert len(set(every.tolist())) == len(every)
    for each in found.groups:
        inside = (vectors @ vectors.T)[np.ix_(each.rows, each.rows)]
        assert len(each.rows) > 1
        assert inside.min() >= least - 1e-5
        assert each.weakest <= inside.min() + 1e-5
        assert not denied[np.ix_(each.rows, each.rows)].any()


@given(st.integers(0, 10_000), st.integers(2, 50), st.floats(0.6, 0.99))
def test_the_order_of_images_does_not_matter(seed: int, count: int, least: float) -> None:
    vectors = cloud(seed, count)
    if np.abs(vectors @ vectors.T - least).min() < 1e-4:
        return
    order = np.random.default_rng(seed).permutation(count)
    found = near_groups(graph_of(vectors, 5), least)
    again = near_groups(graph_of(vectors[order], 5), least)
    assert {frozenset(each.rows.tolist()) for each in found.groups} == {
        frozenset(order[each.rows].tolist()) for each in again.groups
    }


def test_a_chain_is_cut() -> None:
    angles = np.deg2rad(10 * np.arange(10))
    chain = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)
    found = near_groups(graph_of(chain, 3), float(np.cos(np.deg2rad(10.5))))
    assert found.chained == 1
    assert [len(each.rows) for each in found.groups] == [2] * 5


@pytest.mark.parametrize("huge", [False, True])
def test_more_copies_than_neighbours_are_one_group(
    monkeypatch: pytest.MonkeyPatch, huge: bool
) -> None:
    """Two cliques of the neighbour graph without an edge between them."""
    monkeypatch.setattr(near, "LINKED_UP_TO", 5 if huge else 2000)
    vectors = np.tile(np.array([1, 0], np.float32), (20, 1))
    first = np.array([[row // 10 * 10 + (row + step) % 10 for step in (1, 2)] for row in range(20)])
    found = near_groups(Graph(vectors, first, np.ones((20, 2), np.float32)), 0.99)
    assert [each.rows.tolist() for each in found.groups] == [list(range(20))]
    assert (found.crowded, found.complete) == (20, True)
    monkeypatch.setattr(near, "CROWDED_UP_TO", 10)
    some = near_groups(Graph(vectors, first, np.ones((20, 2), np.float32)), 0.99)
    assert [len(each.rows) for each in some.groups] == [10, 10]
    assert not some.complete


def test_leaders_take_nobody_that_a_member_may_not_be_with() -> None:
    vectors = np.tile(np.array([1, 0], np.float32), (6, 1))
    denied = np.zeros((6, 6), bool)
    denied[1, 3] = denied[3, 1] = True
    (one,) = linkage.balls(vectors, np.arange(6), 0.9, lambda rows: denied[np.ix_(rows, rows)])
    assert one.rows.tolist() == [0, 1, 2, 4, 5]


def test_the_usual_threshold_is_a_third_of_the_distance() -> None:
    cosine = np.array([[0.92], [0.9], [0.5]], np.float32)
    told = usual_threshold(cosine)
    assert np.sqrt(2 - 2 * told) == pytest.approx(np.sqrt(2 - 2 * 0.9) / 3)
    assert usual_threshold(np.ones((4, 2), np.float32)) < 1
    assert usual_threshold(np.ones((0, 0), np.float32)) < 1


def test_denials_are_direct_inferred_and_disputed() -> None:
    ids = [f"{number:032x}" for number in range(6)]

    def told(rows: list[int], *said: tuple[int, int, Verdict, str]) -> list[list[int]]:
        entries: list[Entry] = []
        for number, (a, b, verdict, who) in enumerate(said, 1):
            one = Answer(ids[a], ids[b], verdict, who, MOMENT, "", None, "", number)
            entries.append(one)
        table = Denials(ids, Ledger(entries)).among(np.array(rows))
        return [] if table is None else np.argwhere(np.triu(table)).tolist()

    assert told([0, 1, 2], (0, 1, "similar", "a"), (1, 2, "dissimilar", "a")) == [[0, 2], [1, 2]]
    assert told([0, 1], (0, 1, "similar", "a"), (0, 1, "dissimilar", "b")) == [[0, 1]]
    assert told([0, 1], (0, 1, "unsure", "a")) == []
    assert told([3, 4], (0, 1, "dissimilar", "a")) == []
    contradicted: list[tuple[int, int, Verdict, str]] = [
        (0, 1, "similar", "a"),
        (1, 2, "similar", "a"),
        (0, 2, "dissimilar", "a"),
    ]
    assert told([0, 1, 2], *contradicted) == [[0, 2]]


def test_kept_is_the_largest_then_not_blurred_then_least_compressed() -> None:
    def copy(name: str, side: int, sharp: int, size: int) -> Copy:
        return Copy(name * 32, (Path(name),), side, side, size, float(sharp))

    found = best_first(
        [copy("a", 10, 9, 900), copy("b", 20, 2, 800), copy("c", 20, 5, 500), copy("d", 20, 6, 400)]
    )
    assert [each.id[0] for each in found] == ["c", "d", "b", "a"]


def test_sharpness_falls_when_blurred_and_is_nothing_on_paper() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    small = Image.fromarray(noise).resize((10, 10), Image.Resampling.BOX)
    blurred = np.asarray(small.resize((40, 40), Image.Resampling.BICUBIC))
    assert sharpness(noise) > 2 * sharpness(blurred) > 0
    assert sharpness(np.full((9, 9, 3), 200, np.uint8)) == 0


@pytest.fixture
def twice(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Workspace:
    """Ten images; the first two copies of each other, the third there twice to the byte."""
    folder = tmp_path / "in"
    for seed in range(10):
        picture(folder / f"{seed}.png", seed, (40, 30) if seed == 1 else (20, 15))
    shutil.copy(folder / "2.png", folder / "=2 <b>\n.png")
    ingest(workspace, Ingest(images=(folder,), workers=1))
    images = open_images(workspace)
    names = [images.path(row).name for row in range(10)]
    vectors = np.eye(10, 12, dtype=np.float32)[[int(n[0]) if n[0] != "=" else 2 for n in names]]
    vectors[names.index("1.png")] = vectors[names.index("0.png")]
    write_embeddings(workspace, [vectors], images.ids, 12, "f1", "pretrain-1")
    return workspace


def test_both_kinds_are_found_and_told(twice: Workspace, tmp_path: Path) -> None:
    found = Api(twice.path).duplicates(
        threshold=0.9, sheet=tmp_path / "s.png", out=tmp_path / "t.csv"
    )
    told = found.as_json()
    names = [[Path(path).name for path in group] for group in told["groups"]]
    assert sorted(names) == [["1.png", "0.png"], ["2.png", "=2 <b>\n.png"]]
    assert sorted(each["exact"] for each in told["details"]) == [False, True]
    assert "=2 <b>\\n.png" in found.as_text()
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width > 1000
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["keep"] for row in rows].count("True") == 2
    assert {row["path"] for row in rows} == {path for group in told["groups"] for path in group}
    for row in rows:
        assert Path(row["path"]).stat().st_size == int(row["bytes"])
    Api(twice.path).duplicates(threshold=0.9, out=tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text("utf-8")) == told


def test_people_have_the_last_word(twice: Workspace) -> None:
    images = open_images(twice)
    ids = {images.path(row).name: str(images.ids[row]) for row in range(10)}
    with open_answers(twice) as store:
        store.add([NewAnswer(ids["0.png"], ids["1.png"], "dissimilar", "ada")])
    found = Api(twice.path).duplicates(threshold=0.9).as_json()
    assert (len(found["groups"]), found["chained"]) == (1, 1)


def test_exact_needs_no_embeddings(twice: Workspace) -> None:
    shutil.rmtree(twice.embeddings)
    before = sorted((twice.path.parent / "in").iterdir())
    with pytest.raises(LikewiseError, match="equal bytes alone: `likewise duplicates --exact`"):
        Api(twice.path).duplicates()
    found = Api(twice.path).duplicates(exact=True).as_json()
    assert [len(group) for group in found["groups"]] == [2]
    assert (found["model"], found["threshold"]) == (None, None)
    assert sorted((twice.path.parent / "in").iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "told", "code"),
    [
        (["--threshold", "1.5"], "at most 1", 2),
        (["--threshold", "nan"], "at most 1", 2),
        (["--exact", "--threshold", ".9"], "one of them", 2),
        (["--out", "x.txt"], ".csv or .json or .parquet", 2),
        (["--sheet", "x.jpg"], ".png", 2),
        (["--model", "no\nsuch"], "no\\nsuch", 2),
        (["--out", "/dev/null/x.csv"], "could not write", 1),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    twice: Workspace, flags: list[str], told: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["duplicates", "--workspace", str(twice.path), *flags]) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
