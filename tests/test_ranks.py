"""Several processes under `torchrun`: what they make is what one process makes alone."""

import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch.nn.modules._functions import SyncBatchNorm

from likewise import cli, ranks
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.models.machine import pick_device
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, runs_of, start_run
from likewise.neighbours import embedding
from likewise.neighbours.embedding import embed
from likewise.neighbours.parts import Part, Source, joined, parts_in
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import Embed, Ingest, Pretrain
from likewise.training.checkpoint import read_checkpoint
from likewise.training.pretrain import pretrain
from likewise.workspace import Workspace

ROOT = Path(__file__).parents[1]
PRETRAIN = (
    *("pretrain", "--batch-size", "13", "--epochs", "4", "--projector-dim", "32"),
    *("--predictor-dim", "8", "--image-size", "16", "--preset", "natural", "--lr", "0.1"),
    *("--precision", "float32", "--workers", "0", "--threads", "1"),
)
"""13 images a step do not divide by two; 26 images make two steps an epoch."""
EMBED = ("embed", "--precision", "float32", "--batch-size", "2", "--threads", "1")
TUNE = (
    *("finetune", "--depth", "backbone", "--steps", "25", "--batch-size", "9"),
    *("--precision", "float32", "--workers", "0", "--threads", "1", "--lr", "1e-4"),
)
SUPCON = (*TUNE, "--hold-out", "0", "--simsiam", "0.5")
CONTRASTIVE = (*TUNE, "--hold-out", "0.3", "--loss", "contrastive", "--spread", "4")


@dataclass(frozen=True)
class Ended:
    """A job that came to its end."""

    code: int
    out: str
    err: str
    seconds: float
    noted: list[list[int]]
    """Exit codes of its commands, by rank."""


def launch(
    folder: Path, *steps: tuple[object, ...], processes: int = 2, patience: float = 240
) -> Ended:
    """Run the steps (see `tests.rank_job`) by the real launcher."""
    plan = folder / "plan.json"
    plan.write_text(json.dumps(steps))
    started = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(processes), "-m", "tests.rank_job", str(plan)),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    seconds = time.monotonic() - started
    files = [plan.with_suffix(f".{rank}") for rank in range(processes)]
    noted = [json.loads(each.read_text()) for each in files if each.exists()]
    return Ended(done.returncode, done.stdout, done.stderr, seconds, noted)


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if "LIKEWISE" not in name}
    return kept | {"PYTHONPATH": f"{ROOT}/ssl:{ROOT}/labeler:{ROOT}"}


def on(workspace: Workspace, command: tuple[str, ...]) -> tuple[str, ...]:
    return "likewise", *command, "--workspace", str(workspace.path)


def alone(workspace: Workspace, *command: str) -> None:
    assert cli.run([*command, "--workspace", str(workspace.path)]) == 0


def copy_of(workspace: Workspace, name: str) -> Workspace:
    target = workspace.path.with_name(name)
    shutil.copytree(workspace.path, target)
    return Workspace(target)


def assert_same_training(one: Run, two: Run, tolerance: float = 1e-4) -> None:
    assert [row["epoch"] for row in two.metrics()] == [row["epoch"] for row in one.metrics()]
    for own, other in zip(two.metrics(), one.metrics(), strict=True):
        own.pop("seconds")
        other.pop("seconds")
        assert own == pytest.approx(other, rel=tolerance * 10, abs=tolerance * 10)
    weights, expected = load_file(two.model_file), load_file(one.model_file)
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=tolerance, atol=tolerance)


def assert_same_vectors(one: Embeddings, two: Embeddings) -> None:
    assert two.ids.tolist() == one.ids.tolist()
    np.testing.assert_allclose(two.vectors, one.vectors, atol=1e-5)
    np.testing.assert_array_equal(two.neighbours()[0][:, 0], one.neighbours()[0][:, 0])


def modelled(workspace: Workspace, folder: Path, count: int) -> Workspace:
    """A workspace with some images and a model."""
    draw(folder, count)
    ingest(workspace, Ingest(images=(folder,), workers=1))
    torch.manual_seed(count)
    run = start_run(workspace, "pretrain", {}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=16))
    return workspace


def draw(folder: Path, count: int) -> None:
    folder.mkdir()
    for seed in range(count):
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((32, 24)).save(folder / f"{seed}.png")


def answered(workspace: Workspace) -> None:
    """40 answers: images are similar if the numbers of their files are both odd or both even."""
    images = open_images(workspace)
    rng = np.random.default_rng(1)
    kind = {str(each): int(images.path(row).stem) % 2 for row, each in enumerate(images.ids)}
    pairs = [rng.choice(images.ids, 2, replace=False).tolist() for _ in range(40)]
    with open_answers(workspace) as store:
        store.add(
            [
                NewAnswer(a, b, "similar" if kind[a] == kind[b] else "dissimilar", "test")
                for a, b in pairs
            ]
        )


@dataclass(frozen=True)
class Made:
    """The same commands by one process and by two."""

    one: Workspace
    two: Workspace
    few: dict[int, tuple[Workspace, Workspace]]
    """Workspaces of few images, by their number."""
    ended: Ended


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One job does everything, since it takes long to start."""
    folder = tmp_path_factory.mktemp("ranks")
    one = Workspace(folder / "one")
    draw(folder / "in", 26)
    ingest(one, Ingest(images=(folder / "in",), workers=1))
    answered(one)
    two = copy_of(one, "two")
    for command in (PRETRAIN, EMBED, SUPCON, CONTRASTIVE):
        alone(one, *command)
    few = {}
    for count in (7, 1):
        small = modelled(Workspace(folder / f"{count}-alone"), folder / f"in-{count}", count)
        few[count] = small, copy_of(small, f"{count}-shared")
        alone(small, *EMBED)
    ended = launch(
        folder,
        ("signal", "itself", signal.SIGTERM, 3),
        *(on(two, each) for each in (PRETRAIN, PRETRAIN, EMBED, SUPCON, CONTRASTIVE)),
        *(on(shared, EMBED) for _, shared in few.values()),
        ("likewise", "status"),
        ("check", "joint_norms_are_those_of_the_whole_batch"),
        ("check", "gradients_are_those_of_the_whole_batch"),
        ("check", "steps_are_those_of_one_process"),
        ("check", "everybody_is_told"),
    )
    return Made(one, two, few, ended)


def test_two_processes_train_as_one(made: Made) -> None:
    """Also when one of them was told to stop in between: both stop after the same step."""
    assert made.ended.code == 0, made.ended.err
    run = runs_of(made.two)[0]
    assert_same_training(runs_of(made.one)[0], run)
    assert not list(run.folder.glob(".*"))
    assert len(list((run.folder / "tensorboard").iterdir())) == 2  # a file per start
    assert "going on at epoch 2, step 2" in made.ended.err
    assert made.ended.err.count("likewise: stopped; run the same command again to go on") == 1


def test_two_processes_embed_as_one(made: Made) -> None:
    assert_same_vectors(load_embeddings(made.one), load_embeddings(made.two))
    for count, (one, shared) in made.few.items():
        assert len(load_embeddings(shared).ids) == count
        assert_same_vectors(load_embeddings(one), load_embeddings(shared))
        assert len(list(shared.embeddings.iterdir())) == 1  # no part is left


def test_two_processes_tune_as_one(made: Made) -> None:
    names = ["pretrain-1", "finetune-1", "finetune-2"]
    one, two = runs_of(made.one), runs_of(made.two)
    assert [run.name for run in two] == [run.name for run in one] == names
    assert two[1].metrics()[0]["loss"] == pytest.approx(one[1].metrics()[0]["loss"], rel=1e-3)
    moved, expected = learnt(*two[:2]), learnt(*one[:2])
    assert (moved - expected).norm() < 0.1 * expected.norm()  # AdamW magnifies rounding
    measured = [json.loads((each[2].folder / "measured.json").read_text()) for each in (one, two)]
    for key in ("before", "after", "judged"):
        assert measured[1][key] == pytest.approx(measured[0][key], abs=0.1)


def learnt(parent: Run, tuned: Run) -> torch.Tensor:
    """What a tuned net's weights have moved."""
    before, after = load_file(parent.model_file), load_file(tuned.model_file)
    names = [name for name in after if name.endswith(("weight", "bias"))]
    return torch.cat([(after[name] - before[name]).flatten() for name in names])


def test_only_the_first_process_talks(made: Made) -> None:
    ended = made.ended
    assert ended.noted == [[1, 0, 0, 0, 0, 0, 0, 2]] * 2
    assert ended.out.count("next: `likewise embed`") == 2
    assert ended.err.count("embedding 26 of 26 images") == 1
    assert "2 processes" in ended.err
    assert "Traceback" not in ended.err
    assert "Warning" not in ended.err
    told = "`likewise status` is work for one process; start it without torchrun"
    assert f"likewise: {told}" in ended.err


def test_a_killed_process_ends_the_job_and_the_next_one_goes_on(made: Made, tmp_path: Path) -> None:
    workspace = untrained(tmp_path)
    ended = launch(tmp_path, ("signal", "itself", signal.SIGKILL, 5), on(workspace, PRETRAIN))
    assert ended.code != 0
    assert "SIGKILL" in ended.err
    assert "a bug in Likewise?" not in ended.err
    assert ended.seconds < 200
    (run,) = runs_of(workspace)
    assert not run.finished
    assert not list(run.folder.glob(".*"))
    assert [row["epoch"] for row in run.metrics()] == [1, 2]
    alone(workspace, *PRETRAIN)
    assert_same_training(runs_of(made.one)[0], runs_of(workspace)[0])


@pytest.mark.long
def test_a_launcher_that_is_told_to_stop_leaves_a_checkpoint(made: Made, tmp_path: Path) -> None:
    workspace = untrained(tmp_path)
    ended = launch(tmp_path, ("signal", "launcher", signal.SIGTERM, 3), on(workspace, PRETRAIN))
    assert ended.code != 0
    assert "likewise: stopped; run the same command again to go on" in ended.err
    (run,) = runs_of(workspace)
    position = read_checkpoint(run)["position"]
    assert (position["epoch"], position["step"]) == (1, 1)
    alone(workspace, *PRETRAIN)
    assert_same_training(runs_of(made.one)[0], runs_of(workspace)[0])


def untrained(folder: Path) -> Workspace:
    draw(folder / "in", 26)
    workspace = Workspace(folder / "workspace")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    return workspace


@pytest.mark.long
def test_killed_while_embedding_what_is_done_stays(tmp_path: Path) -> None:
    workspace = modelled(Workspace(tmp_path / "workspace"), tmp_path / "in", 11)
    ended = launch(tmp_path, ("signal", "itself", signal.SIGKILL, 2), on(workspace, EMBED))
    assert ended.code != 0
    assert not list(workspace.embeddings.glob("[!.]*"))
    (folder,) = workspace.embeddings.iterdir()
    assert len(parts_in(folder, 256)[-1].ids) == 4  # two batches of process 1
    third = launch(tmp_path, on(workspace, EMBED), processes=3)
    assert third.code == 0
    assert "embedding 7 of 11 images" in third.err or "embedding 2 of 11 images" in third.err
    shared = load_embeddings(workspace)
    shutil.rmtree(shared.folder)
    alone(workspace, *EMBED)
    assert_same_vectors(load_embeddings(workspace), shared)


@pytest.mark.long
def test_three_processes_go_on_where_two_stopped(made: Made, tmp_path: Path) -> None:
    workspace = untrained(tmp_path)
    stop = ("signal", "itself", signal.SIGINT, 5)
    assert launch(tmp_path, stop, on(workspace, PRETRAIN)).code == 1
    ended = launch(tmp_path, on(workspace, PRETRAIN), processes=3)
    assert ended.code == 0
    assert "going on at epoch 3, step 2" in ended.err
    assert_same_training(runs_of(made.one)[0], runs_of(workspace)[0])


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        ("--backbone", "resnet18", "--workers", "1"),
        ("--backbone", "timm/vit_tiny_patch16_224", "--image-size", "32", "--views", "3"),
        ("--views-on", "device"),
    ],
    ids=lambda options: options[1],
)
def test_other_nets_train_as_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    one = untrained(tmp_path)
    two = copy_of(one, "two")
    command = (*PRETRAIN, "--epochs", "1", *options)
    alone(one, *command)
    ended = launch(tmp_path, on(two, command))
    assert ended.code == 0
    assert "Warning" not in ended.err
    (own,), (other,) = runs_of(one), runs_of(two)
    assert other.metrics()[0]["loss"] == pytest.approx(own.metrics()[0]["loss"], abs=1e-4)


def test_vectors_of_an_interrupted_job_are_kept_whoever_made_them(tmp_path: Path) -> None:
    workspace = modelled(Workspace(tmp_path / "workspace"), tmp_path / "in", 9)
    ids = open_images(workspace).ids.tolist()
    marks = np.eye(9, 256, dtype=np.float32)
    folder = workspace.embeddings / f".{runs_of(workspace)[0].fingerprint}.partial"
    for rank, (share, done) in enumerate([(slice(0, 3), 2), (slice(3, 6), 3), (slice(6, 9), 0)]):
        with Part(folder, f"4-{rank}", ids[share]) as part:
            part.add(marks[share][:done])
    with (folder / "4-0.f32").open("ab") as file:
        file.write(b"half")  # of a vector
    seen: list[int] = []
    original = embedding.whole_views

    def watched(images: Images, rows: list[int], size: int) -> np.ndarray:
        seen.extend(rows)
        return original(images, rows, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "whole_views", watched)
        told = embed(workspace, Embed(precision="float32", batch_size=2))
    assert seen == [2, 6, 7, 8]
    assert told.new == 9
    vectors = load_embeddings(workspace).vectors
    assert np.array_equal(vectors[[0, 1, 3, 4, 5]], marks[[0, 1, 3, 4, 5]])
    assert [each.name for each in workspace.embeddings.iterdir()] == [told.fingerprint]


def test_an_image_without_a_vector_is_told() -> None:
    ids = np.array(["a", "b", "c"])
    source = Source(["c", "a", "gone"], np.eye(3, dtype=np.float32))
    with pytest.raises(LikewiseError, match="1 of 3 images were given no vector"):
        list(joined(ids, [source], 3))
    other = Source(["b"], np.full((1, 3), 2, np.float32))
    (chunk,) = joined(ids, [source, other], 3)
    assert chunk.tolist() == [[0, 1, 0], [2, 2, 2], [1, 0, 0]]


@given(total=st.integers(0, 60), count=st.integers(1, 9))
def test_shares_leave_nothing_out_and_are_even(total: int, count: int) -> None:
    shares = [range(total)[ranks.Rank(each, count).share(total)] for each in range(count)]
    assert [one for share in shares for one in share] == list(range(total))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_without_torchrun_a_process_is_alone() -> None:
    assert ranks.here({}) == ranks.here({"WORLD_SIZE": "4"}) == ranks.Rank(0, 1, 0, 1)
    assert ranks.here({}).first
    assert ranks.here({}).alone
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    assert ranks.here(told) == ranks.Rank(5, 8, 1, 4)


@pytest.mark.parametrize("rank", ["2", "-1", "first"])
def test_an_environment_that_cannot_be_is_told(rank: str) -> None:
    with pytest.raises(UsageError, match=f"RANK={rank} WORLD_SIZE=2"):
        ranks.here({"RANK": rank, "WORLD_SIZE": "2"})


def test_each_process_has_its_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    taken: list[int] = []
    monkeypatch.setattr("torch.cuda.set_device", taken.append)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda", 1)
    assert taken == [1, 1]
    assert pick_device("cpu") == torch.device("cpu")
    with pytest.raises(UsageError, match="--device cuda:0"):
        pick_device("cuda:0")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(UsageError, match="2 processes on this machine, which has 1 GPU"):
        pick_device("auto")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert pick_device("auto") == torch.device("cpu")


def test_more_processes_than_images_in_a_batch_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workspace = untrained(tmp_path)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "14")
    with pytest.raises(UsageError, match="14 processes are too many for a batch of 13"):
        pretrain(workspace, Pretrain(batch_size=13))


def test_torchs_own_joint_norm_takes_what_it_is_given() -> None:
    """It runs on GPUs alone, where these tests don't: its parameters, at least, are these."""
    names = list(inspect.signature(SyncBatchNorm.forward).parameters)
    assert names[1:] == [
        *("input", "weight", "bias", "running_mean", "running_var"),
        *("eps", "momentum", "process_group", "world_size"),
    ]
