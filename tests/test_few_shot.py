"""Episodes, Omniglot's runs, and `likewise gallery evaluate`."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from likewise import cli
from likewise.errors import LikewiseError
from likewise.evaluation.episodes import (
    Shares,
    draw_episodes,
    gain_of,
    mean_of,
    measure_episodes,
)
from likewise.evaluation.omniglot_runs import is_omniglot_runs, read_runs
from likewise.workspace import Workspace


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@given(st.integers(2, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_an_episode_is_what_its_name_says(ways: int, shots: int, queries: int, seed: int) -> None:
    sizes = np.random.default_rng(seed).integers(1, 9, size=12)
    sizes[:ways] = shots + 1
    classes = np.repeat(np.arange(12), sizes)
    for each in draw_episodes(classes, ways, shots, queries, 3, seed):
        own = classes[each.exemplars]
        assert own.shape == (ways, shots)
        assert (own == own[:, :1]).all()
        assert len(set(own[:, 0].tolist())) == ways
        for way, rows in enumerate(each.queries):
            assert (classes[rows] == own[way, 0]).all()
            assert len(rows) == min(queries, sizes[own[way, 0]] - shots)
        used = np.concatenate((each.exemplars.ravel(), *each.queries, *each.strangers))
        assert len(np.unique(used)) == len(used)
        strange = {int(classes[rows[0]]) for rows in each.strangers}
        assert not strange & set(own[:, 0].tolist())
        assert len(strange) == min(ways, (sizes > shots).sum() - ways)


def test_equal_seeds_draw_equal_episodes_and_too_few_classes_are_told() -> None:
    classes = np.repeat(np.arange(8), 4)
    one, two, other = (list(draw_episodes(classes, 3, 1, 2, 5, seed)) for seed in (4, 4, 5))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.exemplars, b.exemplars)
    assert any(
        not np.array_equal(a.exemplars, b.exemplars) for a, b in zip(one, other, strict=True)
    )
    with pytest.raises(ValueError, match="8 classes have more than 3 images, not 9"):
        list(draw_episodes(classes, 9, 3, 1, 1, 0))


def test_accuracy_and_auc_agree_with_slow_loops_and_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(10), 6)
    vectors = unit(rng.normal(size=(10, 5))[classes] + 0.8 * rng.normal(size=(60, 5)))
    episodes = list(draw_episodes(classes, 4, 2, 3, 20, 1))
    found = measure_episodes(vectors, classes, episodes)
    right, areas = [], []
    for each in episodes:
        known = []
        for way, rows in enumerate(each.queries):
            hits = 0
            for row in rows:
                near = [[float(vectors[row] @ vectors[e]) for e in own] for own in each.exemplars]
                best = max(range(4), key=lambda place: max(near[place]))
                hits += best == way
                known.append(max(map(max, near)))
            right.append(hits / len(rows))
        for rows in each.strangers:
            strange = (vectors[rows] @ vectors[each.exemplars.ravel()].T).max(axis=1)
            truth = [1] * len(known) + [0] * len(strange)
            areas.append(roc_auc_score(truth, [*known, *strange.tolist()]))
    assert 0.4 < np.mean(right) < 0.95
    assert found.right.values == pytest.approx(right)
    assert found.apart.values == pytest.approx(areas)
    assert mean_of(found.right).value == pytest.approx(np.mean(right))


def test_chance_is_chance_and_perfect_is_perfect() -> None:
    classes = np.repeat(np.arange(40), 5)
    rng = np.random.default_rng(0)
    episodes = list(draw_episodes(classes, 5, 1, 4, 400, 0))
    noise = measure_episodes(unit(rng.normal(size=(200, 16))), classes, episodes)
    low, high = mean_of(noise.right).interval
    assert low < 0.2 < high
    assert mean_of(noise.apart).value == pytest.approx(0.5, abs=0.03)
    perfect = measure_episodes(np.eye(40, dtype=np.float32)[classes], classes, episodes)
    assert mean_of(perfect.right).value == 1
    assert mean_of(perfect.apart).value == 1


def test_intervals_know_that_classes_come_again() -> None:
    """Of 20 classes 10 are easy: the mean of other 20 such classes varies by sqrt(.25 / 20)."""
    classes = np.tile(np.arange(20), 500)
    shares = Shares(classes, (classes < 10).astype(float))
    low, high = mean_of(shares).interval
    assert (high - low) / (2 * 1.96) == pytest.approx(math.sqrt(0.25 / 20), rel=0.1)
    gain = gain_of(shares, Shares(classes, shares.values - 0.1))
    assert gain.value == pytest.approx(0.1)
    assert gain.interval == pytest.approx((0.1, 0.1))


def make_runs(root: Path, source: Path, runs: int = 3) -> Path:
    """Runs as they are published: of each class one training image, and the same again as test."""
    files = sorted(source.rglob("*.png"))
    rng = np.random.default_rng(0)
    for run in range(1, runs + 1):
        folder = root / f"run{run:02}"
        (folder / "training").mkdir(parents=True)
        (folder / "test").mkdir()
        chosen = rng.permutation(len(files))[:5]
        order = rng.permutation(5)
        lines = []
        for item, place in enumerate(order, 1):
            training = folder / "training" / f"class{place + 1:02}.png"
            test = folder / "test" / f"item{item:02}.png"
            shutil.copy(files[chosen[place]], training)
            test.write_bytes(training.read_bytes() + b"\0")  # other bytes, the same picture
            lines.append(f"run{run:02}/test/{test.name} run{run:02}/training/{training.name}")
        (folder / "class_labels.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.usefixtures("reading_here")
def test_omniglots_runs_are_read_and_recognised(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_runs(tmp_path / "all_runs", tmp_path / "in")
    assert is_omniglot_runs(root)
    assert not is_omniglot_runs(tmp_path / "in")
    assert [each.name for each in read_runs(root)] == ["run01", "run02", "run03"]
    words = ["gallery", "evaluate", str(root), "--workspace", str(embedded.path)]
    assert cli.run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["protocol"], told["ways"], told["episodes"]) == ("omniglot runs", 5, 3)
    assert [each["name"] for each in told["models"]] == ["raw pixels", "pretrain-1"]
    assert [each["accuracy"] for each in told["models"]] == [1, 1]
    assert told["missing_runs"] == 17
    assert told["models"][0]["open_set_auc"] is None
    # a key that is wrong in two places of the first run costs two of its five
    key = root / "run01" / "class_labels.txt"
    lines = [line.split() for line in key.read_text().splitlines()]
    lines[0][1], lines[1][1] = lines[1][1], lines[0][1]
    key.write_text("\n".join(map(" ".join, lines)))
    assert cli.run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["models"][1]["accuracy"] == pytest.approx((3 / 5 + 1 + 1) / 3)
    assert cli.run(words) == 0
    text = capsys.readouterr().out
    assert "5-way 1-shot, 3 runs of Omniglot's one-shot task" in text
    assert "17 runs of 20 are missing" in text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("run01/test/item01.png", "line 1: not a test image and"),
        ("run01/test/item01.png run01/training/class99.png", "line 1: not a test image and"),
        ("run01/test/item99.png run01/training/class01.png", "item99.png"),
    ],
)
def test_a_wrong_key_is_told(embedded: Workspace, tmp_path: Path, line: str, told: str) -> None:
    root = make_runs(tmp_path / "all_runs", tmp_path / "in", runs=1)
    (root / "run01" / "class_labels.txt").write_text(line + "\n")
    with pytest.raises(LikewiseError, match=told):
        read_runs(root)


@pytest.mark.usefixtures("reading_here")
def test_class_folders_are_measured_beside_raw_pixels(
    embedded: Workspace,
    picture: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Images of a class are one picture in several sizes, so that any embedding tells them."""
    root = tmp_path / "truth"
    for seed in range(12):
        for number, side in enumerate((40, 44, 48)):
            folder = root / f"alphabet-{seed % 2}" / f"sign-{seed}"  # a class below a class
            picture(folder / f"{number}.png", 100 + seed, size=(side, side))
    picture(root / "alphabet-0" / "sign-0" / "same bytes.png", 100, size=(40, 40))
    picture(root / "alphabet-0" / "sign-0" / "two classes.png", 200)
    picture(root / "alphabet-0" / "sign-2" / "two classes.png", 200)
    picture(root / "no class.png", 300)
    words = ["gallery", "evaluate", str(root), "--workspace", str(embedded.path)]
    words += ["--ways", "4", "--queries", "2", "--episodes", "50"]
    assert cli.run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["classes"], told["images"], told["ambiguous"]) == (12, 36, 1)
    assert [each["reason"] for each in told["failures"]] == ["it lies in no class folder"]
    for each in told["models"]:
        assert each["accuracy"] > 0.9
        low, high = each["accuracy_interval"]
        assert low <= each["accuracy"] <= high
        assert 0.9 < each["open_set_auc"] <= 1
    assert told["seen_in_training"] == 0
    assert cli.run(words) == 0
    assert "4-way 1-shot, 50 episodes from 12 classes, 36 images" in capsys.readouterr().out
    own = ["gallery", "evaluate", str(tmp_path / "in"), *words[3:], "--ways", "3", "--json"]
    assert cli.run(own) == 0
    assert json.loads(capsys.readouterr().out)["seen_in_training"] == 24


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["in", "--ways", "4"], 2, "3 classes have more than 1 images, not 4"),
        (["in", "--ways", "1"], 2, "--ways must be at least 2"),
        (["in", "--shots", "0"], 2, "--shots must be at least 1"),
        (["none"], 2, "none is no folder"),
        (["in/kind-0"], 1, "no folder with images in it"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    words: list[str],
    code: int,
    told: str,
    embedded: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["gallery", "evaluate", *words, "--workspace", str(embedded.path)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1
