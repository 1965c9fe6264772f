"""The app's frame and its desk: which page, for whom, over which workspace."""

import ast
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.web.server.app_discovery import discover_asgi_app

from likewise.answers.screens import Screen
from likewise.answers.standing import Verdict
from likewise.answers.store import AnswerStore, open_answers
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Ingest, Label, Strategy
from likewise.workspace import Workspace
from likewise_labeler import cards, desk, main
from likewise_labeler.desk import Desk, Missing, Ready, readers_of, share_of, strategy_of, the_desk

MAIN = Path(main.__file__)
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(workspace.path))
    for name in ("LIKEWISE_GATE", "LIKEWISE_STRATEGY", "LIKEWISE_SECOND_SHARE"):
        monkeypatch.delenv(name, raising=False)
    known: dict[Any, Any] = {}
    monkeypatch.setattr(desk, "_desks", known)
    yield
    for each in known.values():
        if each.workspace.exists():
            each.store().close()


@pytest.fixture
def labelled(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace with something to label, which the environment names."""
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    return ready


def opened(annotator: str = "") -> AppTest:
    app = AppTest.from_file(str(MAIN), default_timeout=30)
    if annotator:
        app.query_params["annotator"] = annotator
    return shown(app.run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def text(app: AppTest) -> str:
    return "".join(str(each.proto.body) for each in app.get("html"))


def address_name(app: AppTest) -> str:
    """The name in the page's address."""
    value = app.query_params["annotator"]
    return value[0] if isinstance(value, list) else str(value)


def embed(workspace: Workspace, fingerprint: str) -> None:
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, [vectors], ids, 4, fingerprint, f"run-{fingerprint}")


def at(state: Ready | Missing) -> Ready:
    assert isinstance(state, Ready), state
    return state


def hand(state: Ready | Missing, name: str = "ada") -> list[Screen]:
    return at(state).questions.hand(name, "pair")


def test_a_newcomer_is_welcomed(workspace: Workspace) -> None:
    assert "Welcome" in text(opened())
    assert not workspace.path.exists()


def test_the_label_screen_gets_a_pass_of_the_annotators(labelled: Workspace) -> None:
    from likewise_labeler.passes import name_of

    app = opened("  Åsa   Öberg\n")
    assert address_name(app) == "Åsa Öberg"
    (component,) = app.get("bidi_component")
    data = component.proto.json
    (given,) = [each for each in ast.literal_eval(data).items() if each[0] == "pass"]
    assert name_of(given[1]) == "Åsa Öberg"


def test_the_name_can_be_changed_and_lasts_from_page_to_page(labelled: Workspace) -> None:
    app = opened("ada")
    shown(app.text_input[0].set_value("Grace Hopper").run())
    assert address_name(app) == "Grace Hopper"
    app.query_params.clear()  # what a change of page does
    assert address_name(shown(app.run())) == "Grace Hopper"


def test_trouble_is_one_line_not_a_traceback(labelled: Workspace) -> None:
    (labelled.embeddings / "f1" / "vectors.npy").write_bytes(b"damaged")
    app = opened()
    assert "Something is in the way" in text(app)
    assert "damaged" in text(app)


def test_a_session_does_not_grow(labelled: Workspace) -> None:
    """Streamlit remembers every key that it ever saw."""
    app = opened("ada")
    sizes = [len(shown(app.run()).session_state.to_dict()) for _ in range(5)]
    assert len(set(sizes)) == 1


def test_a_new_model_is_picked_up(ready: Workspace) -> None:
    desk = Desk(ready)
    first = at(desk.look())
    assert desk.look() is first
    assert (first.model, first.count, len(first.images)) == ("run-1", 40, 40)
    time.sleep(0.02)
    embed(ready, "f2")
    assert not desk.is_current()
    second = at(desk.look())
    assert second.model == second.embeddings.model == "run-f2"
    assert second.store is first.store, "the same database is not opened again"
    desk.store().close()


def test_while_one_opens_the_new_model_the_others_go_on(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(ready)
    first = desk.look()
    embed(ready, "f2")
    opening, go_on = threading.Event(), threading.Event()
    real = Desk._open

    def slow(self: Desk) -> Ready | Missing:
        opening.set()
        assert go_on.wait(10)
        return real(self)

    monkeypatch.setattr(Desk, "_open", slow)
    thread = threading.Thread(target=desk.look)
    thread.start()
    assert opening.wait(10)
    assert desk.look() is first
    go_on.set()
    thread.join()
    assert at(desk.look()).model == "run-f2"
    desk.store().close()


def test_another_database_is_opened_when_the_settings_name_it(
    ready: Workspace, tmp_path: Path
) -> None:
    desk = Desk(ready)
    first = at(desk.look())
    ready.update(database=f"sqlite:///{tmp_path / 'other.db'}")
    second = at(desk.look())
    assert second.store is not first.store
    assert (tmp_path / "other.db").exists()
    desk.store().close()


def test_a_database_that_cannot_be_opened_is_tried_again(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk = Desk(ready)
    (tmp_path / "sub").touch()
    monkeypatch.setenv("LIKEWISE_DATABASE_URL", f"sqlite:///{tmp_path / 'sub' / 'labels.db'}")
    state = desk.look()
    assert isinstance(state, Missing)
    assert state.what == "trouble"
    (tmp_path / "sub").unlink()
    (tmp_path / "sub").mkdir()
    at(desk.look())
    desk.store().close()


@pytest.mark.parametrize("strategy", ["cover-place-spread", "neighbours", "random"])
def test_the_chosen_strategy_proposes_the_pairs(
    labelled: Workspace, monkeypatch: pytest.MonkeyPatch, strategy: Strategy
) -> None:
    monkeypatch.setenv("LIKEWISE_STRATEGY", strategy)
    monkeypatch.setenv("LIKEWISE_SECOND_SHARE", "0")
    assert the_desk().second_share == 0
    assert {each.strategy for each in hand(the_desk().look())} - {"calibration"} == {strategy}


def test_only_images_that_are_there_and_not_held_out_are_asked_about(
    labelled: Workspace, labelled_images: Path, tmp_path: Path
) -> None:
    source = tmp_path / "few"
    source.mkdir()
    for file in sorted((labelled_images.parent / "in").iterdir())[:3]:
        (source / file.name).write_bytes(file.read_bytes())
    workspace = Workspace(tmp_path / "small")
    ingest(workspace, Ingest(images=(source,), workers=1))
    embed(workspace, "f1")
    (source / "00.png").unlink()
    ingest(workspace, Ingest(images=(source,), workers=1))
    desk = Desk(workspace)
    state = at(desk.look())
    assert state.count == 2
    there = set(open_images(workspace).ids.tolist())
    assert {image for each in hand(state) for pair in each.pairs for image in pair} <= there
    workspace.update(hold_out=0.999)
    state = at(desk.look())
    assert state.count == 0
    assert hand(state) == []
    desk.store().close()


def test_words_from_the_environment_are_taken_with_care() -> None:
    assert strategy_of("random") == "random"
    assert strategy_of("") == strategy_of("nonsense") == Label.strategy
    assert share_of("0.25") == 0.25
    assert {share_of(each) for each in ("", "x", "-1", "2", "nan")} == {Label.second_share}
    assert readers_of("3") == 3
    assert {readers_of(each) for each in ("", "x", "-1", "1", "2.5")} == {Label.readers}


def test_all_sessions_share_one_desk(labelled: Workspace) -> None:
    assert the_desk() is the_desk()
    assert desk.desk_of(str(labelled.path)) is the_desk()
    assert desk.desk_of(str(labelled.path), "random") is not the_desk()


def test_the_store_can_be_had_before_there_is_anything_to_label(workspace: Workspace) -> None:
    workspace.create()
    desk = Desk(workspace)
    assert isinstance(desk.look(), Missing)
    assert desk.store().current() == []
    with open_answers(workspace) as store:
        assert isinstance(store, AnswerStore)
    assert desk.people().all() == []
    desk.store().close()


class Outline(HTMLParser):
    """Which elements there are, whether each is closed, and what text is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def about(name: str) -> dict[str, Any]:
    sizes = {each: f"/{name}?size={each}" for each in ("full", "tile", "thumb")}
    return {"id": name, "name": f"<b>{name}</b>.png", "tiny": name == "a", **sizes}


def test_cards_show_file_names_as_text() -> None:
    outline = Outline(cards.figure(about("a")))
    assert outline.text == ["<b>a</b>.png"]
    (image,) = [attributes for tag, attributes in outline.tags if tag == "img"]
    assert (image["src"], image["alt"], image["class"]) == (
        "/a?size=tile",
        "<b>a</b>.png",
        "lw-tiny",
    )


def test_a_strip_has_as_many_cards_as_images() -> None:
    for captions, said in (
        ((), []),
        (("one",), ["one"]),
        (("one", "two", "three"), ["one", "two"]),
    ):
        outline = Outline(cards.strip([about("a"), about("b")], captions))
        assert [tag for tag, _ in outline.tags].count("img") == 2
        assert outline.text == said


def test_a_chain_goes_from_image_to_image() -> None:
    steps: list[tuple[str, str, Verdict]] = [("a", "b", "similar"), ("b", "c", "dissimilar")]
    html = cards.chain(steps, about, notes=["ada", "bob", "nobody"])
    outline = Outline(html)
    sources = [attributes["src"] for tag, attributes in outline.tags if tag == "img"]
    assert sources == ["/a?size=tile", "/b?size=tile", "/c?size=tile"]
    shown = [each for each in outline.text if "png" not in each]
    assert shown == ["= similar", "ada", "≠ dissimilar", "bob"]
    assert cards.chain([], about) == ""
    assert cards.pair(about("a"), about("b"), "similar", "ada") == cards.chain(
        steps[:1], about, ["ada"]
    )


@pytest.mark.parametrize("entry", [MAIN.with_name("app.py"), ROOT / "labeler" / "app.py"])
def test_streamlit_finds_the_server_with_its_gate(entry: Path) -> None:
    """Without it `streamlit run` would serve the bare pages, or nothing."""
    found = discover_asgi_app(entry)
    assert found.import_string == "app:app"
    code = (
        f"import sys; sys.path.insert(0, {str(entry.parent)!r}); import app;"
        "from likewise_labeler.gate import Gate;"
        "assert app.app._user_middleware[0].cls is Gate;"
        "print([each.path for each in app.app._user_routes])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "/likewise/label" in told.stdout


def test_the_app_imports_neither_torch_nor_faiss(labelled: Workspace) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        f"app = AppTest.from_file({str(MAIN)!r}, default_timeout=30).run();"
        "assert not app.exception and app.get('bidi_component'), app;"
        "sys.exit(bool({'torch', 'faiss'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
