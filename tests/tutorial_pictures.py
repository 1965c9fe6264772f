"""Takes the pictures of the tutorial: what a reader sees after each of its steps."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from likewise.neighbours.mapmaker import make_atlas
from likewise.neighbours.vectors import load_embeddings
from tests.label_screen import open_screen, press, saved, shown
from tests.served import Server

SIZE = {"width": 1280, "height": 720}
DRAWN = ("views", "found", "groups")
"""Pictures that commands write themselves."""


def first_pair(page: Page) -> None:
    """The first question."""
    shown(page)


def a_strip(page: Page) -> None:
    """A strip with several groups; single pairs, which come in between, are answered."""
    page.keyboard.press("4")
    strip = page.locator(".lw .strip")
    for _ in range(12):
        shown(page)
        if strip.is_visible():
            return
        press(page, "u")
        saved(page)
    raise AssertionError("no strip came")


def progress(page: Page) -> None:
    """How far it is."""
    page.goto(f"{page.url.split('?')[0]}progress?annotator=you")
    expect(page.locator("canvas, .vega-embed").first).to_be_visible()
    page.wait_for_timeout(3000)


def explore(page: Page) -> None:
    """The map."""
    page.goto(f"{page.url.split('progress')[0]}explore?annotator=you")
    expect(page.locator(".lw-atlas canvas, canvas").first).to_be_visible()
    page.wait_for_timeout(5000)


SCREENS: dict[str, Callable[[Page], None]] = {
    "pair": first_pair,
    "strip": a_strip,
    "progress": progress,
    "explore": explore,
}


def take(browser: Browser, server: Server, folder: Path, out: Path) -> None:
    """Take all pictures.

    Args:
        browser: Chromium.
        server: The app on the tutorial's workspace.
        folder: Where the tutorial's commands were typed.
        out: Where the pictures go.
    """
    out.mkdir(parents=True, exist_ok=True)
    make_atlas(server.workspace, load_embeddings(server.workspace).fingerprint)
    shutil.copy(server.workspace.path / "views.png", out / "views.png")
    for name in ("found", "groups"):
        keep(Image.open(folder / f"{name}.png"), out / f"{name}.png")
    context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
    context.set_default_timeout(300_000)
    page = open_screen(context, server, name="you")
    for name, go in SCREENS.items():
        go(page)
        keep(Image.open(io.BytesIO(page.screenshot())), out / f"{name}.png")
    context.close()


def keep(picture: Image.Image, file: Path) -> None:
    """Write a picture as a small PNG, at most 1280 pixels wide and 1000 high from its top."""
    small = picture.convert("RGB")
    if small.width > 1280:
        small = small.resize((1280, round(small.height * 1280 / small.width)))
    small.crop((0, 0, small.width, min(small.height, 1000))).quantize(128).save(file, optimize=True)
