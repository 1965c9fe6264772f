"""What older versions wrote is read or brought up to date; what newer ones wrote is refused.

``formats/workspace.zip`` was written by the code as it was before answers were chained and files
sealed: every file that a workspace has, in the first format that it had (answers and the model with
a head: in the second). ``about.json`` in it says what was put in.
"""

import contextlib
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from sqlalchemy import create_engine, text

from likewise import Workspace
from likewise.answers.store import NewAnswer, open_answers
from likewise.answers.verification import verify_answers
from likewise.errors import LikewiseError
from likewise.images.store import open_images
from likewise.inference.gallery_store import GalleryStore
from likewise.models.backbones import head_on
from likewise.models.metadata import header_length
from likewise.models.model_files import load_model
from likewise.models.runs import runs_of
from likewise.neighbours.vectors import load_embeddings
from likewise.seals import BLANK, MARK, seal, write_sealed_json
from likewise.settings import AnswersVerify
from tests.breaking import Figure
from tests.test_answer_store import FORMAT_1

OLD = Path(__file__).with_name("formats") / "workspace.zip"


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    with zipfile.ZipFile(OLD) as packed:
        packed.extractall(tmp_path)
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def about(old: Workspace) -> Any:
    return json.loads((old.path.parent / "about.json").read_text("utf-8"))


def rows_of(workspace: Workspace) -> list[list[Any]]:
    with open_answers(workspace) as store:
        return [
            [
                *(*each.pair, each.verdict, each.annotator, each.time.isoformat()),
                *(each.strategy, each.score, each.fingerprint, each.number),
            ]
            for each in store.current()
        ]


@pytest.mark.breaking
def test_a_workspace_of_the_first_formats_opens(old: Workspace, about: Any, figure: Figure) -> None:
    read = [
        old.config.store_size == 8 and list(old.config.roots) == [Path("/photos")],
        [str(each) for each in open_images(old).ids] == about["ids"],
        [open_images(old)[row].tolist() for row in range(4)] == about["pixels"],
        {run.name: run.fingerprint for run in runs_of(old)} == about["fingerprints"],
    ]
    plain, headed = (load_model(run.model_file) for run in runs_of(old))
    embeddings = load_embeddings(old)
    read += [
        head_on(plain) is None and plain.dim == 256,
        head_on(headed) is not None and headed.dim == 256 + 5,
        np.allclose(embeddings.vectors, about["vectors"], atol=1e-5),
        embeddings.fingerprint == about["fingerprints"]["pretrain-1"],
    ]
    with contextlib.closing(GalleryStore(old)) as gallery:
        read.append(sorted(gallery.classes()) == ["blue", "red"])
    with contextlib.closing(sqlite3.connect(old.path / "labels.db")) as database:
        assert database.execute("SELECT format FROM likewise_format").fetchone() == (2,)
    read.append(rows_of(old) == about["answers"])
    assert verify_answers(old, AnswersVerify()).rows == about["rows"]
    with open_answers(old) as store:
        assert store.add([NewAnswer("a", "b", "similar", "dora")]) == 1
    assert verify_answers(old, AnswersVerify()).rows == about["rows"] + 1
    figure(f"{sum(read)} of {len(read)} parts of a workspace in the first formats read as written")
    assert all(read), read


@pytest.mark.breaking
def test_answers_of_the_first_format_become_chained(old: Workspace, figure: Figure) -> None:
    (old.path / "labels.db").unlink()
    engine = create_engine(old.database_url)
    words = {"number": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "time": "DATETIME"}
    with engine.begin() as connection:
        for statement in FORMAT_1.format(**words, zone="").split(";")[:-1]:
            connection.execute(text(statement))
    engine.dispose()
    verified = verify_answers(old, AnswersVerify())
    figure(f"answers of format 1: {verified.rows} of 3 rows, chained")
    assert verified.rows == 3


def test_a_server_that_still_runs_the_older_version_cannot_break_the_chain(
    old: Workspace,
) -> None:
    older = sqlite3.connect(old.path / "labels.db", isolation_level=None)
    columns = "token, a, b, verdict, annotator, time, strategy, fingerprint, screen"
    insert = f"INSERT INTO answers ({columns}) VALUES (?, 'a', 'b', 'similar', 'x', ?, '', '', '')"
    older.execute(insert, ("before", "2026-01-01 00:00:00.000000"))
    before = verify_answers(old, AnswersVerify())
    with pytest.raises(sqlite3.IntegrityError, match="start Likewise again"):
        older.execute(insert, ("after", "2026-01-01 00:00:00.000000"))
    older.close()
    assert verify_answers(old, AnswersVerify()) == before


def newer_settings(workspace: Workspace) -> None:
    file = workspace.settings_file
    file.write_text(file.read_text().replace("format = 1", "format = 99"))


def newer_images(workspace: Workspace) -> None:
    table = pq.read_table(workspace.manifest_file)
    metadata = {**table.schema.metadata, b"likewise.format": b"99", b"likewise.seal": MARK.encode()}
    pq.write_table(table.replace_schema_metadata(metadata), workspace.manifest_file)
    seal(workspace.manifest_file)


def newer_model(workspace: Workspace) -> None:
    file = workspace.runs / "pretrain-1" / "model.safetensors"
    with safetensors.safe_open(file, framework="numpy") as opened:
        metadata = {**opened.metadata(), "format": "99", "seal": BLANK}
    safetensors.numpy.save_file(safetensors.numpy.load_file(file), file, metadata)
    seal(file, header_length(file))


def newer_json(file: Path) -> None:
    write_sealed_json(file, json.loads(file.read_text()) | {"format": 99})


def newer_table(file: Path, table: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute(f"UPDATE {table} SET format = 99")


Change = Callable[[Workspace], None]
NEWER: dict[str, tuple[Change, Callable[[Workspace], object]]] = {
    "workspace.toml": (newer_settings, lambda w: w.config),
    "images.parquet": (newer_images, open_images),
    "labels.db": (lambda w: newer_table(w.path / "labels.db", "likewise_format"), open_answers),
    "gallery.db": (
        lambda w: newer_table(w.path / "gallery.db", "likewise_gallery"),
        lambda w: GalleryStore(w).classes(),
    ),
    "model.safetensors": (newer_model, lambda w: load_model(runs_of(w)[0].model_file)),
    "config.json": (lambda w: newer_json(w.runs / "pretrain-1" / "config.json"), runs_of),
    "meta.json": (
        lambda w: newer_json(next(w.embeddings.glob("*/meta.json"))),
        load_embeddings,
    ),
}


@pytest.mark.breaking
def test_what_a_newer_version_wrote_is_refused_in_one_line(tmp_path: Path, figure: Figure) -> None:
    refused = []
    for name, (change, look) in NEWER.items():
        with zipfile.ZipFile(OLD) as packed:
            packed.extractall(tmp_path / name)
        workspace = Workspace(tmp_path / name / "workspace")
        change(workspace)
        held = {each: each.read_bytes() for each in workspace.path.rglob("*") if each.is_file()}
        with pytest.raises(LikewiseError) as caught:
            look(workspace)
        told = str(caught.value)
        if "99" in told and "pgrade" in told and "\n" not in told:
            refused.append(name)
        assert {each: each.read_bytes() for each in held} == held, "and left as it is"
    figure(f"{len(refused)} of {len(NEWER)} newer formats refused, the file left as it was")
    assert refused == list(NEWER)
