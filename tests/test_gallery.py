"""`likewise gallery`: classes come and go, images are recognised, nothing is lost or mixed."""

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import likewise
from likewise import cli
from likewise.answers.reserved import CALIBRATION
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.files import digest
from likewise.images.decode import load
from likewise.inference.class_names import class_name
from likewise.inference.exemplar_vectors import Members
from likewise.inference.gallery import Gallery
from likewise.inference.gallery_store import FILE, GalleryStore, NewExemplar
from likewise.inference.recognition import Recogniser, nearest
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import Embed
from likewise.workspace import Workspace

here = pytest.mark.usefixtures("reading_here")
"""For tests that add and recognise much; what cannot be added is read in children, as usual."""
BLANK = np.zeros((2, 3, 3), np.uint8)


def run(workspace: Workspace, *words: str | Path) -> int:
    return cli.run(["gallery", *map(str, words), "--workspace", str(workspace.path)])


def told(capsys: pytest.CaptureFixture[str]) -> dict:  # type: ignore[type-arg]
    return dict(json.loads(capsys.readouterr().out))


@here
def test_a_class_takes_effect_at_once_and_goes_as_quickly(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    """Through the API; the originals may be gone, as the gallery keeps pictures."""
    gallery = likewise.Workspace(embedded.path).gallery()
    with pytest.raises(LikewiseError, match="the gallery is empty"):
        gallery.classify(tmp_path / "in")
    for seed in (50, 51):
        added = gallery.add(f"class {seed}", picture(tmp_path / f"{seed}.png", seed, (40, 40)))
        assert added.added == {f"class {seed}": 1}
        assert added.new_classes == {f"class {seed}"}
        (tmp_path / f"{seed}.png").unlink()
    larger = [picture(tmp_path / f"large {seed}.png", seed, (60, 60)) for seed in (50, 51, 52)]
    found = gallery.classify(*larger, closed_set=True)
    assert [each.class_name for each in found.results][:2] == ["class 50", "class 51"]
    third = found.results[2]
    gallery.add("class 52", picture(tmp_path / "52.png", 52, (40, 40)))
    after = gallery.classify(*larger, closed_set=True)
    assert after.results[:2] == found.results[:2]
    assert after.results[2].class_name == "class 52"
    assert after.results[2].similarity > third.similarity
    gallery.remove("class 52")
    assert gallery.classify(*larger, closed_set=True).results == found.results
    assert list(gallery.classes().classes) == ["class 50", "class 51"]


@here
def test_similarity_is_that_of_the_nearest_exemplar_by_a_slow_loop(
    embedded: Workspace, tmp_path: Path
) -> None:
    gallery = Gallery(embedded)
    for kind in range(3):
        gallery.add(f"kind {kind}", *sorted((tmp_path / "in" / f"kind-{kind}").iterdir())[:2])
    found = gallery.classify(tmp_path / "in", closed_set=True)
    embeddings = load_embeddings(embedded)
    vectors = {each: embeddings.vectors[row].tolist() for each, row in embeddings.positions.items()}
    exemplars = gallery.store.exemplars()
    assert len(found.results) == 24
    for each in found.results:
        near = {
            e.image: sum(x * y for x, y in zip(vectors[each.id], vectors[e.image], strict=True))
            for e in exemplars
        }
        best = max(near, key=lambda image: near[image])
        assert each.exemplar_id == best
        assert each.similarity == pytest.approx(near[best], abs=1e-5)
        assert each.nearest == next(e.class_name for e in exemplars if e.image == best)
        if each.id == best:
            assert (each.similarity, each.probability) == (1, 1)
    assert any("6 images among them are exemplars" in note for note in found.notes())


@here
def test_unknown_is_an_answer_and_the_command_speaks_the_contract(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((tmp_path / "in").rglob("*.png"))
    assert run(embedded, "add", "zwölf / 12", images[0], images[1], "--json") == 0
    assert told(capsys)["added"] == {"zwölf / 12": 2}
    out, sheet = tmp_path / "out.csv", tmp_path / "sheet.png"
    words = ["classify", str(tmp_path / "in"), "--out", str(out), "--sheet", str(sheet)]
    assert run(embedded, *words, "--json") == 0
    open_set = told(capsys)
    names = [each["class"] for each in open_set["results"]]
    assert set(names) == {"zwölf / 12", "unknown"}
    for each in open_set["results"]:
        assert set(each) >= {"path", "class", "similarity", "probability"}
        copy = each["path"] in (str(images[0]), str(images[1]))
        named = copy or each["similarity"] >= open_set["threshold"]
        assert each["class"] == ("zwölf / 12" if named else "unknown")
    assert open_set["calibrated_from"] == "images"
    assert "all were taken for strangers" in open_set["notes"][0]
    with out.open(newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)] == names
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert run(embedded, "classify", images[5], "--closed-set", "--json") == 0
    closed = told(capsys)
    assert [each["class"] for each in closed["results"]] == ["zwölf / 12"]
    assert (closed["closed_set"], closed["threshold"]) == (True, None)
    assert run(embedded, "classify", tmp_path / "in") == 0
    text = capsys.readouterr().out
    assert f"24 images: {24 - names.count('unknown')} named (1 class)" in text
    assert "unknown (nearest: zwölf / 12)" in text


@here
def test_calibration_answers_tell_threshold_and_probability(
    embedded: Workspace, tmp_path: Path
) -> None:
    embeddings = load_embeddings(embedded)
    ids = embeddings.ids.tolist()
    first, second = np.triu_indices(len(ids), k=1)
    near = (np.asarray(embeddings.vectors) @ np.asarray(embeddings.vectors).T)[first, second]
    chosen = np.argsort(near)[np.linspace(0, len(near) - 1, 80).astype(int)]
    middle = float(np.quantile(near, 0.8))
    with open_answers(embedded) as store:
        store.add(
            [
                NewAnswer(
                    min(ids[first[each]], ids[second[each]]),
                    max(ids[first[each]], ids[second[each]]),
                    "similar" if near[each] > middle else "dissimilar",
                    "ada",
                    strategy=CALIBRATION,
                    score=float(near[each]),
                    fingerprint=embeddings.fingerprint,
                )
                for each in chosen
            ]
        )
    gallery = Gallery(embedded)
    gallery.add("one", tmp_path / "in/kind-0/00.png")
    strict, loose = (gallery.classify(tmp_path / "in", far=far) for far in (0.05, 0.5))
    assert strict.rule is not None
    assert loose.rule is not None
    assert (strict.rule.source, strict.certain_by) == ("answers", "answers")
    assert loose.rule.similarity < strict.rule.similarity
    assert strict.rule.far <= 0.05
    told = sorted((e.similarity, e.probability or 0) for e in strict.results)
    assert [chance for _, chance in told] == sorted(chance for _, chance in told)
    assert told[0][1] < 0.5 < told[-2][1] or told[-2][0] < middle


@here
def test_a_new_model_embeds_the_gallery_anew_and_never_mixes(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    gallery = Gallery(embedded)
    new = picture(tmp_path / "new.png", 60)
    gallery.add("new", new)
    gallery.add("old", tmp_path / "in/kind-0/00.png")
    before = gallery.classify(new, tmp_path / "in/kind-1/01.png", closed_set=True)
    pixels = load(new, short_side=embedded.config.store_size)
    new.unlink()
    second = start_run(embedded, "pretrain", {}, name="second")
    backbone = build_backbone("small", image_size=24)
    for value in backbone.parameters():
        value.data.mul_(0.7).add_(0.02)
    save_model(second.model_file, backbone)
    embed(embedded, Embed(precision="float32"))
    after = gallery.classify(tmp_path / "in/kind-1/01.png", closed_set=True)
    assert after.fingerprint == second.fingerprint != before.fingerprint
    kept = gallery.store.vectors(second.fingerprint, 256)
    assert set(kept) == {each.image for each in gallery.store.exemplars()}
    picture_kept = gallery.store.picture(digest_of("new", gallery))
    assert picture_kept is not None
    assert np.array_equal(picture_kept, pixels)
    embeddings = load_embeddings(embedded)
    row = embeddings.positions[digest_of("old", gallery)]
    assert np.allclose(kept[digest_of("old", gallery)], embeddings.vectors[row], atol=1e-6)
    # vectors of a model whose embeddings are gone go with the next change
    shutil.rmtree(embedded.embeddings / before.fingerprint)
    gallery.add("third", tmp_path / "in/kind-2/02.png")
    gallery.classify(tmp_path / "in/kind-1/01.png", closed_set=True)
    assert gallery.store.vectors(before.fingerprint, 256) == {}


def digest_of(name: str, gallery: Gallery) -> str:
    (exemplar,) = gallery.store.exemplars(name)
    return exemplar.image


def test_what_cannot_be_added_is_a_line_and_the_rest_goes_in(
    embedded: Workspace,
    picture: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "new"
    files = [picture(folder / f"{seed}.png", seed) for seed in range(70, 73)]
    (folder / "broken.png").write_bytes(b"\x89PNG, but no more")
    (folder / "twin.png").write_bytes(files[0].read_bytes())
    assert run(embedded, "add", "cat", folder, "--json") == 0
    added = told(capsys)
    assert (added["added"], added["known"], added["exemplars"]) == ({"cat": 3}, 1, 3)
    assert [Path(each["path"]).name for each in added["failures"]] == ["broken.png"]
    # the same again adds nothing; an image of one class cannot be of another
    assert run(embedded, "add", "cat", *files) == 0
    assert "3 images known already" in capsys.readouterr().out
    assert run(embedded, "add", "dog", files[0]) == 1
    *_, error = capsys.readouterr().err.splitlines()  # before it, progress where it is slow
    assert error.startswith("likewise: nothing was added: ")
    assert "it is an exemplar of 'cat'" in error
    fresh = picture(tmp_path / "dog.png", 80)
    assert run(embedded, "add", "dog", fresh, files[0]) == 0
    text = capsys.readouterr().out
    assert "dog: 1 exemplar added (a new class)" in text
    assert f"`likewise gallery remove cat {files[0]}` first" in text


@here
def test_class_folders_come_in_at_once_named_by_their_paths(
    embedded: Workspace, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    root = tmp_path / "signs"
    for seed, name in enumerate(("Latin/a", "Latin/b", "Greek", "unknown")):
        picture(root / name / "1.png", 100 + seed)
    picture(root / "lost.png", 110)
    gallery = Gallery(embedded)
    added = gallery.add_folders(root)
    assert list(added.added) == ["Greek", "Latin/a", "Latin/b"]
    reasons = [reason for _, reason in added.failures]
    assert any("lies in no class folder" in each for each in reasons)
    assert any("'unknown' cannot be a class" in each for each in reasons)
    assert gallery.add_folders(root).known == 3
    with pytest.raises(UsageError, match="is no folder"):
        gallery.add_folders(root / "lost.png")


@here
def test_exemplars_are_removed_by_file_by_place_and_by_id(
    embedded: Workspace, tmp_path: Path, picture: Callable[..., Path]
) -> None:
    files = [picture(tmp_path / f"{seed}.png", seed) for seed in range(90, 95)]
    gallery = Gallery(embedded)
    gallery.add("cat", *files[:4])
    gallery.add("dog", files[4])
    copy = tmp_path / "copy.png"
    shutil.copy(files[0], copy)
    gone, by_id = files[1], digest(files[2])
    gone.unlink()
    with pytest.raises(LikewiseError, match=r"94\.png is an exemplar of 'dog', not of 'cat'"):
        gallery.remove("cat", copy, files[4])
    with pytest.raises(LikewiseError, match="is no exemplar of 'cat'"):
        gallery.remove("cat", copy, tmp_path / "in/kind-0/00.png")
    assert gallery.store.classes() == {"cat": 4, "dog": 1}  # all or nothing
    assert gallery.remove("cat", copy, gone, by_id).left == 1
    assert "no such class any more" in gallery.remove("cat", files[3]).as_text()
    with pytest.raises(LikewiseError, match="did you mean 'dog'"):
        gallery.remove("dogs")
    assert gallery.remove("dog").removed == 1
    assert "is empty" in gallery.classes().as_text()
    database = sqlite3.connect(embedded.path / FILE)
    for table in ("exemplars", "pictures", "vectors"):
        assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    database.close()


def test_many_writers_at_once_lose_nothing(workspace: Workspace) -> None:
    """Each thread with a connection of its own, as commands have; all begin before the file is."""
    workspace.create()
    start = threading.Barrier(6)
    wrong: list[Exception] = []

    def write(number: int) -> None:
        try:
            store = GalleryStore(workspace)
            start.wait()
            for each in range(15):
                image = f"{number + 1:016x}{each:016x}"
                store.add([NewExemplar(f"class {number}-{each}", image, "/x.png", BLANK)])
                store.add([NewExemplar(f"class {number}", f"{each:032x}", "/x.png", BLANK)])
            store.remove([f"{number + 1:016x}{0:016x}"])
            store.close()
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    store = GalleryStore(workspace)
    classes = store.classes()
    for number in range(6):
        own = {name for name in classes if name.startswith(f"class {number}-")}
        assert own == {f"class {number}-{each}" for each in range(1, 15)}
    # of an image that all wanted, one has it
    assert sum(classes.get(f"class {number}", 0) for number in range(6)) == 15


def test_one_class_among_ten_thousand_writes_one_class(workspace: Workspace) -> None:
    workspace.create()
    store = GalleryStore(workspace)
    store.add(
        [NewExemplar(f"class {each}", f"{each:032x}", "/x.png", BLANK) for each in range(10_000)]
    )
    vector = np.full(4, 0.5, np.float32)
    store.keep_vectors("f1", {f"{each:032x}": vector for each in range(10_000)})
    writes = store.version[1]
    assert store.add([NewExemplar("new", "f" * 32, "/x.png", BLANK)]) == {"f" * 32}
    store.keep_vectors("f1", {"f" * 32: vector})
    assert store.version[1] - writes == 3  # exemplar, picture, vector
    assert len(store.classes()) == 10_001
    assert len(store.vectors("f1", 4)) == 10_001


@here
def test_a_gallery_that_is_open_sees_what_others_add(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    one, other = Gallery(embedded), Gallery(embedded)
    one.add("a", picture(tmp_path / "a.png", 1))
    query = picture(tmp_path / "b large.png", 2, (64, 48))
    assert one.classify(query, closed_set=True).results[0].nearest == "a"
    other.add("b", picture(tmp_path / "b.png", 2))
    assert one.classify(query, closed_set=True).results[0].nearest == "b"
    other.remove("b")
    assert one.classify(query, closed_set=True).results[0].nearest == "a"


@here
def test_damage_is_noticed_vectors_are_made_again_pictures_are_named(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    gallery = Gallery(embedded)
    gallery.add("my cat", picture(tmp_path / "a.png", 1))
    query = picture(tmp_path / "large.png", 1, (64, 48))
    before = gallery.classify(query, closed_set=True)
    database = sqlite3.connect(embedded.path / FILE, isolation_level=None)
    database.execute("UPDATE vectors SET vector = zeroblob(length(vector))")
    assert gallery.classify(query, closed_set=True).results == before.results
    database.execute("UPDATE pictures SET png = zeroblob(length(png))")
    database.execute("DELETE FROM vectors")
    image = digest_of("my cat", gallery)
    with pytest.raises(LikewiseError, match=rf"damaged; .* remove 'my cat' {image}`"):
        gallery.classify(query)
    database.execute("UPDATE likewise_gallery SET format = 99")
    with pytest.raises(LikewiseError, match=r"has format 99.*upgrade"):
        Gallery(embedded)
    database.close()
    (embedded.path / FILE).write_bytes(os.urandom(9000))
    with pytest.raises(LikewiseError, match=r"it is damaged .*add the classes again"):
        Gallery(embedded)


@given(st.text(max_size=30))
def test_a_name_is_refused_or_kept_as_it_is_seen(text: str) -> None:
    try:
        name = class_name(text)
    except UsageError:
        name = None
    bare = unicodedata.normalize("NFC", text).strip()
    good = bare and bare.isprintable() and bare.casefold() != "unknown"
    assert (name is not None) == bool(good)
    if name is None:
        return
    assert name == unicodedata.normalize("NFC", text).strip()
    assert class_name(name) == name
    assert name.isprintable()
    assert name.casefold() != "unknown"


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "\x1b[31m", "Unknown", "\udcff", "x" * 201])
def test_these_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        class_name(text)


@pytest.mark.parametrize(
    "name", ["../../etc", "=1+1", "a/b\\c", "'; DROP TABLE exemplars; --", "猫"]
)
def test_names_are_data(name: str, workspace: Workspace, tmp_path: Path) -> None:
    workspace.create()
    before = set(tmp_path.rglob("*"))
    store = GalleryStore(workspace)
    store.add([NewExemplar(class_name(name), "0" * 32, "/x.png", BLANK)])
    assert store.classes() == {name: 1}
    assert {each.name for each in set(tmp_path.rglob("*")) - before} == {FILE}


def test_the_nearest_exemplar_is_found_whatever_the_block() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2500, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    members = Members(("a",), np.zeros(40, np.int64), ("",) * 40, ("",) * 40, vectors[:40])
    rows, near = nearest(members, vectors)
    assert rows[:40].tolist() == list(range(40))
    table = vectors.astype(np.float64) @ vectors[:40].T.astype(np.float64)
    assert near == pytest.approx(table.max(axis=1), abs=1e-6)


@pytest.mark.parametrize(("unseen", "expected"), [(120, 0.5), (99, 0.1)])
def test_images_that_were_not_trained_on_tell_the_threshold_if_they_are_enough(
    unseen: int, expected: float, tmp_path: Path
) -> None:
    """Those at a cosine of 0.5 to the only exemplar, which are too few to matter among all."""
    near = np.where(np.arange(4000) < unseen, 0.5, 0.1)
    vectors = np.stack([near, np.sqrt(1 - near**2)], axis=1).astype(np.float32)
    ids = np.array([f"{each:032x}" for each in range(4000)])
    embeddings = Embeddings(tmp_path, "f", "m", ids, vectors)
    one = np.array([[1, 0]], np.float32)
    members = Members(("a",), np.zeros(1, np.int64), ("f" * 32,), ("a.png",), one)
    rule = Recogniser(members, embeddings, None, np.arange(4000) < unseen).rule(0.05)
    assert rule.similarity == pytest.approx(expected, abs=1e-6)
    assert any("was trained on" in note for note in rule.notes) == (unseen < 100)


def test_adding_loads_no_net() -> None:
    code = "import sys, likewise.inference.gallery_jobs; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@here
def test_list_shows_classes_and_draws_them(
    embedded: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Gallery(embedded).add("x" * 200, *sorted((tmp_path / "in/kind-0").iterdir()))
    sheet = tmp_path / "sheet.png"
    assert run(embedded, "list", "--sheet", sheet, "--json") == 0
    listed = told(capsys)
    assert [each["class"] for each in listed["classes"]] == ["x" * 200]
    assert len(listed["classes"][0]["exemplars"]) == listed["exemplars"] == 8
    assert sheet.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["add"], 2, "give the name of the class and its images"),
        (["add", "a"], 2, "say which images show 'a'"),
        (["add", "unknown", "in"], 2, "'unknown' cannot be a class"),
        (["add", "a", "none.png"], 1, "none.png does not exist"),
        (["add", "a", "empty"], 1, "there is no image to add"),
        (["add", "a", "in", "--from-folders", "in"], 2, "not both"),
        (["remove", "a"], 1, "the gallery has no class 'a'"),
        (["classify"], 2, "say which images"),
        (["classify", "in"], 1, "the gallery is empty"),
        (["classify", "in", "--far", "1"], 2, "--far must lie between"),
        (["classify", "in", "--out", "x.pdf"], 2, "the name must end in"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    code: int,
    told: str,
    ready: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "in").mkdir()
    assert run(ready, *words) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1
