"""What Explore decides and shows, without a browser."""

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from likewise.answers.links import Links
from likewise.answers.standing import Verdict
from likewise.answers.store import NewAnswer
from likewise.errors import LikewiseError
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run
from likewise.neighbours import atlas
from likewise.neighbours.embedding import embed
from likewise.neighbours.mapmaker import make_atlas
from likewise.neighbours.vectors import load_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace
from likewise_labeler import embedder as embedder_module
from likewise_labeler.atlas_marks import HIDDEN, OTHERS, PLAIN, Entry, group_labels, marks_of
from likewise_labeler.atlas_reply import Images, Points, mapmaker_of, message, reply, stamp_of
from likewise_labeler.catalogue import Catalogue, catalogue_of, folder_names, told_apart
from likewise_labeler.desk import Desk, Ready
from likewise_labeler.embedder import Embedder
from likewise_labeler.explore_panel import Facts, Hit, facts_of, history_address, hits_of, nearest
from likewise_labeler.wire import BadRequest


@pytest.fixture
def desk(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    desk = Desk(ready)
    yield desk
    mapmaker_of(desk).stop()
    desk.store().close()


@pytest.fixture
def opened(desk: Desk) -> Ready:
    ready = desk.look()
    assert isinstance(ready, Ready)
    return ready


def say(ready: Ready, one: str, other: str, verdict: Verdict) -> None:
    a, b = sorted((one, other))
    ready.store.add([NewAnswer(a, b, verdict, "ada")])


# Colours and legend


def test_the_largest_have_colours_and_the_rest_share_one() -> None:
    labels: list[str | None] = [f"g{number:02}" for number in range(13) for _ in range(20 - number)]
    labels += ["", None, "", "", None]
    marks, legend = marks_of(labels)
    assert [entry.mark for entry in legend] == [*range(11), OTHERS, PLAIN]
    assert [entry.label for entry in legend[:2]] == ["g00", "g01"]
    assert legend[11] == Entry(OTHERS, "2 more", 9 + 8)
    assert legend[12] == Entry(PLAIN, "", 3)
    assert sum(entry.count for entry in legend) == len(labels) - 2
    assert marks[-5:].tolist() == [PLAIN, HIDDEN, PLAIN, PLAIN, HIDDEN]
    for entry in legend:
        assert (marks == entry.mark).sum() == entry.count


def test_equal_counts_come_by_name_whatever_the_order() -> None:
    assert [entry.label for entry in marks_of(["b", "a", "c", "b", "a"])[1]] == ["a", "b", "c"]


def test_groups_bear_the_name_of_their_first_image(opened: Ready) -> None:
    catalogue = catalogue_of(opened)
    a, b, c, d, e = (catalogue.ids[row] for row in (3, 7, 20, 21, 30))
    labels = group_labels(catalogue, [[d, c], [e, b, a, "f" * 32]])
    first = f"like {catalogue.names[3]}"
    assert [labels[row] for row in (3, 7, 30)] == [first] * 3
    assert labels[20] == labels[21] == f"like {catalogue.names[20]}"
    assert labels.count("") == 35


def test_groups_whose_images_are_called_the_same_stay_apart(opened: Ready) -> None:
    catalogue = Catalogue(opened.images, opened.embeddings)
    catalogue.names = ["same.png"] * 40
    ids = catalogue.ids
    labels = group_labels(catalogue, [[ids[8], ids[9]], [ids[1], ids[2]]])
    assert (labels[1], labels[8]) == ("like same.png", "like same.png (2)")


@pytest.mark.parametrize(
    ("parents", "names", "places"),
    [
        (["/a/b/x", "/a/b/y", "", "/a/b/x"], ["x", "y"], [0, 1, -1, 0]),
        (["/a/b/x/1", "/a/b/y/1"], ["x/1", "y/1"], [0, 1]),
        (["/a/b", "/a/b/y"], ["b", "y"], [0, 1]),
        (["/a/b", "/a/b/b"], ["b"], [0, 0]),
        (["/a/b", "/a/b"], ["b"], [0, 0]),
        (["/", "/y"], ["/", "y"], [0, 1]),
        ([""], [], [-1]),
    ],
)
def test_folders_are_called_by_what_tells_them_apart(
    parents: list[str], names: list[str], places: list[int]
) -> None:
    found, of = folder_names(parents)
    assert (found, of.tolist()) == (names, places)


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    files, folders = ["1.png", "2.png", "1.png", "", ""], ["cats", "dogs"]
    names = told_apart(files, folders, [0, 0, 1, -1, -1])
    assert names == ["cats/1.png", "2.png", "dogs/1.png", "", ""]


def test_an_image_whose_file_went_is_not_on_the_map(
    ready: Workspace, desk: Desk, labelled_images: Path
) -> None:
    images = open_images(ready)
    lost = str(images.ids[5])
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(images.positions, lost)
        catalogue = Catalogue(images, load_embeddings(ready))
    assert not catalogue.present[5]
    assert catalogue.folder_of[5] == -1
    among = catalogue.rows_in(None)
    assert among is not None
    assert among.tolist() == [row for row in range(40) if row != 5]
    assert group_labels(catalogue, [[lost, catalogue.ids[6]]])[5] is None


def test_images_without_an_embedding_are_counted(
    ready: Workspace, desk: Desk, picture: Callable[..., Path], tmp_path: Path
) -> None:
    assert "no place on the map" not in text(page())
    for seed in (100, 101):
        picture(tmp_path / "more" / f"{seed}.png", seed)
    ingest(ready, Ingest(images=(tmp_path / "more",), workers=1))
    assert "2 images have no place on the map yet" in text(page())


# What the map asks for


def test_points_come_when_they_are_made_and_in_the_order_of_the_vectors(
    desk: Desk, opened: Ready, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atlas, "ITERATIONS", 250)
    ids = catalogue_of(opened).ids
    say(opened, ids[0], ids[9], "similar")
    say(opened, ids[9], ids[4], "similar")
    say(opened, ids[1], ids[2], "dissimilar")
    with desk.workspace.lock("atlas"):
        asked = Points(stamp_of(opened), "groups", False)
        assert reply(desk, asked) == {"state": "working", "share": 0.0}
    make_atlas(desk.workspace, "f1")
    told = reply(desk, asked)
    assert told["state"] == "ready"
    made = mapmaker_of(desk).look(opened.embeddings).places
    assert made is not None
    places = np.frombuffer(base64.b64decode(told["points"]), "<u2").reshape(-1, 2) / 65535
    assert np.allclose(places, made, atol=1e-5)
    marks = np.frombuffer(base64.b64decode(told["marks"]), np.uint8)
    assert np.flatnonzero(marks == 0).tolist() == [0, 4, 9]
    assert [entry["count"] for entry in told["legend"]] == [3, 37]
    folders = reply(desk, Points(stamp_of(opened), "folders", False))
    assert [(entry["label"], entry["count"]) for entry in folders["legend"]] == [("in", 40)]
    assert json.dumps(folders)


def test_pictures_come_in_the_order_asked_for(desk: Desk, opened: Ready) -> None:
    told = reply(desk, Images(stamp_of(opened), (7, 3, 7)))
    ids = catalogue_of(opened).ids
    assert [each["id"] for each in told["images"]] == [ids[7], ids[3], ids[7]]
    assert told["images"][1]["thumb"] == opened.pictures.address(ids[3], "thumb")
    with pytest.raises(BadRequest, match="there are 40 images"):
        reply(desk, Images(stamp_of(opened), (40,)))


def test_a_page_of_another_model_is_told_so(desk: Desk, opened: Ready) -> None:
    assert reply(desk, Points("f0-40", "groups", False)) == {"state": "changed"}
    assert reply(desk, Images("f1-39", (1,))) == {"state": "changed"}


def test_without_embeddings_the_map_says_so(workspace: Workspace) -> None:
    assert reply(Desk(workspace), Points("f", "none", False))["state"] == "failed"


def test_messages_are_read_as_they_are() -> None:
    assert message(b'{"op": "points", "fingerprint": "f"}') == Points("f", "groups", False)
    body = b'{"op": "points", "fingerprint": "f", "colour": "none", "again": true}'
    assert message(body) == Points("f", "none", True)
    assert message(b'{"op": "images", "fingerprint": "f", "rows": [3, 1]}') == Images("f", (3, 1))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
)
FIELDS = st.dictionaries(
    st.sampled_from(["op", "fingerprint", "colour", "rows", "again"]),
    JUNK | st.sampled_from(["points", "images", "groups"]),
)


@given(FIELDS.map(json.dumps).map(str.encode) | JUNK.map(json.dumps).map(str.encode) | st.binary())
def test_any_other_message_is_refused_in_one_line(body: bytes) -> None:
    refused = ""
    try:
        read = message(body)
    except BadRequest as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
    else:
        assert isinstance(read.fingerprint, str)
        if isinstance(read, Images):
            assert all(type(row) is int and row >= 0 for row in read.rows)


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "images", "rows": [-1]},
        {"op": "images", "rows": [True]},
        {"op": "images", "rows": [1.0]},
        {"op": "images", "rows": [0] * 301},
        {"op": "points", "colour": "red"},
        {"op": "all"},
    ],
)
def test_wrong_messages_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        message(json.dumps({"fingerprint": "f", **wrong}).encode())


# An image and those like it


def test_neighbours_come_with_what_the_answers_say(opened: Ready) -> None:
    ids = catalogue_of(opened).ids
    vectors = np.array(opened.embeddings.vectors)
    found = nearest(opened, vectors[2], ids[2], None)
    order = [ids[row] for row in np.argsort(-(vectors @ vectors[2])) if row != 2]
    assert list(found) == order[:24]
    assert list(found.values()) == pytest.approx(
        [float(vectors[ids.index(each)] @ vectors[2]) for each in found], abs=1e-6
    )
    links = Links()
    links.add(ids[2], order[0], "similar")
    links.add(order[0], order[1], "dissimilar")
    links.add(order[1], order[2], "similar")
    hits = hits_of(links, ids[2], found)
    assert [hit.relation for hit in hits[:4]] == ["must", "cannot", "cannot", None]
    assert Hit("a", 0.98765, "cannot").caption == "0.988 · different"
    assert Hit("a", 0.5, None).caption == "0.500"


def test_a_folder_keeps_the_others_out(
    workspace: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    desk = trained(workspace, picture, tmp_path)
    ready = desk.look()
    assert isinstance(ready, Ready)
    catalogue = catalogue_of(ready)
    assert catalogue.folders == ["cats", "dogs"]
    vector = np.array(ready.embeddings.vectors[0])
    cats = {catalogue.ids[row] for row in np.flatnonzero(catalogue.folder_of == 0)}
    assert set(nearest(ready, vector, "", "cats")) == cats
    assert len(nearest(ready, vector, "", None)) == 12
    assert len(nearest(ready, vector, "", "cows")) == 12, "a folder that is no more"
    desk.store().close()


def test_facts_in_plain_words(opened: Ready) -> None:
    catalogue = catalogue_of(opened)
    ids, links = catalogue.ids, Links()
    facts = facts_of(catalogue, links, ids[4], 4)
    assert facts == Facts(catalogue.names[4], "in", 0, 1)
    assert facts.lines(1300, 28) == ("1,300 x 28 pixels", "Folder in", "Not compared yet")
    links.add(ids[4], ids[5], "similar")
    assert facts_of(catalogue, links, ids[4], 4).lines(1, 1)[2] == (
        "Compared with one other, in a group of 2"
    )
    links.add(ids[6], ids[4], "dissimilar")
    assert facts_of(catalogue, links, ids[4], 4).lines(1, 1)[2] == (
        "Compared with 2 others, in a group of 2"
    )
    assert facts_of(catalogue, links, ids[6], 6).lines(1, 1)[2] == (
        "Compared with one other, in no group yet"
    )
    address = history_address(ids[4], "Åsa & Bo")
    assert address == f"review?tab=history&image={ids[4]}&annotator=%C3%85sa+%26+Bo"


# Pictures that people bring


def trained(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Desk:
    """Twelve images in two folders, embedded by a model that was never trained."""
    for seed in range(12):
        name = f"{'cats' if seed % 3 else 'dogs'}/{seed}.png"
        picture(tmp_path / "in" / name, seed, size=(40 + seed, 30))
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    run = start_run(workspace, "pretrain", {}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=24))
    embed(workspace, Embed(precision="float32", device="cpu", batch_size=12))
    return Desk(workspace)


def test_a_picture_that_is_brought_gets_the_vector_that_ingest_would_give_it(
    workspace: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    desk = trained(workspace, picture, tmp_path)
    ready = desk.look()
    assert isinstance(ready, Ready)
    embedder = Embedder(workspace)
    try:
        data = ready.images.path(3).read_bytes()
        before = sorted(workspace.path.rglob("*"))
        brought = embedder.embed(data, ready.embeddings.fingerprint)
        assert np.allclose(brought.vector, ready.embeddings.vectors[3], atol=1e-5)
        height, width = ready.images.sizes[3]
        assert (brought.width, brought.height) == (width, height)
        assert brought.picture.startswith(b"\x89PNG")
        assert sorted(workspace.path.rglob("*")) == before, "nothing of it is kept"
        first = embedder._child
        assert first is not None
        with pytest.raises(LikewiseError, match="not an image"):
            embedder.embed(b"no image at all", ready.embeddings.fingerprint)
        with pytest.raises(LikewiseError, match="empty file"):
            embedder.embed(b"", ready.embeddings.fingerprint)
        with pytest.raises(LikewiseError, match="the model of these embeddings is gone"):
            embedder.embed(data, "f9")
        assert embedder._child is first, "one child answers all"
    finally:
        embedder.stop()
        desk.store().close()


ECHO = """
import json, sys
while line := sys.stdin.buffer.readline():
    sys.stdin.buffer.read(json.loads(line)["bytes"])
    print(json.dumps({"vector": [1.0], "picture": "", "width": 3, "height": 4}), flush=True)
"""


def test_a_child_that_was_idle_for_too_long_is_replaced(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_module, "_COMMAND", (sys.executable, "-c", ECHO))
    embedder = Embedder(workspace)
    try:
        assert embedder.embed(b"1", "f1").vector.tolist() == [1]
        first = embedder._child
        assert first is not None
        assert embedder.embed(b"2", "f1").width == 3
        assert embedder._child is first
        first.kill()  # seen or not yet seen by the next call: both must do
        assert embedder.embed(b"3", "f1").height == 4
        assert embedder._child is not first
    finally:
        embedder.stop()


CHILD = "import sys, time; sys.stdin.buffer.readline(); {}"


@pytest.mark.parametrize(
    ("child", "said"),
    [("time.sleep(60)", "more than 0.5 s"), ("sys.exit(3)", "the decoder crashed")],
)
def test_a_child_that_hangs_or_dies_costs_one_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, child: str, said: str
) -> None:
    monkeypatch.setattr(embedder_module, "_COMMAND", (sys.executable, "-c", CHILD.format(child)))
    embedder = Embedder(workspace, patience=0.5 if "sleep" in child else 20.0)
    with pytest.raises(LikewiseError, match=said):
        embedder.embed(b"data", "f1")
    assert embedder._child is None


def test_a_file_that_is_too_large_starts_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_module, "MAX_BYTES", 3)
    embedder = Embedder(workspace)
    with pytest.raises(LikewiseError, match="choose another"):
        embedder.embed(b"data", "f1")
    assert embedder._child is None


# The page


def page(**params: str) -> AppTest:
    def script() -> None:
        from likewise_labeler.desk import the_desk
        from likewise_labeler.explore_page import explore_page

        explore_page(the_desk())

    app = AppTest.from_function(script, default_timeout=30)
    for name, value in {"annotator": "ada", **params}.items():
        app.query_params[name] = value
    return shown(app.run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def text(app: AppTest) -> str:
    return "".join(str(each.proto.body) for each in app.get("html"))


def cards(app: AppTest) -> list[str]:
    """Names and captions on the sheets of images."""
    told = [json.loads(each.proto.json) for each in app.get("bidi_component")]
    found = [card for each in told for card in each.get("cards", [])]
    return [" ".join(filter(None, (card["name"], card.get("caption")))) for card in found]


def test_the_page_begins_with_what_it_is_for(desk: Desk) -> None:
    app = page()
    assert "Each point on the map is an image" in text(app)
    assert cards(app) == []


def test_the_address_chooses_an_image(desk: Desk, opened: Ready) -> None:
    catalogue = catalogue_of(opened)
    near = list(nearest(opened, np.array(opened.embeddings.vectors[2]), catalogue.ids[2], None))
    say(opened, catalogue.ids[2], near[0], "similar")
    app = page(image=catalogue.ids[2])
    assert f"<b>{catalogue.names[2]}</b>" in text(app)
    assert "Compared with one other, in a group of 2" in text(app)
    assert f"review?tab=history&amp;image={catalogue.ids[2]}&amp;annotator=ada" in text(app)
    names = dict(zip(catalogue.ids, catalogue.names, strict=True))
    assert [card.split()[0] for card in cards(app)] == [names[each] for each in near]
    assert cards(app)[0].endswith("· same")
    assert "Each point on the map" in text(page(image="0" * 32)), "an unknown one"


def test_images_are_found_by_name(desk: Desk, opened: Ready) -> None:
    app = page()
    (field,) = app.text_input
    shown(field.set_value("1").run())
    expected = [name for name in sorted(catalogue_of(opened).names) if "1" in name]
    assert sorted(cards(app)) == expected
    assert f"{len(expected)} found" in text(app)
    shown(app.text_input[0].set_value("<b>cow").run())
    assert "No image is called “&lt;b&gt;cow” here" in text(app)


def test_a_newcomer_is_guided(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(workspace.path))
    assert "Each point on the map" not in text(page())
