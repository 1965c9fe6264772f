"""Files are whole or absent, and a failure is one clear line."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.errors import LikewiseError
from likewise.files import digest, read_json, replacing, replacing_folder, write_json
from likewise.neighbours.faiss_index import build_index, save_index


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_file_is_replaced_at_the_end_only(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("torch")])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, error: Exception) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with (  # noqa: PT012 - the block that fails is the point
        pytest.raises(LikewiseError, match=r"could not write .*a\.txt"),
        replacing(file) as temporary,
    ):
        temporary.write_text("half")
        raise error
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("writer", ["torch", "faiss", "numpy", "text"])
def test_a_full_disk_is_named_and_harmless(small_disk: Path, writer: str) -> None:
    file = small_disk / "kept"
    file.write_text("old")
    numbers = np.full((1000, 256), 1 / 16, np.float32)  # unit vectors, 1 MB
    with pytest.raises(LikewiseError, match="the disk is full"):  # noqa: PT012
        if writer == "faiss":
            save_index(build_index(numbers, np.arange(1000)), file)
        else:
            with replacing(file) as temporary:
                if writer == "torch":
                    torch.save(torch.from_numpy(numbers), temporary)
                elif writer == "numpy":
                    with temporary.open("wb") as opened:
                        np.save(opened, numbers)
                else:
                    temporary.write_text("x" * 10**6)
    assert file.read_text() == "old"
    assert list(small_disk.iterdir()) == [file]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    for text in ("one", "two"):
        with replacing_folder(folder) as new:
            (new / "sub").mkdir()
            (new / "sub" / text).write_text(text)
    assert [each.name for each in (folder / "sub").iterdir()] == ["two"]
    with (  # noqa: PT012
        pytest.raises(LikewiseError),
        replacing_folder(folder) as new,
    ):
        (new / "half").write_text("half")
        raise OSError(28, "No space left on device")
    assert [each.name for each in (folder / "sub").iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [folder]


WRITER = """
import sys, time
from pathlib import Path
from likewise import cli, files

def job(workspace, settings):
    folder, file = Path(sys.argv[1]) / "folder", Path(sys.argv[1]) / "file"
    with files.replacing_folder(folder) as new, files.replacing(file) as part:
        (new / "half").write_text("half")
        part.write_text("half")
        if sys.argv[2:] == ["killed"]:
            sys.exit(os.kill(os.getpid(), 9))
        print("writing", flush=True)
        time.sleep(60)

cli.job_of = lambda name: job
cli.main(["sample"])
"""


@pytest.mark.usefixtures("hang_up_heard")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_stopped_leaves_nothing_half_written(
    stop: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "writing\n"
        assert len(list(tmp_path.iterdir())) == 3
        process.send_signal(stop)
        assert process.wait(60) == 1
        assert process.stderr.read() == "likewise: stopped; run the same command again to go on\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]
    assert (tmp_path / "file").read_text() == "old"


def test_what_a_killed_command_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    """Only that: what others write at the same time, here or on another machine, stays."""
    killed = WRITER.replace("import sys,", "import os, sys,")
    subprocess.run([sys.executable, "-c", killed, tmp_path, "killed"], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    left = {each.name for each in tmp_path.iterdir()}
    (name,) = (each for each in left if each.startswith(".file."))
    pid, space = name.split(".")[2].split("-")
    alive = tmp_path / name.replace(pid, str(os.getppid()))
    elsewhere = tmp_path / name.replace(space, "0123abcd")
    others = tmp_path / name.replace(".file.", ".file2.")
    for each in (alive, elsewhere, others):
        each.touch()
    with replacing(tmp_path / "file") as file, replacing_folder(tmp_path / "folder") as folder:
        file.write_text("whole")
        (folder / "whole").write_text("whole")
    kept = {alive, elsewhere, others, tmp_path / "file", tmp_path / "folder"}
    assert set(tmp_path.iterdir()) == kept


def test_a_folder_that_was_just_moved_away_comes_back(tmp_path: Path) -> None:
    """A process was killed between the two renames, and the next one fails."""
    (tmp_path / ".vectors.old").mkdir()
    (tmp_path / ".vectors.old" / "a").write_text("one")
    with pytest.raises(LikewiseError), replacing_folder(tmp_path / "vectors"):
        raise OSError(28, "No space left on device")
    assert (tmp_path / "vectors" / "a").read_text() == "one"
    assert list(tmp_path.iterdir()) == [tmp_path / "vectors"]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    folder = tmp_path / "vectors"
    with replacing_folder(folder) as new:
        (new / "a").write_text("one")
    shutil.copytree(folder, tmp_path / ".vectors.old")
    with replacing_folder(folder) as new:
        (new / "a").write_text("two")
    assert (folder / "a").read_text() == "two"
    assert list(tmp_path.iterdir()) == [folder]


def test_json_survives_and_damage_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"name": "Größe", "n": [1, 2]})
    assert read_json(file) == {"name": "Größe", "n": [1, 2]}
    file.write_text("{")
    with pytest.raises(LikewiseError, match=r"could not read .*a\.json"):
        read_json(file)
    with pytest.raises(LikewiseError, match="No such file"):
        read_json(tmp_path / "none.json")


def test_the_digest_is_blake2b_128(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert digest(tmp_path / "abc") == "cf4ab791c62b8d2b2109c90275287816"
