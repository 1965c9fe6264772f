"""The same seed, data and versions: the same questions, figures and weights."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import likewise
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.models.model_files import load_model, save_model
from likewise.models.runs import read_config
from likewise.seals import write_sealed_json
from tests.breaking import Figure, times
from tests.same_again import SETTLED, everything

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Sixty small images in folders of what they show."""
    for number in range(60):
        file = tmp_path / "in" / f"kind-{number % 4}" / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        base = np.random.default_rng(number % 4).integers(0, 256, (4, 4, 3))
        noise = np.random.default_rng(number).integers(-30, 30, (4, 4, 3))
        pixels = np.clip(base + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(file)
    return tmp_path / "in"


def elsewhere(
    folder: Path, images: Path, seed: int, hashes: int, deep: bool = False
) -> dict[str, Any]:
    """What another process finds, whose sets and dictionaries are in another order."""
    command = [sys.executable, "-m", "tests.same_again", str(folder), str(images), str(seed)]
    command += ["deep"] * deep
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes)}
    said = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


@pytest.mark.breaking
@times(reduced=1, full=10)
def test_the_same_seed_asks_and_finds_the_same(
    tmp_path: Path, classes: Path, figure: Figure, times: int
) -> None:
    different: list[str] = []
    compared = 0
    for seed in range(times):
        one = elsewhere(tmp_path / f"one-{seed}", classes, seed, 1, deep=times > 1)
        other = elsewhere(tmp_path / f"other-{seed}", classes, seed, 2, deep=times > 1)
        compared += len(one["answers"]) + len(one["asked"])
        different += [f"{key} of seed {seed}" for key in one if one[key] != other[key]]
    figure(
        f"{times} loops of everything twice, in processes with other hash seeds: "
        f"{len(different)} differences ({compared:,} questions compared)"
    )
    assert different == []
    if times > 1:
        assert elsewhere(tmp_path / "third", classes, 99, 1)["asked"] != one["asked"], "seeds count"


def changed_run(workspace: likewise.Workspace, name: str, **changes: Any) -> None:
    """What somebody else's version, or the same one at another time, might have noted."""
    saved = read_config(workspace.runs / name)
    kept = saved["settings"] | changes
    saved["settings"] = {key: value for key, value in kept.items() if value is not None}
    write_sealed_json(workspace.runs / name / "config.json", saved)


@pytest.mark.breaking
@times(reduced=2, full=3)
def test_a_rerun_gives_equal_weights_and_says_when_not(
    tmp_path: Path, classes: Path, figure: Figure, times: int
) -> None:
    everything(tmp_path / "w", classes, 0, deep=times > 2)
    workspace = likewise.Workspace(tmp_path / "w")
    with open_answers(workspace) as store:  # people go on, and take something back
        store.undo("simulated")
        ids = [str(each) for each in workspace.images().ids]
        store.add([NewAnswer(ids[0], each, "dissimilar", "ada") for each in ids[1:9]])
    names = ("pretrain-1", "finetune-1", "finetune-2")[:times]
    reran = {name: workspace.rerun(name) for name in names}
    figure(f"{sum(each.same for each in reran.values())} of {len(reran)} reruns equal to the bit")
    for name, each in reran.items():
        assert each.same, (name, each)
        assert each.run.name == f"{name}-again"
        if each.run.finished:
            assert each.difference == 0
    assert "equal to the bit" in reran["pretrain-1"].as_text()
    assert workspace.rerun("pretrain-1").run.name == "pretrain-1-again-2"

    model = load_model(workspace.runs / "pretrain-1" / "model.safetensors")
    first = next(model.parameters())
    first.data.view(-1)[0] += 0.25
    save_model(workspace.runs / "pretrain-1" / "model.safetensors", model)
    changed_run(workspace, "pretrain-1", threads=0)
    other = workspace.rerun("pretrain-1", name="other")
    assert not other.same
    assert other.difference == pytest.approx(0.25)
    assert "weights differ by up to 0.25" in other.as_text()
    assert "--threads" in other.as_text()
    assert workspace.rerun("finetune-1", name="adopted").same, "others have its parent's weights"
    for name in ("pretrain-1-again", "pretrain-1-again-2", "other"):
        shutil.rmtree(workspace.runs / name)
    with pytest.raises(LikewiseError, match="gone"):
        workspace.rerun("finetune-1", name="orphan")


def test_what_cannot_be_run_again_is_told_before_it_starts(tmp_path: Path, classes: Path) -> None:
    workspace = likewise.Workspace(tmp_path / "w")
    workspace.ingest(classes, workers=1)
    with pytest.raises(UsageError, match="no run 'pretrain-1'"):
        workspace.rerun("pretrain-1")
    workspace.pretrain(epochs=1, batch_size=32, workers=0, **SETTLED)
    changed_run(workspace, "pretrain-1", tea="green")
    with pytest.raises(LikewiseError, match="trained with tea, which this version"):
        workspace.rerun("pretrain-1")
    changed_run(workspace, "pretrain-1", tea=None)
    Image.new("RGB", (32, 32), "red").save(classes / "kind-0" / "new.png")
    workspace.ingest(classes, workers=1)
    with pytest.raises(LikewiseError, match="does not hold the images"):
        workspace.rerun("pretrain-1")
    (workspace.runs / "pretrain-1" / "model.safetensors").unlink()
    with pytest.raises(LikewiseError, match="is not finished"):
        workspace.rerun("pretrain-1")
    assert [each.name for each in workspace.runs.iterdir()] == ["pretrain-1"]


def test_answers_that_came_since_from_a_file_are_noticed(tmp_path: Path, classes: Path) -> None:
    workspace = likewise.Workspace(tmp_path / "w")
    workspace.ingest(classes, workers=1)
    workspace.pretrain(epochs=1, batch_size=32, workers=0, **SETTLED)
    workspace.embed(**SETTLED)
    workspace.simulate(budget=40)
    workspace.finetune(**SETTLED)
    with open_answers(workspace) as store:
        oldest = min(each.time for each in store.history())
        ids = [str(each) for each in workspace.images().ids]
        given = {each.pair for each in store.current()}
        pairs = [(a, b) for a in ids for b in ids if a < b and (a, b) not in given]
        store.add([NewAnswer(*each, "similar", "ada", time=oldest) for each in pairs[::9]])
    with pytest.raises(LikewiseError, match="some came from a file since"):
        workspace.rerun("finetune-1")
