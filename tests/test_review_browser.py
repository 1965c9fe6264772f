"""The Review page in a real browser."""

from itertools import pairwise

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from likewise.answers.ledger import Ledger
from likewise.answers.store import NewAnswer, Verdict, open_answers
from likewise.images.store import open_images
from tests.served import Server

pytestmark = pytest.mark.browser

VIEW_MS = 400
"""A little more than the shortest view."""


@pytest.fixture
def ids(server: Server) -> dict[str, str]:
    """Image ids by file name."""
    images = open_images(server.workspace)
    return {images.path(row).name: str(image) for row, image in enumerate(images.ids)}


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def say(server: Server, *said: tuple[str, str, Verdict, str]) -> None:
    with open_answers(server.workspace) as store:
        store.add([NewAnswer(a, b, verdict, who) for a, b, verdict, who in said])


def said(server: Server) -> list[tuple[str, Verdict, str]]:
    """Who says what, and why asked; oldest first."""
    with open_answers(server.workspace) as store:
        return [(each.annotator, each.verdict, each.strategy) for each in store.current()]


def groups(server: Server) -> set[frozenset[str]]:
    """The groups of several images that follow from the answers."""
    with open_answers(server.workspace) as store:
        found = Ledger(store.history()).groups()
    return {frozenset(each) for each in found if len(each) > 1}


def open_tab(page: Page, server: Server, tab: str, annotator: str = "cyd") -> None:
    page.goto(f"{server.url}/review?annotator={annotator}&tab={tab}")
    expect(page.get_by_text("History", exact=True)).to_be_visible()


def rows(page: Page) -> Locator:
    return page.locator(".board article")


def test_an_answer_is_found_and_changed_and_all_of_it_outlives_a_restart(
    server: Server, page: Page, ids: dict[str, str]
) -> None:
    names = sorted(ids)
    say(server, *((ids[a], ids[b], "similar", "ada") for a, b in pairwise(names[:20])))
    say(server, *((ids[a], ids[b], "unsure", "bob") for a, b in pairwise(names[:20])))
    open_tab(page, server, "history", annotator="ada")
    expect(rows(page).first).to_be_visible()
    page.get_by_label("Image").fill("07.png")
    page.get_by_label("Image").press("Enter")
    page.get_by_label("Person").click()
    page.get_by_role("option", name="ada").click()
    page.get_by_label("State").click()
    page.get_by_role("option", name="standing").click()
    expect(rows(page)).to_have_count(2)
    wanted = rows(page).filter(has_text="06.png")
    expect(wanted).to_contain_text("ada")
    wanted.get_by_role("button", name="Dissimilar").dblclick()
    expect(page.get_by_text("Changed to dissimilar.")).to_be_visible()
    expect(rows(page).first).to_contain_text("≠ dissimilar")
    changed = [each for each in said(server) if each[1] == "dissimilar"]
    assert changed == [("ada", "dissimilar", "")], "a double click changes one answer once"
    server.kill()
    server.start()
    page.goto(page.url)
    expect(rows(page).first).to_contain_text("≠ dissimilar")
    expect(rows(page)).to_have_count(2)
    rows(page).first.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("Took back dissimilar by ada.")).to_be_visible()
    assert sum(each[1] == "dissimilar" for each in said(server)) == 0
    assert sum(each[1] == "similar" for each in said(server)) == 19, "the first answer stands again"
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Undone.")).to_be_visible()
    assert sum(each[1] == "dissimilar" for each in said(server)) == 1


def test_a_contradiction_is_shown_with_its_chain_and_resolved_by_one_click(
    server: Server, page: Page, ids: dict[str, str]
) -> None:
    a, b, c = (ids[name] for name in ("01.png", "03.png", "05.png"))
    say(server, (a, b, "similar", "ada"), (b, c, "similar", "bob"))
    open_tab(page, server, "contradictions")
    expect(page.get_by_text("No contradictions")).to_be_visible()
    say(server, (a, c, "dissimilar", "dora"))
    page.reload()
    expect(page.get_by_text("Contradictions (1)")).to_be_visible()
    expect(rows(page).locator(".row")).to_have_count(2)
    claim, chain = rows(page).locator(".row").all()
    expect(claim).to_contain_text("dora")
    assert set(claim.locator("figcaption").all_inner_texts()) == {"01.png", "05.png"}
    ends = chain.locator("figcaption").all_inner_texts()
    assert ends in (["01.png", "03.png", "05.png"], ["05.png", "03.png", "01.png"])
    for image in rows(page).locator("img").all():
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    step = chain.locator(".step").filter(has_text="bob")
    step.get_by_role("button", name="Retract").click()
    expect(page.get_by_text("No contradictions")).to_be_visible()
    expect(page.get_by_text("Contradictions (1)")).to_have_count(0)
    assert [each[0] for each in said(server)] == ["ada", "dora"]
    page.get_by_role("button", name="Undo").click()
    expect(rows(page)).to_have_count(1)
    assert sorted(each[0] for each in said(server)) == ["ada", "bob", "dora"]


def test_disputes_are_settled_by_key_and_a_held_key_settles_one(
    server: Server, page: Page, ids: dict[str, str]
) -> None:
    names = sorted(ids)
    for a, b in ((0, 1), (2, 3), (4, 5)):
        pair = ids[names[a]], ids[names[b]]
        say(server, (*pair, "similar", "ada"), (*pair, "dissimilar", "bob"))
    open_tab(page, server, "adjudication")
    expect(page.get_by_text("Adjudication (3)")).to_be_visible()
    expect(page.get_by_text("1 person").first).to_be_visible()
    expect(page.get_by_text("bob")).to_have_count(0)
    page.wait_for_timeout(VIEW_MS)
    page.keyboard.press("d")
    expect(page.get_by_text("Adjudication (2)")).to_be_visible()
    expect(page.get_by_text("Settled as dissimilar.")).to_be_visible()
    assert said(server)[-1] == ("cyd", "dissimilar", "adjudication")
    page.wait_for_timeout(VIEW_MS)
    page.keyboard.down("s")
    for _ in range(30):
        page.wait_for_timeout(40)
        page.keyboard.down("s")
    page.keyboard.up("s")
    expect(page.get_by_text("Adjudication (1)")).to_be_visible()
    assert said(server)[-1] == ("cyd", "similar", "adjudication")
    page.keyboard.press("z")
    expect(page.get_by_text("Adjudication (2)")).to_be_visible()
    assert said(server)[-1] == ("cyd", "dissimilar", "adjudication")


def test_a_group_is_split_merged_and_still_so_after_a_restart(
    server: Server, page: Page, ids: dict[str, str]
) -> None:
    names = ["11.png", "13.png", "15.png", "17.png"]
    say(server, *((ids[a], ids[b], "similar", "ada") for a, b in pairwise(names)))
    whole = {frozenset(ids[name] for name in names)}
    open_tab(page, server, "groups")
    sheet = page.locator(".sheet")
    sheet.locator("button").first.click()
    expect(page.get_by_role("strong").filter(has_text="4 images")).to_be_visible()
    for name in names[2:]:
        sheet.first.get_by_role("button", name=name).click()
    expect(page.get_by_text("2 marked")).to_be_visible()
    page.get_by_role("button", name="Split into a group of their own").click()
    expect(page.get_by_text("Split 2 images off.")).to_be_visible()
    halves = {frozenset(ids[name] for name in some) for some in (names[:2], names[2:])}
    assert groups(server) == halves
    page.keyboard.press("z")
    expect(page.get_by_text("Undone.")).to_be_visible()
    assert groups(server) == whole
    sheet.first.get_by_role("button", name=names[3]).click()
    page.get_by_role("button", name="Throw out").click()
    expect(page.get_by_text("Threw 1 image out.")).to_be_visible()
    assert groups(server) == {frozenset(ids[name] for name in names[:3])}
    page.get_by_label("Find a group").fill(names[3])
    page.get_by_label("Find a group").press("Enter")
    sheet.last.get_by_role("button", name=names[3]).click()
    page.get_by_role("button", name="Merge the two").click()
    expect(page.get_by_text("Merged 1 image into the group.")).to_be_visible()
    assert groups(server) == whole
    server.kill()
    server.start()
    page.goto(page.url)
    expect(page.get_by_role("strong").filter(has_text="4 images")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (820, 1180)])
def test_nothing_is_cut_off(
    server: Server, page: Page, ids: dict[str, str], width: int, height: int
) -> None:
    names = [f"2{digit}.png" for digit in range(7)]
    say(server, *((ids[a], ids[b], "similar", "ada") for a, b in pairwise(names)))
    say(server, (ids[names[0]], ids[names[6]], "dissimilar", "bob"))
    pair = ids["30.png"], ids["31.png"]
    say(server, (*pair, "similar", "ada"), (*pair, "dissimilar", "bob"))
    page.set_viewport_size({"width": width, "height": height})
    open_tab(page, server, "history")
    for tab, shows in {
        "History": ".board article",
        "Contradictions": ".board article .row .label",
        "Adjudication": ".lw-dispute img",
        "Groups": ".sheet button",
    }.items():
        page.get_by_role("radio", name=tab).click()
        expect(page.locator(shows).first).to_be_visible()
        wide = page.evaluate("() => [document.body.scrollWidth, document.body.clientWidth]")
        assert wide[0] <= wide[1], tab
        ends = page.locator(".board button, .sheet button").evaluate_all(
            "all => all.map(each => each.getBoundingClientRect()).map(box => [box.left, box.right])"
        )  # all at once: the page may be drawn anew meanwhile
        assert all(0 <= left <= right <= width for left, right in ends), tab
        if tab == "Adjudication":
            for verdict in ("Similar", "Dissimilar", "Unsure"):
                shown = page.get_by_role("button", name=verdict).first
                expect(shown).to_be_in_viewport(ratio=1)
