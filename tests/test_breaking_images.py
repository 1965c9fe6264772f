"""Every file that is found is an image, a duplicate or a failure, whatever is in it."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from likewise.files import digest
from likewise.images.decode import DecodeError, decode
from likewise.images.ingest import ingest
from likewise.images.reading import TIMEOUT, Outcome, Reading, in_children
from likewise.images.scan import File
from likewise.images.store import open_images
from likewise.settings import Ingest
from likewise.workspace import Workspace
from tests import bad_images
from tests.breaking import Figure, times

Picture = Callable[..., Path]
PATIENCE = 10.0
"""Seconds that one file may take."""
AT_ONCE = 4_000


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the children note what their files cost."""
    (tmp_path / "notes").mkdir()
    monkeypatch.setenv(bad_images.NOTES, str(tmp_path / "notes"))
    return tmp_path / "notes"


def outcomes_of(contents: Iterator[bytes], folder: Path, **options: float) -> Iterator[Outcome]:
    """What comes of files with these contents, read in children some thousands at a time."""
    reading = Reading(64, decode=bad_images.noting)
    while batch := list(itertools.islice(contents, AT_ONCE)):
        folder.mkdir()
        files = []
        for number, content in enumerate(batch):
            file = folder / f"{number}.png"
            file.write_bytes(content)
            files.append(File(str(file), len(content), 0, str(folder)))
        yield from in_children(files, reading, 2, **options)
        shutil.rmtree(folder)


@pytest.mark.breaking
@times(2_000, 100_000)
def test_mutated_images_cost_a_row_each(
    times: int, tmp_path: Path, notes: Path, figure: Figure
) -> None:
    count, good, reasons = 0, 0, Counter[str]()
    mutations = bad_images.mutations(times)
    for outcome in outcomes_of(mutations, tmp_path / "in", timeout=PATIENCE):
        count += 1
        good += outcome.image is not None
        reasons[outcome.reason.partition(" (")[0]] += 1
        assert (outcome.image is None) == bool(outcome.reason)
        assert outcome.id
    crashes = reasons["the decoder crashed on it"]
    hangs = sum(each for reason, each in reasons.items() if reason.startswith("decoding took"))
    longest, memory = bad_images.noted(notes)
    figure(
        f"{count:,} mutations: {good:,} images, {count - good:,} rows with a reason, {crashes} "
        f"decoders died, 0 runs died, {hangs} took over {PATIENCE:g} s (the longest "
        f"{longest:.1f} s), at most {memory:.2f} GB"
    )
    assert count == times
    assert good > times / 20  # not every change hurts
    assert hangs == 0
    assert longest < PATIENCE
    assert memory < 1.5


BOMBS = bad_images.bombs()


@pytest.mark.breaking
@times(5, len(BOMBS))
def test_bombs_are_bounded(times: int, tmp_path: Path, notes: Path, figure: Figure) -> None:
    names = list(BOMBS)[:times]
    contents = (BOMBS[name]() for name in names)
    outcomes = list(outcomes_of(contents, tmp_path / "in", timeout=TIMEOUT))
    told = {name: each.reason or "decoded" for name, each in zip(names, outcomes, strict=True)}
    longest, memory = bad_images.noted(notes)
    figure(
        f"{len(told)} bombs: {sum(each == 'decoded' for each in told.values())} decoded, the "
        f"others a row each; at most {longest:.1f} s and {memory:.2f} GB"
    )
    assert len(outcomes) == times
    assert memory < 1.5, told
    for name, each in told.items():
        assert name not in ("float TIFF", "PNG, transparent colour") or each == "decoded"
        assert not name.startswith("lying") or each != "decoded"


# --- whole folders

NAMES = [
    *(b"line\nfeed.png", b"tab\t.png", b"carriage\r.png", b"caf\xe9.png", b"\xff\xfe.png"),
    *(b" leading.png", b"-rf.png", b"=cmd.png", b"'; DROP TABLE answers;--.png", b"$(id).png"),
    *("😀👩‍👩‍👧.png".encode(), "\u202egnp.png".encode(), b"<img src=x onerror=alert(1)>.png"),
    *(b"%2e%2e%2f.png", b"\\..\\..\\x.png", b"n" * 251 + b".png", b"UPPER.PNG", b"bell\x07.png"),
]


def lay_out(folder: Path, picture: Picture) -> tuple[set[bytes], set[bytes], int]:
    """A folder of all that is odd; the names of the good and of the bad, and the copies."""
    folder.mkdir()
    good, bad = set(), set()
    for seed, odd in enumerate(NAMES):
        picture(folder / "made.png", seed).rename(folder / os.fsdecode(odd))
        good.add(odd)
    (folder / "deep" / ("d" * 200) / "e").mkdir(parents=True)
    for number, data in enumerate(bad_images.good_images()):
        (folder / "deep" / f"{number}.tiff").write_bytes(data)  # the suffix is mostly wrong
        good.add(f"deep/{number}.tiff".encode())
        for cut in (0, 1, len(data) // 8):
            file = folder / "deep" / f"{number}-{cut}.jpg"
            file.write_bytes(data[:cut])
            bad.add(f"deep/{file.name}".encode())
    copies = [f"copy-{number}.bmp" for number in range(5)]
    for name in copies:
        shutil.copy(folder / "UPPER.PNG", folder / name)
        good.add(name.encode())
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.png"))
    (folder / "page.png").write_text("<html><script>alert(1)</script>")
    (folder / "huge.png").touch()
    os.truncate(folder / "huge.png", 2**40)  # a hole of a terabyte
    shut = picture(folder / "shut.png", 90)
    shut.chmod(0)
    (folder / "closed").mkdir()
    picture(folder / "closed" / "inside.png", 91)
    (folder / "closed").chmod(0)
    bad |= {b"pipe.png", b"socket.png", b"page.png", b"huge.png", b"shut.png", b"closed"}
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    bad.add(b"nowhere.png")
    (folder / "loop").symlink_to(folder)
    (folder / "deep" / "up").symlink_to("..")
    (folder / "round.png").symlink_to(folder / "about.png")
    (folder / "about.png").symlink_to(folder / "round.png")
    bad |= {b"round.png", b"about.png"}
    (folder / "again.png").symlink_to(folder / "UPPER.PNG")  # seen already: no file of its own
    return good, bad, len(copies)


@pytest.mark.breaking
def test_every_file_is_accounted_for(
    tmp_path: Path, workspace: Workspace, picture: Picture, figure: Figure
) -> None:
    good, bad, copies = lay_out(tmp_path / "in", picture)
    command = [sys.executable, "-m", "likewise.cli", "ingest", str(tmp_path / "in"), "--json"]
    command += ["--workspace", str(workspace.path)]
    if os.geteuid() == 0:  # who may read everything meets no file without permission
        command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    (tmp_path / "in" / "closed").chmod(0o700)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    images = open_images(workspace)
    start = len(os.fsencode(tmp_path / "in")) + 1
    paths = {os.fsencode(str(p))[start:] for row in range(len(images)) for p in images.paths(row)}
    failed = told["failed"]
    figure(
        f"{told['found']} files found = {told['images']} images + {told['duplicates']} duplicates "
        f"+ {failed} failures; {len(good) + len(bad)} were laid out"
    )
    assert told["found"] == told["images"] + told["duplicates"] + failed == len(good) + len(bad)
    unexpected = [each for each in told["failures"] if each["path"].endswith(".tiff")]
    assert paths == good, unexpected
    assert failed == len(bad)
    assert told["duplicates"] >= copies
    reasons = {Path(each["path"]).name: each["reason"] for each in told["failures"]}
    assert reasons["pipe.png"] == reasons["socket.png"] == "a device, pipe or socket, not a file"
    assert reasons["huge.png"] == "more than 1,073,741,824 bytes"
    assert reasons["shut.png"] == "unreadable: permission denied"
    assert reasons["closed"] == "unreadable folder: permission denied"
    assert reasons["nowhere.png"] == "no such file"


def test_a_list_of_what_cannot_be_a_path(
    tmp_path: Path, workspace: Workspace, picture: Picture
) -> None:
    picture(tmp_path / "a.png")
    names = ["a.png", "nul\0.png", "x" * 5_000 + ".png", "../" * 400 + "etc/hostname.png"]
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(names) + "\n")
    found = ingest(workspace, Ingest(images=(tmp_path / "list.csv",), workers=1))
    assert (found.images, len(found.failures)) == (1, 3)


# --- files that change

SEEDS = range(40)


class Restless(threading.Thread):
    """Writes, cuts, removes, renames and replaces files, over and over, until told to stop."""

    def __init__(self, folder: Path, contents: list[bytes], seed: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.contents = folder, contents
        self.random = np.random.default_rng(seed)
        self.enough = threading.Event()
        self.changes = 0

    def run(self) -> None:
        while not self.enough.wait(0.0003):
            with contextlib.suppress(OSError):
                self._change()
                self.changes += 1

    def _change(self) -> None:
        files = sorted(self.folder.iterdir())
        file = files[int(self.random.integers(len(files)))]
        content = self.contents[int(self.random.integers(len(self.contents)))]
        match int(self.random.integers(8)):
            case 0:
                file.unlink()
                os.mkfifo(file)
            case 1:
                file.unlink()
            case 2:
                os.truncate(file, int(self.random.integers(200)))
            case 3:
                file.rename(file.with_name(f"moved-{int(self.random.integers(400))}.png"))
            case 4:
                file.unlink()
                file.mkdir()
            case _:
                if not file.is_file():
                    file.rmdir() if file.is_dir() else file.unlink()
                status = file.stat() if file.exists() else None
                file.write_bytes(content)
                if status is not None:  # as editors do that keep the time of last change
                    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.breaking
@times(2, 60)
def test_files_that_change_while_they_are_read(
    times: int, tmp_path: Path, workspace: Workspace, picture: Picture, figure: Figure
) -> None:
    folder = tmp_path / "in"
    contents = [
        picture(tmp_path / f"{seed}.png", seed, size=(20 + seed, 16)).read_bytes() for seed in SEEDS
    ]
    picture(folder / "stays.png", 99)
    for number in range(250):
        (folder / f"{number}.png").write_bytes(contents[number % len(contents)])
    changes = wrong = 0
    for seed in range(times):
        restless = Restless(folder, contents, seed)
        restless.start()
        during = ingest(workspace, Ingest(images=(folder,), workers=2)).as_json()
        restless.enough.set()
        restless.join()
        changes += restless.changes
        assert during["found"] == during["images"] + during["duplicates"] + during["failed"]
        after = ingest(workspace, Ingest(images=(folder,), workers=2))
        wrong += _untrue(workspace, folder, after.as_json()["found"])
        for number in range(200):  # what is left goes on from a full folder
            file = folder / f"{number}.png"
            with contextlib.suppress(OSError):
                file.write_bytes(contents[number % len(contents)]) if not file.exists() else None
    figure(f"{changes:,} changes during {times} ingests: the next one had {wrong} files wrong")
    assert changes > 100 * times
    assert wrong == 0


def _untrue(workspace: Workspace, folder: Path, found: int) -> int:
    """Files of which the workspace says something else than is true; none may be missing."""
    images = open_images(workspace)
    said = {path: str(images.ids[row]) for row in range(len(images)) for path in images.paths(row)}
    files = [each for each in folder.iterdir() if not each.is_dir()]
    assert found == len(files)
    truth = {}
    for file in files:
        if file.is_file():
            with contextlib.suppress(DecodeError):
                decode(file.read_bytes(), short_side=8)
                truth[file] = digest(file)
    return len(truth.items() ^ said.items())
