"""Vectors on Milvus: the whole way on both back ends, and what may go wrong with a server."""

import csv
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise import cli
from likewise.errors import LikewiseError
from likewise.images.ingest import ingest
from likewise.neighbours import milvus_index, searcher
from likewise.neighbours.embedding import embed
from likewise.neighbours.milvus_index import MilvusIndex
from likewise.neighbours.milvus_place import Place, place_for
from likewise.neighbours.searcher import Searcher, find
from likewise.neighbours.vector_index import keys_of
from likewise.neighbours.vectors import INDEX, load_embeddings, write_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace
from tests.conftest import close_milvus
from tests.test_vector_index import ids_of, unit_vectors

SETTINGS = Embed(precision="float32")


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """``run(workspace, *arguments)``: what a command prints as JSON."""

    def command(workspace: Workspace, *arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        words = [*map(str, arguments), "--workspace", str(workspace.path), "--json"]
        assert cli.run(words) == 0, capsys.readouterr().out
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return command


@pytest.fixture
def on_milvus(embedded: Workspace, milvus_file: Path) -> Workspace:
    """The workspace of 24 images, whose vectors are on Milvus."""
    embedded.update(vectors=str(milvus_file))
    embed(embedded, SETTINGS)
    return embedded


def test_search_neighbours_proposals_and_gallery_are_the_same_on_both(
    embedded: Workspace,
    milvus_file: Path,
    tmp_path: Path,
    run: Callable[..., dict[str, Any]],
    reading_here: None,
) -> None:
    here, there = (Workspace(tmp_path / name) for name in ("here", "there"))
    for each in (here, there):
        run(each, "ingest", tmp_path / "in", "--workers", "1")
        shutil.copytree(embedded.runs, each.runs)
    assert run(here, "embed", "--precision", "float32")["index"] == "exact (flat; 24 vectors)"
    there.update(vectors=str(milvus_file))
    told = run(there, "embed", "--precision", "float32")
    assert told["new"] == 24
    assert told["index"].startswith(f"Milvus at {milvus_file}, likewise_")
    one, two = load_embeddings(here), load_embeddings(there)
    assert not (two.folder / INDEX).exists()
    assert two.place is not None
    assert one.ids.tolist() == two.ids.tolist()
    assert np.allclose(one.neighbours()[1], two.neighbours()[1], atol=1e-5)
    assert np.array_equal(one.neighbours()[0], two.neighbours()[0])

    picture = tmp_path / "in" / "kind-1" / "01.png"
    for more in ((), ("--in", tmp_path / "in" / "kind-2")):
        found = [run(each, "search", picture, "--top", "7", *more) for each in (here, there)]
        assert [each["id"] for each in found[0]["results"]] == [
            each["id"] for each in found[1]["results"]
        ]
        assert len(found[0]["results"]) == 7
    answers = []
    for each in (here, there):
        run(each, "simulate", "--truth", "folders", "--budget", "12", "--seed", "3")
        table = each.path / "answers.csv"
        run(each, "answers", "export", table)
        with table.open(encoding="utf-8", newline="") as rows:
            told_of = [(row["id_a"], row["id_b"], row["verdict"]) for row in csv.DictReader(rows)]
        answers.append(told_of)
    assert len(answers[0]) == 12
    assert answers[0] == answers[1]
    classified = []
    for each in (here, there):
        for kind in ("kind-0", "kind-1"):
            some = sorted((tmp_path / "in" / kind).iterdir())[:3]
            run(each, "gallery", "add", kind, *some)
        classified.append(run(each, "gallery", "classify", tmp_path / "in")["results"])
    assert len(classified[0]) == 24
    assert [(each["path"], each["class"]) for each in classified[0]] == [
        (each["path"], each["class"]) for each in classified[1]
    ]
    groups = [run(each, "duplicates", "--threshold", "0.9")["groups"] for each in (here, there)]
    assert groups[0] == groups[1]


def test_a_search_is_asked_of_milvus(
    on_milvus: Workspace,
    tmp_path: Path,
    run: Callable[..., dict[str, Any]],
    reading_here: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not answered in silence from the file of vectors."""
    asked: list[int] = []
    original = MilvusIndex.search

    def watched(self: MilvusIndex, questions: np.ndarray, k: int) -> Any:
        asked.append(len(questions))
        return original(self, questions, k)

    monkeypatch.setattr(MilvusIndex, "search", watched)
    monkeypatch.setattr(searcher, "search", None)
    run(on_milvus, "search", tmp_path / "in" / "kind-1" / "01.png")
    assert asked == [1]


def test_a_single_question_of_the_app_leaves_a_file_alone(
    on_milvus: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_index, "MilvusIndex", None)
    saved = load_embeddings(on_milvus)
    assert find(saved, np.array(saved.vectors[5]), 4)[0][0] == 5


def test_what_is_there_is_not_sent_again_after_an_interruption(
    workspace: Workspace, milvus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_index, "_BATCH", 100)
    workspace.create().update(vectors=str(milvus_file))
    vectors, ids = unit_vectors(450), ids_of(450)
    write = functools.partial(
        write_embeddings, workspace, [vectors], ids, vectors.shape[1], "f1", "run-1"
    )
    place = place_for(workspace, "f1")
    assert place is not None
    client = MilvusIndex(place)._client
    sent: list[int] = []
    original = client.upsert

    def until(count: int) -> Callable[..., Any]:
        def upsert(name: str, data: list[Any], **how: Any) -> Any:
            if len(sent) == count:
                raise KeyboardInterrupt
            sent.append(len(data))
            return original(name, data, **how)

        return upsert

    monkeypatch.setattr(client, "upsert", until(3))
    with pytest.raises(KeyboardInterrupt):
        write()
    with pytest.raises(LikewiseError, match="no embeddings yet"):
        load_embeddings(workspace)
    monkeypatch.setattr(client, "upsert", until(99))
    assert "exact (flat; 450 vectors)" in write()
    assert sent == [100] * 4 + [50]
    found, _ = Searcher(load_embeddings(workspace)).search(vectors[7], 1)
    assert found.tolist() == [7]


def test_images_that_are_gone_go_and_new_ones_come(
    on_milvus: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    for seed, gone in ((77, None), (78, "77.png")):
        picture(tmp_path / "in" / f"{seed}.png", seed)
        if gone is not None:
            (tmp_path / "in" / gone).unlink()
        ingest(on_milvus, Ingest(workers=1))
        assert embed(on_milvus, SETTINGS).new == 1
        saved = load_embeddings(on_milvus)
        assert len(saved.ids) == 25
        assert saved.place is not None
        keys, _ = MilvusIndex(saved.place).search(np.array(saved.vectors[:1]), 30)
        assert set(keys[keys >= 0].tolist()) == set(keys_of(saved.ids).tolist())


def test_a_workspace_moves_to_milvus_and_back_without_embedding_again(
    embedded: Workspace, milvus_file: Path
) -> None:
    graph = load_embeddings(embedded).neighbours()
    embedded.update(vectors=str(milvus_file))
    assert load_embeddings(embedded).place is None  # until they are there they are searched here
    assert Searcher(load_embeddings(embedded)).exact
    assert embed(embedded, SETTINGS).new == 0
    moved = load_embeddings(embedded)
    assert moved.place is not None
    assert not (moved.folder / INDEX).exists()
    assert not Searcher(moved).exact
    assert np.array_equal(moved.neighbours()[0], graph[0])
    embedded.update(vectors="")
    with pytest.raises(LikewiseError, match="no URL of it is given now"):
        Searcher(load_embeddings(embedded))
    told = embed(embedded, SETTINGS)
    assert (told.new, told.index) == (0, "exact (flat; 24 vectors)")
    assert Searcher(load_embeddings(embedded)).exact


def test_workspaces_and_models_never_mix_on_one_server(
    workspace: Workspace, milvus_file: Path, tmp_path: Path
) -> None:
    other = Workspace(tmp_path / "other")
    vectors = [unit_vectors(30, seed=seed) for seed in range(3)]
    ids = ids_of(30)
    made = []
    for where, fingerprint, some in zip((workspace, workspace, other), "aba", vectors, strict=True):
        where.create().update(vectors=str(milvus_file))
        write_embeddings(where, [some], ids, 16, fingerprint, "run")
        made.append(load_embeddings(where, fingerprint))
    assert len({each.place for each in made}) == 3
    for embeddings, some in zip(made, vectors, strict=True):
        rows, near = Searcher(embeddings).search(some[4], 3)
        assert rows[0] == 4
        assert near == pytest.approx(np.sort(some @ some[4])[::-1][:3], abs=1e-5)


def test_rows_that_another_job_is_adding_are_not_found(
    workspace: Workspace, milvus_file: Path
) -> None:
    workspace.create().update(vectors=str(milvus_file))
    vectors, ids = unit_vectors(300), ids_of(300)
    write_embeddings(workspace, [vectors[:200]], ids[:200], 16, "f", "run")
    saved = load_embeddings(workspace)
    assert saved.place is not None
    MilvusIndex(saved.place).fill(keys_of(ids), vectors)  # and the job was killed
    asked = vectors[250]
    _, near = Searcher(saved).search(asked, 20)
    assert near == pytest.approx(np.sort(vectors[:200] @ asked)[::-1][:20], abs=1e-5)
    MilvusIndex(saved.place).fill(keys_of(ids[:150]), vectors[:150])
    with pytest.raises(LikewiseError, match="has 150 of 200 vectors in likewise_"):
        Searcher(saved)


def test_the_kind_of_index_follows_the_number_of_vectors(
    milvus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_index, "FLAT_UP_TO", 200)
    index = MilvusIndex(Place(str(milvus_file), "grown"))
    vectors, keys = unit_vectors(400), keys_of(ids_of(400))
    for count, kind in ((200, "FLAT"), (400, "HNSW"), (100, "FLAT")):
        index.fill(keys[:count], vectors[:count])
        assert index._kind() == kind
        assert index.count() == count
        assert (index.search(vectors[:count], 1)[0][:, 0] == keys[:count]).mean() > 0.99
    with pytest.raises(LikewiseError, match="holds vectors of 16 numbers, not 8"):
        index.fill(keys, unit_vectors(400, 8))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of its own, as a cluster's would be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--data-dir", str(tmp_path / "served"), "--port", str(port)]
    words += ["--host", "127.0.0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "milvus_lite", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "listening" in line:
            break
    yield f"http://ada:open%20sesame@127.0.0.1:{port}"
    close_milvus()
    process.terminate()
    process.wait(20)
    process.stdout.close()


def test_a_server_serves_several_processes(
    embedded: Workspace, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKEWISE_VECTORS_URL", server)
    told = embed(embedded, SETTINGS).index
    assert told.startswith(f"Milvus at {server.replace('ada:open%20sesame@', '')}, likewise_")
    saved = load_embeddings(embedded)
    assert saved.place is not None
    done = subprocess.run(counting(saved.place), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("24\n", "")
    assert find(saved, np.array(saved.vectors[5]), 4)[0][0] == 5


def counting(place: Place) -> list[str]:
    """The words that start a process which counts the vectors of a collection."""
    code = (
        "from likewise.neighbours.milvus_index import MilvusIndex, Place\n"
        f"print(MilvusIndex(Place({place.url!r}, {place.collection!r})).count())"
    )
    return [sys.executable, "-c", code]


def test_a_server_that_is_gone_is_one_line_without_secrets(
    on_milvus: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_embeddings(on_milvus)
    monkeypatch.setenv("LIKEWISE_VECTORS_URL", "https://ada:sesame@127.0.0.1:1/photos")
    row = before.positions[before.ids[0]]
    with pytest.raises(LikewiseError, match=r"Milvus at https://127\.0\.0\.1:1/photos: Fail conn"):
        find(load_embeddings(on_milvus), np.array(before.vectors[row]), 3)
    capsys.readouterr()
    assert cli.run(["embed", "--workspace", str(on_milvus.path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("likewise: Milvus at https://127.0.0.1:1/photos: Fail connecting")
    assert "LIKEWISE_VECTORS_URL" in line
    assert "sesame" not in line
    monkeypatch.delenv("LIKEWISE_VECTORS_URL")
    assert Searcher(load_embeddings(on_milvus)).search(np.array(before.vectors[0]), 1)[0][0] == 0


def test_a_file_is_for_one_process_at_a_time(on_milvus: Workspace) -> None:
    place = load_embeddings(on_milvus).place
    assert place is not None
    done = subprocess.run(counting(place), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "milvus.db: Open local milvus failed; another process may have it open (`milvus-lite "
        "server` serves several)"
    )
    close_milvus()
    done = subprocess.run(counting(place), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("24\n", "")


def test_what_the_url_says() -> None:
    place = Place("https://ada:open%20sesame@db.example.org:19530/photos", "c")
    assert (place.server, place.database) == ("https://db.example.org:19530", "photos")
    assert (place.token, place.shown) == ("ada:open sesame", "https://db.example.org:19530/photos")
    assert "sesame" not in repr(place)
    assert Place("https://key@host", "c").token == "key"
    assert (Place("http://host:1", "c").token, Place("/a/b.db", "c").database) == ("", "")


@pytest.mark.parametrize("given", ["milvus", "ftp://host", "http://", "http://a:word@host:port"])
def test_what_is_neither_url_nor_file_is_refused(workspace: Workspace, given: str) -> None:
    workspace.create().update(vectors=given)
    with pytest.raises(LikewiseError, match="neither a URL of Milvus") as told:
        place_for(workspace, "f")
    assert "word" not in str(told.value)


def test_a_file_lies_in_the_workspace_and_a_workspace_keeps_its_name(workspace: Workspace) -> None:
    workspace.create().update(vectors="milvus.db")
    place = place_for(workspace, "f1")
    assert place is not None
    assert place.server == str(workspace.path / "milvus.db")
    assert place.collection == f"likewise_{workspace.config.id}_f1"
    assert place == place_for(Workspace(workspace.path), "f1")
    assert len(workspace.config.id) == 16


def test_without_pymilvus_a_line_says_what_to_install(
    milvus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus.exceptions", None)
    with pytest.raises(LikewiseError, match=r"pip install 'likewise\[milvus\]'"):
        MilvusIndex(Place(str(milvus_file), "c"))
