"""The embedding job: right vectors, kept vectors, and what a stop or damage leaves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.errors import LikewiseError, UsageError
from likewise.images.augmentation import whole_view
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.models.machine import Machine
from likewise.models.model_files import load_model, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, start_run
from likewise.neighbours import embedding
from likewise.neighbours.embedding import embed
from likewise.neighbours.faiss_index import load_index
from likewise.neighbours.vector_index import key_of
from likewise.neighbours.vectors import INDEX, load_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace

SETTINGS = Embed(precision="float32", batch_size=4)


@pytest.fixture
def trained(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Workspace:
    for seed in range(11):
        picture(tmp_path / "in" / f"{seed}.png", seed, size=(40 + seed, 30))
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    train(workspace)
    return workspace


def train(workspace: Workspace) -> Run:
    run = start_run(workspace, "pretrain", {}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=24))
    return run


def test_vectors_are_the_models_own(trained: Workspace) -> None:
    told = embed(trained, SETTINGS).as_json()
    saved = load_embeddings(trained)
    images = open_images(trained)
    assert told["fingerprint"] == saved.fingerprint
    assert (told["images"], told["new"], told["dim"]) == (11, 11, 256)
    assert told["index"] == "exact (flat; 11 vectors)"
    assert saved.ids.tolist() == images.ids.tolist()
    assert np.allclose(np.linalg.norm(saved.vectors, axis=1), 1, atol=1e-5)
    backbone = load_model(trained.runs / "pretrain-1" / "model.safetensors")
    for row in range(11):
        view = torch.from_numpy(whole_view(images[row], 24)[None])
        assert np.allclose(saved.vectors[row], backbone.embed(view).numpy()[0], atol=1e-5)


def test_the_index_and_the_graph_speak_of_the_same_images(trained: Workspace) -> None:
    embed(trained, SETTINGS)
    saved = load_embeddings(trained)
    rows, similarities = saved.neighbours()
    similarity, keys = load_index(saved.folder / INDEX).search(np.array(saved.vectors[3:4]), 3)
    assert keys[0, 0] == key_of(str(saved.ids[3]))
    assert keys[0, 1] == key_of(str(saved.ids[rows[3, 0]]))
    assert similarity[0, 1] == pytest.approx(similarities[3, 0], abs=1e-5)


def test_only_new_images_are_embedded_again(
    trained: Workspace,
    picture: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embed(trained, SETTINGS)
    before = load_embeddings(trained)
    old = {str(each): np.array(before.vectors[row]) for row, each in enumerate(before.ids)}
    picture(tmp_path / "in" / "new.png", 77)
    (tmp_path / "in" / "0.png").unlink()
    ingest(trained, Ingest(workers=1))
    seen: list[int] = []
    original = embedding.whole_views

    def watched(images: Images, rows: list[int], size: int) -> np.ndarray:
        seen.extend(rows)
        return original(images, rows, size)

    monkeypatch.setattr(embedding, "whole_views", watched)
    assert embed(trained, SETTINGS).as_json()["new"] == 1
    assert len(seen) == 1
    after = load_embeddings(trained)
    assert after.ids.tolist() == open_images(trained).ids.tolist()
    kept = [each for each in after.ids.tolist() if each in old]
    assert len(kept) == 10
    assert all(np.array_equal(after.vectors[after.positions[each]], old[each]) for each in kept)


def test_an_interrupted_job_goes_on(trained: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    original = embedding.embed_views
    calls: list[int] = []

    def until(count: int) -> Callable[..., np.ndarray]:
        def limited(backbone: object, machine: Machine, views: np.ndarray) -> np.ndarray:
            calls.append(len(views))
            if len(calls) > count:
                raise KeyboardInterrupt
            return original(backbone, machine, views)  # type: ignore[arg-type]

        return limited

    monkeypatch.setattr(embedding, "embed_views", until(2))
    with pytest.raises(KeyboardInterrupt):
        embed(trained, SETTINGS)
    assert not list(trained.embeddings.glob("[!.]*"))
    calls.clear()
    monkeypatch.setattr(embedding, "embed_views", until(99))
    embed(trained, SETTINGS)
    assert sum(calls) == 3  # 8 of 11 were kept
    assert np.allclose(np.linalg.norm(load_embeddings(trained).vectors, axis=1), 1, atol=1e-5)
    assert [each.name for each in trained.embeddings.iterdir()] == [
        load_embeddings(trained).fingerprint
    ]


@pytest.mark.parametrize("name", ["vectors.npy", "ids.npy", "neighbours.npz", "index.faiss"])
def test_damage_is_refused_and_embedding_again_mends_it(trained: Workspace, name: str) -> None:
    embed(trained, SETTINGS)
    file = load_embeddings(trained).folder / name
    spoilt = bytearray(file.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    file.write_bytes(spoilt)
    with pytest.raises(LikewiseError, match=f"{name} is missing or damaged"):
        load_embeddings(trained)
    assert embed(trained, SETTINGS).as_json()["new"] == 11
    load_embeddings(trained)


def test_the_newest_model_is_embedded_and_the_newest_vectors_are_used(trained: Workspace) -> None:
    embed(trained, SETTINGS)
    second = train(trained)
    assert embed(trained, SETTINGS).as_json()["model"] == second.name
    assert load_embeddings(trained).model == second.name
    embed(trained, Embed(model="pretrain-1", precision="float32"))
    assert load_embeddings(trained).model == "pretrain-1"
    with pytest.raises(UsageError, match="no run"):
        embed(trained, Embed(model="other"))


def test_without_a_model_or_vectors_the_next_command_is_named(
    workspace: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    picture(tmp_path / "in" / "0.png")
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    with pytest.raises(LikewiseError, match="likewise pretrain"):
        embed(workspace, SETTINGS)
    with pytest.raises(LikewiseError, match="likewise embed"):
        load_embeddings(workspace)
