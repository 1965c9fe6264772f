"""The label screen as a person at the keyboard meets it, and what was stored of it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import BrowserContext, Locator, Page, Route, ViewportSize, expect
from sqlalchemy import select

from likewise.answers.standing import Answer
from likewise.answers.store import open_answers
from likewise.answers.tables import answers_table
from likewise.workspace import Workspace
from tests.served import Server

VIEW_MS = 320
"""A little more than the shortest view."""
WIDE = ViewportSize(width=1280, height=720)
TABLET = ViewportSize(width=820, height=1180)
PHONE = ViewportSize(width=390, height=844)
PAINTED = """() => new Promise((done) => requestAnimationFrame(() =>
    requestAnimationFrame(() => setTimeout(done))))"""
"""What was drawn before is painted, and the screen has begun to count how long it is seen."""
NO_SCROLLING = """() => {
    const main = document.querySelector('[data-testid=stMain]');
    return main.scrollHeight <= main.clientHeight;
}"""


def open_screen(
    context: BrowserContext, server: Server, name: str = "ada", mode: str = "pair"
) -> Page:
    """The label screen in a tab of its own."""
    page = context.new_page()
    page.goto(f"{server.url}/?annotator={name}&mode={mode}")
    shown(page)
    return page


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
    expect(stage(page)).to_be_visible()
    expect(stage(page).locator("img").first).to_be_visible()
    page.evaluate(PAINTED)
    page.wait_for_timeout(VIEW_MS)
    return names(page)


def press(page: Page, key: str) -> frozenset[str]:
    """Press a key and wait for the next screen; return the names of its images."""
    before = shown(page)
    page.keyboard.press(key)
    until(page, lambda: names(page) not in (before, frozenset()))
    return names(page)


def until(page: Page, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        page.wait_for_timeout(10)


def saved(page: Page) -> None:
    expect(page.locator(".lw .saved")).to_have_text("All saved")


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
