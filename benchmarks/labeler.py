"""How quick the labeler is: key press to next pair painted, server work, answers per minute.

    python -m benchmarks.labeler [--images 100000] [--answers 0 100000] [--screens 200]

Makes images, vectors and answers once per size (kept in --folder), starts the real server,
drives it with headless Chromium by keyboard, and prints a Markdown table. Needs Chromium.
"""

import argparse
import io
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, Response, sync_playwright

from benchmarks.labeler_server import running
from likewise.answers.standing import Verdict
from likewise.answers.store import NewAnswer, open_answers
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import embedded, write_embeddings
from likewise.settings import Ingest
from likewise.workspace import Workspace

CLUSTER = 100
"""Images that are the same thing."""
DIM = 128
PHOTO = (500, 375)
THINKING_MS = 350
"""The scripted annotator looks that long at each screen; answers under 300 ms are refused."""


def make_images(folder: Path, count: int) -> None:
    """JPEG photos of 500x375: few different pictures, but no two files alike."""
    rng = np.random.default_rng(0)
    base = []
    for _ in range(200):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
        data = io.BytesIO()
        coarse.resize(PHOTO, Image.Resampling.BICUBIC).save(data, "JPEG", quality=85)
        base.append(data.getvalue())
    folder.mkdir(parents=True)
    for number in range(count):
        if number % 1000 == 0:
            (folder / f"{number // 1000:03}").mkdir()
        path = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        path.write_bytes(base[number % len(base)] + number.to_bytes(4, "big"))


def make_workspace(folder: Path, count: int) -> Workspace:
    """A workspace with that many images and clustered vectors, made once."""
    workspace = Workspace(folder / f"workspace-{count}")
    if workspace.exists() and embedded(workspace):
        return workspace
    shutil.rmtree(workspace.path, ignore_errors=True)
    if not (folder / f"images-{count}").exists():
        make_images(folder / f"images-{count}", count)
    ingest(workspace, Ingest(images=(folder / f"images-{count}",), store_size=128))
    ids = open_images(workspace).ids
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(count // CLUSTER + 1, DIM))
    vectors = centres[np.arange(count) // CLUSTER] + rng.normal(size=(count, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    write_embeddings(workspace, [vectors], ids, DIM, "benchmark", "benchmark")
    return workspace


def fill_answers(workspace: Workspace, count: int) -> None:
    """Replace the answers by ``count``: two thirds similar within clusters, the rest between."""
    for each in workspace.path.glob("labels.db*"):
        each.unlink()
    if not count:
        return
    ids = [str(each) for each in open_images(workspace).ids]
    rng = np.random.default_rng(2)
    answers = []
    for number in range(count):
        if number % 3:
            one = int(rng.integers(len(ids)))
            other = one // CLUSTER * CLUSTER + int(rng.integers(CLUSTER))
        else:
            one, other = (int(each) for each in rng.integers(len(ids), size=2))
        if one == other or other >= len(ids):
            continue
        same = one // CLUSTER == other // CLUSTER
        verdict: Verdict = "similar" if same else "dissimilar"
        who = f"person {number % 5}"
        answers.append(NewAnswer(ids[one], ids[other], verdict, who, strategy="benchmark"))
    with open_answers(workspace) as store:
        store.add(answers)


def megabytes(process: int) -> float:
    """Resident memory of a process, without the files that it maps: those the system may forget."""
    _, resident, shared, *_ = map(int, Path(f"/proc/{process}/statm").read_text().split())
    return (resident - shared) * os.sysconf("SC_PAGESIZE") / 2**20


@dataclass(frozen=True)
class Measured:
    """One mode at one number of answers."""

    mode: str
    answers: int
    opened: float
    """Seconds from the first request to the first screen: reading the answers is part of it."""
    painted: list[float]
    """Milliseconds from key press to the next screen painted."""
    served: list[float]
    """Milliseconds of the server's work on each POST, by its own clock."""
    decisions: int
    """Pairs that were answered."""
    seconds: float
    memory: tuple[float, float]
    """Megabytes of the server before and after."""

    def row(self) -> str:
        """A line of the table."""
        painted, served = percentiles(self.painted), percentiles(self.served, digits=1)
        return (
            f"| {self.mode} | {self.answers:,} | {self.opened:.1f} | {len(self.painted)} | "
            f"{painted} | {served} | {60 * self.decisions / self.seconds:.0f} | "
            f"{self.memory[0]:.0f} → {self.memory[1]:.0f} |"
        )


HEAD = """\
| mode | answers before | first screen (s) | screens | key → painted, p50 / p95 / max (ms) | \
server work per POST, p50 / p95 / max (ms) | answers a minute | server (MB) |
|---|---|---|---|---|---|---|---|"""

_WATCH = """
window.painted = [];
let pressed = null;
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) {
    if (each.name === "likewise:key") pressed = each.startTime;
    if (each.name === "likewise:painted" && pressed !== null) {
      window.painted.push(each.startTime - pressed);
      pressed = null;
    }
  }
}).observe({ entryTypes: ["mark"] });
"""
_NAMES = """() => {
  const shadows = [...document.querySelectorAll("*")].map((each) => each.shadowRoot);
  const root = shadows.find((each) => each?.querySelector(".lw")) ?? document;
  const all = (selector) => [...root.querySelectorAll(selector)];
  return [
    all(".pair figcaption, .anchor figcaption").map((each) => each.innerText),
    all(".tile").map((each) => each.title),
  ];
}"""


def at(values: Sequence[float], percent: float) -> float:
    """A percentile."""
    return float(np.percentile(values, percent))


def percentiles(values: Sequence[float], digits: int = 0) -> str:
    """Median, 95th percentile and maximum, for a table."""
    return " / ".join(f"{at(values, each):.{digits}f}" for each in (50, 95, 100))


def work_of(response: Response) -> list[float]:
    """What the server says of its work on a POST, in milliseconds."""
    timing = response.headers.get("server-timing", "")
    own = response.url.endswith("/likewise/label") and "dur=" in timing
    return [float(timing.partition("dur=")[2])] if own else []


def cluster_of(name: str) -> int:
    """What the image with that file name shows."""
    return int(name.partition(".")[0]) // CLUSTER


def measure(workspace: Workspace, mode: str, answers: int, screens: int) -> Measured:
    """Answer that many screens by keyboard, as quickly as the app takes answers."""
    with running(workspace) as (url, process), sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.add_init_script(_WATCH)
        served: list[float] = []
        page.on("response", lambda response: served.extend(work_of(response)))
        start = time.perf_counter()
        page.goto(f"{url}/?annotator=benchmark&mode={mode}")
        page.locator(".lw .pair img, .lw .grid img").first.wait_for(timeout=180_000)
        opened = time.perf_counter() - start
        page.wait_for_timeout(2000)
        memory, first = megabytes(process), len(served)
        decisions, start = 0, time.perf_counter()
        for _ in range(screens):
            page.wait_for_timeout(THINKING_MS)
            before = page.evaluate("window.painted.length")
            decisions += answer(page, mode)
            page.wait_for_function(f"window.painted.length > {before}", timeout=20_000)
        seconds = time.perf_counter() - start
        page.wait_for_timeout(2000)
        painted = [float(each) for each in page.evaluate("window.painted")]
        after = megabytes(process)
        browser.close()
    return Measured(
        mode, answers, opened, painted, served[first:], decisions, seconds, (memory, after)
    )


def answer(page: Page, mode: str) -> int:
    """Answer the screen on display truly, by keyboard; return how many pairs that settles."""
    shown, tiles = page.evaluate(_NAMES)
    if mode == "pair":
        one, other = map(cluster_of, shown)
        page.keyboard.press("s" if one == other else "d")
        return 1
    letters = "ABDEFGHIJKLMNOPQSTUVWXYZ"
    for letter, name in zip(letters, tiles, strict=False):
        if cluster_of(name) == cluster_of(shown[0]):
            page.keyboard.press(letter.lower())
    page.keyboard.press("Shift+Enter")
    return len(tiles)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--answers", type=int, nargs="+", default=[0, 100_000])
    parser.add_argument("--screens", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "labeler")
    options = parser.parse_args()
    workspace = make_workspace(options.folder, options.images)
    print(HEAD)
    for count, mode in itertools.product(options.answers, ("pair", "grid")):
        fill_answers(workspace, count)
        screens = options.screens if mode == "pair" else options.screens // 4
        print(measure(workspace, mode, count, screens).row(), flush=True)


if __name__ == "__main__":
    main()
