"""One gesture, one answer: double clicks, double and held keys, a slow server."""

import itertools
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Route

from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import write_embeddings
from likewise.settings import Ingest
from likewise.workspace import Workspace
from tests.breaking import Figure, times
from tests.label_screen import open_screen, saved
from tests.raw_http import Dropped, Tab, answer, pair_on
from tests.served import Server

IMAGES = 60
"""Enough for 1,770 pairs."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app over sixty small images."""
    folder = tmp_path_factory.mktemp("gestures")
    workspace = Workspace(folder / "workspace")
    (folder / "in").mkdir()
    for seed in range(IMAGES):
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(coarse).resize((48, 48)).save(folder / "in" / f"{seed:02}.png")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    ids = open_images(workspace).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(workspace, [vectors], ids, 8, "f1", "run-1")
    with Server(workspace, LIKEWISE_SECOND_SHARE="0", LIKEWISE_STRATEGY="random") as server:
        yield server


def given(server: Server, name: str) -> list[Answer]:
    with open_answers(server.workspace) as store:
        return [each for each in store.current() if each.annotator == name]


class Gesturer:
    """Does to the server what fingers do, without the browser that would hold it back."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.dice = server, random.Random(seed)
        self.tab = Tab(server, "ada", timeout=2.0)
        self.meant: list[tuple[str, str]] = []
        self.pool = ThreadPoolExecutor(4)

    def at_once(self, *ops: dict[str, Any]) -> list[str]:
        """Each in a request of its own, all on their way together."""
        said = self.pool.map(self.tab.until_heard, ops)
        return [each["outcomes"][0] for each in said]

    def gesture(self) -> None:
        screens = self.tab.until_heard()["screens"]
        first, second = screens[0], screens[1:2]
        kind = self.dice.choice(["double", "two minds", "next unseen", "held", "slow", "batch"])
        op = answer(first)
        match kind:
            case "double":
                assert self.at_once(op, op) == ["stored", "stored"]
            case "two minds":
                said = self.at_once(op, answer(first, "dissimilar"))
                assert sorted(said) == ["stale", "stored"]
            case "next unseen":
                assert self.tab.until_heard(op)["outcomes"] == ["stored"]
                for each in second:
                    hasty = answer(each, seen=self.dice.uniform(0, 0.29))
                    assert self.tab.until_heard(hasty)["outcomes"] == ["too soon"]
            case "held":
                held = [answer(each, seen=0.03) for each in second] * 10
                said = self.tab.until_heard(op, *[op] * 10, *held)["outcomes"]
                assert {*said[:11]} == {"stored"}
                assert {*said[11:]} <= {"too soon"}
            case "slow":
                self.slowly(op)
            case "batch":
                assert self.at_once(op, op, op, op) == ["stored"] * 4
        self.meant.append(pair_on(first))

    def slowly(self, op: dict[str, Any]) -> None:
        """The server stands still longer than the browser waits; the same is sent again."""
        self.server.signal(signal.SIGSTOP)
        waking = threading.Timer(0.4, self.server.signal, (signal.SIGCONT,))
        waking.start()
        impatient = Tab(self.server, "ada", timeout=0.1)
        for _ in range(2):
            with pytest.raises(Dropped):
                impatient.label(op)
        waking.join()
        assert self.tab.until_heard(op)["outcomes"] == ["stored"]


@pytest.mark.breaking
@times(reduced=24, full=1000)
def test_a_gesture_sent_many_times_is_one_answer(many: Server, figure: Figure, times: int) -> None:
    with open_answers(many.workspace) as store:
        store.retract([each.number for each in store.current()], "nobody")
    someone = Gesturer(many, seed=times)
    for _ in range(times):
        someone.gesture()
    stored = sorted(each.pair for each in given(many, "ada"))
    extra = len(stored) - len(someone.meant)
    unseen = len({*stored} - {*someone.meant})
    figure(f"over HTTP, {times:,} gestures: {extra} answers too many, {unseen} on unseen pairs")
    assert (extra, unseen) == (0, 0)
    assert stored == sorted(someone.meant)


GESTURES = """async ([count, seed]) => {
  const rootOf = () => [...document.querySelectorAll("*")].map((each) => each.shadowRoot)
    .find((each) => each?.querySelector(".lw")) ?? document;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const all = (what) => [...rootOf().querySelectorAll(what)];
  const names = () => all(".pair figcaption").map((each) => each.innerText);
  const button = () => rootOf().querySelector(".verdict.unsure");
  const key = (repeat = false) => document.body.dispatchEvent(new KeyboardEvent("keydown",
    { key: "u", code: "KeyU", bubbles: true, composed: true, repeat }));
  const deeds = [
    () => { button().click(); button().click(); },
    async () => { button().click(); await pause(30); button().click(); },
    async () => { button().click(); await painted(); button().click(); },
    () => { key(); key(); },
    async () => { key(); await painted(); key(); },
    async () => { key(); for (let each = 0; each < 40; each += 1) { await pause(10); key(true); } },
    async () => { key(); button().click(); await pause(20); key(); },
  ];
  const meant = [];
  let before = "";
  for (let each = 0; each < count; each += 1) {
    const start = performance.now();
    while (names().length < 2 || names().join() === before || !all(".pair img").length) {
      if (performance.now() - start > 60000) return meant;
      await pause(10);
    }
    await painted();
    await painted();
    await pause(330);
    before = names().join();
    meant.push(names());
    await deeds[(each * 5 + seed) % deeds.length]();
  }
  return meant;
}"""
"""Gestures in the page itself, where nothing lies between the two of a pair."""


@pytest.mark.browser
@pytest.mark.breaking
@times(reduced=14, full=1000)
def test_a_gesture_in_the_browser_is_one_answer_to_what_was_seen(
    many: Server, context: BrowserContext, figure: Figure, times: int
) -> None:
    with open_answers(many.workspace) as store:
        store.retract([each.number for each in store.current()], "nobody")
    page = open_screen(context, many, "bob")
    delays = itertools.cycle((0, 0, 0, 300, 800))

    def slowly(route: Route) -> None:
        page.wait_for_timeout(next(delays))
        route.continue_()

    page.route("**/likewise/label", slowly)
    meant: list[list[str]] = []
    while len(meant) < times:
        part = min(50, times - len(meant))
        found = page.evaluate(GESTURES, [part, len(meant)])
        assert len(found) == part, "the next pair did not come"
        meant += found
    saved(page)
    paths = {str(each): open_images(many.workspace).path(row).name
             for row, each in enumerate(open_images(many.workspace).ids)}  # fmt: skip
    stored = [{paths[each.a], paths[each.b]} for each in given(many, "bob")]
    extra = len(stored) - len(meant)
    unseen = sum(each not in [{*pair} for pair in meant] for each in stored)
    figure(f"in Chromium, {times:,} gestures: {extra} answers too many, {unseen} on unseen pairs")
    assert (extra, unseen) == (0, 0)
    assert stored == [{*pair} for pair in meant]
