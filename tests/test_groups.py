"""Groups of all images: figures by hand, folders of links, FiftyOne's format, and the command."""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from likewise import Workspace as Api
from likewise import cli
from likewise.answers.ledger import Ledger
from likewise.answers.placement import Placement, with_calibrated
from likewise.answers.reserved import CALIBRATION
from likewise.answers.standing import pair_of
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.prospects import belief_on
from likewise.images.store import open_images
from likewise.inference.balance import balance_of
from likewise.inference.group_sheet import Row, draw_groups
from likewise.inference.link_folder import MARKER, check_folder, safe_name, write_links
from likewise.inference.telling import by_size, far_out, mean_similarity, of_several, tell
from likewise.neighbours.vectors import load_embeddings, write_embeddings
from likewise.workspace import Workspace

sizes = st.lists(st.integers(1, 1000), min_size=1, max_size=40)


@given(sizes)
def test_balance_is_that_of_the_definitions(counts: list[int]) -> None:
    told = balance_of(np.array(counts, np.int64))
    total = sum(counts)
    entropy = -sum(n / total * math.log(n / total) for n in counts)
    apart = sum(abs(one - two) for one in counts for two in counts)
    assert told.effective == pytest.approx(math.exp(entropy))
    assert told.gini == pytest.approx(apart / (2 * len(counts) * total), abs=1e-9)
    assert told.ratio == max(counts) / min(counts)
    assert 0 <= told.evenness <= 1 + 1e-9
    assert told == balance_of(np.array(sorted(counts), np.int64)) or told.gini >= 0


@given(st.integers(1, 30), st.integers(1, 100))
def test_equal_groups_are_even(groups: int, size: int) -> None:
    told = balance_of(np.full(groups, size, np.int64))
    assert told.effective == pytest.approx(groups)
    assert told.evenness == pytest.approx(1)
    assert told.gini == pytest.approx(0, abs=1e-9)


def test_no_groups_have_no_balance() -> None:
    told = balance_of(np.empty(0, np.int64))
    assert told.as_text() == "no groups"
    assert set(told.as_json().values()) == {0}


@given(st.lists(st.integers(-1, 5), max_size=30))
def test_groups_are_numbered_by_size_and_stay_the_same(given_groups: list[int]) -> None:
    before = np.array(given_groups, np.int64)
    after = by_size(before)
    assert np.array_equal(before < 0, after < 0)
    assert np.array_equal(before[:, None] == before, after[:, None] == after)
    counts = np.bincount(after[after >= 0])
    assert (counts > 0).all()
    assert (np.diff(counts) <= 0).all()


def test_a_group_of_one_is_none() -> None:
    groups, alone = of_several(np.array([5, 2, -1, 5, 7, 7, 3], np.int64))
    assert groups.tolist() == [5, -1, -1, 5, 7, 7, -1]
    assert np.flatnonzero(alone).tolist() == [1, 6]
    nobody, lonely = of_several(np.array([-1, -1], np.int64))
    assert nobody.tolist() == [-1, -1]
    assert not lonely.any()


def test_the_lonely_are_far_out() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.uniform(0.8, 0.9, 100)
    similarity[7] = -0.5
    everybody = np.ones(100, bool)
    assert np.flatnonzero(far_out(similarity, everybody)).tolist() == [7]
    some = everybody.copy()
    some[7] = False
    assert not far_out(similarity, some).any()


def test_mean_similarity_counts_only_who_takes_part() -> None:
    neighbours = np.array([[1, 2], [0, -1], [0, 1]])
    cosines = np.array([[0.8, 0.4], [0.8, -1], [0.4, 0.2]], np.float32)
    among = np.array([True, True, False])
    assert mean_similarity(neighbours, cosines, among) == pytest.approx([0.8, 0.8, 0.3])


@given(st.text(max_size=200))
def test_safe_names_are_safe(name: str) -> None:
    safe = safe_name(name)
    assert 0 < len(safe) <= 120
    assert safe.isprintable()
    assert not set(safe) & set('/\\:*?"<>|')
    assert safe not in (".", "..")
    assert not safe.startswith((".", "-"))
    safe.encode()


def test_safe_names_keep_what_is_harmless() -> None:
    assert safe_name("Åsa 01.JPG") == "Åsa 01.JPG"
    assert safe_name("../../x.png") == "_._.._x.png"
    assert safe_name("a\n<b>.png") == "a__b_.png"
    assert safe_name("\udcff.png") == "_.png"
    assert safe_name("x" * 300 + ".jpeg").endswith("x.jpeg")


def links_in(folder: Path) -> dict[str, Path]:
    return {
        str(each.relative_to(folder)): each.resolve()
        for each in folder.rglob("*")
        if each.is_symlink()
    }


def test_links_lead_to_the_images_and_move_with_them(tmp_path: Path) -> None:
    files = [tmp_path / "in" / part / "x.png" for part in ("a", "b", "c")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text(file.parent.name, "utf-8")
    images = [(file, f"{number}" * 32) for number, file in enumerate(files)]
    folder = tmp_path / "out" / "groups"
    assert write_links(folder, [("group-001", images[:2]), ("no-group", images[2:])]) == 3
    assert links_in(folder) == {
        "group-001/x.png": files[0],
        "group-001/x-11111111.png": files[1],
        "no-group/x.png": files[2],
    }
    tmp_path.rename(tmp_path.with_name("moved"))
    moved = tmp_path.with_name("moved") / "out" / "groups" / "no-group" / "x.png"
    assert moved.read_text("utf-8") == "c"
    tmp_path.with_name("moved").rename(tmp_path)
    check_folder(folder, [tmp_path / "in"])
    write_links(folder, [("group-001", images[2:])])
    assert links_in(folder) == {"group-001/x.png": files[2]}
    assert [each.name for each in folder.parent.iterdir()] == ["groups"]


def test_what_others_made_is_not_touched(tmp_path: Path) -> None:
    images = tmp_path / "in"
    images.mkdir()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for wrong in (theirs, images, images / "deep", tmp_path):
        with pytest.raises(UsageError):
            check_folder(wrong, [images])
    ours = tmp_path / "ours"
    write_links(ours, [("group-001", [])])
    check_folder(ours, [images])
    (ours / "group-001" / "notes.txt").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        check_folder(ours, [images])
    alias = tmp_path / "alias"
    alias.symlink_to(ours)
    with pytest.raises(UsageError):
        check_folder(alias, [images])


def test_a_file_system_without_links_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "groups"
    write_links(folder, [("group-001", [(tmp_path / "a.png", "0" * 32)])])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with pytest.raises(LikewiseError, match=r"required privilege.*--out groups\.csv"):
        write_links(folder, [("group-001", [(tmp_path / "b.png", "1" * 32)])])
    assert [each.name for each in tmp_path.iterdir()] == ["groups"]
    assert (folder / MARKER).is_file()
    assert len(links_in(folder)) == 1


@pytest.fixture
def sorted_out(embedded: Workspace) -> Workspace:
    """24 images of three kinds, their vectors three blobs; a few answers, one image far away."""
    images = open_images(embedded)
    rng = np.random.default_rng(0)
    kinds = np.array([int(images.path(row).parent.name[-1]) for row in range(24)])
    vectors = np.eye(3, 8)[kinds] + 0.02 * rng.normal(size=(24, 8))
    vectors[23] = np.eye(8)[7]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = load_embeddings(embedded)
    chunks = [vectors.astype(np.float32)]
    write_embeddings(embedded, chunks, images.ids, 8, found.fingerprint, found.model)
    rows = [np.flatnonzero(kinds == kind)[:4] for kind in range(3)]
    said = [(group[0], each, "similar") for group in rows for each in group[1:]]
    said += [(rows[a][0], rows[b][0], "dissimilar") for a, b in ((0, 1), (0, 2), (1, 2))]
    with open_answers(embedded) as store:
        store.add(
            [
                NewAnswer(*pair_of(str(images.ids[a]), str(images.ids[b])), verdict, "ada")  # type: ignore[arg-type]
                for a, b, verdict in said
            ]
        )
    return embedded


def test_all_images_are_sorted_and_written(sorted_out: Workspace, tmp_path: Path) -> None:
    found = Api(sorted_out.path).groups(
        out=tmp_path / "g.csv",
        sheet=tmp_path / "g.png",
        links=tmp_path / "links",
        fiftyone=tmp_path / "fo.json",
    )
    told = found.as_json()
    json.dumps(told)
    assert told["images"] == 24
    assert told["grouped"] == told["answered"] + told["spread"]
    assert told["answered"] == 12
    assert told["balance"]["groups"] == len(told["groups"]) == 3
    with (tmp_path / "g.csv").open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert len({row["id"] for row in rows}) == 24
    kinds: dict[str, set[str]] = {}
    for row in rows:
        if row["group"]:
            kinds.setdefault(row["group"], set()).add(Path(row["path"]).parent.name)
            assert 0 < float(row["sure"]) <= 1
    assert sorted(map(len, kinds.values())) == [1, 1, 1]
    links = links_in(tmp_path / "links")
    assert len(links) == 24
    group_of = {row["path"]: row["group"] or "no-group" for row in rows}
    assert all(group_of[str(file)] == Path(link).parts[0] for link, file in links.items())
    with Image.open(tmp_path / "g.png") as sheet:
        assert sheet.width > 1000
    assert "group-001" in found.as_text()
    assert str(tmp_path / "g.csv") in found.as_text()


def test_an_image_alone_is_told_apart_and_not_counted(
    sorted_out: Workspace, tmp_path: Path, drawn: list[str]
) -> None:
    """The image far away is called dissimilar to all that answers placed."""
    images = open_images(sorted_out)
    far = str(images.ids[23])
    with open_answers(sorted_out) as store:
        others = {image for each in store.current() for image in each.pair}
    with open_answers(sorted_out) as store:
        store.add([NewAnswer(*pair_of(far, each), "dissimilar", "ada") for each in others])
    found = Api(sorted_out.path).groups(out=tmp_path / "g.csv", sheet=tmp_path / "g.png")
    told = found.as_json()
    assert (told["alone"], told["balance"]["groups"], len(told["groups"])) == (1, 3, 3)
    assert told["answered"] == 12
    assert min(each["images"] for each in told["groups"]) >= 2
    assert far not in {each["id"] for each in told["doubtful"]}
    assert "1 image is alone: by answers it is like no other so far" in found.as_text()
    with (tmp_path / "g.csv").open(newline="", encoding="utf-8") as opened:
        rows = [each for each in csv.DictReader(opened) if each["id"] == far]
    assert {(each["group"], each["by"]) for each in rows} == {("", "answers")}
    assert any(each.startswith("3 groups, ") for each in drawn)
    assert "group-003" in drawn
    assert "group-004" not in drawn


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is written on pictures from now on."""
    written: list[str] = []
    write = ImageDraw.ImageDraw.text

    def text(self: ImageDraw.ImageDraw, xy: object, text: str, *more: Any, **most: Any) -> None:
        written.append(text)
        write(self, xy, text, *more, **most)  # type: ignore[arg-type]

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return written


def test_captions_are_whole(drawn: list[str]) -> None:
    """A long heading makes its card wider; a long name has three lines; only then it is cut."""
    grey = np.full((8, 8, 3), 99, np.uint8)
    name = "grinning-face-with-big-eyes_1f603_microsoft.png"
    draw_groups("2 groups", [Row("group-001", "2 images, 2 answered", [(grey, name, "sure")] * 2)])
    assert {"group-001", "2 images, 2 answered", "sure"} <= set(drawn)
    lines = [each for each in drawn if each in name and each != "sure"]
    assert "".join(lines) == 2 * name
    assert len(lines) == 6
    drawn.clear()
    endless = "x" * 90 + "-front.png"
    draw_groups("1 group", [Row("a", "b", [(grey, endless, "sure")])])
    assert any("…" in each and each.endswith(".png") for each in drawn)


def test_answers_that_measure_tell_groups_too(sorted_out: Workspace) -> None:
    """The image far away is placed by one; no model learns that."""
    images = open_images(sorted_out)
    before = Api(sorted_out.path).groups().as_json()
    kinds = [images.path(row).parent.name for row in range(24)]
    mate = str(images.ids[kinds.index(kinds[0])])
    far = str(images.ids[23])
    with open_answers(sorted_out) as store:
        store.add([NewAnswer(*pair_of(mate, far), "similar", "ada", strategy=CALIBRATION)])
        ledger = Ledger(store.history())
    embeddings = load_embeddings(sorted_out)
    told = tell(sorted_out, images, embeddings, ledger)
    rows = {str(images.ids[row]): place for place, row in enumerate(told.rows.tolist())}
    assert told.groups[rows[far]] == told.groups[rows[mate]]
    assert told.answered[rows[far]]
    assert Api(sorted_out.path).groups().as_json()["answered"] == before["answered"] + 1
    assert far not in {
        embeddings.ids[row] for row in belief_on(embeddings, ledger, ()).placement().rows
    }


def test_answers_that_measure_say_how_far_spreading_is_believed(sorted_out: Workspace) -> None:
    images = open_images(sorted_out)
    before = Api(sorted_out.path).groups()
    spread = np.flatnonzero((before.told.groups >= 0) & ~before.told.answered)
    assert len(spread) >= 6
    assert before.told.checked == 0
    ids, groups = images.ids[before.told.rows], before.told.groups
    belied = [
        pair_of(str(ids[one]), str(ids[two]))
        for one in spread.tolist()
        for two in np.flatnonzero((groups == groups[one]) & before.told.answered).tolist()[1:]
    ]
    with open_answers(sorted_out) as store:
        store.add(
            [NewAnswer(*pair, "dissimilar", "ada", strategy=CALIBRATION) for pair in belied[:10]]
        )
    after = Api(sorted_out.path).groups()
    assert (after.told.checked, after.told.agreed) == (10, 0)
    assert "10 answers" in after.as_text()
    assert after.as_json()["spread"] == 0
    assert after.as_json()["answered"] == before.as_json()["answered"]


def test_a_placement_is_joined_by_whoever_is_similar() -> None:
    placed = Placement(np.array([4, 7]), np.array([1, 0]), np.array([0.9, 0.8]), 0.1)
    joined = with_calibrated(placed, [(4, 2), (2, 7), (5, 6), (7, 4), (9, 7)])
    assert joined.rows.tolist() == [4, 7, 2, 9]
    assert joined.groups.tolist() == [1, 0, 1, 0]
    assert joined.confidence.tolist() == [0.9, 0.8, 0.9, 0.8]
    assert with_calibrated(placed, [(5, 6)]) is placed


def test_paths_may_be_strings(sorted_out: Workspace, tmp_path: Path) -> None:
    found = Api(sorted_out.path).groups(out=str(tmp_path / "g.csv"), sheet=str(tmp_path / "g.png"))
    assert len(found.written) == 2
    assert {each.name for each in tmp_path.glob("g.*")} == {"g.csv", "g.png"}


def test_labels_are_as_fiftyone_documents_them(sorted_out: Workspace, tmp_path: Path) -> None:
    """ "FiftyOneImageClassificationDataset" in FiftyOne's user guide, "Importing datasets"."""
    Api(sorted_out.path).groups(fiftyone=tmp_path / "fo.json")
    saved = json.loads((tmp_path / "fo.json").read_text("utf-8"))
    assert set(saved) == {"labels"}
    assert len(saved["labels"]) == 24
    for path, target in saved["labels"].items():
        assert os.path.isabs(path)  # noqa: PTH117
        assert Path(path).is_file()
        if target is not None:
            assert set(target) == {"label", "confidence", "attributes"}
            assert isinstance(target["label"], str)
            assert 0 <= target["confidence"] <= 1
            assert all(isinstance(name, str) for name in target["attributes"])


def test_without_answers_it_says_what_to_do(
    embedded: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["groups", "--workspace", str(embedded.path)]) == 1
    assert "likewise label" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--out", "x.txt"], ".csv or .json or .parquet"),
        (["--fiftyone", "x.csv"], ".json"),
        (["--links", "."], "choose another"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    sorted_out: Workspace,
    flags: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["groups", "--workspace", str(sorted_out.path), *flags]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
