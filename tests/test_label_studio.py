"""Answers as tasks of Label Studio: there and back, and what its own exports look like."""

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from xml.etree import ElementTree

import pytest

from likewise import cli
from likewise.answers.exchange import export_answers, import_answers
from likewise.answers.label_studio import read_tasks
from likewise.answers.standing import Answer
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.settings import AnswersExport, AnswersImport, Ingest
from likewise.workspace import Workspace

MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


@pytest.fixture
def answered(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Workspace:
    """Three images, one with a name that is no text; four answers, one of them calibration."""
    for seed, name in enumerate(
        ["a b.png", "=é&d=<i>.png", b"\xff\n.png".decode("utf-8", "surrogateescape")]
    ):
        picture(tmp_path / "in" / name, seed)
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    one, two, three = (str(each) for each in open_images(workspace).ids)
    with open_answers(workspace) as store:
        store.add(
            [
                NewAnswer(one, two, "similar", "=cmd()", "random", 0.1 + 0.2, "f0", MOMENT),
                NewAnswer(one, two, "dissimilar", "Åsa", "calibration", -0.5, "f1"),
                NewAnswer(two, three, "unsure", "bob"),
                NewAnswer(one, three, "dissimilar", "bob"),
            ]
        )
    return workspace


def content(workspace: Workspace) -> list[tuple[Any, ...]]:
    with open_answers(workspace) as store:
        return sorted(_content(each) for each in store.current())


def _content(each: Answer) -> tuple[Any, ...]:
    return (
        *each.pair,
        each.verdict,
        each.annotator,
        each.time,
        each.strategy,
        str(each.score),
        each.fingerprint,
    )


def exported(workspace: Workspace, file: Path) -> list[Any]:
    export_answers(workspace, AnswersExport(file=file))
    tasks: list[Any] = json.loads(file.read_text("utf-8"))
    return tasks


def imported(workspace: Workspace, file: Path, tasks: Any) -> dict[str, Any]:
    file.write_text(json.dumps(tasks), "utf-8")
    return import_answers(workspace, AnswersImport(file=file)).as_json()


def fresh(tmp_path: Path, name: str = "other") -> Workspace:
    other = Workspace(tmp_path / name)
    ingest(other, Ingest(images=(tmp_path / "in",), workers=1))
    return other


def test_there_and_back_nothing_is_lost(answered: Workspace, tmp_path: Path) -> None:
    tasks = exported(answered, tmp_path / "t.json")
    other = fresh(tmp_path)
    assert imported(other, tmp_path / "t.json", tasks)["answers"] == 4
    assert content(other) == content(answered)
    again = imported(answered, tmp_path / "t.json", tasks)
    assert (again["answers"], again["skipped"], again["problems"]) == (0, 4, [])


def test_what_label_studio_adds_changes_nothing(answered: Workspace, tmp_path: Path) -> None:
    """It gives numbers and an owner, and drops data it was not told to keep."""
    tasks = exported(answered, tmp_path / "t.json")
    for number, task in enumerate(tasks):
        task |= {"id": 100 + number, "project": 7, "drafts": [], "predictions": [{"result": []}]}
        for each in task["annotations"]:
            each |= {"id": 5, "completed_by": 1, "updated_at": "2030-01-01T00:00:00Z"}
            each["result"][0] |= {"id": "Dx_aB91ISN", "origin": "manual"}
    other = fresh(tmp_path)
    imported(other, tmp_path / "t.json", tasks)
    assert content(other) == content(answered)


def test_tasks_are_as_documented(answered: Workspace, tmp_path: Path) -> None:
    tasks = exported(answered, tmp_path / "t.json")
    assert sorted(len(task["annotations"]) for task in tasks) == [1, 1, 2]
    config = ElementTree.parse(tmp_path / "t.xml").getroot()
    fields = {each.attrib["value"][1:] for each in config.iter("Image")}
    (choices,) = config.iter("Choices")
    known = {each.attrib["value"] for each in choices}
    assert choices.attrib["toName"].split(",") == [e.attrib["name"] for e in config.iter("Image")]
    for task in tasks:
        assert fields <= task["data"].keys()
        for field in fields:
            parts = urlsplit(task["data"][field])
            below = unquote_to_bytes(parts.query.removeprefix("d="))
            assert parts.path == "/data/local-files/"
            assert Path("/", below.decode("utf-8", "surrogateescape")).is_file()
        for each in task["annotations"]:
            (result,) = each["result"]
            assert result["from_name"] == choices.attrib["name"]
            assert result["to_name"] in choices.attrib["toName"].split(",")
            assert set(result["value"]["choices"]) <= known
            assert "completed_by" not in each


def test_images_are_found_by_their_address_alone(answered: Workspace, tmp_path: Path) -> None:
    tasks = exported(answered, tmp_path / "t.json")
    for task in tasks:
        task["data"] = {name: task["data"][name] for name in ("image_a", "image_b")}
    other = fresh(tmp_path)
    assert imported(other, tmp_path / "t.json", tasks)["problems"] == []
    assert content(other) == content(answered)


def test_what_was_done_there_counts_as_theirs(answered: Workspace, tmp_path: Path) -> None:
    task = exported(answered, tmp_path / "t.json")[0]
    when = "2031-05-06T07:08:09.123456Z"
    theirs = {"completed_by": {"id": 3, "email": "eve@example.org"}, "updated_at": when}
    changed = copy.deepcopy(task["annotations"][0]) | theirs
    changed["result"][0]["value"]["choices"] = ["Different"]
    new = {"result": [{"type": "choices", "value": {"choices": ["same"]}}], "completed_by": 10}
    task["annotations"] = [changed, new | {"created_at": when}]
    other = fresh(tmp_path)
    assert imported(other, tmp_path / "t.json", [task])["answers"] == 2
    said = {each[3]: (each[2], each[4].isoformat(), each[5]) for each in content(other)}
    moment = "2031-05-06T07:08:09.123456+00:00"
    assert said == {
        "eve@example.org": ("dissimilar", moment, "label-studio"),
        "user 10": ("similar", moment, "label-studio"),
    }


def test_skipped_tasks_are_no_answers(answered: Workspace, tmp_path: Path) -> None:
    tasks = exported(answered, tmp_path / "t.json")
    for task in tasks[:2]:
        for each in task["annotations"]:
            each["was_cancelled"] = True
    tasks[2]["annotations"][0]["result"] = []
    tasks[0]["annotations"] = tasks[0]["annotations"][:1]
    other = fresh(tmp_path)
    told = imported(other, tmp_path / "t.json", tasks)
    assert (told["answers"], told["skipped"], told["problems"]) == (0, 3, [])


@pytest.mark.parametrize("choices", [["red"], ["similar", "unsure"], [None], [{"a": 1}]])
def test_other_choices_are_reported(
    answered: Workspace, tmp_path: Path, choices: list[object]
) -> None:
    tasks = exported(answered, tmp_path / "t.json")
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = choices
    told = imported(fresh(tmp_path), tmp_path / "t.json", tasks)
    assert (told["answers"], [each["row"] for each in told["problems"]]) == (3, [1])


@pytest.mark.parametrize(
    "tasks",
    [{}, [1], [{"data": {}}], [{"data": [], "annotations": []}], [{"data": {}, "annotations": 5}]],
)
def test_what_is_no_export_is_told(tmp_path: Path, tasks: object) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps(tasks), "utf-8")
    with pytest.raises(LikewiseError, match="JSON-MIN"):
        read_tasks(file)


@pytest.mark.parametrize(
    "part",
    [
        {"result": 5},
        {"result": [5]},
        {"result": [{"type": "choices", "value": 5, "meta": 5}]},
        {"result": [{"type": "choices", "value": {"choices": 5}, "meta": {"likewise": 5}}]},
        {"completed_by": [1], "result": [{"type": "choices", "value": {"choices": ["x"]}}]},
    ],
)
def test_odd_annotations_do_not_end_the_import(tmp_path: Path, part: dict[str, Any]) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps([{"data": {"image_a": 5}, "annotations": [part]}]), "utf-8")
    assert len(read_tasks(file)) == 1


def test_the_history_has_no_place_in_tasks(
    answered: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="history"):
        export_answers(answered, AnswersExport(file=tmp_path / "t.json", history=True))
    arguments = ["answers", "export", str(tmp_path / "t.txt"), "--workspace", str(answered.path)]
    assert cli.run(arguments) == 2
    assert ".json, for Label Studio" in capsys.readouterr().err
