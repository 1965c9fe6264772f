"""From an empty workspace to the first pair, in a real browser."""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from likewise import serve
from likewise.jobs.control import stop
from likewise.jobs.job import jobs_of
from likewise.workspace import Workspace

pytestmark = pytest.mark.browser

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
]
LONG = 240_000
"""Milliseconds that learning may take on a busy machine."""
EPOCHS = 12
APP = (
    "import sys\n"
    "from likewise.jobs import next_step\n"
    f"next_step.MOST = {EPOCHS}\n"
    "from streamlit.web.cli import main\n"
    "main(sys.argv[1:], prog_name='streamlit')\n"
)
"""``streamlit``, with a first model that is learnt in no time."""


@pytest.fixture
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium: apt-get install chromium")
        pytest.skip("needs Chromium (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


@pytest.fixture
def serving(workspace: Workspace) -> Iterator[Callable[[], str]]:
    """``serving()`` starts the app, or kills it and starts it again, and returns its address."""
    port = serve.free_port("127.0.0.1", 8900)
    running: list[subprocess.Popen[bytes]] = []
    python, _module, _streamlit, *words = serve.command_for("127.0.0.1", port)
    environment = {**os.environ, "LIKEWISE_WORKSPACE": str(workspace.path)}

    def end() -> None:
        while running:
            process = running.pop()
            process.send_signal(signal.SIGKILL)
            process.wait()

    def begin() -> str:
        end()
        running.append(
            subprocess.Popen(
                [python, "-c", APP, *words],
                env=environment | {"LIKEWISE_GATE": "open"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health"):
                    return f"http://127.0.0.1:{port}/?annotator=ada"
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail("the app did not start")

    yield begin
    end()
    for job in jobs_of(workspace):  # it outlives the app, and a test that failed
        stop(job)


def test_a_newcomer_gets_from_a_folder_to_the_first_pair(
    workspace: Workspace,
    serving: Callable[[], str],
    page: Page,
    picture: Callable[..., Path],
    tmp_path: Path,
) -> None:
    for seed in range(24):
        picture(tmp_path / "photos" / f"{seed}.png", seed, size=(20, 16))
    page.goto(serving())
    expect(page.get_by_text("Welcome to Likewise")).to_be_visible()
    page.get_by_label("Folder of images on this machine").fill(str(tmp_path / "photos"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("24 images")).to_be_visible()
    expect(page.locator(".lw-examples img").first).to_be_visible()
    page.get_by_role("button", name="Read images and learn a first model").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Learn from the images")).to_be_visible()
    page.goto(serving())  # a killed server, and a new page
    similar = page.get_by_role("button", name=re.compile("similar", re.IGNORECASE)).first
    expect(similar).to_be_visible(timeout=LONG)
    (job,) = jobs_of(workspace)
    assert job.status == "done"
    assert job.steps[1] == ("pretrain", "--epochs", str(EPOCHS))
    expect(page.get_by_text("Welcome to Likewise")).to_have_count(0)
