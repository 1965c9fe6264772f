"""The label screen in a real browser, on the real server: what people press is what is stored."""

import re
from collections import Counter

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.workspace import Workspace
from tests.label_screen import (
    NO_SCROLLING,
    PHONE,
    TABLET,
    WIDE,
    open_screen,
    press,
    saved,
    screens,
    shown,
    standing,
    until,
    verdicts,
)
from tests.served import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def workspace(server: Server) -> Workspace:
    return server.workspace


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Page:
    return open_screen(context, server)


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


def test_a_grid_by_keyboard(context: BrowserContext, server: Server) -> None:
    page, workspace = open_screen(context, server, mode="grid"), server.workspace
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


def test_a_group_by_keyboard(context: BrowserContext, server: Server) -> None:
    page, workspace = open_screen(context, server, mode="group"), server.workspace
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
    expect(page.get_by_role("button", name="susd dud 123")).to_be_visible()
    assert standing(workspace) == []
    page.keyboard.press("Escape")
    shown(page)
    page.reload()
    expect(page.get_by_role("button", name="susd dud 123")).to_be_visible()
    shown(page)
    press(page, "d")
    saved(page)
    assert verdicts(workspace, "susd dud 123") == ["dissimilar"]


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
    until(page, lambda: sizes() == pytest.approx([1.5 * each for each in whole]))
    images.first.hover()
    page.mouse.wheel(0, -400)
    until(page, lambda: sizes()[0] > 2 * whole[0])
    zoomed = sizes()
    assert zoomed[0] == pytest.approx(zoomed[1], rel=0.01), "both in step"
    page.keyboard.press("0")
    until(page, lambda: sizes() == pytest.approx(whole))
    frames = page.locator(".lw .pair .frame")
    page.keyboard.down("f")
    until(page, lambda: frames.nth(0).bounding_box() == frames.nth(1).bounding_box())
    page.keyboard.up("f")
    until(page, lambda: frames.nth(0).bounding_box() != frames.nth(1).bounding_box())
    right = page.locator(".lw .pair .right")
    page.keyboard.press("x")
    expect(right).to_have_css("mix-blend-mode", "difference")
    press(page, "d")
    expect(right).to_have_css("mix-blend-mode", "normal")


@pytest.mark.parametrize("mode", ["pair", "grid", "group"])
def test_everything_fits(context: BrowserContext, server: Server, mode: str) -> None:
    page = open_screen(context, server, mode=mode)
    for size in (WIDE, TABLET, PHONE):
        page.set_viewport_size(size)
        shown(page)
        until(page, lambda: page.evaluate(NO_SCROLLING))
        visible = page.locator(".lw button:visible, .lw .line")
        expect(visible.nth(7)).to_be_visible()
        for each in visible.all():
            expect(each).to_be_in_viewport(ratio=0.99)
        least = {"pair": 300, "grid": 90, "group": 90}[mode] * (0.6 if size is PHONE else 1)
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
