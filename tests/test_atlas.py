"""The map of all embeddings: near stays near, the same again, kept with what it was made of."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from likewise.errors import LikewiseError
from likewise.neighbours import atlas, mapmaker
from likewise.neighbours.atlas import atlas_of, into_square
from likewise.neighbours.atlas_files import (
    ATLAS,
    ATLAS_META,
    load_atlas,
    save_atlas,
    vectors_digest,
)
from likewise.neighbours.mapmaker import Making, Mapmaker, make_atlas
from likewise.neighbours.vectors import load_embeddings, write_embeddings
from likewise.workspace import Workspace


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "ITERATIONS", 300)


def clusters(count: int, seed: int = 0, dim: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around six directions, and which of them each belongs to."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, 6, count)
    vectors = np.eye(dim)[of] + 0.12 * rng.normal(size=(count, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), of


def neighbours_kept(places: np.ndarray, of: np.ndarray, rows: np.ndarray) -> float:
    """Share of images whose nearest other one on the map is of their own cluster."""
    away = np.linalg.norm(places[rows, None] - places[None], axis=2)
    away[np.arange(len(rows)), rows] = np.inf
    return float((of[away.argmin(axis=1)] == of[rows]).mean())


def test_neighbours_stay_neighbours_sampled_or_not() -> None:
    vectors, of = clusters(500)
    shares: list[float] = []
    places = atlas_of(vectors, 0, shares.append, sample=250)
    assert places.shape == (500, 2)
    assert places.dtype == np.float32
    assert (places >= 0).all()
    assert (places <= 1).all()
    assert np.ptp(places, axis=0).max() > 0.9, "the square is used"
    sampled = np.sort(np.random.default_rng(0).permutation(500)[:250])
    placed = np.setdiff1d(np.arange(500), sampled)
    assert trustworthiness(vectors[sampled], places[sampled]) > 0.9
    assert trustworthiness(vectors, places) > 0.9
    assert neighbours_kept(places, of, placed) > 0.97
    assert len(np.unique(places, axis=0)) == 500, "none lies exactly on another"
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert sum(0.1 < share < 0.9 for share in shares) >= 3, "progress is told on the way"


def test_sampled_images_lie_where_they_were_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    corner = np.zeros((30, 2), np.float32)
    monkeypatch.setattr(atlas, "_place", lambda vectors, *_: corner[: len(vectors)])
    places = atlas_of(clusters(30)[0], 0, sample=20)
    sampled = np.random.default_rng(0).permutation(30)[:20]
    assert (places[np.setdiff1d(np.arange(30), sampled)] == 0).all()
    assert len(np.unique(places[sampled], axis=0)) == 20
    assert np.ptp(places[sampled], axis=0).max() == pytest.approx(1)


def test_the_same_seed_gives_the_same_map_and_another_one_another() -> None:
    vectors, _ = clusters(120)
    first = atlas_of(vectors, 3, sample=80)
    assert np.array_equal(first, atlas_of(vectors.copy(), 3, sample=80))
    assert not np.allclose(first, atlas_of(vectors, 4, sample=80))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 8, 9, 12])
def test_few_images_and_equal_ones_have_a_map_too(count: int) -> None:
    for vectors in (clusters(count)[0], np.tile(clusters(1)[0], (count, 1))):
        places = atlas_of(vectors, 0)
        assert places.shape == (count, 2)
        assert np.isfinite(places).all()
        assert ((places >= 0) & (places <= 1)).all()
        assert len(np.unique(places, axis=0)) == count


def test_an_image_between_two_islands_lands_on_one_of_them() -> None:
    vectors, of = clusters(300)
    between = vectors[of == 0][0] + vectors[of == 1][0] * 0.99
    every = np.concatenate([vectors, (between / np.linalg.norm(between))[None]])
    sample = 300
    seed = next(
        each for each in range(1000) if np.random.default_rng(each).permutation(301)[-1] == 300
    )
    places = atlas_of(every, seed, sample=sample)
    assert np.linalg.norm(places[:300] - places[300], axis=1).min() < 0.03


def test_the_square_keeps_proportions() -> None:
    square = into_square(np.array([[0, 0], [4, 0], [4, 2], [0, 2]], np.float32))
    assert square.tolist() == [[0, 0.25], [1, 0.25], [1, 0.75], [0, 0.75]]


def test_a_map_is_kept_with_the_vectors_it_was_made_of(ready: Workspace) -> None:
    embeddings = load_embeddings(ready)
    assert load_atlas(embeddings) is None
    places = atlas_of(embeddings.vectors, 0)
    made_of = vectors_digest(embeddings.folder)
    save_atlas(embeddings, places, made_of)
    kept = load_atlas(embeddings)
    assert kept is not None
    assert np.array_equal(kept, places)
    file = embeddings.folder / ATLAS
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    assert load_atlas(embeddings) is None, "damaged"
    save_atlas(embeddings, places, made_of)
    assert load_atlas(embeddings) is not None
    (embeddings.folder / ATLAS_META).write_text("{")
    assert load_atlas(embeddings) is None, "half a description"
    assert sorted(each.name for each in embeddings.folder.glob(".*")) == []


def test_other_vectors_of_the_same_model_need_another_map(ready: Workspace) -> None:
    before = load_embeddings(ready)
    places, made_of = atlas_of(before.vectors, 0), vectors_digest(before.folder)
    save_atlas(before, places, made_of)
    write_embeddings(ready, [-np.array(before.vectors)], before.ids, 8, "f1", "run-1")
    assert load_atlas(load_embeddings(ready)) is None
    save_atlas(before, places, made_of)  # by a process that had read the old vectors
    assert load_atlas(load_embeddings(ready)) is None


def test_a_folder_that_is_gone_is_not_made_again(ready: Workspace) -> None:
    embeddings = load_embeddings(ready)
    gone = embeddings.folder.rename(embeddings.folder.with_name("elsewhere"))
    with pytest.raises(LikewiseError):
        save_atlas(embeddings, np.zeros((40, 2), np.float32), "digest")
    assert not embeddings.folder.exists()
    assert not list(gone.glob("*atlas*"))


def finished(maker: Mapmaker, workspace: Workspace) -> Making:
    embeddings = load_embeddings(workspace)
    for _ in range(2400):
        making = maker.look(embeddings)
        if making.state != "working":
            return making
        time.sleep(0.05)
    pytest.fail("the map was not made")


@pytest.fixture
def makers(ready: Workspace) -> Iterator[list[Mapmaker]]:
    both = [Mapmaker(ready), Mapmaker(ready)]
    yield both
    for maker in both:
        maker.stop()


def test_two_apps_have_one_map_made(
    ready: Workspace, makers: list[Mapmaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    original = subprocess.Popen

    def counted(command: list[str], **options: object) -> object:
        started.append(command[-1])
        return original(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", counted)
    embeddings = load_embeddings(ready)
    assert makers[0].look(embeddings).state == "working"
    assert makers[0].look(embeddings).state == "working"
    for _ in range(6000):  # until the child holds the lock
        if makers[0]._elsewhere():
            break
        time.sleep(0.02)
    assert makers[1].look(embeddings).state == "working"
    assert started == ["f1"]
    for maker in makers:
        making = finished(maker, ready)
        assert making.state == "done"
        assert making.places is not None
        assert making.places.shape == (40, 2)
    assert started == ["f1"]
    assert finished(Mapmaker(ready), ready).state == "done", "found after a restart"


def test_a_failure_is_one_line_and_stays_until_asked_again(
    ready: Workspace, makers: list[Mapmaker]
) -> None:
    embeddings, maker = load_embeddings(ready), makers[0]
    file = embeddings.folder / "ids.npy"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    for _ in range(2400):
        making = maker.look(embeddings)
        if making.state != "working":
            break
        time.sleep(0.05)
    assert making.state == "failed"
    assert making.text.startswith(f"{file} is missing or damaged")
    assert "\n" not in making.text
    assert maker.look(embeddings).state == "failed"
    file.write_bytes(whole)
    maker.again()
    assert maker.look(embeddings).state == "working"


def test_the_making_tells_how_far_it_is_and_cleans_up(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def noted(path: Path, text: str) -> None:
        told.append(text)
        path.write_text(text)

    monkeypatch.setattr(mapmaker, "write_text", noted)
    make_atlas(ready, "f1")
    assert [float(each) for each in told] == sorted({float(each) for each in told})
    assert len(told) >= 3
    assert load_atlas(load_embeddings(ready)) is not None
    assert not (ready.path / ".atlas.progress").exists()
    with ready.lock("atlas"), pytest.raises(LikewiseError, match="another likewise command"):
        make_atlas(ready, "f1")
