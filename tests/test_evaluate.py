import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from sklearn.metrics import roc_auc_score

from likewise.errors import LikewiseError, UsageError
from likewise.evaluation import scores as scoring
from likewise.evaluation.bootstrap import pairs_of
from likewise.evaluation.evaluate import evaluate, raw_pixels
from likewise.evaluation.scores import METRICS, scores
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Evaluate, Ingest
from likewise.workspace import Workspace

QUICK = Evaluate(bootstrap=20)


def unit(vectors: Any) -> Any:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def class_vectors(images: Images, noise: float) -> Any:
    """Vectors that tell the classes apart, but for noise."""
    labels = [int(images.path(row).parent.name[-1]) for row in range(len(images))]
    random = np.random.default_rng(1)
    return unit(np.eye(6)[labels] + noise * random.normal(size=(len(images), 6)))


@pytest.fixture
def labelled(workspace: Workspace, tmp_path: Path, picture: Any) -> Workspace:
    """Sixty images of four classes, half of them held out, with a bad and a good model."""
    for seed in range(60):
        picture(tmp_path / "photos" / f"class{seed % 4}" / f"{seed}.png", seed, (12, 10))
    ingest(workspace, Ingest(images=(tmp_path / "photos",), hold_out=0.5, workers=1))
    images = open_images(workspace)
    for name, noise in (("pretrain-1", 2.0), ("finetune-1", 0.05)):
        vectors = class_vectors(images, noise)
        write_embeddings(workspace, iter([vectors]), images.ids, 6, f"of-{name}", name)
    return workspace


def test_table_of_all_models(labelled: Workspace) -> None:
    found = evaluate(labelled, QUICK).as_json()
    assert json.loads(json.dumps(found)) == found
    names = [(each["name"], each["fingerprint"]) for each in found["models"]]
    assert names == [
        ("raw pixels", "pixels-32"),
        ("pretrain-1", "of-pretrain-1"),
        ("finetune-1", "of-finetune-1"),
    ]
    images = open_images(labelled)
    held_out = int(images.held_out.sum())
    assert (found["queries"], found["gallery"]) == (held_out, 60 - held_out)
    bad, good = found["models"][1:]
    for metric in ("recall@1", "map@r", "auc", "knn"):
        low, high = good["intervals"][metric]
        assert 0 <= low <= good[metric] <= high <= 1
        assert good[metric] > bad[metric]
    assert good["eer"] < bad["eer"]


def test_figures_are_those_of_the_held_out_images(labelled: Workspace) -> None:
    images = open_images(labelled)
    labels = np.array([int(images.path(row).parent.name[-1]) for row in range(60)])
    vectors = class_vectors(images, 2.0)
    held, rest = images.held_out, ~images.held_out
    ours = evaluate(labelled, QUICK).as_json()["models"][1]
    oracle = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision_at_r"), k="max_bin_count"
    ).get_accuracy(vectors[held], labels[held])
    assert ours["recall@1"] == pytest.approx(oracle["precision_at_1"], abs=1e-6)
    assert ours["map@r"] == pytest.approx(oracle["mean_average_precision_at_r"], abs=1e-6)
    one, other = np.triu_indices(int(held.sum()), k=1)
    similarity = vectors[held] @ vectors[held].T
    same = labels[held][one] == labels[held][other]
    assert ours["auc"] == pytest.approx(roc_auc_score(same, similarity[one, other]), abs=1e-6)
    weights = np.exp(vectors[held] @ vectors[rest].T / 0.07)
    for row in weights:
        row[np.argsort(-row)[20:]] = 0
    votes = weights @ np.eye(4)[labels[rest]]
    right = votes.argmax(axis=1) == labels[held]
    assert ours["knn"] == pytest.approx(right.mean(), abs=1e-6)


def test_all_images_without_a_gallery(labelled: Workspace) -> None:
    found = evaluate(labelled, Evaluate(on="all", bootstrap=0)).as_json()
    assert (found["queries"], found["held_out"]) == (60, False)
    assert found["models"][0]["images"] == 60
    assert found["models"][0]["intervals"]["auc"] == [None, None]


def test_text_marks_the_best_and_explains(labelled: Workspace) -> None:
    lines = evaluate(labelled, QUICK).as_text().splitlines()
    assert lines[0].split() == ["model", *METRICS]
    assert [line.split("  ")[0] for line in lines[2:5]] == [
        "raw pixels",
        "pretrain-1",
        "finetune-1",
    ]
    assert lines[4].count("*") == len(METRICS)
    assert lines[3].count("*") == 0
    assert "held-out images of 4 classes" in lines[6]


def test_models_that_find_less_than_raw_pixels_are_told(
    workspace: Workspace, tmp_path: Path
) -> None:
    for seed in range(24):  # plain grounds of four colours, which pixels tell at once
        colour = (200, 60, 30, 120)[seed % 4]
        path = tmp_path / "plain" / f"class{seed % 4}" / f"{seed}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (colour, 10 * (seed % 4), seed)).save(path)
    ingest(workspace, Ingest(images=(tmp_path / "plain",), workers=1))
    images = open_images(workspace)
    noise = unit(np.random.default_rng(0).normal(size=(24, 6)))
    write_embeddings(workspace, [noise], images.ids, 6, "noise", "noise")
    assert "no model finds as much as raw pixels" in evaluate(workspace, QUICK).as_text()
    write_embeddings(workspace, [class_vectors(images, 0)], images.ids, 6, "good", "good")
    assert "raw pixels do" not in evaluate(workspace, QUICK).as_text()


def test_images_that_came_later_are_left_out_and_named(
    labelled: Workspace, tmp_path: Path, picture: Any
) -> None:
    before = evaluate(labelled, QUICK)
    for seed in range(100, 103):
        picture(tmp_path / "photos" / "class1" / f"{seed}.png", seed, (12, 10))
    ingest(labelled, Ingest(workers=1))
    after = evaluate(labelled, QUICK)
    assert after.as_json()["models"] == before.as_json()["models"]
    assert after.as_json()["not_embedded"] == {"pretrain-1": 3, "finetune-1": 3}
    assert "finetune-1: 3 images have no embedding" in after.as_text()


def test_two_models_of_one_name_can_be_told_apart(labelled: Workspace) -> None:
    images = open_images(labelled)
    vectors = class_vectors(images, 1.0)
    write_embeddings(labelled, iter([vectors]), images.ids, 6, "another-one", "pretrain-1")
    names = [each.name for each in evaluate(labelled, QUICK).models]
    assert names == [
        "raw pixels",
        "pretrain-1 (of-pretr)",
        "finetune-1",
        "pretrain-1 (another-)",
    ]


def test_seed_decides(labelled: Workspace) -> None:
    first, again, other = (
        evaluate(labelled, Evaluate(bootstrap=20, seed=seed), limit=15).as_json()
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert (first["queries"], first["gallery"]) == (15, 15)


def test_raw_pixels_average_over_areas(workspace: Workspace, tmp_path: Path, picture: Any) -> None:
    from PIL import Image

    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[::2] = 200
    (tmp_path / "photos").mkdir()
    Image.fromarray(stripes).save(tmp_path / "photos" / "stripes.png")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "photos" / "black.png")
    ingest(workspace, Ingest(images=(tmp_path / "photos",), workers=1))
    images = open_images(workspace)
    rows = {images.path(row).stem: row for row in range(2)}
    vectors = raw_pixels(images, np.array([rows["stripes"], rows["black"]]))
    assert np.linalg.norm(vectors[0]) == pytest.approx(1)
    assert np.ptp(vectors[0]) < 1e-6  # half grey everywhere, no stripes left over
    assert not vectors[1].any()


class TestRefusals:
    def test_no_embeddings(self, workspace: Workspace, tmp_path: Path, picture: Any) -> None:
        picture(tmp_path / "photos" / "a.png")
        ingest(workspace, Ingest(images=(tmp_path / "photos",), workers=1))
        with pytest.raises(LikewiseError, match="no embeddings yet"):
            evaluate(workspace, QUICK)

    def test_nothing_held_out(self, labelled: Workspace) -> None:
        labelled.update(hold_out=0.0)
        assert evaluate(labelled, QUICK).as_json()["held_out"] is False
        with pytest.raises(LikewiseError, match="no image is held out"):
            evaluate(labelled, Evaluate(on="held-out"))

    def test_too_little_truth(self, labelled: Workspace, tmp_path: Path) -> None:
        truth = tmp_path / "truth.csv"
        truth.write_text(f"id,class\n{open_images(labelled).ids[0]},a\n")
        with pytest.raises(LikewiseError, match="images of known class"):
            evaluate(labelled, Evaluate(truth=str(truth)))

    def test_wrong_setting(self, labelled: Workspace) -> None:
        with pytest.raises(UsageError, match="--bootstrap"):
            evaluate(labelled, Evaluate(bootstrap=-1))


class TestScores:
    def test_one_class_leaves_pair_figures_undefined(self) -> None:
        vectors = unit(np.random.default_rng(0).normal(size=(10, 4)))
        found = scores(vectors, np.array(["a"] * 10))
        assert found.values["recall@1"] == 1
        assert math.isnan(found.values["auc"])
        assert math.isnan(found.values["eer"])
        assert math.isnan(found.intervals["auc"][0])

    def test_every_class_once_leaves_all_undefined(self) -> None:
        vectors = unit(np.random.default_rng(0).normal(size=(5, 4)))
        found = scores(vectors, np.array(list("abcde")))
        assert all(map(math.isnan, found.values.values()))

    def test_pair_scores_in_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        vectors = unit(np.random.default_rng(0).normal(size=(40, 4)))
        pairs = pairs_of(np.arange(40) % 3, 10_000, 0)
        at_once = scoring.pair_scores(vectors, pairs)
        monkeypatch.setattr(scoring, "_GRAM", 1)
        monkeypatch.setattr(scoring, "_BLOCK", 100)
        assert scoring.pair_scores(vectors, pairs) == pytest.approx(at_once, abs=1e-6)
