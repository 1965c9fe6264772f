"""A model that is its parent with a head: taught from answers, embedded from stored vectors."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from PIL import Image

from likewise.answers.rivals import watched_rivals
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.augmentation import whole_view
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.models.backbones import head_on, with_head
from likewise.models.heads import Head
from likewise.models.model_files import load_model, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, finished_run, runs_of, start_run
from likewise.neighbours import embedding
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import load_embeddings
from likewise.settings import Embed, Finetune, Ingest, Status
from likewise.status import status
from likewise.training.answered import learn_from
from likewise.training.finetune import finetune
from likewise.workspace import Workspace

EMBED = Embed(precision="float32", batch_size=16)


@pytest.fixture
def shapes(workspace: Workspace, tmp_path: Path) -> Workspace:
    """120 pictures of bars: four directions are what people mean, brightness and place are not."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:24, :24] - 11.5
    for number in range(120):
        angle = np.pi * (number % 4) / 4 + rng.normal(0, 0.06)
        away = x * np.sin(angle) - y * np.cos(angle) - rng.uniform(-3, 3)
        bar = np.exp(-((away / 2) ** 2)) * rng.uniform(90, 230)
        pixels = np.repeat((bar + rng.normal(0, 8, (24, 24)))[..., None], 3, axis=2)
        folder = tmp_path / "in" / str(number % 4)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03d}.png")
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    torch.manual_seed(0)
    run = start_run(workspace, "pretrain", {"preset": "glyph"}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=24))
    embed(workspace, EMBED)
    return workspace


def kind(images: Images, image_id: str) -> str:
    return images.path(images.positions[image_id]).parent.name


def answer(workspace: Workspace, count: int, *, blind: bool = False) -> None:
    """Answers on ``count`` images, each against an image of every kind; ``blind``: at random."""
    images = open_images(workspace)
    rng = np.random.default_rng(1)
    ids = [str(each) for each in rng.permutation(images.ids)[: count + 4]]
    of = {each: str(rng.integers(4)) if blind else kind(images, each) for each in ids}
    first = {of[each]: each for each in reversed(ids)}
    with open_answers(workspace) as store:
        store.add(
            [
                NewAnswer(each, other, "similar" if of[each] == group else "dissimilar", "test")
                for each in ids
                for group, other in sorted(first.items())
                if other != each and (each not in first.values() or each < other)
            ]
        )


def precision(workspace: Workspace, fingerprint: str) -> float:
    saved, images = load_embeddings(workspace, fingerprint), open_images(workspace)
    of = np.array([kind(images, str(each)) for each in saved.ids])
    return float((of[saved.neighbours()[0][:, :15]] == of[:, None]).mean())


def test_fine_tuning_a_head_teaches_what_people_mean(shapes: Workspace) -> None:
    answer(shapes, 60)
    parent = runs_of(shapes)[0]
    done = finetune(shapes, Finetune(precision="float32", hold_out=0.0))
    told = done.as_json()
    assert (told["depth"], told["run"]) == ("head", "finetune-1")
    assert 0 < told["blend"] < 1
    assert "a head counts for" in done.as_text()
    embed(shapes, EMBED)
    before, after = (precision(shapes, each.fingerprint) for each in runs_of(shapes))
    assert before < 0.95
    assert 1 - after < 0.8 * (1 - before)
    again = finetune(shapes, Finetune(precision="float32", hold_out=0.0))
    assert (again.run.name, again.fingerprint) == ("finetune-2", done.fingerprint)
    assert load_embeddings(shapes, parent.fingerprint).model == "pretrain-1"


def test_a_head_is_measured_on_answers_it_never_saw(
    shapes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(shapes, 60)
    shown: list[set[str]] = []
    original = learn_from

    def watched(basis: object, answers: list[object], seed: int) -> object:
        shown.append({image for each in answers for image in each.pair})  # type: ignore[attr-defined]
        return original(basis, answers, seed)  # type: ignore[arg-type]

    monkeypatch.setattr("likewise.training.head_step.learn_from", watched)
    done = finetune(shapes, Finetune(precision="float32", hold_out=0.3))
    assert done.before["answers"] == done.after["answers"] != 0
    assert len(shown) == 2
    assert shown[0] < shown[1]


def test_answers_at_random_leave_the_embedding_as_it_is(shapes: Workspace) -> None:
    answer(shapes, 60, blind=True)
    done = finetune(shapes, Finetune(precision="float32", hold_out=0.0))
    parent, attempt = runs_of(shapes)
    assert done.as_json()["kept"] is True
    assert (done.run.name, done.fingerprint) == ("pretrain-1", parent.fingerprint)
    assert "pretrain-1 stays in use, no new model" in done.as_text()
    assert attempt.kept
    assert not attempt.finished
    with pytest.raises(LikewiseError, match="finetune-1 left no model: pretrain-1 stays in use"):
        embed(shapes, Embed(model="finetune-1"))
    beside = load_embeddings(shapes, parent.fingerprint)
    rivals = watched_rivals(beside.folder, len(beside.ids))()
    assert rivals is not None
    assert len(rivals.rows)
    assert finished_run(shapes, None).name == "pretrain-1"
    assert "goes on with" not in status(shapes, Status()).next


def test_vectors_that_are_missing_are_made_first(shapes: Workspace) -> None:
    answer(shapes, 40)
    first = finetune(shapes, Finetune(precision="float32", hold_out=0.0))
    shutil.rmtree(shapes.embeddings)
    again = finetune(shapes, Finetune(precision="float32", hold_out=0.0))
    assert again.fingerprint == first.fingerprint


def headed(workspace: Workspace) -> Run:
    parent = runs_of(workspace)[0]
    rng = np.random.default_rng(2)
    head = Head(rng.normal(size=(7, 256)).astype(np.float32), np.zeros(7, np.float32), 0.5)
    run = start_run(workspace, "finetune", {}, name=None, parent=parent.fingerprint)
    save_model(run.model_file, with_head(load_model(parent.model_file), head))
    return run


def forbidden(*_: object) -> NoReturn:
    raise AssertionError("the backbone was run")


def test_a_headed_model_is_embedded_from_its_parents_vectors(
    shapes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = headed(shapes)
    with monkeypatch.context() as patch:
        patch.setattr(embedding, "embed_views", forbidden)
        told = embed(shapes, EMBED)
    assert (told.model, told.dim, told.images, told.new) == (run.name, 263, 120, 0)
    assert "120 images in 263 dimensions, mapped by its head at once\n" in told.as_text()
    saved, images = load_embeddings(shapes), open_images(shapes)
    backbone = load_model(run.model_file)
    views = torch.from_numpy(np.stack([whole_view(images[row], 24) for row in range(120)]))
    assert saved.ids.tolist() == images.ids.tolist()
    assert np.allclose(saved.vectors, backbone.embed(views).numpy(), atol=1e-4)


def test_new_images_of_a_headed_model_go_through_the_net(
    shapes: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    run = headed(shapes)
    picture(tmp_path / "in" / "0" / "new.png", 5, size=(24, 24))
    ingest(shapes, Ingest(workers=1))
    told = embed(shapes, EMBED)
    assert (told.images, told.new) == (121, 1)
    saved, images = load_embeddings(shapes), open_images(shapes)
    backbone = load_model(run.model_file)
    views = torch.from_numpy(np.stack([whole_view(images[row], 24) for row in range(121)]))
    assert np.allclose(saved.vectors, backbone.embed(views).numpy(), atol=1e-4)
    assert "1 of them new (" in told.as_text()
    again = embed(shapes, EMBED)
    assert again.new == 0
    assert "dimensions, none of them new\n" in again.as_text()


def test_a_head_does_not_stand_on_a_head(shapes: Workspace) -> None:
    answer(shapes, 30)
    run = headed(shapes)
    with pytest.raises(UsageError, match=r"has a head already.*--depth backbone"):
        finetune(shapes, Finetune(model=run.name, depth="head", precision="float32"))
    tuned = finetune(
        shapes,
        Finetune(model=run.name, precision="float32", hold_out=0.0, steps=25, workers=0),
    )
    assert tuned.depth == "backbone"
    kept = head_on(load_model(tuned.run.model_file))
    assert kept is not None
    assert len(kept.weight) == 7


def test_what_is_embedded_already_becomes_the_newest_without_being_made_again(
    shapes: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    headed(shapes)
    embed(shapes, EMBED)
    assert load_embeddings(shapes).model == "finetune-1"
    changed = shapes.embeddings.stat().st_mtime_ns
    monkeypatch.setattr(embedding, "write_embeddings", forbidden)
    told = embed(shapes, Embed(model="pretrain-1", precision="float32"))
    assert (told.images, told.new, told.index) == (120, 0, "exact (flat; 120 vectors)")
    assert load_embeddings(shapes).model == "pretrain-1"
    assert shapes.embeddings.stat().st_mtime_ns > changed  # the labeler looks again


def test_a_headed_model_whose_parent_was_never_embedded_goes_through_the_net(
    shapes: Workspace,
) -> None:
    run = headed(shapes)
    shutil.rmtree(shapes.embeddings)
    told = embed(shapes, EMBED)
    assert (told.model, told.dim, told.new) == (run.name, 263, 120)
