import csv
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from likewise.errors import LikewiseError
from likewise.images.lists import read_list
from likewise.images.scan import Found, describe_others, image_suffixes, scan

NOWHERE = Path("/nonexistent/workspace")


def names(found: Found, root: Path) -> list[str]:
    return [os.path.relpath(file.path, root) for file in found.files]


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_walks_any_depth_in_a_fixed_order(tmp_path: Path) -> None:
    deep = "/".join("d" * 60)
    for name in ("b.PNG", "a.jpg", "c/z.webp", "c/y.tiff", f"{deep}/x.pgm", "b/k.JPEG"):
        touch(tmp_path / name)
    expected = ["a.jpg", "b.PNG", "b/k.JPEG", "c/y.tiff", "c/z.webp", f"{deep}/x.pgm"]
    found = scan([tmp_path], workspace=NOWHERE)
    assert names(found, tmp_path) == expected
    assert {file.root for file in found.files} == {str(tmp_path)}
    assert all(file.size == 1 for file in found.files)


def test_leaves_aside_what_is_no_image(tmp_path: Path) -> None:
    for name in ("a.png", "notes.txt", "b.txt", "page.pdf", "page.eps", "none", ".hidden.png"):
        touch(tmp_path / name)
    touch(tmp_path / ".git" / "c.png")
    found = scan([tmp_path], workspace=NOWHERE)
    assert names(found, tmp_path) == ["a.png"]
    assert describe_others(found.others) == ".txt (2), no suffix (1), .eps (1), .pdf (1)"


def test_suffixes_are_those_of_raster_formats() -> None:
    suffixes = image_suffixes()
    assert {".jpg", ".jpeg", ".png", ".tif", ".webp", ".avif", ".mpo", ".jp2", ".exr"} <= suffixes
    assert not {".eps", ".ps", ".pdf", ".wmf", ".emf", ".h5", ".mpg", ".txt", ""} & suffixes


def test_the_workspace_is_no_source(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "workspace" / "views.png")
    found = scan([tmp_path], workspace=tmp_path / "workspace")
    assert names(found, tmp_path) == ["a.png"]
    with pytest.raises(LikewiseError, match="is the workspace itself"):
        scan([tmp_path], workspace=tmp_path)
    inside = scan([tmp_path / "workspace"], workspace=tmp_path)  # images kept in the workspace
    assert names(inside, tmp_path) == ["workspace/views.png"]


def test_links_stay_inside_and_lead_nowhere_twice(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(root / "z" / "a.png")
    touch(root / ".kept" / "b.png")
    touch(tmp_path / "outside" / "c.png")
    (root / "a_loop").symlink_to(root)
    (root / "z" / "up").symlink_to("..")
    (root / "a_again").symlink_to(root / "z")
    (root / "a_again.png").symlink_to(root / "z" / "a.png")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "out.png").symlink_to(tmp_path / "outside" / "c.png")
    (root / "near").symlink_to(tmp_path / "root-not")
    (root / "hidden").symlink_to(root / ".kept")
    touch(tmp_path / "root-not" / "d.png")
    found = scan([root], workspace=NOWHERE)
    assert names(found, root) == ["z/a.png", "hidden/b.png"]


def test_linked_root_is_followed_and_overlapping_roots_count_once(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "sub" / "a.png")
    (tmp_path / "link").symlink_to("real")
    found = scan([tmp_path / "link", tmp_path / "real" / "sub"], workspace=NOWHERE)
    assert names(found, tmp_path) == ["link/sub/a.png"]


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    touch(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.png"))
        found = scan([tmp_path], workspace=NOWHERE)
        assert names(found, tmp_path) == ["a.png"]
    named = scan([tmp_path / "pipe.png"], workspace=NOWHERE)
    assert [failure.reason for failure in named.failures] == [
        "a device, pipe or socket, not a file"
    ]


def test_named_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    for name in ("photo", ".hidden.dat"):
        found = scan([touch(tmp_path / name)], workspace=NOWHERE)
        assert names(found, tmp_path) == [name]
        assert found.roots == []


def test_unreadable_folder_is_a_failure_and_protects_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "a.png")
    touch(tmp_path / "shut" / "b.png")
    real = os.scandir

    def refuse(folder: str) -> object:
        if folder.endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = scan([tmp_path], workspace=NOWHERE)
    assert names(found, tmp_path) == ["a.png"]
    assert found.failures == [
        (str(tmp_path / "shut"), "unreadable folder: permission denied"),
    ]
    assert found.covers(str(tmp_path / "gone.png"), str(tmp_path))
    assert not found.covers(str(tmp_path / "shut" / "b.png"), str(tmp_path))
    assert not found.covers(str(tmp_path) + "-other/c.png", "elsewhere")
    with pytest.raises(LikewiseError, match=r"could not read .*shut: permission denied"):
        scan([tmp_path / "shut"], workspace=NOWHERE)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\n\x01.png")
    touch(tmp_path / name)
    (file,) = scan([tmp_path], workspace=NOWHERE).files
    assert os.fsencode(file.path) == os.fsencode(tmp_path) + b"/caf\xe9\n\x01.png"


@pytest.mark.parametrize(
    "suffix", [".csv", ".CSV", ".parquet", ".feather", ".arrow", "stream.arrow"]
)
def test_lists(tmp_path: Path, suffix: str, picture: Callable[..., Path]) -> None:
    absolute = picture(tmp_path / "far" / "b.dat", format="PNG")
    picture(tmp_path / "lists" / "near" / "a.png", seed=1)
    entries = ["near/a.png", str(absolute), "missing.png", "near", "./near/../near/a.png"]
    file = tmp_path / "lists" / f"list{suffix}"
    if suffix.lower() == ".csv":
        with file.open("w", newline="") as lines:
            csv.writer(lines).writerows([["id", "path"], *enumerate(entries)])
    else:
        table = pa.table({"path": entries, "id": list(range(len(entries)))})
        if suffix == ".parquet":
            pa.parquet.write_table(table, file)
        elif suffix == "stream.arrow":
            with pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)
        else:
            pa.feather.write_feather(table, file)
    found = scan([file], workspace=NOWHERE)
    assert names(found, tmp_path) == ["lists/near/a.png", "far/b.dat"]
    assert [(Path(path).name, reason) for path, reason in found.failures] == [
        ("missing.png", "no such file"),
        ("near", "a folder, not a file"),
    ]
    assert found.roots == [str(file)]
    assert found.covers(str(tmp_path / "far" / "old.png"), str(file))


def test_list_with_byte_order_mark_and_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbfpath,class\ncaf\xe9.png,1\nNA,2\n,3\n")
    paths = read_list(tmp_path / "list.csv")
    assert [os.fsencode(path) for path in paths] == [
        os.fsencode(tmp_path) + b"/caf\xe9.png",
        os.fsencode(tmp_path) + b"/NA",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"file,class\nx.png,1\n", "has no column \"path\"; it has 'file', 'class'"),
        ("b.csv", b"", 'has no column "path"; it has nothing'),
        ("c.csv", b"path\n", "is empty"),
        ("d.parquet", b"not parquet", "could not read the list"),
        ("e.arrow", b"not arrow at all", "could not read the list"),
        ("f.feather", b"", "could not read the list"),
    ],
)
def test_bad_lists(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(LikewiseError, match=message) as caught:
        scan([touch(tmp_path / name, content)], workspace=NOWHERE)
    assert "\n" not in str(caught.value)


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(LikewiseError, match="nothing-here does not exist"):
        scan([tmp_path / "nothing-here"], workspace=NOWHERE)
