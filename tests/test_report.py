"""`likewise report` on workspaces in every state, from the first ingest on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from likewise import cli
from likewise.answers.standing import Verdict
from likewise.answers.store import NewAnswer, open_answers
from likewise.api import Workspace
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.evaluate import evaluate
from likewise.images.store import Images, open_images
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import keep_parent, runs_of, start_run
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import load_embeddings, write_embeddings
from likewise.report.job import report
from likewise.report.subject import Subject
from likewise.settings import Embed, Evaluate, Report
from likewise.workspace import Workspace as Folder
from tests.report_pages import Part, Seen, outside, stored

SIMILAR, PEOPLE = "What it finds similar", ("ada", 'bob"><script>alert(1)</script>')


def written(workspace: Folder, **settings: Any) -> tuple[Seen, str]:
    made = report(workspace, Report(**settings))
    page = made.report.read_text("utf-8")
    assert outside(page) == []
    assert len(page.encode()) == made.bytes < 5_000_000
    return Seen(page), page


def answer(workspace: Folder, pairs: list[tuple[int, int, Verdict]], who: str = PEOPLE[0]) -> None:
    ids = open_images(workspace).ids
    with open_answers(workspace) as store:
        store.add([NewAnswer(str(ids[a]), str(ids[b]), verdict, who) for a, b, verdict in pairs])


def classes(workspace: Folder, pairs: int = 90, seed: int = 0) -> None:
    """Answers as the folders of the images say, by two people."""
    images = open_images(workspace)
    kinds = [images.path(row).parent.name for row in range(len(images))]
    rng = np.random.default_rng(seed)
    drawn = (rng.choice(len(images), 2, replace=False).tolist() for _ in range(pairs))
    said: list[tuple[int, int, Verdict]] = [
        (a, b, "similar" if kinds[a] == kinds[b] else "dissimilar")
        for a, b in sorted({(min(two), max(two)) for two in drawn})
    ]
    answer(workspace, said[::2])
    answer(workspace, said[1::2], PEOPLE[1])


def test_only_images(filled: Folder, tmp_path: Path) -> None:
    (tmp_path / "in" / "<b>bad<i>.png").write_text("no image")
    (tmp_path / "in" / "twice.png").write_bytes((tmp_path / "in" / "3.png").read_bytes())
    Workspace(filled.path).ingest()
    seen, _ = written(filled)
    assert [part.title for part in seen.parts] == [
        "What to do next",
        "The images",
        "How it was made",
        "What the words mean",
    ]
    images = seen.part("The images")
    assert "26 different images" in images.text
    assert "in/<b>bad<i>.png" in images.text
    assert "in/3.png" in images.text
    assert "in/twice.png" in images.text
    assert "likewise pretrain" in seen.part("What to do next").text
    assert "Nobody can say" in seen.text


def test_no_images_and_no_workspace_are_one_clear_line(workspace: Folder) -> None:
    with pytest.raises(LikewiseError, match="no workspace"):
        report(workspace, Report())
    with pytest.raises(LikewiseError, match="likewise ingest"):
        report(workspace.create(), Report())


def test_only_a_model(embedded: Folder) -> None:
    """Neighbours are those that a comparison of all vectors finds, in that order."""
    seen, _ = written(embedded)
    assert "Nobody has answered yet" in seen.part("How good it is").text
    images, model = open_images(embedded), load_embeddings(embedded)
    names = ["/".join(images.path(row).parts[-2:]) for row in range(len(images))]
    vectors = np.stack([model.vectors[model.positions[str(each)]] for each in images.ids])
    near = vectors @ vectors.T
    np.fill_diagonal(near, -2)
    lines = seen.part(SIMILAR).lines
    assert len(lines) == 2 * 8  # the image, then its neighbours
    for (asked,), found in zip(lines[::2], lines[1::2], strict=True):
        row = names.index(asked.name)
        assert asked.mark == "asked"
        assert [each.name for each in found] == [names[each] for each in np.argsort(-near[row])[:5]]
        assert {each.mark for each in found} == {""}
    worst = [names.index(line[0].name) for line in lines[10::2]]
    lonely = np.sort(near, axis=1)[:, -5:].mean(axis=1)
    others = set(range(len(names))) - {names.index(line[0].name) for line in lines[:10:2]}
    assert set(worst) == set(sorted(others, key=lambda row: lonely[row])[:3])


def test_marks_come_from_answers_and_what_follows(embedded: Folder) -> None:
    answer(embedded, [(0, each, "similar") for each in range(1, 12)])
    answer(embedded, [(0, 12, "dissimilar")])
    answer(embedded, [(12, each, "similar") for each in range(13, 24)])
    seen, _ = written(embedded)
    images = open_images(embedded)
    side = {"/".join(images.path(row).parts[-2:]): row < 12 for row in range(24)}
    lines = seen.part(SIMILAR).lines
    for (asked,), found in zip(lines[::2], lines[1::2], strict=True):
        for each in found:
            assert each.mark == ("same" if side[each.name] == side[asked.name] else "different")


def test_names_of_people_are_inert(embedded: Folder) -> None:
    classes(embedded)
    seen, page = written(embedded)
    part = seen.part("The answers")
    assert PEOPLE[1] in part.text
    assert "script" not in seen.tags
    assert not seen.handlers
    assert "by 2 people" in part.text
    groups = seen.part("The groups that were found")
    assert "group-001" in groups.text
    assert "Look alike to it, but are different" in page


def test_one_annotator_is_told_that_agreement_is_unknown(ready: Folder) -> None:
    answer(ready, [(0, 1, "similar"), (2, 3, "dissimilar"), (4, 5, "unsure")])
    seen, _ = written(ready)
    assert "only one person answered" in seen.part("The answers").text
    assert "1 similar, 1 dissimilar, 1 unsure" in seen.text


def test_a_contradiction_is_shown_with_its_chain(ready: Folder) -> None:
    answer(ready, [(0, 1, "similar"), (1, 2, "similar"), (0, 2, "dissimilar")], PEOPLE[1])
    part = written(ready)[0].part("The answers")
    assert f"{PEOPLE[1]} called the first and the last dissimilar" in part.text
    assert "from left to right people said: similar, similar" in part.text
    images = open_images(ready)
    names = ["/".join(images.path(row).parts[-2:]) for row in range(3)]
    assert [each.name for each in part.lines[-1]] in (names, names[::-1])


def test_the_pairs_that_come_next_are_not_answered_yet(ready: Folder) -> None:
    answer(ready, [(row, row + 1, "dissimilar") for row in range(30)])
    seen, _ = written(ready)
    images = open_images(ready)
    names = ["/".join(images.path(row).parts[-2:]) for row in range(len(images))]
    asked = {(row, row + 1) for row in range(30)}
    lines = seen.part("What to label next").lines
    assert len(lines) == 6
    pairs = [tuple(sorted(names.index(each.name) for each in line)) for line in lines]
    assert len(set(pairs)) == 6
    assert not set(pairs) & asked


def test_figures_on_the_truth_are_those_of_evaluate(embedded: Folder) -> None:
    seen, page = written(embedded, truth="folders")
    known = evaluate(embedded, Evaluate()).models[-1].scores.values
    for value in known.values():
        assert f"{value:.3f}" in seen.part("How good it is").text
    images = open_images(embedded)
    kinds = {"/".join(images.path(row).parts[-2:]): images.path(row).parent for row in range(24)}
    lines = seen.part(SIMILAR).lines
    for (asked,), found in zip(lines[::2], lines[1::2], strict=True):
        for each in found:
            same = kinds[each.name] == kinds[asked.name]
            assert each.mark == ("same" if same else "different")
    assert "ROC" in page


def test_images_without_a_mate_do_not_count(embedded: Folder, tmp_path: Path) -> None:
    """Ten of 24 images are given classes of their own: nothing can be like them."""
    images = open_images(embedded)
    kinds = [images.path(row).parent.name for row in range(24)]
    rows = [f"{images.ids[row]},{kinds[row] if row < 14 else row}" for row in range(24)]
    (tmp_path / "truth.csv").write_text("\n".join(["id,class", *rows]))
    seen, _ = written(embedded, truth=str(tmp_path / "truth.csv"))
    text = seen.text.replace("\xa0", " ")
    found = evaluate(embedded, Evaluate(truth=str(tmp_path / "truth.csv")))
    assert found.mated == 14
    recall = found.models[-1].scores.values["recall@1"]
    assert f"For {100 * recall:.0f} % of 14 images the most similar one is" in text
    assert "10 more have no other of their class" in text
    lonely = {"/".join(images.path(row).parts[-2:]) for row in range(14, 24)}
    worst = seen.part(SIMILAR).lines[2 * 5 :: 2]  # after five drawn at random
    assert len(worst) == 3
    assert not lonely & {line[0].name for line in worst}
    alone = ["id,class", *(f"{each},{each}" for each in images.ids)]
    (tmp_path / "alone.csv").write_text("\n".join(alone))
    seen, _ = written(embedded, truth=str(tmp_path / "alone.csv"))
    assert "None of 24 images has another one of its class" in seen.text
    assert "nan" not in seen.text


@pytest.mark.parametrize(
    ("chances", "headline", "told"),
    [
        ((0.67, 0.56), None, "0 pairs have an answer that is probably wrong (90 % and more)"),
        ((0.97, 0.56), "1 answer is probably wrong.", "; 1 other may be."),
    ],
)
def test_probably_wrong_is_said_where_it_is_probable(
    chances: tuple[float, ...],
    headline: str | None,
    told: str,
    embedded: Folder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers of 56 and 67 per cent were right ones in a trial; they are shown, not accused."""
    answer(embedded, [(0, 1, "similar"), (0, 2, "dissimilar")])
    with open_answers(embedded) as store:
        pairs = [each.pair for each in store.current()]
    doubts = dict(zip(pairs, chances, strict=True))
    monkeypatch.setattr(Subject, "doubts", property(lambda _: doubts))
    seen, _ = written(embedded)
    head = seen.text.replace("\xa0", " ").partition("What to do next")[0]
    assert ("probably wrong" in head) is (headline is not None)
    assert headline is None or headline in head
    answers = seen.part("The answers").text.replace("\xa0", " ")
    assert told in answers
    assert "Worth another look" in answers
    assert "wrong with a chance of 56 %" in answers


def test_a_truth_of_one_class_is_refused(ready: Folder) -> None:
    with pytest.raises(LikewiseError, match="fewer than two classes"):
        report(ready, Report(truth="folders"))
    assert not (ready.path / "report.html").exists()


class TestRuns:
    def test_a_run_is_compared_with_its_parent(self, embedded: Folder) -> None:
        parent = runs_of(embedded)[0]
        run = start_run(
            embedded, "finetune", {"depth": "head"}, name=None, parent=parent.fingerprint
        )
        run.model_file.write_bytes(parent.model_file.read_bytes())
        keep_parent(run, parent, "it was not <surely> better")
        run.model_file.unlink()
        seen, _ = written(embedded, run=run.name)
        assert seen.text.count("it was not <surely> better") >= 2
        assert "What finetune-1 learnt" in seen.text

    def test_an_unfinished_run_shows_its_curve(self, filled: Folder) -> None:
        run = start_run(filled, "pretrain", {"epochs": 9}, name="slow")
        row = {"loss": -0.1, "steps": 99, "projection_std": 0.01, "effective_rank": 1.0}
        run.write_metrics([row | {"epoch": epoch} for epoch in (1, 2)])
        seen, page = written(filled, run="slow")
        part = seen.part("How the training went")
        assert "2 of 9 epochs" in part.text
        assert "collapsed" in part.text
        assert page.count("<svg") == 3
        assert "is being trained" in seen.text

    def test_an_unknown_run_is_wrong_usage(self, filled: Folder) -> None:
        with pytest.raises(UsageError, match="no run 'x'"):
            report(filled, Report(run="x"))


class TestFile:
    def test_elsewhere_as_json(
        self, filled: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "deep" / "er.html"
        command = ["report", "--workspace", str(filled.path), "--out", str(file), "--json"]
        assert cli.run(command) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["report"] == str(file)
        assert told["bytes"] == file.stat().st_size
        assert [each.name for each in file.parent.iterdir()] == ["er.html"]
        assert not (filled.path / "report.html").exists()

    def test_from_python(self, filled: Folder) -> None:
        made = Workspace(filled.path).report()
        assert made.report == filled.path / "report.html"
        assert made.report.is_file()

    def test_a_name_that_is_no_page_and_a_place_that_is_none(
        self, filled: Folder, tmp_path: Path
    ) -> None:
        with pytest.raises(UsageError, match=r"\.html"):
            report(filled, Report(out=tmp_path / "a.pdf"))
        (tmp_path / "file").touch()
        with pytest.raises(LikewiseError, match="could not write"):
            report(filled, Report(out=tmp_path / "file" / "a.html"))

    def test_the_same_again(self, ready: Folder) -> None:
        (one, _), (two, _) = written(ready), written(ready)
        lines = [
            [each.name for line in seen.part(SIMILAR).lines for each in line] for seen in (one, two)
        ]
        assert lines[0] == lines[1]


def test_size_and_reading_do_not_grow_with_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2_500, 40, 90, 3), np.uint8)
    images = stored(tmp_path / "many", list(noise), [f"c{n % 9}/{n}.png" for n in range(2_500)])
    workspace = Folder(tmp_path / "many")
    vectors = np.eye(9, 16)[np.arange(2_500) % 9] + 0.3 * rng.normal(size=(2_500, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    write_embeddings(workspace, [vectors], images.ids, 16, "f1", "run-1")
    classes(workspace, 60)
    read: set[int] = set()
    original = Images.__getitem__

    def counted(self: Images, row: int) -> object:
        read.add(row)
        return original(self, row)

    monkeypatch.setattr(Images, "__getitem__", counted)
    seen, _ = written(workspace)
    assert len(seen.part("The groups that were found").lines) > 5
    assert len(read) < 1_200


@pytest.mark.browser
def test_it_fits_a_phone_and_follows_the_night(embedded: Folder, browser: Browser) -> None:
    classes(embedded)
    second = start_run(embedded, "pretrain", {}, name=None)
    torch.manual_seed(1)
    save_model(second.model_file, build_backbone("small", image_size=24))
    embed(embedded, Embed(precision="float32", device="cpu"))
    made = report(embedded, Report(truth="folders"))
    assert ">before (" in made.report.read_text("utf-8"), "there are two models, side by side"
    sizes = (("dark", 390), ("light", 390), ("light", 820), ("light", 1000), ("light", 1200))
    night, *days = (
        background(browser, made.report.as_uri(), scheme, width) for scheme, width in sizes
    )
    assert {night} != set(days)
    assert len(set(days)) == 1


def background(browser: Browser, uri: str, scheme: Any, width: int) -> str:
    """The colour of the page, which is seen whole and without a request or complaint."""
    size = {"width": width, "height": 800}
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: asked.append(message.text))
    page.goto(uri)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    broken = "[...document.images].filter(each => !each.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert [each for each in asked if not each.startswith(("file:", "data:"))] == []
    shade = str(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    context.close()
    return shade


def test_parts_are_found_by_their_title() -> None:
    seen = Seen("<section><h2>a</h2></section><section><h2>b</h2><p>c</p></section>")
    assert seen.parts == [Part("a", "a", []), Part("b", "bc", [])]
