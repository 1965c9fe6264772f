"""The label screen in a real browser, in trouble: no answer is lost, doubled or given unseen."""

import itertools
from collections import Counter

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from likewise.workspace import Workspace
from tests.label_screen import (
    WIDE,
    held_back,
    open_screen,
    press,
    saved,
    screens,
    shown,
    standing,
    verdicts,
)
from tests.served import Server

pytestmark = pytest.mark.browser

TWO_KEYS = """async () => {
    const press = () => document.body.dispatchEvent(
        new KeyboardEvent("keydown", {key: "d", code: "KeyD", bubbles: true, composed: true}));
    press();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    press();
}"""
"""The second as soon as the next pair is painted; from outside it might come too late."""
VERDICTS = {"s": "similar", "d": "dissimilar", "u": "unsure"}


@pytest.fixture
def workspace(server: Server) -> Workspace:
    return server.workspace


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Page:
    return open_screen(context, server)


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
    server.kill()
    server.start()
    page.reload()
    assert shown(page) == seen[-3], "so does a restart"
    for steps in range(4, 7):
        assert press(page, "z") == seen[-steps], "undo goes on where it was"
    press(page, "s")
    saved(page)
    assert verdicts(workspace) == [*(VERDICTS[key] for key in keys[:5]), "similar"]


def test_two_people_never_see_the_same_pair(
    workspace: Workspace, browser: Browser, server: Server, page: Page
) -> None:
    ada, other = page, browser.new_context(viewport=WIDE)
    bob = open_screen(other, server, "bob")
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
    workspace: Workspace, context: BrowserContext, server: Server
) -> None:
    one, two = open_screen(context, server), open_screen(context, server)
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
    server.kill()
    press(page, "d")
    press(page, "u")
    page.close()
    server.start()
    again = open_screen(context, server)
    saved(again)
    assert verdicts(workspace) == ["dissimilar", "unsure"]


def test_a_killed_server_between_answers_costs_nothing(
    workspace: Workspace, server: Server, page: Page
) -> None:
    press(page, "d")
    saved(page)
    server.kill()
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
    page.evaluate(TWO_KEYS)
    expect(page.locator(".lw .told")).to_have_text("Too quick: not taken.")
    assert shown(page) != before
    saved(page)
    assert verdicts(workspace) == ["dissimilar"]


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
        expect(page.locator(".lw")).to_have_count(0)
    page.get_by_role("link", name="Label").click()
    assert shown(page) == following
    saved(page)
    assert verdicts(workspace) == ["dissimilar"]
