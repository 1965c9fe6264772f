import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sqlalchemy import delete

from likewise.answers.exchange import export_answers, import_answers
from likewise.answers.standing import Answer
from likewise.answers.store import NewAnswer, open_answers
from likewise.answers.tables import answers_table
from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.settings import AnswersExport, AnswersImport, Ingest
from likewise.workspace import Workspace

SUFFIXES = ["csv", "jsonl", "parquet"]
MOMENT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


@pytest.fixture(autouse=True)
def database(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("LIKEWISE_DATABASE_URL", database_url)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``in/`` with six images, one of them named like a formula; ``workspace/`` made of it."""
    folder = tmp_path_factory.mktemp("exchange")
    names = ["a.png", "b.png", "=c.png", "kind/d.png", "kind/é f.png", "line\u2028end.png"]
    for seed, name in enumerate(names):
        file = folder / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    ingest(Workspace(folder / "workspace"), Ingest(images=(folder / "in",), workers=1))
    return folder


@pytest.fixture
def filled(folder: Path) -> Workspace:
    """The workspace with four answers, one of them undone."""
    workspace = Workspace(folder / "workspace")
    images = open_images(workspace)
    ends = [str(each) for row, each in enumerate(images.ids) if "end" in images.path(row).name]
    one, two, three = [str(each) for each in images.ids if str(each) not in ends][:3]
    with open_answers(workspace) as store:
        store.add(
            [
                NewAnswer(one, two, "similar", "=cmd|'/c'!A0", "random", 0.1 + 0.2, "f0", MOMENT),
                NewAnswer(one, three, "dissimilar", '\'Tis, "me"', "x", -0.5, "f1"),
                NewAnswer(two, ends[0], "unsure", "Åsa", "y"),
                NewAnswer(three, ends[0], "similar", "bob", "z"),
            ]
        )
        store.undo("bob")
    return workspace


def content(answers: list[Answer]) -> list[tuple[Any, ...]]:
    return sorted(
        (*each.pair, each.verdict, each.annotator, each.time, each.strategy, str(each.score))
        for each in answers
    )


def standing(workspace: Workspace) -> list[Answer]:
    with open_answers(workspace) as store:
        return store.current()


def forget_answers(workspace: Workspace) -> None:
    with open_answers(workspace) as store, store.writing() as connection:
        connection.execute(delete(answers_table))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("history", [False, True])
def test_what_is_exported_can_be_imported_exactly(
    tmp_path: Path, filled: Workspace, suffix: str, history: bool
) -> None:
    file = tmp_path / f"answers.{suffix}"
    before = content(standing(filled))
    exported = export_answers(filled, AnswersExport(file=file, history=history))
    assert exported.as_json()["answers"] == (5 if history else 3)
    same = import_answers(filled, AnswersImport(file=file)).as_json()
    assert (same["answers"], same["problems"]) == (0, []), "they are there already"
    forget_answers(filled)
    found = import_answers(filled, AnswersImport(file=file)).as_json()
    assert (found["answers"], found["problems"]) == (3, [])
    assert content(standing(filled)) == before
    again = import_answers(filled, AnswersImport(file=file)).as_json()
    assert (again["answers"], len(standing(filled))) == (0, 3)
    assert again["skipped"] == (5 if history else 3)


def test_an_export_can_be_opened_in_a_spreadsheet(tmp_path: Path, filled: Workspace) -> None:
    file = tmp_path / "answers.csv"
    export_answers(filled, AnswersExport(file=file))
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[0]["annotator"] == "'=cmd|'/c'!A0"
    texts = [row[name] for row in rows for name in row if name != "score"]
    assert not any(text.startswith(("=", "+", "-", "@", "\t", "\r")) for text in texts)
    assert all(Path(row["path_a"]).is_file() for row in rows)
    assert float(rows[0]["score"]) == 0.1 + 0.2


def test_history_says_what_became_of_each_row(tmp_path: Path, filled: Workspace) -> None:
    first = standing(filled)[0]
    with open_answers(filled) as store:
        store.add([NewAnswer(first.a, first.b, "unsure", first.annotator)])
    file = tmp_path / "all.jsonl"
    export_answers(filled, AnswersExport(file=file, history=True))
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    states = [row["state"] for row in rows]
    assert states == ["corrected", "standing", "standing", "undone", "undo", "standing"]
    assert rows[4]["undoes"] == rows[3]["number"] == 4


@pytest.mark.parametrize("where", ["absolute", "root", "file", "here"])
def test_paths_are_found_from_several_places(
    tmp_path: Path, folder: Path, filled: Workspace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(folder if where == "here" else "/")
    start = {"absolute": f"{folder}/in/", "here": "in/", "root": "", "file": "./kind/../"}[where]
    file = (folder / "in" if where == "file" else tmp_path) / "mine.csv"
    file.write_text(
        f"\ufeffpath_a;path_b;verdict\n{start}kind/d.png;{start}a.png;Similar\n", encoding="utf-8"
    )
    found = import_answers(filled, AnswersImport(file=file, annotator="sheet"))
    assert found.as_json() == {"file": str(file), "answers": 1, "skipped": 0, "problems": []}
    images = open_images(filled)
    new = standing(filled)[-1]
    names = {images.path(images.positions[each]).name for each in new.pair}
    assert names == {"d.png", "a.png"}
    assert (new.verdict, new.annotator, new.strategy) == ("similar", "sheet", "import")
    assert import_answers(filled, AnswersImport(file=file, annotator="sheet")).answers == 0


def test_rows_that_cannot_be_used_are_reported_and_the_others_stored(
    tmp_path: Path, filled: Workspace
) -> None:
    one, *_, four = open_images(filled).ids.tolist()
    good = {"id_a": one, "id_b": four, "verdict": "similar", "time": "2026-01-01T00:00:00Z"}
    bad = [
        {**good, "verdict": "maybe"},
        {**good, "id_b": one},
        {**good, "id_b": "0" * 32},
        {**good, "time": "yesterday"},
        {**good, "score": "high"},
        {"verdict": "similar"},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(each) for each in [*bad, good]))
    found = import_answers(filled, AnswersImport(file=file)).as_json()
    assert (found["answers"], found["skipped"]) == (1, 0)
    assert [each["row"] for each in found["problems"]] == [1, 2, 3, 4, 5, 6]
    reasons = [each["reason"] for each in found["problems"]]
    for reason, word in zip(
        reasons, ["maybe", "different", "no image", "time", "score", "path_a"], strict=True
    ):
        assert word in reason
    assert standing(filled)[-1].time == datetime(2026, 1, 1, tzinfo=UTC)
    file.write_text("\n".join(json.dumps(each) for each in bad))
    with pytest.raises(LikewiseError, match=r"none of its 6 rows can be used; row 1: .*maybe"):
        import_answers(filled, AnswersImport(file=file))


def test_a_table_from_pandas_is_understood(tmp_path: Path, filled: Workspace) -> None:
    one, *_, four = open_images(filled).ids.tolist()
    table = pd.DataFrame(
        {"id_a": [one], "id_b": [four], "verdict": ["unsure"], "time": [pd.Timestamp(MOMENT)],
         "annotator": [None], "score": [float("0.25")]}
    )  # fmt: skip
    table.to_parquet(tmp_path / "table.parquet")
    assert import_answers(filled, AnswersImport(file=tmp_path / "table.parquet")).answers == 1
    assert standing(filled)[-1].time == MOMENT
    assert standing(filled)[-1].annotator == "import"


def test_known_truths_settle_their_pairs(tmp_path: Path, filled: Workspace) -> None:
    """Also where the same rows were imported as ordinary answers before, or will be after."""
    one, two, three = (each.pair for each in standing(filled))
    file = tmp_path / "truth.csv"
    rows = [(*one, "dissimilar"), (*three, "similar")]
    text = "".join(f"{a},{b},{verdict}\n" for a, b, verdict in rows)
    file.write_text("id_a,id_b,verdict\n" + text)
    assert import_answers(filled, AnswersImport(file=file, annotator="sheet")).answers == 2
    for expected in (2, 0):
        gold = AnswersImport(file=file, annotator="sheet", gold=True)
        assert import_answers(filled, gold).answers == expected
    with open_answers(filled) as store:
        settled = {each.pair: (each.verdict, each.strategy) for each in store.settled()}
    assert settled == {
        one: ("dissimilar", "gold"), two: ("dissimilar", "x"), three: ("similar", "gold")
    }  # fmt: skip
    exported = tmp_path / "answers.jsonl"
    export_answers(filled, AnswersExport(file=exported))
    forget_answers(filled)
    import_answers(filled, AnswersImport(file=exported))
    with open_answers(filled) as store:
        assert {each.pair: (each.verdict, each.strategy) for each in store.settled()} == settled


@pytest.mark.parametrize(
    ("name", "text"),
    [("absent.csv", None), ("bad.jsonl", "{no json"), ("bad.parquet", "no parquet"),
     ("list.jsonl", "[1, 2]"), ("bad.csv", 'a,b\n"never closed')],
)  # fmt: skip
def test_an_unreadable_file_is_one_clear_line(
    tmp_path: Path, filled: Workspace, name: str, text: str | None
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(LikewiseError, match="could not read") as caught:
        import_answers(filled, AnswersImport(file=tmp_path / name))
    assert "\n" not in str(caught.value)
    assert len(standing(filled)) == 3


def test_an_unknown_suffix_is_wrong_usage(tmp_path: Path, filled: Workspace) -> None:
    with pytest.raises(UsageError, match="must end in"):
        export_answers(filled, AnswersExport(file=tmp_path / "answers.xlsx"))
    with pytest.raises(UsageError, match="must end in"):
        import_answers(filled, AnswersImport(file=tmp_path / "answers.xlsx"))


def test_a_failed_export_leaves_the_old_file(
    tmp_path: Path, filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text("old")
    monkeypatch.setattr(json, "dumps", _full_disk)
    with pytest.raises(LikewiseError, match="disk is full"):
        export_answers(filled, AnswersExport(file=file))
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.glob(".answers*")] == []


def _full_disk(*_: Any, **__: Any) -> str:
    raise OSError(28, "No space left on device")
