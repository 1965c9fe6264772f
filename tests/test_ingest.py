import itertools
import json
import os
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from likewise.errors import LikewiseError, UsageError
from likewise.files import digest
from likewise.images.decode import decode
from likewise.images.ingest import IngestResult, ingest
from likewise.images.reading import Outcome, Reading, chunked, in_children
from likewise.images.scan import Failure, File
from likewise.images.store import is_held_out, open_images
from likewise.settings import Ingest
from likewise.workspace import Workspace
from tests.breaking import Figure

Picture = Callable[..., Path]


class Here:
    """Reads in this process, and notes which files were read and which decoded."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.read: list[str] = []
        self.decoded: list[str] = []
        self.stop_after = stop_after

    def __call__(self, files: Sequence[File], reading: Reading, workers: int) -> Iterator[Outcome]:
        for file in files:
            if len(self.read) == self.stop_after:
                raise KeyboardInterrupt
            outcome = reading(file)
            self.read.append(Path(file.path).name)
            if outcome.image is not None:
                self.decoded.append(Path(file.path).name)
            yield outcome


def run(workspace: Workspace, *images: Path, reader: Any = None, **options: Any) -> IngestResult:
    result = ingest(workspace, Ingest(images=images, **options), reader=reader or Here())
    told = result.as_json()
    assert told["found"] == told["images"] + told["duplicates"] + told["failed"]
    assert told["images"] == told["new"] + told["unchanged"]
    assert told["failed"] == len(told["failures"])
    json.dumps(told).encode()
    return result


def manifest(workspace: Workspace) -> pd.DataFrame:
    return pd.read_parquet(workspace.manifest_file)


# --- what is recorded


def test_manifest_and_store(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    big = picture(tmp_path / "in" / "a" / "big.png", seed=1, size=(90, 60))
    small = picture(tmp_path / "in" / "small.png", seed=2, size=(20, 30))
    shutil.copy(small, tmp_path / "in" / "twin.png")
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    result = run(workspace, tmp_path / "in", store_size=40)
    assert result.as_json() == {
        "found": 4,
        "images": 2,
        "new": 2,
        "unchanged": 0,
        "duplicates": 1,
        "gone": 0,
        "failed": 1,
        "failures": [
            {
                "path": str(tmp_path / "in" / "bad.png"),
                "reason": "not an image, or not in a format that Pillow or OpenCV can read",
            }
        ],
    }
    images = open_images(workspace)
    assert len(images) == 2
    assert images.ids.tolist() == [digest(small), digest(big)]
    assert images.sizes.tolist() == [[30, 20], [40, 60]]
    assert images.positions == {digest(small): 0, digest(big): 1}
    assert images.path(1) == big
    assert images.paths(0) == [small, tmp_path / "in" / "twin.png"]
    for row, file in enumerate((small, big)):
        np.testing.assert_array_equal(images[row], decode(file.read_bytes(), short_side=40))
        np.testing.assert_array_equal(images.find(digest(file)), images[row])
    assert images[0].base is not None  # a view, not a copy
    assert not images[0].flags.writeable
    table = manifest(workspace)
    assert table["status"].tolist() == ["failed", "ok", "ok"]
    assert table["bytes"].tolist() == [7, small.stat().st_size, big.stat().st_size]
    assert table["id"][0] == digest(tmp_path / "in" / "bad.png")
    assert table["width"].tolist() == [0, 20, 90]
    assert table["height"].tolist() == [0, 30, 60]
    assert list(table["paths"].iloc[0]) == [str(tmp_path / "in" / "bad.png")]
    assert workspace.config.roots == (tmp_path / "in",)
    assert workspace.config.store_size == 40


def test_images_travel_to_other_processes(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    picture(tmp_path / "in" / "a.png", size=(300, 300))
    run(workspace, tmp_path / "in")
    images = open_images(workspace)
    sent = pickle.dumps(images)
    assert len(sent) < 10_000  # the pixels stay on disk
    np.testing.assert_array_equal(pickle.loads(sent)[0], images[0])


def test_names_that_are_not_utf8(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    good = tmp_path / "in" / os.fsdecode(b"caf\xe9.png")
    picture(good)
    bad = tmp_path / "in" / os.fsdecode(b"b\xe9\n.png")
    bad.write_bytes(b"")
    result = run(workspace, tmp_path / "in")
    assert result.as_json()["failures"] == [
        {"path": f"{tmp_path}/in/b\\xe9\n.png", "reason": "empty file"}
    ]
    assert f"{tmp_path}/in/b\\xe9\\n.png: empty file" in result.as_text()
    assert open_images(workspace).path(0).read_bytes() == good.read_bytes()
    assert f"{tmp_path}/in/caf\\xe9.png" in [each[0] for each in manifest(workspace)["paths"]]
    again = Here()
    run(workspace, reader=again)
    assert again.read == []


def test_summary_shows_ten_failures_and_where_the_rest_is(tmp_path: Path) -> None:
    failures = tuple(Failure(f"/{number}.png", "empty file") for number in range(12))
    text = IngestResult(tmp_path, 1_000, 10, 2, 3, failures, ".txt (1)").as_text()
    assert "1,000 images (10 new, 990 unchanged)" in text
    assert "  /9.png: empty file\n  and 2 more; `likewise ingest --json`" in text
    assert "/10.png" not in text


@given(st.binary(min_size=16, max_size=16), st.floats(0, 1), st.floats(0, 1))
def test_held_out_is_monotone_in_the_share(image: bytes, share: float, more: float) -> None:
    low, high = sorted((share, more))
    assert is_held_out(image.hex(), low) <= is_held_out(image.hex(), high)
    assert not is_held_out(image.hex(), 0.0)
    assert is_held_out(image.hex(), 1.0)


def test_hold_out_share(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    for seed in range(100):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed, size=(4, 4))
    run(workspace, tmp_path / "in", hold_out=0.3)
    images = open_images(workspace)
    assert 15 <= images.held_out.sum() <= 45
    hashes = np.array([int(each, 16) / 16**32 for each in images.ids])
    np.testing.assert_array_equal(images.held_out, hashes < 0.3)


# --- what is read again


def test_second_run_reads_nothing(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    for seed in range(3):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed)
    (tmp_path / "in" / "bad.png").write_bytes(b"nothing")
    run(workspace, tmp_path / "in")
    files = [workspace.manifest_file, workspace.settings_file, workspace.path / "images.1.pixels"]
    before = [(file.stat().st_ino, file.stat().st_mtime_ns) for file in files]
    reader = Here()
    result = run(workspace, reader=reader)
    assert reader.read == []
    assert (result.images, result.new, len(result.failures)) == (3, 0, 1)
    assert [(file.stat().st_ino, file.stat().st_mtime_ns) for file in files] == before


def test_only_what_changed_is_decoded(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    source = tmp_path / "in"
    for seed, name in enumerate(("moved", "copied", "edited", "removed", "touched")):
        picture(source / f"{name}.png", seed=seed)
    run(workspace, source)
    old = {name: digest(source / f"{name}.png") for name in ("edited", "removed", "moved")}
    (source / "sub").mkdir()
    (source / "moved.png").rename(source / "sub" / "m.png")
    shutil.copy(source / "copied.png", source / "copy.png")
    picture(source / "edited.png", seed=50)
    (source / "removed.png").unlink()
    os.utime(source / "touched.png", ns=(1, 1))
    picture(source / "new.png", seed=51)
    reader = Here()
    result = run(workspace, source, reader=reader)
    assert sorted(reader.read) == ["copy.png", "edited.png", "m.png", "new.png", "touched.png"]
    assert sorted(reader.decoded) == ["edited.png", "new.png"]
    assert (result.images, result.new, result.duplicates, result.gone) == (5, 2, 1, 2)
    status = manifest(workspace).set_index("id")["status"]
    assert status[old["edited"]] == status[old["removed"]] == "gone"
    images = open_images(workspace)
    assert images.path(images.positions[old["moved"]]) == source / "sub" / "m.png"
    for row in range(len(images)):
        np.testing.assert_array_equal(
            images[row], decode(images.path(row).read_bytes(), short_side=256)
        )


def test_gone_image_keeps_its_pixels_and_comes_back(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    file = picture(tmp_path / "in" / "a.png", seed=1)
    picture(tmp_path / "in" / "b.png", seed=2)
    image, pixels = digest(file), decode(file.read_bytes(), short_side=256)
    run(workspace, tmp_path / "in")
    file.rename(tmp_path / "away.png")
    assert run(workspace).gone == 1
    images = open_images(workspace)
    assert image not in images.positions
    np.testing.assert_array_equal(images.find(image), pixels)
    (tmp_path / "away.png").rename(tmp_path / "in" / "back.png")
    reader = Here()
    result = run(workspace, reader=reader)
    assert (reader.decoded, result.images, result.new) == ([], 2, 1)
    images = open_images(workspace)
    assert images.paths(images.positions[image]) == [tmp_path / "in" / "back.png"]


def test_only_walked_roots_lose_images(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    one = picture(tmp_path / "one" / "a.png", seed=1)
    two = picture(tmp_path / "two" / "b.png", seed=2)
    picture(tmp_path / "two" / "c.png", seed=3)
    run(workspace, tmp_path / "one")
    run(workspace, tmp_path / "two")
    one.unlink()
    two.unlink()
    assert run(workspace, tmp_path / "two").gone == 1
    assert len(open_images(workspace)) == 2
    assert run(workspace).gone == 1  # all roots: also the one that is empty now
    assert len(open_images(workspace)) == 1


def test_list_that_drops_an_image(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    for seed in range(3):
        picture(tmp_path / f"{seed}.png", seed=seed)
    names = tmp_path / "list.csv"
    names.write_text("path\n0.png\n1.png\n2.png\n")
    assert run(workspace, names).images == 3
    names.write_text("path\n0.png\n2.png\nmissing.png\n")
    result = run(workspace)
    assert (result.images, result.gone, len(result.failures)) == (2, 1, 1)


def test_failures_are_reported_again_and_retried_when_it_may_help(
    workspace: Workspace, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in" / "good.png")
    picture(tmp_path / "in" / "shut.png", seed=1)
    bad = tmp_path / "in" / "bad.png"
    bad.write_bytes(b"nothing")

    def no_permission(path: str, mode: str, **options: Any) -> Any:
        if path.endswith("shut.png"):
            raise PermissionError(13, "Permission denied")
        return open(path, mode, **options)  # noqa: PTH123

    with monkeypatch.context() as patch:
        patch.setattr("likewise.images.limits.open", no_permission, raising=False)
        first = run(workspace, tmp_path / "in")
        assert {each.reason[:10] for each in first.failures} == {"not an ima", "unreadable"}
        reader = Here()
        again = run(workspace, reader=reader)
        assert reader.read == ["shut.png"]
        assert set(again.failures) == set(first.failures)
    assert [each.path for each in run(workspace).failures] == [str(bad)]
    picture(bad, seed=2)
    assert run(workspace).images == 3
    assert set(manifest(workspace)["status"]) == {"ok"}


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "spoil", "move", "touch"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EDITS, min_size=1, max_size=4))
def test_any_history_of_edits(history: list[list[tuple[str, int, int]]]) -> None:
    """After each ingest all counts, statuses and pixels are those of the files now there."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "in"
        workspace = Workspace(Path(temporary) / "workspace")
        contents = [_picture_bytes(seed) for seed in range(4)]
        tree = {"keep/0.png": contents[0]}
        clock = itertools.count(10**9)
        ever: set[str] = set()
        usable_before: set[bytes] = set()
        for edits in history:
            for edit, where, what in edits:
                _apply(edit, f"{where % 2}/{where}.png", f"{what}/moved.png", contents[what], tree)
            _lay_out(source, tree, clock)
            result = run(workspace, source)
            good = [content for content in tree.values() if content in contents]
            assert result.images == len(set(good))
            assert result.duplicates == len(good) - len(set(good))
            assert len(result.failures) == len(tree) - len(good)
            assert result.new == len(set(good) - usable_before)
            assert result.gone == len(usable_before - set(good))
            usable_before = set(good)
            images = open_images(workspace)
            places = {str(path): row for row in range(len(images)) for path in images.paths(row)}
            assert set(places) == {str(source / name) for name in tree if tree[name] in contents}
            for name, content in tree.items():
                if content in contents:
                    np.testing.assert_array_equal(
                        images[places[str(source / name)]], decode(content, short_side=256)
                    )
            ever |= set(images.ids.tolist())
            assert all(images.find(each).size for each in ever)


def _picture_bytes(seed: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        pixels = np.random.default_rng(seed).integers(0, 256, (3 + seed, 4, 3), np.uint8)
        Image.fromarray(pixels).save(file, "PNG")
        file.seek(0)
        return file.read()


def _apply(edit: str, at: str, to: str, content: bytes, tree: dict[str, bytes]) -> None:
    if edit == "write":
        tree[at] = content
    elif edit == "spoil":
        tree[at] = content[: len(content) // 2]
    elif edit == "remove":
        tree.pop(at, None)
    elif edit == "move" and at in tree:
        tree[to] = tree.pop(at)
    elif edit == "touch" and at in tree:
        tree[at] = bytes(tree[at])  # written again below, with a new time


def _lay_out(source: Path, tree: dict[str, bytes], clock: Iterator[int]) -> None:
    present = {str(file.relative_to(source)) for file in source.glob("*/*")}
    for name in present - set(tree):
        (source / name).unlink()
    for name, content in tree.items():
        file = source / name
        if file.exists() and file.read_bytes() == content and next(clock) % 3:
            continue  # left alone: unchanged for the ingest too
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(next(clock), next(clock)))


# --- another store size


def test_new_store_size_replaces_the_store(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    kept = picture(tmp_path / "in" / "a.png", seed=1, size=(100, 80))
    gone = picture(tmp_path / "in" / "b.png", seed=2, size=(100, 80))
    other = picture(tmp_path / "other" / "c.png", seed=3, size=(100, 80))
    single = picture(tmp_path / "single.dat", seed=4, size=(100, 80), format="PNG")
    gone_id = digest(gone)
    run(workspace, tmp_path / "in", tmp_path / "other", single, store_size=64)
    gone.unlink()
    run(workspace)
    result = run(workspace, tmp_path / "in", store_size=32)
    assert (result.images, result.new) == (1, 0)
    images = open_images(workspace)
    assert len(images) == 3
    for file in (kept, other, single):
        row = images.positions[digest(file)]
        np.testing.assert_array_equal(images[row], decode(file.read_bytes(), short_side=32))
    assert images.find(gone_id).shape == (32, 40, 3)
    assert [file.name for file in workspace.path.glob("*.pixels")] == ["images.2.pixels"]
    reader = Here()
    run(workspace, reader=reader)
    assert reader.read == []


def test_interrupted_change_of_store_size_goes_on(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    for seed in range(6):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed, size=(50, 50))
    run(workspace, tmp_path / "in", store_size=40)
    with pytest.raises(KeyboardInterrupt):
        run(workspace, store_size=20, reader=Here(stop_after=4))
    assert open_images(workspace).sizes.tolist() == [[40, 40]] * 6  # the old one still serves
    reader = Here()
    run(workspace, reader=reader)
    assert reader.read == ["4.png", "5.png"]
    assert open_images(workspace).sizes.tolist() == [[20, 20]] * 6
    assert not (workspace.path / "images.next.parquet").exists()


def test_abandoned_change_of_store_size_leaves_no_trace(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    for seed in range(3):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed, size=(50, 50))
    run(workspace, tmp_path / "in", store_size=40)
    before = {file.name for file in workspace.path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        run(workspace, store_size=20, reader=Here(stop_after=1))
    reader = Here()
    run(workspace, store_size=40, reader=reader)
    assert reader.read == []
    assert {file.name for file in workspace.path.iterdir()} == before


# --- interruptions, crashes, full disks


def test_pixels_reach_the_disk_before_the_manifest_names_them(
    workspace: Workspace, tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "in" / "a.png")
    flushed: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        flushed.append((name, workspace.manifest_file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    run(workspace, tmp_path / "in")
    assert ("images.1.pixels", False) in flushed


def test_ctrl_c_keeps_what_is_done(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    for seed in range(5):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed)
    with pytest.raises(KeyboardInterrupt):
        run(workspace, tmp_path / "in", reader=Here(stop_after=3))
    assert len(open_images(workspace)) == 3
    reader = Here()
    run(workspace, reader=reader)
    assert reader.read == ["3.png", "4.png"]
    assert len(open_images(workspace)) == 5


KILLED = """
import os, sys
from pathlib import Path
from likewise.images.edition import Edition
from likewise.images.ingest import ingest
from likewise.settings import Ingest
from likewise.workspace import Workspace

def reader(files, reading, workers):
    for number, file in enumerate(files):
        if number == 4:
            os.kill(os.getpid(), 9)
        yield reading(file)

late = sys.argv[3] == "late"  # only the first two are committed
Edition.commit_if_due = lambda self: None if late and len(self.manifest.rows) > 2 else self.commit()
ingest(Workspace(sys.argv[2]), Ingest(images=(Path(sys.argv[1]),)), reader=reader)
"""


@pytest.mark.parametrize(("moment", "committed"), [("late", 2), ("soon", 4)])
def test_killed_run_goes_on_from_the_last_commit(
    workspace: Workspace, tmp_path: Path, picture: Picture, moment: str, committed: int
) -> None:
    for seed in range(6):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed)
    arguments = [str(tmp_path / "in"), str(workspace.path), moment]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == -9
    assert len(open_images(workspace)) == committed
    store = workspace.path / "images.1.pixels"
    assert store.stat().st_size == 4 * 32 * 24 * 3  # more than was committed, if late
    reader = Here()
    assert run(workspace, reader=reader).images == 6
    assert len(reader.read) == 6 - committed
    images = open_images(workspace)
    for row in range(6):
        np.testing.assert_array_equal(
            images[row], decode(images.path(row).read_bytes(), short_side=256)
        )
    assert store.stat().st_size == 6 * 32 * 24 * 3


@pytest.fixture
def limited_files() -> Iterator[Callable[[int], None]]:
    """Limit the size of files written by this process, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_store_that_cannot_grow_leaves_the_old_state(
    workspace: Workspace,
    tmp_path: Path,
    picture: Picture,
    limited_files: Callable[[int], None],
) -> None:
    picture(tmp_path / "in" / "a.png", seed=1)
    run(workspace, tmp_path / "in")
    before = workspace.manifest_file.read_bytes()
    picture(tmp_path / "in" / "b.png", seed=2, size=(200, 200))
    limited_files(20_000)
    with pytest.raises(LikewiseError, match=r"could not write .*images\.1\.pixels: "):
        run(workspace)
    limited_files(resource.RLIM_INFINITY)
    assert workspace.manifest_file.read_bytes() == before
    assert (workspace.path / "images.1.pixels").stat().st_size == 32 * 24 * 3
    assert {file.name for file in workspace.path.iterdir() if file.suffix == ".tmp"} == set()
    assert run(workspace).images == 2


def test_full_disk_on_the_first_ingest_leaves_nothing(tmp_path: Path, picture: Picture) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    picture(tmp_path / "in" / "a.png", size=(400, 400))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(LikewiseError, match="the disk is full") as caught:
            run(Workspace(small / "workspace"), tmp_path / "in")
        assert "\n" not in str(caught.value)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_two_ingests_at_once(workspace: Workspace, tmp_path: Path, picture: Picture) -> None:
    picture(tmp_path / "in" / "a.png")
    run(workspace, tmp_path / "in")
    with workspace.lock("images"), pytest.raises(LikewiseError, match="another likewise command"):
        run(workspace)


def test_damaged_files_say_what_to_do(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    picture(tmp_path / "in" / "a.png")
    run(workspace, tmp_path / "in")
    whole = workspace.manifest_file.read_bytes()
    store = workspace.path / "images.1.pixels"
    pixels = store.read_bytes()
    store.write_bytes(pixels[:-1])
    with pytest.raises(LikewiseError, match=r"missing or damaged.*likewise ingest"):
        open_images(workspace)
    with pytest.raises(LikewiseError, match=r"shorter than it was.*likewise ingest"):
        run(workspace)
    workspace.manifest_file.write_bytes(whole[: len(whole) // 2])
    for act in (lambda: open_images(workspace), lambda: run(workspace)):
        with pytest.raises(LikewiseError, match=r"cannot be read .*`likewise ingest`"):
            act()
    workspace.manifest_file.unlink()
    assert run(workspace).images == 1  # as the message says
    assert store.read_bytes() == pixels


# --- wrong use


def test_nothing_ingested_yet(workspace: Workspace) -> None:
    with pytest.raises(LikewiseError, match="likewise ingest"):
        open_images(workspace)
    workspace.create()
    with pytest.raises(LikewiseError, match="run `likewise ingest FOLDER`"):
        open_images(workspace)
    with pytest.raises(UsageError, match="name a folder"):
        run(workspace)


@pytest.mark.parametrize(
    "options", [{"store_size": 7}, {"hold_out": 1.0}, {"hold_out": -0.1}, {"workers": -1}]
)
def test_settings_out_of_range(
    workspace: Workspace, tmp_path: Path, picture: Picture, options: dict[str, Any]
) -> None:
    picture(tmp_path / "in" / "a.png")
    with pytest.raises(UsageError):
        run(workspace, tmp_path / "in", **options)
    assert not workspace.path.exists()


def test_sources_without_images_leave_no_workspace(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    with pytest.raises(LikewiseError, match="holds no files"):
        run(workspace, source)
    for name in ("a.txt", "b.txt", "c.md"):
        (source / name).write_text("text")
    with pytest.raises(
        LikewiseError, match=r"holds 3 files, but none .* suffix: \.txt \(2\), \.md"
    ):
        run(workspace, source)
    (source / "d.png").write_text("text")
    with pytest.raises(LikewiseError, match=r"d\.png: not an image"):
        run(workspace, source)
    with pytest.raises(LikewiseError, match="does not exist"):
        run(workspace, tmp_path / "elsewhere")
    assert not workspace.path.exists()


def test_failing_ingest_leaves_an_empty_workspace_that_was_there(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.create()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    with pytest.raises(LikewiseError, match=r"a\.png: empty file"):
        run(workspace, tmp_path / "in")
    assert workspace.exists()


def test_all_bad_folder_is_recorded_in_a_workspace_that_holds_others(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    picture(tmp_path / "in" / "a.png")
    run(workspace, tmp_path / "in")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "b.png").write_bytes(b"")
    with pytest.raises(LikewiseError, match=r"b\.png: empty file"):
        run(workspace, tmp_path / "bad")
    assert sorted(manifest(workspace)["status"]) == ["failed", "ok"]


# --- child processes

DECODER = """
import os, time
from likewise.images.decode import decode_sized

def decode(data, *, short_side):
    if data.startswith(b"die"):
        os._exit(7)
    if data.startswith(b"hang"):
        time.sleep(100)
    if data.startswith(b"raise"):
        raise SystemExit("out")
    return decode_sized(data, short_side=short_side)
"""


@pytest.mark.breaking
def test_decoder_that_dies_or_hangs_costs_one_file(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch, figure: Figure
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "fragile_decoder.py").write_text(DECODER)
    monkeypatch.syspath_prepend(tmp_path / "code")
    import fragile_decoder  # type: ignore[import-not-found]

    files = []
    for number in range(10):
        path = tmp_path / "in" / f"{number}.png"
        bad = {2: b"die", 5: b"hang", 8: b"raise"}.get(number)
        if bad is None:
            picture(path, seed=number)
        else:
            path.write_bytes(bad)
        files.append(File(str(path), path.stat().st_size, path.stat().st_mtime_ns, "root"))
    reading = Reading(16, decode=fragile_decoder.decode)
    started = time.monotonic()
    outcomes = list(in_children(files, reading, 2, timeout=3.0))
    lost = sum(bool(each.reason) for each in outcomes)
    figure(f"10 files, of which 3 kill, hang or end their decoder: {lost} rows with a reason")
    assert time.monotonic() - started < 60
    assert [Path(outcome.path).name for outcome in outcomes] == [f"{n}.png" for n in range(10)]
    assert {n: outcome.reason for n, outcome in enumerate(outcomes) if outcome.reason} == {
        2: "the decoder crashed on it",
        5: "decoding took more than 3 s",
        8: "the decoder failed on it (SystemExit)",
    }
    for number, outcome in enumerate(outcomes):
        assert outcome.id == digest(Path(files[number].path))
        if not outcome.reason:
            assert outcome.image is not None
            expected = decode(Path(outcome.path).read_bytes(), short_side=16)
            np.testing.assert_array_equal(outcome.image.pixels, expected)


def test_children_that_cannot_start_are_not_started_for_ever(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stillborn_decoder.py").write_text(
        f"import os\nif os.getpid() != {os.getpid()}: os._exit(3)\ndef decode(): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import stillborn_decoder  # type: ignore[import-not-found]

    path = picture(tmp_path / "a.png")
    reading = Reading(16, decode=stillborn_decoder.decode)
    with pytest.raises(LikewiseError, match="keep dying"):
        list(in_children([File(str(path), 1, 1, "root")], reading, 1))


SCRIPT = """
import sys
from pathlib import Path
from likewise.images.ingest import ingest
from likewise.settings import Ingest
from likewise.workspace import Workspace
print(ingest(Workspace(sys.argv[2]), Ingest(images=(Path(sys.argv[1]),), workers=2)).images)
"""


def test_script_without_a_main_guard(
    workspace: Workspace, tmp_path: Path, picture: Picture
) -> None:
    for seed in range(70):
        picture(tmp_path / "in" / f"{seed}.png", seed=seed)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, script, tmp_path / "in", workspace.path],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("70\n", 0), done.stderr
    images = open_images(workspace)
    assert [int(images.path(row).stem) for row in range(70)] == sorted(range(70), key=str)


@given(st.lists(st.integers(0, 10_000_000), max_size=200))
def test_chunks_are_bounded_and_keep_the_order(sizes: list[int]) -> None:
    files = [File(str(number), size, 0, "") for number, size in enumerate(sizes)]
    chunks = list(chunked(files))
    assert [file for chunk in chunks for file in chunk] == files
    for chunk in chunks:
        assert 1 <= len(chunk) <= 64
        assert len(chunk) == 1 or sum(file.size for file in chunk) <= 8_000_000


def test_children_and_readers_do_without_torch() -> None:
    code = (
        "import sys, likewise.images.ingest, likewise.images.store; print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
