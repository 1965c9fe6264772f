"""From an empty workspace to the first pair, in a real browser."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from likewise.interpreter import module_command
from likewise.jobs.control import stop
from likewise.jobs.job import jobs_of
from likewise.workspace import Workspace
from tests.served import Server

pytestmark = pytest.mark.browser

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
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def served(workspace: Workspace) -> Iterator[Server]:
    server = Server(workspace, LIKEWISE_GATE="open")
    server.command[1 : len(module_command("streamlit"))] = ["-c", APP]
    with server:
        yield server
    for job in jobs_of(workspace):  # it outlives the app, and a test that failed
        stop(job)


def test_a_newcomer_gets_from_a_folder_to_the_first_pair(
    workspace: Workspace,
    served: Server,
    page: Page,
    picture: Callable[..., Path],
    tmp_path: Path,
) -> None:
    for seed in range(24):
        picture(tmp_path / "photos" / f"{seed}.png", seed, size=(20, 16))
    page.goto(f"{served.url}/?annotator=ada")
    expect(page.get_by_text("Welcome to Likewise")).to_be_visible()
    page.get_by_label("Folder of images on this machine").fill(str(tmp_path / "photos"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("24 images")).to_be_visible()
    expect(page.locator(".lw-examples img").first).to_be_visible()
    page.get_by_role("button", name="Read images and learn a first model").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Learn from the images")).to_be_visible()
    served.kill()
    served.start()
    page.goto(f"{served.url}/?annotator=ada")
    similar = page.get_by_role("button", name=re.compile("similar", re.IGNORECASE)).first
    expect(similar).to_be_visible(timeout=LONG)
    (job,) = jobs_of(workspace)
    assert job.status == "done"
    assert job.steps[1] == ("pretrain", "--epochs", str(EPOCHS))
    expect(page.get_by_text("Welcome to Likewise")).to_have_count(0)
