"""The label screen in a real browser, on the real server: what people press is what is stored."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    ViewportSize,
    expect,
    sync_playwright,
)
from sqlalchemy import select

from likewise import serve
from likewise.answers.screens import give_back_all
from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.answers.tables import answers_table, screens_table
from likewise.workspace import Workspace

pytestmark = pytest.mark.browser

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
]
VERDICTS = {"s": "similar", "d": "dissimilar", "u": "unsure"}
VIEW_MS = 350
"""A little more than the shortest view."""
WIDE = ViewportSize(width=1280, height=720)
TABLET = ViewportSize(width=820, height=1180)
PATIENCE = 20_000
"""Milliseconds for what takes a start of the server or of Streamlit."""


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


class Server:
    """The app on a port of its own, which can be killed and started again."""

    def __init__(self, workspace: Workspace) -> None:
        self.port = serve.free_port("127.0.0.1", 8700)
        self.url = f"http://127.0.0.1:{self.port}"
        # Nobody is shown the pairs of others: who sees what is then up to the test.
        self.environment = {
            **os.environ,
            "LIKEWISE_WORKSPACE": str(workspace.path),
            "LIKEWISE_SECOND_SHARE": "0",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            serve.command_for("127.0.0.1", self.port),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health"):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        pytest.fail("the app did not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(20)


@pytest.fixture(scope="module")
def workspace(labelled_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(shutil.copytree(labelled_images, tmp_path_factory.mktemp("browser") / "w"))


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[Server]:
    server = Server(workspace)
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _nothing_answered(workspace: Workspace) -> None:
    """Each test begins with no standing answer and nothing reserved."""
    with open_answers(workspace) as store:
        store.retract([each.number for each in store.current()], "test")
        with store.leasing() as connection:
            for name in connection.scalars(select(screens_table.c.annotator).distinct()).all():
                give_back_all(connection, name)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=WIDE)
    yield context
    context.close()


@pytest.fixture
def opened(context: BrowserContext, server: Server) -> Callable[..., Page]:
    """``opened(name="ada", mode="pair")``: the label screen in a tab of its own."""

    def open_page(name: str = "ada", mode: str = "pair") -> Page:
        page = context.new_page()
        page.goto(f"{server.url}/?annotator={name}&mode={mode}")
        shown(page)
        return page

    return open_page


@pytest.fixture
def page(opened: Callable[..., Page]) -> Page:
    return opened()


def stage(page: Page) -> Locator:
    return page.locator(".lw .pair, .lw .grid")


def names(page: Page) -> frozenset[str]:
    """File names of the images on the screen; none while there is no screen."""
    return frozenset(
        page.locator(".lw .pair figcaption, .lw .anchor figcaption").all_inner_texts()
        + page.locator(".lw .tile").evaluate_all("tiles => tiles.map(tile => tile.title)")
    )


def shown(page: Page) -> frozenset[str]:
    """Wait until a screen has been seen long enough; return the names of its images."""
    expect(stage(page)).to_be_visible(timeout=PATIENCE)
    expect(stage(page).locator("img").first).to_be_visible()
    page.wait_for_timeout(VIEW_MS)
    return names(page)


def press(page: Page, key: str) -> frozenset[str]:
    """Press a key and wait for the next screen; return the names of its images."""
    before = shown(page)
    page.keyboard.press(key)
    for _ in range(500):
        now = names(page)
        if now and now != before:
            return now
        page.wait_for_timeout(10)
    pytest.fail(f"{key} changed nothing")


@contextmanager
def held_back(page: Page) -> Iterator[None]:
    """The server hears nothing from the screen until the block ends."""
    held: list[Route] = []
    ended = False
    page.route(
        "**/likewise/label", lambda route: route.continue_() if ended else held.append(route)
    )
    yield
    ended = True
    for route in held:
        route.continue_()


def saved(page: Page) -> None:
    expect(page.locator(".lw .saved")).to_have_text("All saved", timeout=PATIENCE)


def standing(workspace: Workspace) -> list[Answer]:
    with open_answers(workspace) as store:
        return store.current()


def verdicts(workspace: Workspace, annotator: str = "ada") -> list[str]:
    return [each.verdict for each in standing(workspace) if each.annotator == annotator]


def screens(workspace: Workspace) -> set[str]:
    """Tokens of the screens on which the standing answers were given."""
    numbers = [each.number for each in standing(workspace)]
    query = select(answers_table.c.screen).where(answers_table.c.number.in_(numbers))
    with open_answers(workspace) as store, store.reading() as connection:
        return set(connection.scalars(query).all())


def test_pairs_by_keyboard_outlive_undo_reload_and_a_killed_server(
    workspace: Workspace, server: Server, page: Page
) -> None:
    keys = list(itertools.islice(itertools.cycle("ddsud"), 10))
    seen = [shown(page)]
    for key in keys:
        seen.append(press(page, key))
    saved(page)
    assert verdicts(workspace) == [VERDICTS[key] for key in keys]
    assert len(set(seen)) == len(seen)
    assert press(page, "z") == seen[-2], "undo shows the pair again"
    assert press(page, "Control+z") == seen[-3]
    saved(page)
    assert verdicts(workspace) == [VERDICTS[key] for key in keys[:-2]]
    page.reload()
    assert shown(page) == seen[-3], "a reload shows the same pair"
    server.stop(signal.SIGKILL)
    server.start()
    page.reload()
    assert shown(page) == seen[-3], "so does a restart"
    for steps in range(4, 7):
        assert press(page, "z") == seen[-steps], "undo goes on where it was"
    press(page, "s")
    saved(page)
    assert verdicts(workspace) == [*(VERDICTS[key] for key in keys[:5]), "similar"]


def test_back_and_forward_through_ones_own_answers_and_another_verdict(
    workspace: Workspace, page: Page
) -> None:
    pairs = [shown(page), *(press(page, key) for key in "sdu")]
    heading = page.locator(".lw .ask b")
    for pair, verdict in ((pairs[2], "unsure"), (pairs[1], "dissimilar"), (pairs[0], "similar")):
        assert press(page, "ArrowLeft") == pair
        expect(heading).to_contain_text(verdict)
    shown(page)
    page.keyboard.press("u")
    expect(heading).to_contain_text("unsure")
    assert press(page, "ArrowRight") == pairs[1]
    shown(page)
    page.keyboard.press("d")
    expect(page.locator(".lw .told")).to_have_text("That is what you said.")
    assert press(page, "Escape") == pairs[3], "the open question is still the same"
    expect(heading).to_have_text("Are these two the same to you?")
    saved(page)
    assert Counter(verdicts(workspace)) == {"unsure": 2, "dissimilar": 1}
    with open_answers(workspace) as store:
        first, corrected = store.history()[-4], store.history()[-1]
    assert isinstance(first, Answer)
    assert isinstance(corrected, Answer)
    assert (first.pair, first.verdict) == (corrected.pair, "similar")
    page.reload()
    shown(page)
    for pair in pairs[2::-1]:
        assert press(page, "ArrowLeft") == pair, "after a reload too"
    shown(page)
    page.keyboard.press("z")
    expect(heading).to_have_text("Are these two the same to you?")
    assert shown(page) == pairs[0], "undo takes back the answer that is looked at"
    saved(page)
    assert verdicts(workspace) == ["dissimilar", "unsure"]


def test_a_grid_by_keyboard(workspace: Workspace, opened: Callable[..., Page]) -> None:
    page = opened(mode="grid")
    tiles = page.locator(".lw .tile")
    letters = [tile.locator("kbd").inner_text() for tile in tiles.all()]
    assert letters == list("ABDEFGHIJKLMNOPQSTUVWXYZ")[: len(letters)]
    assert len(letters) >= 3
    chosen = [tiles.nth(at).get_attribute("data-image") for at in (0, 2)]
    for key in ("a", "b", "d", "b"):
        page.keyboard.press(key)
    pressed = [tile.get_attribute("aria-pressed") for tile in tiles.all()]
    assert pressed == ["true", "false", "true", *["false"] * (len(letters) - 3)]
    page.keyboard.press("Shift+D")
    expect(page.locator(".lw .beside figcaption")).to_contain_text(
        str(tiles.nth(2).get_attribute("title"))
    )
    first = shown(page)
    press(page, "Enter")
    saved(page)
    stored = standing(workspace)
    assert {each.verdict for each in stored} == {"similar"}
    assert len(stored) == 2
    assert len(screens(workspace)) == 1, "one screen, one transaction"
    assert {image for each in stored for image in each.pair} > set(chosen)
    assert press(page, "Backspace") == first, "undo brings the whole screen back"
    expect(tiles.nth(2)).to_have_attribute("aria-pressed", "true")
    press(page, "Shift+Enter")
    saved(page)
    assert Counter(verdicts(workspace)) == {"similar": 2, "dissimilar": len(letters) - 2}


def test_a_group_by_keyboard(workspace: Workspace, opened: Callable[..., Page]) -> None:
    page = opened(mode="group")
    tiles = page.locator(".lw .tile")
    count = tiles.count()
    assert count >= 3, "the images lie so that a group of four is proposed"
    ids = [str(tile.get_attribute("data-image")) for tile in tiles.all()]
    for key in ("a", "b"):
        page.keyboard.press(key)
    press(page, "Shift+Enter")
    saved(page)
    stored = standing(workspace)
    by_pair = {each.pair: each.verdict for each in stored}
    assert by_pair[tuple(sorted(ids[:2]))] == "similar", "the marked ones belong together"  # type: ignore[index]
    assert Counter(by_pair.values()) == {"similar": count - 1, "dissimilar": 2}
    press(page, "Backspace")
    saved(page)
    assert standing(workspace) == []
    page.keyboard.press("b")
    press(page, "Enter")
    saved(page)
    assert Counter(verdicts(workspace)) == {"similar": count - 1, "dissimilar": 1}


def test_two_people_never_see_the_same_pair(
    workspace: Workspace, browser: Browser, server: Server, opened: Callable[..., Page]
) -> None:
    ada = opened("ada")
    other = browser.new_context(viewport=WIDE)
    bob = other.new_page()
    bob.goto(f"{server.url}/?annotator=bob")
    pairs = {"ada": [shown(ada)], "bob": [shown(bob)]}
    for key in "dudu":
        pairs["ada"].append(press(ada, key))
        pairs["bob"].append(press(bob, key))
        assert not set(pairs["ada"]) & set(pairs["bob"])
    saved(ada)
    saved(bob)
    assert Counter(each.annotator for each in standing(workspace)) == {"ada": 4, "bob": 4}
    assert len({each.pair for each in standing(workspace)}) == 8
    other.close()


def test_one_person_in_two_tabs_answers_once(
    workspace: Workspace, opened: Callable[..., Page]
) -> None:
    one, two = opened(), opened()
    same = shown(one)
    assert shown(two) == same
    two.route("**/likewise/label", lambda route: route.abort())
    two.keyboard.press("u")
    following = press(one, "d")
    saved(one)
    two.unroute("**/likewise/label")
    saved(two)
    expect(two.locator(".lw .told")).to_contain_text("Not stored")
    assert verdicts(workspace) == ["dissimilar"]
    assert shown(two) == following
    press(one, "u")
    saved(one)
    expect(two.locator(".lw .told")).to_contain_text("Here is the next")
    assert shown(two) == shown(one), "a visible tab follows the other one"


def test_answers_wait_for_a_lost_connection(
    workspace: Workspace, context: BrowserContext, page: Page
) -> None:
    press(page, "d")
    saved(page)
    context.set_offline(True)
    press(page, "u")
    press(page, "d")
    shown(page)
    page.keyboard.press("u")
    expect(page.locator(".lw .state b")).to_have_text("Waiting for the connection")
    expect(page.locator(".lw .told")).to_contain_text(
        "Not saved yet: 3 answers wait for the connection"
    )
    assert verdicts(workspace) == ["dissimilar"]
    context.set_offline(False)
    saved(page)
    assert verdicts(workspace) == ["dissimilar", "unsure", "dissimilar", "unsure"]
    press(page, "d")
    saved(page)
    assert len(screens(workspace)) == 5


def test_undo_and_second_thoughts_without_a_connection(
    workspace: Workspace, context: BrowserContext, page: Page
) -> None:
    """The answer to a pair that was taken back goes to the pair's new screen."""
    first = shown(page)
    context.set_offline(True)
    press(page, "s")
    assert press(page, "z") == first
    press(page, "d")
    assert press(page, "z") == first
    press(page, "u")
    context.set_offline(False)
    saved(page)
    assert verdicts(workspace) == ["unsure"]


def test_answers_of_a_closed_tab_are_sent_by_the_next(
    workspace: Workspace, context: BrowserContext, server: Server, page: Page
) -> None:
    shown(page)
    server.stop(signal.SIGKILL)
    press(page, "d")
    press(page, "u")
    page.close()
    server.start()
    again = context.new_page()
    again.goto(f"{server.url}/?annotator=ada")
    shown(again)
    saved(again)
    assert verdicts(workspace) == ["dissimilar", "unsure"]


def test_a_killed_server_between_answers_costs_nothing(
    workspace: Workspace, server: Server, page: Page
) -> None:
    press(page, "d")
    saved(page)
    server.stop(signal.SIGKILL)
    press(page, "u")
    after = press(page, "d")
    expect(page.locator("[data-testid=stDialog]")).to_have_count(0)
    page.wait_for_timeout(1500)
    expect(page.locator(".lw .told")).to_contain_text("Not saved yet: 2 answers")
    expect(page.locator("[data-testid=stDialog]")).to_have_count(0)
    server.start()
    saved(page)
    assert shown(page) == after, "the screen stays while its answers are sent"
    assert verdicts(workspace) == ["dissimilar", "unsure", "dissimilar"]
    press(page, "u")
    saved(page)
    assert len(verdicts(workspace)) == 4


def test_double_clicks_and_held_keys_answer_once(workspace: Workspace, page: Page) -> None:
    for count in range(1, 4):
        before = shown(page)
        page.locator(".lw .verdict.dissimilar").dblclick(delay=20)
        assert shown(page) != before
        saved(page)
        assert len(verdicts(workspace)) == count
    shown(page)
    box = page.locator(".lw .verdict.dissimilar").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    for click in (1, 2):  # a slow double click: the next pair was seen long enough
        page.mouse.down(click_count=click)
        page.mouse.up(click_count=click)
        shown(page)
    saved(page)
    assert len(verdicts(workspace)) == 4
    for _ in range(30):
        page.keyboard.down("u")
        page.wait_for_timeout(30)
    page.keyboard.up("u")
    saved(page)
    assert verdicts(workspace) == ["dissimilar"] * 4 + ["unsure"]


def test_nothing_is_answered_before_it_was_seen(workspace: Workspace, page: Page) -> None:
    before = shown(page)
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(page.locator(".lw .told")).to_have_text("Too quick: not taken.")
    assert shown(page) != before
    saved(page)
    assert verdicts(workspace) == ["dissimilar"]


def test_typing_a_name_answers_nothing_and_a_refresh_keeps_it(
    workspace: Workspace, page: Page
) -> None:
    shown(page)
    page.get_by_role("button", name="ada").click()
    field = page.get_by_role("textbox")
    field.fill("")
    field.press_sequentially("susd dud 123")
    expect(page.locator(".lw .mode").first).to_have_attribute("aria-pressed", "true")
    field.press("Enter")
    expect(page.get_by_role("button", name="susd dud 123")).to_be_visible(timeout=PATIENCE)
    assert standing(workspace) == []
    page.keyboard.press("Escape")
    shown(page)
    page.reload()
    expect(page.get_by_role("button", name="susd dud 123")).to_be_visible(timeout=PATIENCE)
    shown(page)
    press(page, "d")
    saved(page)
    assert verdicts(workspace, "susd dud 123") == ["dissimilar"]


def test_the_next_pair_does_not_wait_for_a_slow_server(workspace: Workspace, page: Page) -> None:
    with held_back(page):
        press(page, "d")
        press(page, "u")
        expect(page.locator(".lw .saved")).to_have_text("Saving 2")
        assert verdicts(workspace) == []
    saved(page)
    assert verdicts(workspace) == ["dissimilar", "unsure"]


def test_an_answer_that_was_stored_but_never_confirmed_is_stored_once(
    workspace: Workspace, page: Page
) -> None:
    lost: list[int] = []

    def lose(route: Route) -> None:
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/likewise/label", lose, times=2)
    press(page, "d")
    saved(page)
    assert lost == [200, 200]
    assert verdicts(workspace) == ["dissimilar"]
    expect(page.locator(".lw .told")).not_to_contain_text("Not stored")


def test_another_page_of_the_app_does_not_stop_answers_on_their_way(
    workspace: Workspace, page: Page
) -> None:
    with held_back(page):
        following = press(page, "d")
        page.get_by_role("link", name="Review").click()
        expect(page.locator(".lw")).to_have_count(0, timeout=PATIENCE)
    page.get_by_role("link", name="Label").click()
    assert shown(page) == following
    saved(page)
    assert verdicts(workspace) == ["dissimilar"]


def test_the_mode_is_kept_and_its_keys_are_its_own(
    workspace: Workspace, context: BrowserContext, server: Server, page: Page
) -> None:
    shown(page)
    page.keyboard.press("2")
    expect(page.locator(".lw .grid")).to_be_visible()
    assert "mode=grid" in page.url
    page.reload()
    shown(page)
    expect(page.locator(".lw .grid")).to_be_visible()
    page.keyboard.press("s")
    page.keyboard.press("d")
    shown(page)
    assert standing(workspace) == [], "letters mark"
    other = context.new_page()
    other.goto(f"{server.url}/?annotator=ada")
    shown(other)
    expect(other.locator(".lw .grid")).to_be_visible()
    other.keyboard.press("1")
    expect(other.locator(".lw .pair")).to_be_visible()


def test_the_list_of_keys_covers_the_screen(workspace: Workspace, page: Page) -> None:
    shown(page)
    listed = page.locator(".lw .help")
    page.keyboard.press("?")
    expect(listed).to_be_visible()
    expect(listed).to_contain_text("dissimilar")
    page.keyboard.press("d")
    expect(listed).to_be_hidden()
    page.keyboard.press("?")
    page.keyboard.press("Escape")
    expect(listed).to_be_hidden()
    saved(page)
    assert standing(workspace) == []


def test_zoom_flicker_and_difference(page: Page) -> None:
    shown(page)
    images = page.locator(".lw .pair img")

    def sizes() -> list[float]:
        return [
            each.evaluate("image => image.getBoundingClientRect().width") for each in images.all()
        ]

    whole = sizes()
    page.keyboard.press("+")
    assert sizes() == pytest.approx([1.5 * each for each in whole])
    images.first.hover()
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(100)
    zoomed = sizes()
    assert zoomed[0] == pytest.approx(zoomed[1], rel=0.01), "both in step"
    assert zoomed[0] > 2 * whole[0]
    page.keyboard.press("0")
    assert sizes() == pytest.approx(whole)
    page.keyboard.down("f")
    boxes = [each.bounding_box() for each in page.locator(".lw .pair .frame").all()]
    assert boxes[0] == boxes[1], "one over the other"
    page.keyboard.up("f")
    boxes = [each.bounding_box() for each in page.locator(".lw .pair .frame").all()]
    assert boxes[0] != boxes[1]
    page.keyboard.press("x")
    blend = "figure => getComputedStyle(figure).mixBlendMode"
    assert page.locator(".lw .pair .right").evaluate(blend) == "difference"
    press(page, "d")
    assert page.locator(".lw .pair .right").evaluate(blend) == "normal"


@pytest.mark.parametrize("mode", ["pair", "grid", "group"])
def test_everything_fits(opened: Callable[..., Page], mode: str) -> None:
    page = opened(mode=mode)
    for size in (WIDE, TABLET):
        page.set_viewport_size(size)
        shown(page)
        heights = page.evaluate(
            "() => { const main = document.querySelector('[data-testid=stMain]');"
            " return [main.scrollHeight, main.clientHeight]; }"
        )
        assert heights[0] <= heights[1]
        visible = page.locator(".lw button:visible, .lw .line")
        assert visible.count() >= 8
        for each in visible.all():
            expect(each).to_be_in_viewport(ratio=0.99)
        least = {"pair": 300, "grid": 90, "group": 90}[mode]
        for frame in page.locator(".lw .pair .frame, .lw .tile").all():
            box = frame.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) > least


def test_images_are_fetched_once_and_marks_are_left_for_measuring(page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    for key in "dudu":
        press(page, key)
    saved(page)
    images = [each for each in fetched if re.search("/likewise/images/", each)]
    assert images
    assert len(images) == len(set(images))
    marks = page.evaluate(
        "() => performance.getEntriesByType('mark').map(each => [each.name, each.startTime])"
    )
    names = [name for name, _ in sorted(marks, key=lambda each: each[1])]
    assert names.count("likewise:key") == 4
    assert names[-8:] == ["likewise:key", "likewise:painted"] * 4
    assert page.evaluate("Object.keys(localStorage).filter(each => /outbox/.test(each))") == []
