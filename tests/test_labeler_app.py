import itertools
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from likewise import serve
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Ingest, Label, Strategy
from likewise.workspace import Workspace
from likewise_labeler.desk import Desk, Ready
from likewise_labeler.pictures import LONG_SIDE, Pictures

APP = Path(__file__).parents[1] / "labeler" / "app.py"


@pytest.fixture(autouse=True)
def here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(workspace.path))
    monkeypatch.delenv("LIKEWISE_DATABASE_URL", raising=False)
    monkeypatch.setattr("likewise.answers.questions.SHORTEST_VIEW", timedelta(0))


def fill(workspace: Workspace, picture: Callable[..., Path], count: int = 6) -> None:
    source = workspace.path.parent / "in"
    for seed in range(count):
        picture(source / f"<b>{seed}.png", seed)
    ingest(workspace, Ingest(images=(source,), workers=1))


def embed(workspace: Workspace, fingerprint: str = "f1") -> None:
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, [vectors], ids, 4, fingerprint, f"run-{fingerprint}")


@pytest.fixture
def ready(workspace: Workspace, picture: Callable[..., Path]) -> Workspace:
    fill(workspace, picture)
    embed(workspace)
    return workspace


def opened(annotator: str = "ada") -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=30)
    app.query_params["annotator"] = annotator
    return shown(app.run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def text(app: AppTest) -> str:
    return "".join(str(each.proto.body) for each in app.get("html"))


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [each for each in app.button if each.label == label]
    return shown(button.click().run())


def verdicts(workspace: Workspace) -> list[str]:
    with open_answers(workspace) as store:
        return [each.verdict for each in store.current()]


def test_a_newcomer_is_told_each_next_step(
    workspace: Workspace, picture: Callable[..., Path]
) -> None:
    app = opened()
    assert "Welcome" in text(app)
    assert "likewise ingest FOLDER" in app.code[0].value
    fill(workspace, picture)
    press(app, "Look again")
    assert "likewise ingest" not in app.code[0].value
    assert f"likewise embed --workspace {workspace.path}" in app.code[0].value
    embed(workspace)
    press(app, "Look again")
    assert "Are these two the same" in text(app)
    assert not app.code


def test_answers_are_stored_and_undone_by_name(ready: Workspace) -> None:
    app = opened("Åsa Öberg")
    for label in ("Similar", "Dissimilar", "Unsure"):
        press(app, label)
    assert verdicts(ready) == ["similar", "dissimilar", "unsure"]
    with open_answers(ready) as store:
        assert {each.annotator for each in store.current()} == {"Åsa Öberg"}
    assert "<div>3 <span>today" in text(app)
    press(app, "Undo")
    assert "you took back your answer, unsure" in text(app)
    press(app, "Similar")
    assert verdicts(ready) == ["similar", "dissimilar", "similar"]


def test_file_names_are_shown_as_text(ready: Workspace) -> None:
    assert "&lt;b&gt;" in text(opened())
    assert "<b>0.png" not in text(opened())


def test_a_second_tab_shows_the_same_pair_and_cannot_answer_it_again(ready: Workspace) -> None:
    one, two = opened(), opened()
    assert text(one) == text(two)
    press(one, "Similar")
    press(two, "Dissimilar")
    assert verdicts(ready) == ["similar"]
    assert "nothing more was stored" in text(two)
    press(two, "Dissimilar")
    assert len(verdicts(ready)) == 2
    assert "nothing more was stored" not in text(two)


def test_two_people_are_asked_different_pairs(ready: Workspace) -> None:
    assert text(opened("ada")) != text(opened("bob"))


def test_the_name_can_be_changed(ready: Workspace) -> None:
    app = opened("  ada\n")
    assert app.query_params["annotator"] in ("ada", ["ada"])
    shown(app.text_input[0].set_value("Grace Hopper").run())
    press(app, "Similar")
    with open_answers(ready) as store:
        assert store.current()[0].annotator == "Grace Hopper"


def test_when_everything_is_settled_the_last_answer_can_be_undone(
    workspace: Workspace, picture: Callable[..., Path]
) -> None:
    fill(workspace, picture, count=2)
    embed(workspace)
    app = press(opened(), "Similar")
    assert "Nothing left to ask" in text(app)
    press(app, "Undo")
    assert "Are these two the same" in text(app)
    assert verdicts(workspace) == []


def test_trouble_is_one_line_not_a_traceback(ready: Workspace) -> None:
    (ready.embeddings / "f1" / "vectors.npy").write_bytes(b"damaged")
    app = opened()
    assert "Something is in the way" in text(app)
    assert "damaged" in text(app)


def test_a_session_does_not_grow_with_answers(
    workspace: Workspace, picture: Callable[..., Path]
) -> None:
    """Streamlit remembers every key it ever saw; a key may come again, but not at once."""
    fill(workspace, picture, count=8)
    embed(workspace)
    app = opened()
    keys, sizes = [], []
    for _ in range(20):
        press(app, "Unsure")
        keys.append({each.key for each in app.button})
        sizes.append(len(app.session_state.to_dict()))
    assert all(not one & two for one, two in itertools.pairwise(keys))
    assert len(set.union(*keys[:10])) == len(set.union(*keys))
    assert max(sizes[5:]) <= max(sizes[:5])


def test_a_new_model_is_picked_up(ready: Workspace) -> None:
    desk = Desk(ready)
    first = desk.look()
    assert desk.look() is first
    assert isinstance(first, Ready)
    assert first.model == "run-f1"
    time.sleep(0.02)
    embed(ready, "f2")
    assert not desk.is_current()
    second = desk.look()
    assert isinstance(second, Ready)
    assert second.model == "run-f2"


@pytest.mark.parametrize("strategy", ["cover-place", "neighbours", "random"])
def test_the_chosen_strategy_proposes_the_pairs(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, strategy: Strategy
) -> None:
    monkeypatch.setenv("LIKEWISE_STRATEGY", strategy)
    press(opened(), "Similar")
    with open_answers(ready) as store:
        assert [each.strategy for each in store.current()] == [strategy]


def test_only_images_that_are_there_and_not_held_out_are_asked_about(
    ready: Workspace, picture: Callable[..., Path]
) -> None:
    for file in sorted((ready.path.parent / "in").iterdir())[:3]:
        file.unlink()
    ingest(ready, Ingest(images=(ready.path.parent / "in",), workers=1))
    state = Desk(ready).look()
    assert isinstance(state, Ready)
    assert state.images == 3
    there = set(open_images(ready).ids.tolist())
    question = state.questions.ask("ada")
    assert question is not None
    assert {*question.pair} <= there
    ready.update(hold_out=0.999)
    state = Desk(ready).look()
    assert isinstance(state, Ready)
    assert state.images == 0
    assert state.questions.ask("ada") is None


def test_pictures_are_encoded_once_and_kept_within_bounds(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_images(ready)
    ids = images.ids.tolist()
    pictures = Pictures(images, bound=3 * len(Pictures(images).picture(ids[0]).url))
    assert pictures.picture(ids[0]) is pictures.picture(ids[0])
    first = pictures.picture(ids[0])
    for each in ids:
        pictures.picture(each)
    assert len(pictures._kept) < len(ids)
    assert pictures._bytes == sum(len(each.url) for each in pictures._kept.values())
    assert pictures.picture(ids[0]) is not first
    assert first.url.startswith("data:image/png;base64,")
    assert (first.tiny, first.gone) == (True, False)


def test_a_large_photo_is_sent_at_display_size_and_its_copy_when_the_file_is_gone(
    workspace: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    file = picture(tmp_path / "in" / "photo.jpg", size=(3000, 1000))
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    images = open_images(workspace)
    shown = Pictures(images).picture(str(images.ids[0]))
    assert _size(shown.url) == (LONG_SIDE, round(LONG_SIDE / 3))
    file.unlink()
    copy = Pictures(images).picture(str(images.ids[0]))
    assert copy.gone
    assert _size(copy.url) == images[0].shape[1::-1]


def _size(url: str) -> tuple[int, int]:
    import base64
    import io

    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return image.size


def test_the_app_never_imports_torch(ready: Workspace) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest;"
        f"app = AppTest.from_file({str(APP)!r}, default_timeout=30).run();"
        "assert not app.exception and len(app.button) >= 4, app;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_the_labeler_listens_on_this_machine_only(ready: Workspace, host: str) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        serve.label(ready, Label(host=host, browser=False))


def test_without_embeddings_the_labeler_says_what_to_do(
    workspace: Workspace, picture: Callable[..., Path]
) -> None:
    with pytest.raises(LikewiseError, match="likewise ingest"):
        serve.label(workspace, Label(browser=False))
    fill(workspace, picture)
    with pytest.raises(LikewiseError, match="likewise embed"):
        serve.label(workspace, Label(browser=False))


def test_the_next_free_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve.free_port("127.0.0.1", port) > port
    assert serve.free_port("127.0.0.1", port) == port
    with pytest.raises(LikewiseError, match="cannot listen"):
        serve.free_port("203.0.113.1", 8501)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_labeler_ends_cleanly_and_says_what_was_done(
    ready: Workspace, stop: signal.Signals
) -> None:
    """Started as a command; a port in use is stepped over, and nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "likewise", "label", "--no-browser", "--port", port]
        command = [sys.executable, "-c", "from likewise.cli import main; main()", *command[3:]]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert process.stdout is not None
        assert f"port {port} is taken" in process.stderr.readline()
        url = process.stderr.readline().split()[1]
        with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
            assert answer.status == 200
        with open_answers(ready) as store:
            a, b = open_images(ready).ids[:2].tolist()
            store.add([NewAnswer(a, b, "similar", "ada")])
        process.send_signal(stop)
        assert process.wait(20) == 0
        assert process.stdout.read() == "labeler ended: +1 answers, 1 in all\n"
        assert "Traceback" not in process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"{url}/_stcore/health")
