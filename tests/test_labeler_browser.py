"""The app in a real browser: what `AppTest` cannot show."""

import csv
import itertools
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from likewise import serve
from likewise.answers.exchange import export_answers
from likewise.answers.store import open_answers
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import AnswersExport, Ingest
from likewise.workspace import Workspace

pytestmark = pytest.mark.browser

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
]
VERDICTS = {"s": "similar", "d": "dissimilar", "u": "unsure"}
VIEW_MS = 350
"""A little more than the shortest view."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("needs Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Forty images, half of them tiny, with random vectors."""
    folder = tmp_path_factory.mktemp("browser")
    workspace = Workspace(folder / "workspace")
    (folder / "in").mkdir()
    for seed in range(40):
        size = (300, 200) if seed % 2 else (28, 28)
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize(size).save(folder / "in" / f"{seed:02}.png")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, [vectors], ids, 8, "f1", "run-1")
    return workspace


class Server:
    """The app on a port of its own, which can be killed and started again."""

    def __init__(self, workspace: Workspace) -> None:
        self.port = serve.free_port("127.0.0.1", 8700)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "LIKEWISE_WORKSPACE": str(workspace.path)}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            serve.command_for("127.0.0.1", self.port),
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health"):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail("the app did not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture(scope="module")
def server(ready: Workspace) -> Iterator[Server]:
    server = Server(ready)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def page(browser: Browser, server: Server, ready: Workspace) -> Iterator[Page]:
    """The app as Ada sees it, who has answered nothing yet."""
    with open_answers(ready) as store:
        while store.undo("ada"):
            pass
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(f"{server.url}/?annotator=ada")
    yield page
    context.close()


def shown(page: Page) -> str:
    """Wait until a pair has been on the screen long enough; return its file names."""
    stage = page.locator(".lw-stage")
    expect(stage).to_be_visible(timeout=20_000)
    page.wait_for_timeout(VIEW_MS)
    return stage.inner_text()


def press(page: Page, key: str) -> None:
    """Press a key and wait for the next pair."""
    before = shown(page)
    page.keyboard.press(key)
    expect(page.locator(".lw-stage")).not_to_have_text(before, use_inner_text=True)


def standing(workspace: Workspace) -> list[str]:
    with open_answers(workspace) as store:
        return [each.verdict for each in store.current()]


def test_twenty_pairs_by_keyboard_outlive_undo_reload_and_a_killed_server(
    ready: Workspace, server: Server, page: Page, tmp_path: Path
) -> None:
    keys = list(itertools.islice(itertools.cycle("ddsud"), 20))
    for key in keys:
        press(page, key)
    expected = [VERDICTS[key] for key in keys]
    assert standing(ready) == expected
    press(page, "z")
    undone = shown(page)
    assert standing(ready) == expected[:-1]
    page.reload()
    assert shown(page) == undone, "a reload shows the same pair"
    server.stop(signal.SIGKILL)
    server.start()
    page.goto(f"{server.url}/?annotator=ada")
    assert shown(page) == undone, "so does a restart"
    press(page, "s")
    file = tmp_path / "answers.csv"
    export_answers(ready, AnswersExport(file=file))
    with file.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["verdict"] for row in rows] == [*expected[:-1], "similar"]
    assert {row["annotator"] for row in rows} == {"ada"}
    assert len({(row["id_a"], row["id_b"]) for row in rows}) == 20
    assert {Path(rows[-1][name]).name for name in ("path_a", "path_b")} == set(undone.split())


def test_double_clicks_and_held_keys_answer_once(ready: Workspace, page: Page) -> None:
    for count in range(1, 4):
        before = shown(page)
        page.get_by_role("button", name="Similar", exact=False).first.dblclick()
        expect(page.locator(".lw-stage")).not_to_have_text(before, use_inner_text=True)
        page.wait_for_timeout(VIEW_MS)
        assert len(standing(ready)) == count
    shown(page)
    page.keyboard.down("d")
    page.wait_for_timeout(500)
    for _ in range(30):
        page.keyboard.down("d")
        page.wait_for_timeout(30)
    page.keyboard.up("d")
    page.wait_for_timeout(VIEW_MS)
    assert standing(ready) == ["similar"] * 3 + ["dissimilar"]


def test_typing_a_name_answers_nothing_and_a_refresh_keeps_it(ready: Workspace, page: Page) -> None:
    shown(page)
    page.get_by_role("button", name="ada").click()
    field = page.get_by_test_id("stTextInputField")
    field.fill("")
    field.press_sequentially("susd dud")
    field.press("Enter")
    expect(page.get_by_role("button", name="susd dud")).to_be_visible()
    assert standing(ready) == []
    page.reload()
    expect(page.get_by_role("button", name="susd dud")).to_be_visible(timeout=20_000)


def test_everything_fits_on_a_small_screen(ready: Workspace, page: Page) -> None:
    shown(page)
    heights = page.evaluate(
        "() => { const main = document.querySelector('.stMain');"
        " return [main.scrollHeight, main.clientHeight]; }"
    )
    assert heights[0] <= heights[1]
    for label in ("Similar", "Dissimilar", "Unsure", "Undo"):
        expect(page.get_by_role("button", name=label).first).to_be_in_viewport(ratio=1)
    for frame in page.locator(".lw-frame img").all():
        box = frame.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 300
        assert frame.evaluate("image => image.naturalWidth") in (28, 300)
