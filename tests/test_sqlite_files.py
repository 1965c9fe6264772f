"""The file of answers: whatever its name, wherever it lies, whatever becomes of it meanwhile."""

import shutil
from pathlib import Path

import pytest

from likewise.answers import sqlite_files, store
from likewise.answers.store import AnswerStore, NewAnswer, open_answers
from likewise.errors import LikewiseError
from likewise.workspace import Workspace

A, B = "a" * 32, "b" * 32
ANSWER = NewAnswer(A, B, "similar", "ada")


@pytest.mark.parametrize(
    "name", ["what?", "50 %", "%20", "a#b", "a&b=c", "sqlite:", "né 猫", "x;y"]
)
def test_answers_lie_in_the_workspace_whatever_its_name(tmp_path: Path, name: str) -> None:
    """A question mark once began SQLAlchemy's options, and the file lay beside the workspace."""
    workspace = Workspace(tmp_path / name)
    workspace.create()
    with open_answers(workspace) as answers:
        assert answers.add([ANSWER]) == 1
    assert (workspace.path / "labels.db").is_file()
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with open_answers(workspace) as answers:
        assert len(answers.current()) == 1


def frozen(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk that is mounted for reading (the tests may run as root, who may all)."""
    for module in (sqlite_files, store):
        monkeypatch.setattr(module, "is_frozen", lambda each: each == file)
    file.chmod(0o444)


def test_answers_are_read_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "labels.db"
    with AnswerStore(f"sqlite:///{file}") as answers:
        answers.add([ANSWER])
    content = file.read_bytes()
    frozen(file, monkeypatch)
    with AnswerStore(f"sqlite:///{file}") as answers:
        assert len(answers.current()) == 1
        with pytest.raises(LikewiseError, match="readonly"):
            answers.add([NewAnswer(A, "c" * 32, "similar", "ada")])
    assert file.read_bytes() == content
    assert [each.name for each in tmp_path.iterdir()] == ["labels.db"]


def test_a_frozen_file_whose_last_answers_are_beside_it_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "labels.db"
    with AnswerStore(f"sqlite:///{file}") as answers:
        answers.add([ANSWER])
        shutil.copytree(tmp_path, tmp_path / "copy")
    copy = tmp_path / "copy" / "labels.db"
    assert copy.with_name("labels.db-wal").stat().st_size
    frozen(copy, monkeypatch)
    with pytest.raises(LikewiseError, match="copy the workspace to another disk"):
        AnswerStore(f"sqlite:///{copy}")


@pytest.mark.parametrize("change", ["removed", "replaced", "moved"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(tmp_path: Path, change: str) -> None:
    file = tmp_path / "labels.db"
    with AnswerStore(f"sqlite:///{file}") as answers:
        answers.add([ANSWER])
        match change:
            case "removed":
                file.unlink()
            case "replaced":
                shutil.copy(file, tmp_path / "backup.db")
                (tmp_path / "backup.db").replace(file)
            case "moved":
                file.rename(tmp_path / "elsewhere.db")
        with pytest.raises(LikewiseError, match="removed or replaced while it was in use"):
            answers.add([NewAnswer(A, "c" * 32, "similar", "ada")])
