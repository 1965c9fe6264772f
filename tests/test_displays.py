"""What notebooks display: results as tables and pictures, and waiting without noise."""

import base64
import importlib
import io
import re
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.lib.pretty import pretty
from nbclient import NotebookClient
from PIL import Image

from likewise import api, notebook
from likewise.api import Workspace
from likewise.errors import LikewiseError
from likewise.notebook import Cell
from tests.notebook_runs import noise_of, tidy

SOURCE = re.compile(r'src="data:image/(\w+);base64,([^"]+)"')


def pictures_in(html: str) -> list[np.ndarray]:
    """The pictures of a page, decoded."""
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        for _, content in SOURCE.findall(html)
    ]


def shown(result: Any) -> str:
    html: str = result._repr_html_()
    return html


@pytest.fixture
def here(embedded: Any, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Twenty-four embedded images of three kinds, seen from the folder that they lie in."""
    monkeypatch.chdir(embedded.path.parent)
    return Workspace(embedded.path)


def test_every_result_of_the_api_is_displayed() -> None:
    lines = Path(api.__file__).read_text("utf-8")
    named = re.findall(r"^    from (likewise\.\S+) import (.+)$", lines, re.MULTILINE)
    results = [
        getattr(importlib.import_module(module), name)
        for module, names in named
        for name in names.split(", ")
    ]
    told = [each for each in results if hasattr(each, "as_text")]
    assert len(told) >= 18
    assert all(issubclass(each, notebook.Displayed) for each in told)


def test_text_is_escaped_and_tells_paths_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    html = notebook.text(f"<b> & {tmp_path}/shoes\nnext: `likewise embed`")
    assert ">&lt;b&gt; &amp; shoes<" in html
    assert notebook.brief(tmp_path / "a" / "b.png") == "a/b.png"
    assert notebook.brief("/elsewhere/far/away/b.png") == "away/b.png"
    assert "<i>" not in notebook.table(["<i>"], [["<i>"]])
    assert "<i>" not in notebook.tiles([Cell(None, ("<i>",))])


@pytest.mark.parametrize("size", [(20, 10), (400, 200)])
def test_a_picture_is_drawn_as_it_is(size: tuple[int, int]) -> None:
    """Red on the left, blue on the right, twice as wide as tall, whatever its size."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 200
    html = notebook.tiles([Cell(pixels)])
    assert 'width="96" height="48"' in html
    (drawn,) = pictures_in(html)
    assert max(drawn.shape) <= 144
    left, right = drawn[:, 0].mean(axis=0), drawn[:, -1].mean(axis=0)
    assert np.allclose(left, [200, 0, 0], atol=12)
    assert np.allclose(right, [0, 0, 200], atol=12)


def test_hits_show_the_query_and_what_was_found(here: Workspace) -> None:
    (here.path.parent / "<i>.png").write_bytes((here.images().path(0)).read_bytes())
    hits = here.search("<i>.png", top=5)
    html = shown(hits)
    drawn = pictures_in(html)
    images = here.images()
    expected = [images.find(hits.query_id), *(images.find(each.id) for each in hits.results)]
    assert len(drawn) == len(expected) == 6
    for one, other in zip(drawn, expected, strict=True):
        assert np.allclose(one.mean(axis=(0, 1)), other.mean(axis=(0, 1)), atol=4)
    assert "<i>" not in html
    assert f"{hits.results[0].similarity:.3f}" in html
    assert str(here.path.parent) not in html


def test_a_query_from_elsewhere_is_shown_and_one_that_is_gone_is_not(here: Workspace) -> None:
    file = here.path.parent / "new.png"
    Image.new("RGB", (50, 50), (250, 10, 10)).save(file)
    hits = here.search(file, top=3)
    assert np.allclose(pictures_in(shown(hits))[0].mean(axis=(0, 1)), [250, 10, 10], atol=4)
    file.unlink()
    assert len(pictures_in(shown(hits))) == 3


def test_ipython_shows_text_with_paths_from_here(here: Workspace) -> None:
    hits = here.search(here.images().path(0), top=2)
    told = pretty(hits)
    assert hits.results[1].path.name in told
    assert str(here.path.parent) not in told
    assert pretty(here.images()) == "<24 images, 0 of them held out>"


def test_two_images_are_shown_with_the_verdict(here: Workspace) -> None:
    images = here.images()
    told = here.verify(images.path(0), images.path(1))
    assert len(pictures_in(shown(told))) == 2
    assert told.judgement.verdict in shown(told)


def test_pairs_of_a_frame_are_judged_and_their_curve_drawn(here: Workspace) -> None:
    images = here.images()
    rows = [(a, b) for a in range(0, 24, 4) for b in range(0, a, 4)]
    frame = pd.DataFrame(
        {
            "path_a": [str(images.path(a)) for a, _ in rows],
            "path_b": [str(images.path(b)) for _, b in rows],
            "same": [images.path(a).parent == images.path(b).parent for a, b in rows],
        }
    )
    frame.to_csv("pairs.csv", index=False)
    told, filed = here.verify_pairs(frame), here.verify_pairs("pairs.csv")
    assert told.source == "the DataFrame"
    assert [each.similarity for each in told.pairs] == [each.similarity for each in filed.pairs]
    assert told.protocol is not None
    assert told.protocol.same == frame.same.sum()
    wrong = 2 * min(4, int(frame.same.sum())) + 2 * min(4, int((~frame.same).sum()))
    assert len(pictures_in(shown(told))) == 1 + wrong
    with pytest.raises(LikewiseError, match="the DataFrame has no pair that can be used"):
        here.verify_pairs(pd.DataFrame({"path_a": ["gone.png"], "path_b": ["gone.png"]}))


def test_groups_and_duplicates_are_shown_with_pictures(here: Workspace) -> None:
    here.simulate(budget=40)
    groups = here.groups()
    html = shown(groups)
    assert html.count("<tr>") > groups.balance.groups
    assert len(pictures_in(html)) >= groups.balance.groups > 0
    assert all(groups.name(each) in html for each in range(groups.balance.groups))
    copies = here.duplicates(threshold=-0.5)
    assert copies.groups
    assert len(pictures_in(shown(copies))) >= 2
    exact = here.duplicates(exact=True)
    assert f"and {len(exact.groups) - 15:,} more groups" in shown(exact)


def test_the_gallery_is_shown(here: Workspace) -> None:
    images, gallery = here.images(), here.gallery()
    assert "empty" in shown(gallery.classes())
    gallery.add("one & only", images.path(0), images.path(1))
    html = shown(gallery.classes())
    assert "one &amp; only" in html
    assert len(pictures_in(html)) == 2
    found = shown(gallery.classify(*(images.path(row) for row in range(5)), closed_set=True))
    assert len(pictures_in(found)) == 5
    measured = gallery.evaluate(here.path.parent / "in", ways=3, episodes=10)
    assert f"{measured.models[1].accuracy.value:.3f}" in shown(measured)


def test_images_tables_and_views_are_shown(here: Workspace) -> None:
    assert len(pictures_in(shown(here.images()))) == 24
    evaluation = here.evaluate(bootstrap=0)
    html = shown(evaluation)
    assert html.count("<tr>") == 1 + len(evaluation.models)
    assert f"{evaluation.models[1].scores.values['auc']:.3f}" in html
    assert len(pictures_in(shown(here.views(images=2, views=2)))) == 1


def test_a_sample_can_be_fetched(here: Workspace, tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "mine.txt").touch()
    with pytest.raises(LikewiseError, match="was not made by"):
        here.sample("digits", to=tmp_path / "digits")


WAITING = """
from likewise import progress
from likewise.progress import say
progress._IN_PLACE_EVERY_SECONDS = 0
say("a word")
with progress.progress("count", 2) as advance:
    advance(1)
    advance(1)
"""


def test_waiting_leaves_nothing_but_words_in_a_notebook(tmp_path: Path) -> None:
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WAITING)])
    client = NotebookClient(node, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert not noise_of(node)
    words, bar = node.cells[0].outputs
    assert (words.name, words.text) == ("stdout", "a word\n")
    assert bar.data == {"text/plain": "", "text/html": ""}
    assert len(tidy(node).cells[0].outputs) == 1
