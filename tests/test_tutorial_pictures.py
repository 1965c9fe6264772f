"""The pictures of the tutorial can be made anew, by typing what it shows.

``LIKEWISE_PICTURES=docs/pictures/tutorial make test-long`` keeps them: then nothing is cut short.
"""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from likewise.workspace import Workspace
from tests.doc_blocks import to_run
from tests.doc_shell import Shell, command_server
from tests.served import Server
from tests.tutorial_pictures import DRAWN, SCREENS, take

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
KEPT = TUTORIAL.parent / "pictures" / "tutorial"


def test_the_tutorial_shows_the_pictures_that_are_kept() -> None:
    shown = set(re.findall(r"\(pictures/tutorial/(\w+)\.png\)", TUTORIAL.read_text("utf-8")))
    assert shown == {*DRAWN, *SCREENS} == {each.stem for each in KEPT.iterdir()}


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.timeout(3600)
def test_they_can_be_made_anew(browser: Browser, tmp_path: Path) -> None:
    wanted = os.environ.get("LIKEWISE_PICTURES")
    out = Path(wanted) if wanted else tmp_path / "pictures"
    (tmp_path / "commands").mkdir()
    (tmp_path / "page").mkdir()
    with (
        command_server(tmp_path / "commands", whole=wanted is not None) as programs,
        Shell(tmp_path / "page", programs) as shell,
    ):
        for block in to_run(TUTORIAL):
            shell.run(block)
        with Server(Workspace(tmp_path / "page" / "workspace")) as server:
            take(browser, server, tmp_path / "page", out)
    for name in (*DRAWN, *SCREENS):
        picture = Image.open(out / f"{name}.png").convert("RGB")
        assert picture.width >= 300
        assert np.asarray(picture).std() > 5, f"{name} is blank"
