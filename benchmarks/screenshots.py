"""Pictures of every page of the labeler, for docs/labeler.md: three sizes, light and dark.

    likewise demo && python -m benchmarks.screenshots workspace

Opens a copy of the workspace in headless Chromium, so nothing is answered in the original.
"""

import argparse
import io
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import ViewportSize, sync_playwright

from benchmarks.labeler_server import running
from likewise.workspace import Workspace

PAGES = {
    "pair": "?annotator=ada",
    "grid": "?annotator=bob&mode=grid",
    "group": "?annotator=cyd&mode=group",
    "strip": "?annotator=dan&mode=strip",
    "history": "review?annotator=ada",
    "groups": "review?annotator=ada&tab=groups",
    "progress": "progress?annotator=ada",
    "explore": "explore?annotator=ada",
    "train": "train?annotator=ada",
}
SIZES = {
    "wide": (ViewportSize(width=1280, height=720), "light"),
    "tablet": (ViewportSize(width=820, height=1180), "dark"),
    "large": (ViewportSize(width=1920, height=1080), "light"),
}
SETTLED_MS = 5000
MAP_MS = 60_000


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    parser.add_argument("--only", nargs="+", choices=PAGES, default=list(PAGES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(options.workspace, Path(folder) / "workspace")
        with running(Workspace(copy)) as (url, _):
            take(url, options.out, options.only)


def take(url: str, out: Path, names: Sequence[str]) -> None:
    """Go through pages and sizes."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        if "explore" in names:
            page.goto(f"{url}/{PAGES['explore']}")
            page.wait_for_timeout(MAP_MS)  # the map is made once
        for size, (viewport, scheme) in SIZES.items():
            page.set_viewport_size(viewport)
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            for name in names:
                page.goto(f"{url}/{PAGES[name]}")
                page.wait_for_timeout(SETTLED_MS)
                taken = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                taken.quantize(128).save(out / f"{name}-{size}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
