"""`likewise search`: what is found, what is left out, what is drawn, and what is told."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import likewise
from likewise import cli
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.found_sheet import Captioned, found_sheet
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.inference.search import ImageSearch, search
from likewise.neighbours.pictures import Picture
from likewise.neighbours.vectors import load_embeddings, write_embeddings
from likewise.settings import Ingest, Search
from likewise.workspace import Workspace


def ranked(workspace: Workspace, name: str) -> list[tuple[float, str]]:
    """All other images by a slow loop over plain Python numbers."""
    embeddings, images = load_embeddings(workspace), ImageSearch(workspace).images
    names = {each: images.path(row).name for row, each in enumerate(images.ids.tolist())}
    vectors = {
        names[each]: vector.tolist()
        for each, vector in zip(embeddings.ids.tolist(), embeddings.vectors, strict=True)
    }
    asked = vectors.pop(name)
    near = [
        (math.fsum(x * y for x, y in zip(asked, other, strict=True)), key)
        for key, other in vectors.items()
    ]
    return sorted(near, reverse=True)


def test_the_nearest_others_come_in_order_without_the_image_itself(
    embedded: Workspace, tmp_path: Path
) -> None:
    hits = search(embedded, Search(image=tmp_path / "in/kind-1/04.png", top=7))
    expected = ranked(embedded, "04.png")[:7]
    assert [each.path.name for each in hits.results] == [name for _, name in expected]
    assert [each.similarity for each in hits.results] == pytest.approx(
        [near for near, _ in expected], abs=1e-5
    )
    assert hits.among == 23
    assert len(search(embedded, Search(image=tmp_path / "in/kind-1/04.png", top=99)).results) == 23


def test_a_copy_elsewhere_is_the_same_image_and_a_new_file_finds_all(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes((tmp_path / "in/kind-1/04.png").read_bytes())
    there = search(embedded, Search(image=tmp_path / "in/kind-1/04.png"))
    assert search(embedded, Search(image=copy)).results == there.results
    new = search(embedded, Search(image=picture(tmp_path / "new.png", 90), top=99))
    assert (len(new.results), new.among) == (24, 24)


def test_folders_filter_and_a_second_place_of_an_image_counts(
    embedded: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [tmp_path / "in" / f"kind-{each}" for each in range(3)]
    twin = kinds[2] / "twin.png"
    twin.write_bytes((kinds[0] / "00.png").read_bytes())
    (tmp_path / "in/kind-20").mkdir()  # begins as kind-2 does
    (kinds[2] / "05.png").rename(tmp_path / "in/kind-20/05.png")
    ingest(embedded, Ingest(images=(tmp_path / "in",), workers=1))
    opened = ImageSearch(embedded)
    found = opened.like(kinds[0] / "03.png", 99, [kinds[2]])
    assert {each.path.parent.name for each in found.results} == {"kind-2"}
    assert len(found.results) == found.among == 8
    assert twin in [each.path for each in found.results]
    both = opened.like(kinds[0] / "03.png", 99, [kinds[1], kinds[0]])
    assert len(both.results) == both.among == 15
    assert opened.like(kinds[0] / "03.png", 99, [tmp_path / "in"]).among == 23
    # from a folder that was ingested, or from here
    assert opened.like(kinds[0] / "03.png", 99, ["kind-1"]).among == 8
    monkeypatch.chdir(tmp_path)
    assert opened.like(kinds[0] / "03.png", 99, ["in/../in/kind-1"]).among == 8
    with pytest.raises(LikewiseError, match=r"no image of .* lies in kind-7"):
        opened.like(kinds[0] / "03.png", 99, ["kind-7"])


def test_images_that_are_gone_are_not_found_and_new_ones_are_counted(
    filled: Workspace, tmp_path: Path
) -> None:
    known = open_images(filled).ids.tolist()
    ids = np.array([*known[:-2], "0" * 32])  # one is gone, two are new
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(filled, [vectors], ids, 8, "f1", "run-1")
    asked = open_images(filled).path(0)
    hits = search(filled, Search(image=asked, top=99))
    assert {each.id for each in hits.results} == set(known[1:-2])
    assert (hits.among, hits.waiting) == (23, 2)
    assert "2 images have no embedding yet" in hits.as_text()


def test_the_command_speaks_the_contract(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "found.png"
    image = str(tmp_path / "in/kind-2/02.png")
    words = ["search", image, "--top", "3", "--in", str(tmp_path / "in/kind-2"), "--in",
             str(tmp_path / "in/kind-0"), "--workspace", str(embedded.path)]  # fmt: skip
    assert cli.run([*words, "--sheet", str(sheet), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["results"]) == 3
    for each in told["results"]:
        assert set(each) == {"path", "id", "similarity"}
        assert Path(each["path"]).parent.name in ("kind-0", "kind-2")
    assert told["query"] == image
    assert told["among"] == 15
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert cli.run(words) == 0
    text = capsys.readouterr().out.splitlines()
    assert text[0].startswith(f"most similar to {image} among 15 images (pretrain-1)")
    assert [line.split()[0] for line in text[1:]] == ["1", "2", "3"]
    assert f"{told['results'][0]['similarity']:.3f}" in text[1]


def test_the_api_has_both_ways(embedded: Workspace, tmp_path: Path) -> None:
    workspace = likewise.Workspace(embedded.path)
    image = tmp_path / "in/kind-1/04.png"
    once = workspace.search(image, top=4, within=[tmp_path / "in/kind-1"])
    assert workspace.searcher().like(image, 4, [tmp_path / "in/kind-1"]) == once
    with pytest.raises(TypeError, match="topp"):
        workspace.search(image, topp=4)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["none.png"], 1, "none.png does not exist"),
        (["broken.png"], 1, "broken.png: "),
        (["in"], 2, "in is not an image file"),
        (["in/kind-0/00.png", "--top", "0"], 2, "--top must be at least 1"),
        (["in/kind-0/00.png", "--in", "elsewhere"], 1, "lies in elsewhere"),
        (["in/kind-0/00.png", "--sheet", "in"], 1, "could not write in"),
        ([], 2, "PATH"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    code: int,
    told: str,
    embedded: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG, but no more")
    assert cli.run(["search", *words, "--workspace", str(embedded.path)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1


def test_without_embeddings_or_model_it_says_what_to_do(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    new = picture(tmp_path / "new.png", 90)
    (embedded.runs / "pretrain-1" / "model.safetensors").unlink()
    with pytest.raises(LikewiseError, match="likewise embed"):
        search(embedded, Search(image=new))
    embedded.embeddings.rename(tmp_path / "away")
    with pytest.raises(LikewiseError, match="no embeddings yet"):
        search(embedded, Search(image=new))


def test_a_vector_that_is_not_finite_is_refused(embedded: Workspace, tmp_path: Path) -> None:
    opened = ImageSearch(embedded)
    dim = opened.embeddings.vectors.shape[1]
    with pytest.raises(LikewiseError, match="not finite"):
        opened.nearest(Picture(tmp_path, "0" * 32, np.full(dim, np.nan, np.float32)), 3)
    with pytest.raises(UsageError, match="2 numbers"):
        opened.nearest(Picture(tmp_path, "0" * 32, np.zeros(2, np.float32)), 3)


@pytest.mark.parametrize(
    ("count", "rows", "columns"), [(0, 1, 1), (1, 1, 1), (5, 1, 5), (11, 3, 5)]
)
def test_the_sheet_has_the_query_first_and_a_place_for_each(
    count: int, rows: int, columns: int
) -> None:
    """Pixels in the middle of each tile: the query blue, the results ever redder."""

    def plain(red: int, blue: int) -> np.ndarray:
        return np.broadcast_to(np.array([red, 0, blue], np.uint8), (30, 40, 3)).copy()

    results = [Captioned(plain(20 * each + 20, 0), "0.5", f"{each}.png") for each in range(count)]
    drawn = found_sheet(Captioned(plain(0, 250), "query", "q" * 90), results)
    sheet = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
    large = 200 if rows == 1 else 200 + 280
    assert sheet[16 + large // 2, 16 + large // 2].tolist() == [0, 0, 250]
    for place in range(count):
        y = 16 + place // columns * 280 + 100
        x = 16 + large + 40 + place % columns * 220 + 100
        assert sheet[y, x].tolist() == [20 * place + 20, 0, 0]
