"""The strip in a real browser, on the real server, by keyboard alone."""

from collections import Counter
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from likewise.answers.rows import NewAnswer
from likewise.answers.standing import Verdict, pair_of
from likewise.answers.store import open_answers
from likewise.images.store import open_images
from likewise.workspace import Workspace
from tests.label_screen import (
    NO_SCROLLING,
    PAINTED,
    PHONE,
    TABLET,
    WIDE,
    held_back,
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

Group = Callable[..., None]


@pytest.fixture
def workspace(server: Server) -> Workspace:
    return server.workspace


@pytest.fixture
def group(workspace: Workspace) -> Group:
    """``group(sizes)`` stores answers that make groups of these sizes, all known to differ."""

    def make(*sizes: int) -> None:
        images = open_images(workspace)
        left = iter(images.ids[~images.held_out].tolist())
        groups = [[next(left) for _ in range(size)] for size in sizes]
        answers = []
        for place, members in enumerate(groups):
            answers += [(members[0], each, "similar") for each in members[1:]]
            answers += [(members[0], other[0], "dissimilar") for other in groups[:place]]
        with open_answers(workspace) as store:
            store.add([NewAnswer(a, b, verdict, "file", "import") for a, b, verdict in answers])  # type: ignore[arg-type]

    return make


def said(page: Page, workspace: Workspace) -> dict[tuple[str, str], Verdict]:
    """What ada's answers are, once they are stored."""
    saved(page)
    return {each.pair: each.verdict for each in standing(workspace) if each.annotator == "ada"}


def candidates(page: Page) -> list[str]:
    """The images that stand for groups 1, 2, 3 and so on."""
    tiles = page.locator(".lw .strip .tile").all()
    return [str(tile.get_attribute("data-image")) for tile in tiles]


def with_anchor(found: dict[tuple[str, str], Verdict], shown_: list[str]) -> list[str]:
    """The verdicts on the shown images, in their order; each is paired with the same image."""
    (anchor,) = set.intersection(*(set(pair) for pair in found))
    return [found[pair_of(anchor, each)] for each in shown_]


def test_one_key_answers_the_whole_screen(
    workspace: Workspace, context: BrowserContext, server: Server, group: Group
) -> None:
    group(3, 2, 4, 3)
    page = open_screen(context, server, mode="strip")
    expect(page.locator(".lw .ask b")).to_have_text("Which of these groups, or none?")
    tiles = page.locator(".lw .strip .tile")
    expect(tiles.locator("kbd")).to_have_text(list("1234"))
    assert sorted(each.locator(".further img").count() for each in tiles.all()) == [1, 2, 2, 3]
    first, there = shown(page), candidates(page)
    second = press(page, "3")
    expect(page.locator(".lw .badge")).to_have_text("● group 3: 4 answers")
    found = said(page, workspace)
    assert with_anchor(found, there) == ["dissimilar", "dissimilar", "similar", "dissimilar"]
    from_file = len(standing(workspace)) - len(found)
    assert len(screens(workspace)) == from_file + 1, "one screen, one transaction"
    assert press(page, "z") == first, "undo brings the whole screen back"
    assert said(page, workspace) == {}
    for key, verdict in (("0", "dissimilar"), ("u", "unsure")):
        assert press(page, key) == second
        assert with_anchor(said(page, workspace), there) == [verdict] * 4
        assert press(page, "Backspace") == first
    page.keyboard.press("9")
    expect(page.locator(".lw .told")).to_have_text("There is no group 9 here.")
    assert said(page, workspace) == {}


def test_another_key_changes_an_earlier_answer(
    workspace: Workspace, context: BrowserContext, server: Server, group: Group
) -> None:
    group(3, 3, 3)
    page = open_screen(context, server, mode="strip")
    first, there = shown(page), candidates(page)
    heading = page.locator(".lw .ask b")
    open_one = press(page, "2")
    assert press(page, "ArrowLeft") == first
    expect(heading).to_have_text("You said ● group 2")
    for key, text, expected in (
        ("1", "You said ● group 1", ["similar", "dissimilar", "dissimilar"]),
        ("0", "You said ▲ none of these", ["dissimilar"] * 3),
        ("u", "You said ■ unsure", ["unsure"] * 3),
        ("3", "You said ● group 3", ["dissimilar", "dissimilar", "similar"]),
    ):
        shown(page)
        page.keyboard.press(key)
        expect(heading).to_have_text(text)
        assert with_anchor(said(page, workspace), there) == expected
    shown(page)
    page.keyboard.press("3")
    expect(page.locator(".lw .told")).to_have_text("That is what you said.")
    page.reload()
    shown(page)
    assert press(page, "ArrowLeft") == first, "after a reload too"
    expect(heading).to_have_text("You said ● group 3")
    assert press(page, "Escape") == open_one


def test_an_image_may_belong_to_more_than_one_group(
    workspace: Workspace, context: BrowserContext, server: Server, group: Group
) -> None:
    group(2, 2, 2, 2)
    page = open_screen(context, server, mode="strip")
    there = candidates(page)
    page.keyboard.press("m")
    for key in "1421":
        page.keyboard.press(key)
    expect(page.locator(".lw .confirm:visible")).to_contain_text("2 similar, 2 differ")
    pressed = [each.get_attribute("aria-pressed") for each in page.locator(".lw .tile").all()]
    assert pressed == ["false", "true", "false", "true"]
    page.keyboard.press("Escape")
    expect(page.locator(".lw .confirm:visible")).to_have_count(0)
    assert said(page, workspace) == {}
    for key in "m24":
        page.keyboard.press(key)
    press(page, "Enter")
    expect(page.locator(".lw .badge")).to_have_text("● groups 2, 4: 4 answers")
    found = said(page, workspace)
    assert with_anchor(found, there) == ["dissimilar", "similar", "dissimilar", "similar"]
    expect(page.locator(".lw .several")).to_have_attribute("aria-pressed", "false")


def test_a_held_key_counts_once_and_a_lost_connection_loses_nothing(
    workspace: Workspace, context: BrowserContext, server: Server, group: Group
) -> None:
    group(2, 2)
    page = open_screen(context, server, mode="strip")
    for _ in range(5):
        page.keyboard.down("1")
        page.wait_for_timeout(150)
    page.keyboard.up("1")
    assert len(said(page, workspace)) == 2
    page.keyboard.press("1")
    page.evaluate(PAINTED)
    page.keyboard.press("1")
    expect(page.locator(".lw .told")).to_have_text("Too quick: not taken.")
    assert len(said(page, workspace)) == 4
    with held_back(page):
        press(page, "0")
        press(page, "2")
        expect(page.locator(".lw .saved")).to_have_text("Saving 4")
        page.keyboard.press("z")
        expect(page.locator(".lw .saved")).to_have_text("Saving 5")
    counted = Counter(said(page, workspace).values())
    assert counted == {"similar": 2, "dissimilar": 4}


def test_digits_are_groups_and_with_shift_the_ways_to_ask(
    workspace: Workspace, context: BrowserContext, server: Server, group: Group
) -> None:
    group(2, 2)
    page = open_screen(context, server)
    shown(page)
    page.keyboard.press("4")
    expect(page.locator(".lw .strip")).to_be_visible()
    assert "mode=strip" in page.url
    keys = page.locator(".lw .mode kbd")
    expect(keys).to_have_text(["⇧1", "⇧2", "⇧3", "⇧4"])
    press(page, "1")
    expect(page.locator(".lw .strip")).to_be_visible()
    shown(page)
    page.keyboard.press("?")
    expect(page.locator(".lw .help")).to_contain_text("none of them")
    page.keyboard.press("2")
    expect(page.locator(".lw .help")).to_be_hidden()
    assert len(said(page, workspace)) == 2, "the list was closed, nothing answered"
    page.keyboard.press("Shift+Digit1")
    expect(page.locator(".lw .pair")).to_be_visible()
    expect(keys).to_have_text(["1", "2", "3", "4"])
    shown(page)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".lw .ask b")).to_have_text("You said ● group 1")
    expect(keys).to_have_text(["⇧1", "⇧2", "⇧3", "⇧4"])  # on an earlier strip too
    modes = page.locator(".lw .mode")
    expect(modes.first).to_have_attribute("title", "1 answer a screen")
    expect(modes.nth(3)).to_have_attribute("title", "Up to 9 answers a screen")


def test_without_groups_it_is_a_pair_and_groups_come_of_it(
    workspace: Workspace, context: BrowserContext, server: Server
) -> None:
    page = open_screen(context, server, mode="strip")
    expect(page.locator(".lw .ask b")).to_have_text("The same as this one, or not?")
    page.keyboard.press("m")
    expect(page.locator(".lw .several")).to_be_hidden()
    for _ in range(8):
        if page.locator(".lw .strip .tile").count() > 1:
            break
        press(page, "0")
    expect(page.locator(".lw .ask b")).to_have_text("Which of these groups, or none?")
    saved(page)
    assert set(verdicts(workspace)) == {"dissimilar"}


LARGER = """(image, least) => new Promise((fits, fails) => {
  const end = performance.now() + 5000;
  const look = () => {
    const size = Math.min(image.clientWidth, image.clientHeight);
    if (size > least) fits();
    else if (performance.now() > end) fails(new Error(`${size} px`));
    else requestAnimationFrame(look);
  };
  look();
})"""
"""The screen is laid out some frames after the window has another size."""


@pytest.mark.parametrize("sizes", [(), (2, 5), (3,) * 9], ids=["none", "two", "nine"])
def test_everything_fits(
    context: BrowserContext, server: Server, group: Group, sizes: tuple[int, ...]
) -> None:
    group(*sizes)
    page = open_screen(context, server, mode="strip")
    for size in (WIDE, TABLET, PHONE):
        page.set_viewport_size(size)
        shown(page)
        until(page, lambda: page.evaluate(NO_SCROLLING))
        for each in page.locator(".lw button:visible, .lw .line, .lw .further img").all():
            expect(each).to_be_in_viewport(ratio=0.99)
        tiles = page.locator(".lw .tile")
        expect(tiles).to_have_count(max(1, len(sizes)))
        for tile in tiles.all():
            tile.locator(".inside > img").evaluate(LARGER, 70 if size is PHONE else 110)
            box, near = tile.bounding_box(), tile.locator(".inside > img").bounding_box()
            assert box is not None
            assert near is not None
            for small in tile.locator(".further img").all():
                inside = small.bounding_box()
                assert inside is not None
                assert (
                    (20 if size is PHONE else 30)
                    < inside["width"]
                    < 0.6 * max(near["width"], near["height"])
                )
                assert inside["x"] + inside["width"] <= box["x"] + box["width"]
                assert inside["y"] + inside["height"] <= box["y"] + box["height"]
    until(page, lambda: page.locator(".lw .anchor img").is_visible())
