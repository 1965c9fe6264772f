"""Files that are damaged and disks that are full, by the thousand: told, and nothing is lost."""

import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise import cli
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError
from likewise.images.store import open_images
from likewise.inference.gallery_store import GalleryStore, NewExemplar
from likewise.jobs.job import Job, read_job, write_job
from likewise.models import model_files
from likewise.models.model_files import load_model, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, runs_of
from likewise.neighbours.vectors import load_embeddings
from likewise.training import checkpoint
from likewise.workspace import Workspace
from tests import doomed
from tests.breaking import Figure, times
from tests.warmed import begin, ended

NET = {"weights": torch.arange(3000.0), "bias": torch.ones(7)}


def run_in(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder, "pretrain", {}, "", None)


@pytest.mark.breaking
@times(reduced=6, full=200)
def test_a_writer_that_is_killed_leaves_a_checkpoint(
    times: int, tmp_path: Path, figure: Figure
) -> None:
    """SIGKILL at any moment of writing one checkpoint after the other."""
    run, rng = run_in(tmp_path / "runs" / "one"), random.Random(0)
    unreadable = older = 0
    for _ in range(times):
        heard = tmp_path / "heard"
        heard.unlink(missing_ok=True)
        process = begin(doomed.write_checkpoints, run.folder, heard)
        while not (heard.exists() and heard.stat().st_size):
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        assert ended(process) == -signal.SIGKILL
        try:
            assert checkpoint.has_checkpoint(run)
            saved = checkpoint.read_checkpoint(run)
            assert (saved["weights"] == saved["number"]).all()
            older += saved["number"] < int(heard.read_text().split()[-1])
        except LikewiseError:
            unreadable += 1
    figure(f"{times} kills, {unreadable} unreadable, {older} older than what was acknowledged")
    assert unreadable == older == 0


def damaged(rng: random.Random, whole: bytes, cut: bool) -> bytes:
    """The bytes with one of them changed, or without the last ones."""
    if cut:
        return whole[: rng.randrange(len(whole))]
    place = rng.randrange(len(whole))
    changed = whole[place] ^ (1 << rng.randrange(8) if rng.random() < 0.5 else rng.randint(1, 255))
    return whole[:place] + bytes([changed]) + whole[place + 1 :]


@pytest.mark.breaking
@times(60, 1000)
def test_a_damaged_checkpoint_makes_room_for_the_one_before(
    times: int, tmp_path: Path, figure: Figure, capsys: pytest.CaptureFixture[str]
) -> None:
    run, rng = run_in(tmp_path / "runs" / "one"), random.Random(1)
    for number in (1, 2):
        checkpoint.write_checkpoint(run, {**NET, "number": number})
    last, before = run.checkpoint_file.read_bytes(), run.checkpoint_before.read_bytes()
    used = 0
    for number in range(times):
        run.checkpoint_file.unlink()  # it may share its bytes with another name
        run.checkpoint_file.write_bytes(damaged(rng, last, cut=number % 2 == 0))
        run.checkpoint_before.write_bytes(before)
        assert checkpoint.has_checkpoint(run)
        told = capsys.readouterr().err.splitlines()
        one = f"{run.checkpoint_file} is damaged; going on from the checkpoint before it"
        used += told == [one] and checkpoint.read_checkpoint(run)["number"] == 1
    figure(f"{used} of {times} damages found, the checkpoint before used")
    assert used == times


@dataclass(frozen=True)
class Format:
    """One of our files, and what reads it in full."""

    file: Path
    read: Callable[[], object]


def formats_of(workspace: Workspace) -> dict[str, Format]:
    """A file of each format, all of which are whole."""
    (run,) = runs_of(workspace)
    embeddings = load_embeddings(workspace).folder
    checkpoint.write_checkpoint(run, NET)
    job = Job(workspace.path / "jobs" / "1", (("embed",),), datetime.now(UTC), "done")
    write_job(job)

    def every_image() -> None:
        images = open_images(workspace)
        for row in range(len(images)):
            images[row]

    found = {
        name: Format(embeddings / name, lambda: load_embeddings(workspace))
        for name in ("vectors.npy", "ids.npy", "neighbours.npz", "index.faiss", "meta.json")
    }
    return {
        **found,
        "model.safetensors": Format(run.model_file, lambda: load_model(run.model_file)),
        "config.json": Format(run.folder / "config.json", lambda: runs_of(workspace)),
        "checkpoint.pt": Format(run.checkpoint_file, lambda: checkpoint.read_checkpoint(run)),
        "images.parquet": Format(workspace.manifest_file, lambda: open_images(workspace)),
        "images.1.pixels": Format(workspace.path / "images.1.pixels", every_image),
        "job.json": Format(job.folder / "job.json", lambda: read_job(job.folder)),
    }


FORMATS = (
    *("vectors.npy", "ids.npy", "neighbours.npz", "index.faiss", "meta.json"),
    *("model.safetensors", "config.json", "checkpoint.pt", "images.parquet"),
    *("images.1.pixels", "job.json"),
)


@pytest.mark.breaking
@pytest.mark.parametrize("name", FORMATS)
@times(39, 13_000)
def test_damage_is_refused_in_each_format(
    times: int,
    name: str,
    embedded: Workspace,
    figure: Figure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 13, ten are changed bytes and three are cuts."""
    net = build_backbone("small", image_size=24)
    monkeypatch.setattr(model_files, "assemble", lambda architecture: net)  # quicker
    one = formats_of(embedded)[name]
    whole, rng = one.file.read_bytes(), random.Random(2)
    one.read()
    one.file.unlink()
    refused, taken = [0, 0], list[bytes]()
    for number in range(times):
        cut = number % 13 >= 10
        spoilt = damaged(rng, whole, cut)
        one.file.write_bytes(spoilt)
        try:
            one.read()
        except LikewiseError as error:
            refused[cut] += "\n" not in str(error)
        else:
            taken.append(spoilt)
    cuts = sum(each % 13 >= 10 for each in range(times))
    figure(f"{refused[0]} of {times - cuts} changes and {refused[1]} of {cuts} cuts refused")
    assert not taken
    assert sum(refused) == times


@pytest.mark.breaking
@times(60, 3000)
def test_a_damaged_vector_of_the_gallery_is_not_used(
    times: int, ready: Workspace, figure: Figure
) -> None:
    """Nor a picture: the vector is made again from it, or its exemplar is named."""
    store, rng = GalleryStore(ready), random.Random(3)
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    store.add([NewExemplar("one", "f" * 32, "/a.png", picture)])
    store.keep_vectors("net", {"f" * 32: np.full(8, 8**-0.5, np.float32)})
    refused = 0
    with sqlite3.connect(ready.path / "gallery.db") as database:
        for number in range(times):
            table, column = (("vectors", "vector"), ("pictures", "png"))[number % 2]
            (whole,) = database.execute(f"SELECT {column} FROM {table}").fetchone()
            spoilt = damaged(rng, whole, cut=number % 4 > 1)
            database.execute(f"UPDATE {table} SET {column} = ?", (spoilt,))
            database.commit()
            if table == "vectors":
                refused += not store.vectors("net", 8)
            else:
                with pytest.raises(LikewiseError, match="picture of an exemplar of 'one'"):
                    store.picture("f" * 32)
                refused += 1
            database.execute(f"UPDATE {table} SET {column} = ?", (whole,))
            database.commit()
    figure(f"{refused} of {times} damaged vectors and pictures refused")
    assert refused == times


# Full disks.

Full = Callable[[Path], AbstractContextManager[None]]


@contextmanager
def no_larger_files(_: Path) -> Iterator[None]:
    """No file can be made larger than a few bytes, as on a full disk; needs no rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Nothing is left of the disk that ``folder`` is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


@pytest.fixture(params=["limit", pytest.param("disk", marks=pytest.mark.long)])
def filling(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Full]]:
    """A folder, and what lets nothing be written there."""
    if request.param == "limit":
        yield tmp_path, no_larger_files
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root; the same is tried with a limit to files")
    yield disk, full_disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


TRAIN = (
    *("pretrain", "--batch-size", "8", "--epochs", "1", "--projector-dim", "32", "--image-size"),
    *("16", "--precision", "float32", "--workers", "0", "--threads", "1", "--preset", "natural"),
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "manifest and prepared store": ("ingest", "--workers", "1"),
    "run": TRAIN,
    "vectors, index and neighbours": ("embed", "--precision", "float32", "--threads", "1"),
    "database": ("answers", "import", "{given}/answers.csv"),
    "gallery": ("gallery", "add", "two", "{given}/in/kind-2/02.png"),
    "report": ("report", "--out", "{old}.html"),
    "exported vectors": ("embeddings", "export", "{old}.parquet"),
    "exported answers": ("answers", "export", "{old}.csv"),
    "duplicates": ("duplicates", "--out", "{old}.json"),
    "export": ("export", "{old}.folder"),
}


def run_command(name: str, workspace: Workspace, given: Path) -> int:
    words = [each.format(given=given, old=workspace.path / "old") for each in COMMANDS[name]]
    return cli.run([*words, "--workspace", str(workspace.path)])


@pytest.mark.breaking
@pytest.mark.parametrize(
    "name", [*list(COMMANDS)[:-1], pytest.param("export", marks=pytest.mark.long)]
)
def test_a_full_disk_keeps_what_was_there(
    name: str,
    filling: tuple[Path, Full],
    embedded: Workspace,
    picture: Callable[..., Path],
    tmp_path: Path,
    figure: Figure,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, full = filling
    workspace = Workspace(shutil.copytree(embedded.path, folder / "here"))
    ids = open_images(workspace).ids.tolist()
    with open_answers(workspace) as store:
        store.add([NewAnswer(ids[0], ids[1], "similar", "ada")])
    assert cli.run([*_gallery(workspace, "one"), str(tmp_path / "in/kind-0/00.png")]) == 0
    for suffix in ("html", "parquet", "csv", "json"):
        (workspace.path / f"old.{suffix}").write_text("old")
    (workspace.path / "old.folder").mkdir()
    rows = "\n".join(f"{ids[n]},{ids[n + 1]},similar" for n in range(2, 20))
    (tmp_path / "answers.csv").write_text(f"id_a,id_b,verdict\n{rows}\n")
    picture(tmp_path / "in" / "new.png", 99)
    if name == "vectors, index and neighbours":
        assert cli.run(["ingest", "--workers", "1", "--workspace", str(workspace.path)]) == 0
    before = _contents(workspace)
    capsys.readouterr()
    with full(folder):
        code = run_command(name, workspace, tmp_path)
    told = [each for each in capsys.readouterr().err.splitlines() if each.startswith("likewise:")]
    figure(f"{name}: {told[-1] if told else 'nothing was told'}")
    assert code == 1
    assert len(told) == 1
    if full is full_disk:
        assert "the disk is full" in told[0]
    assert _contents(workspace) == before
    assert run_command(name, workspace, tmp_path) == 0, "once there is room again, it works"


@pytest.mark.breaking
@pytest.mark.parametrize("name", ["checkpoint", "model", "job"])
def test_a_full_disk_keeps_the_old_file(
    name: str, filling: tuple[Path, Full], figure: Figure
) -> None:
    folder, full = filling
    run, net = run_in(folder / "runs" / "one"), build_backbone("small", image_size=16)
    job = Job(folder / "jobs" / "1", (("embed",),), datetime.now(UTC), "done")
    writers: dict[str, tuple[Path, Callable[[], object]]] = {
        "checkpoint": (
            run.checkpoint_file,
            lambda: checkpoint.write_checkpoint(run, {"weights": torch.ones(30_000)}),
        ),
        "model": (run.model_file, lambda: save_model(run.model_file, net)),
        "job": (job.folder / "job.json", lambda: write_job(job)),
    }
    file, write = writers[name]
    write()
    before = file.read_bytes()
    with full(folder), pytest.raises(LikewiseError, match="could not write") as told:
        write()
    figure(f"{name}: {told.value}")
    assert "\n" not in str(told.value)
    if full is full_disk:
        assert "the disk is full; free some space" in str(told.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
    write()


def _gallery(workspace: Workspace, name: str) -> tuple[str, ...]:
    return "gallery", "add", "--workspace", str(workspace.path), name


def _contents(workspace: Workspace) -> dict[str, object]:
    """What files hold, and what databases hold."""
    found: dict[str, object] = {
        str(file.relative_to(workspace.path)): file.read_bytes()
        for file in workspace.path.rglob("*")
        if file.is_file() and ".db" not in file.name and file.suffix != ".lock"
        if not file.parent.name.endswith(".partial")
    }
    with open_answers(workspace) as store:
        found["answers"] = store.current()
    found["gallery"] = GalleryStore(workspace).exemplars()
    return found
