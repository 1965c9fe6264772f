"""The label screen's own reckoning, in a browser without a server; and what it says in trouble."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from likewise.workspace import Workspace
from likewise_labeler.label_page import script, workspace_mark

pytestmark = pytest.mark.browser

NAMES = (
    "actionOf, answered, asAsked, columnsFor, handAfter, keyOf, marksOf, message, pastAfter,"
    "progressAfter, screenOf, signature, verdictsOf, LETTERS, stripVerdicts, choiceOf, wayText"
)
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # 1x1


class Front:
    """The module in an empty page; requests are answered by ``reply``."""

    def __init__(self, browser: Browser) -> None:
        self.page: Page = browser.new_page(viewport=ViewportSize(width=1280, height=720))
        self.reply: tuple[int, dict[str, Any]] = (200, state())
        self.asked: list[dict[str, Any]] = []
        self.page.route("**/*", self._answer)
        self.page.goto("http://likewise.test/")

    def _answer(self, route: Route) -> None:
        if route.request.method == "GET":
            route.fulfill(status=200, content_type="text/html", body="<body></body>")
            return
        self.asked.append(route.request.post_data_json or {})
        status, body = self.reply
        route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    def load(self) -> None:
        body = f"{script()}\nwindow.front = {{{NAMES}, label}};"
        self.page.add_script_tag(type="module", content=body)
        self.page.wait_for_function("window.front")

    def call(self, name: str, *arguments: Any) -> Any:
        return self.page.evaluate(f"given => window.front.{name}(...given)", list(arguments))

    def mount(self) -> None:
        self.page.evaluate(
            "window.front.label({parentElement: document.body,"
            " data: {pass: 'p', annotator: 'ada', workspace: 'w'}})"
        )


@pytest.fixture(scope="module")
def pure(browser: Browser) -> Iterator[Front]:
    """The module's functions; nothing is mounted."""
    pure = Front(browser)
    pure.load()
    yield pure
    pure.page.close()


@pytest.fixture
def front(browser: Browser) -> Iterator[Front]:
    front = Front(browser)
    front.load()
    yield front
    front.page.close()


def about(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "name": f"{name}.png",
        "full": f"{PIXEL}#{name}-full",
        "tile": f"{PIXEL}#{name}-tile",
        "thumb": f"{PIXEL}#{name}-thumb",
        "width": 1,
        "height": 1,
        "tiny": False,
        "gone": False,
    }


def screen(kind: str, anchor: str, *candidates: str, token: str = "t") -> dict[str, Any]:
    return {
        "token": token,
        "kind": kind,
        "anchor": about(anchor),
        "context": [],
        "candidates": [about(each) for each in candidates],
        "reason": "A first comparison",
    }


def state(*screens: dict[str, Any], **fields: Any) -> dict[str, Any]:
    progress = {
        "today": 0,
        "total": 0,
        "similar": 0,
        "dissimilar": 0,
        "unsure": 0,
        "groups": 0,
        "per_minute": None,
    }
    return {
        "outcomes": [],
        "screens": list(screens),
        "past": [],
        "progress": progress,
        "images": 5,
        "model": "run-1",
        "state": "ready",
        "text": "",
        **fields,
    }


def answer(asked: dict[str, Any], front: Front, **verdicts: str) -> dict[str, Any]:
    op = {"op": "answer", "token": asked["token"], "verdicts": verdicts, "together": []}
    past = front.call("answered", asked, verdicts, [], "now")
    return {"op": op, "past": past, "reopened": asked.get("reopened", False)}


def test_columns_make_the_tiles_as_large_as_can_be(pure: Front) -> None:
    for count in (1, 2, 5, 7, 12, 23, 24):
        for width, height in ((900, 500), (780, 640), (300, 900), (1200, 200)):
            columns = pure.call("columnsFor", count, width, height)
            side = min(width / columns, height / -(-count // columns))
            best = max(min(width / n, height / -(-count // n)) for n in range(1, count + 1))
            assert 1 <= columns <= count
            assert side >= best - 1


def test_what_is_asked_is_what_the_server_said_and_what_waits(pure: Front) -> None:
    one, two, three = (screen("pair", "a", each, token=each) for each in "bcd")
    waiting = [answer(one, pure, b="similar"), answer(two, pure, c="unsure")]
    assert pure.call("handAfter", [one, two, three], waiting) == [three]
    past = pure.call("pastAfter", [], waiting)
    assert [each["screen"] for each in past] == ["c", "b"], "newest first"
    waiting.append({"op": {"op": "undo", "screen": "c"}, "past": past[0]})
    hand = pure.call("handAfter", [one, two, three], waiting)
    assert [(each["token"], each.get("reopened")) for each in hand] == [("c", True), ("d", None)]
    waiting.append(answer(hand[0], pure, c="dissimilar"))
    assert pure.call("handAfter", [one, two, three], waiting) == [three]
    server = [screen("pair", "c", "a", token="new"), three]
    assert pure.call("handAfter", server, waiting[-1:]) == [three], "known by its pair, not token"
    past = pure.call("pastAfter", [], waiting)
    verdicts = [each["answers"][0]["verdict"] for each in past]
    assert verdicts == ["dissimilar", "similar"]
    waiting.append({"op": {"op": "correct", "a": "a", "b": "b", "verdict": "unsure"}})
    assert pure.call("pastAfter", [], waiting)[1]["answers"][0]["verdict"] == "unsure"
    before = state()["progress"]
    counted = pure.call("progressAfter", before, waiting)
    assert counted == {**before, "today": 2, "total": 2, "similar": 1, "dissimilar": 1}


def test_a_screen_of_many_becomes_verdicts(pure: Front) -> None:
    code = """([kind, marked, all, broken]) => window.front.verdictsOf(
        {kind, candidates: [...'bcde'].map(id => ({id}))}, new Set(marked), all, new Set(broken))"""

    def verdicts(kind: str, marked: str, all_: bool, broken: str = "") -> dict[str, Any]:
        asked = [kind, list(marked), all_, list(broken)]
        found: dict[str, Any] = pure.page.evaluate(code, asked)
        return {**found["verdicts"], "together": found["together"]}

    same, other = "similar", "dissimilar"
    assert verdicts("grid", "bd", False) == {"b": same, "d": same, "together": []}
    assert verdicts("grid", "", False) == {"together": []}
    assert verdicts("grid", "bd", True) == {
        "b": same,
        "c": other,
        "d": same,
        "e": other,
        "together": [],
    }
    assert verdicts("grid", "b", True, "e") == {"b": same, "c": other, "d": other, "together": []}
    rest = {"b": same, "c": other, "d": other, "e": same}
    assert verdicts("group", "dc", False) == {**rest, "together": []}
    assert verdicts("group", "dc", True) == {**rest, "together": ["c", "d"]}


def test_a_strip_becomes_verdicts_on_all_that_was_seen(pure: Front) -> None:
    code = """([chosen, broken, unsure]) => window.front.stripVerdicts(
        {candidates: [...'bcd'].map(id => ({id}))}, new Set(chosen), new Set(broken), unsure)"""

    def said(chosen: str, broken: str = "", unsure: bool = False) -> str:
        asked = [list(chosen), list(broken), unsure]
        found = pure.page.evaluate(code, asked)
        return "".join(f"{image}{verdict[0]}" for image, verdict in found.items())

    assert said("c") == "bdcsdd"
    assert said("bd") == "bscdds"
    assert said("") == "bdcddd"
    assert said("c", "b") == "csdd", "nobody saw b"
    assert said("", "b", unsure=True) == "bucudu"


def test_what_was_said_of_a_strip_in_words(pure: Front) -> None:
    asked = screen("strip", "a", "b", "c", "d")

    def words(**verdicts: str) -> tuple[str, str]:
        found = pure.call("choiceOf", pure.call("answered", asked, verdicts, [], "now"))
        return found["verdict"], found["text"]

    assert words(b="dissimilar", c="similar", d="dissimilar") == ("similar", "group 2")
    assert words(b="similar", c="dissimilar", d="similar") == ("similar", "groups 1, 3")
    assert words(c="dissimilar", d="dissimilar") == ("dissimilar", "none of these")
    assert words(b="unsure", c="unsure") == ("unsure", "unsure")


def test_a_way_to_ask_says_what_it_is_worth(pure: Front) -> None:
    way = {"most": 9, "per_screen": 4.52, "per_answer": 0.51}
    assert pure.call("wayText", "strip", way) == (
        "Up to 9 answers a screen; you take 4.5 s, 0.5 s an answer"
    )
    pair = {"most": 1, "per_screen": 12.3, "per_answer": 12.3}
    assert pure.call("wayText", "pair", pair) == "1 answer a screen; you take 12 s"
    assert pure.call("wayText", "grid", {"most": 24, "per_screen": None}) == (
        "Up to 24 answers a screen"
    )


def test_of_a_strip_with_a_missing_picture_only_the_rest_is_judged(front: Front) -> None:
    bad = screen("strip", "a", "b", "c", "d", token="1")
    bad["candidates"][1]["tile"] = "data:image/png;base64,AAAA"
    front.reply = (200, state(bad))
    front.page.evaluate("history.replaceState(null, '', '?mode=strip')")
    front.mount()
    expect(front.page.locator(".tile .broken")).to_be_visible()
    front.page.wait_for_timeout(350)
    front.page.keyboard.press("2")
    expect(front.page.locator(".told")).to_contain_text("cannot be judged")
    front.page.keyboard.press("1")
    expect(front.page.locator(".saved")).to_have_text("All saved")
    assert front.asked[-1]["ops"][0]["verdicts"] == {"b": "similar", "d": "dissimilar"}


def test_a_past_screen_comes_back_as_it_was_asked(pure: Front) -> None:
    asked = screen("grid", "m", "b", "x")
    told = {
        "screen": "t",
        "kind": "grid",
        "number": 7,
        "time": "now",
        "anchor": about("b"),
        "answers": [{"a": "b", "b": "m", "candidate": about("m"), "verdict": "similar"}],
    }
    past = pure.call("asAsked", told, asked)
    assert past["anchor"]["id"] == "m"
    assert past["answers"][0]["candidate"]["id"] == "b"
    assert pure.call("marksOf", past) == ["b"]
    assert pure.call("screenOf", past) == asked
    alone = pure.call("screenOf", told)
    assert (alone["anchor"]["id"], [each["id"] for each in alone["candidates"]]) == ("b", ["m"])


@pytest.mark.parametrize(
    ("event", "kind", "action"),
    [
        ({"key": "s"}, "pair", ["verdict", "similar"]),
        ({"key": "S"}, "pair", ["verdict", "similar"]),
        ({"key": "ы", "code": "KeyS"}, "pair", ["verdict", "similar"]),
        ({"key": "é", "code": "Digit2"}, "pair", None),
        ({"key": "s", "ctrlKey": True}, "pair", None),
        ({"key": "d", "metaKey": True}, "grid", None),
        ({"key": "z", "ctrlKey": True}, "grid", ["undo"]),
        ({"key": "z"}, "pair", ["undo"]),
        ({"key": "z"}, "grid", ["letter", 23]),
        ({"key": "a"}, "grid", ["letter", 0]),
        ({"key": "d"}, "group", ["letter", 2]),
        ({"key": "D", "shiftKey": True}, "grid", ["look", 2]),
        ({"key": "c"}, "grid", None),
        ({"key": "r"}, "pair", None),
        ({"key": "Enter"}, "grid", ["confirm", False]),
        ({"key": "Enter", "shiftKey": True}, "group", ["confirm", True]),
        ({"key": "Enter"}, "pair", None),
        ({"key": "Backspace"}, "grid", ["undo"]),
        ({"key": "3"}, "pair", ["mode", "group"]),
        ({"key": "?", "shiftKey": True}, "grid", ["help"]),
        ({"key": "Tab"}, "grid", None),
        ({"key": "4"}, "group", ["mode", "strip"]),
        ({"key": "1", "code": "Digit1"}, "strip", ["choose", 0]),
        ({"key": "9", "code": "Numpad9"}, "strip", ["choose", 8]),
        ({"key": "é", "code": "Digit2"}, "strip", ["choose", 1]),
        ({"key": "2", "code": "Digit2", "shiftKey": True}, "strip", ["choose", 1]),
        ({"key": "@", "code": "Digit2", "shiftKey": True}, "strip", ["mode", "grid"]),
        ({"key": "(", "code": "Digit9", "shiftKey": True}, "strip", None),
        ({"key": "0"}, "strip", ["choose", "none"]),
        ({"key": "N"}, "strip", ["choose", "none"]),
        ({"key": "u"}, "strip", ["choose", "unsure"]),
        ({"key": "m"}, "strip", ["several"]),
        ({"key": "s"}, "strip", None),
        ({"key": "1", "ctrlKey": True}, "strip", None),
        ({"key": "Enter"}, "strip", ["confirm", False]),
        ({"key": "z"}, "strip", ["undo"]),
        ({"key": "F5"}, "grid", None),
    ],
)
def test_keys(pure: Front, event: dict[str, Any], kind: str, action: list[Any] | None) -> None:
    assert pure.call("actionOf", {"code": "", "shiftKey": False, **event}, kind, False) == action


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"images": 1}, "Too few images"),
        ({}, "Nothing left to ask"),
        ({"state": "trouble", "text": "labels.db is locked"}, "labels.db is locked"),
    ],
)
def test_with_nothing_to_ask_it_says_why(front: Front, fields: dict[str, Any], text: str) -> None:
    front.reply = (200, state(**fields))
    front.mount()
    expect(front.page.locator(".state")).to_contain_text(text)
    asked = len(front.asked)
    front.reply = (200, state(screen("pair", "a", "b")))
    front.page.get_by_role("button", name="Look again").click()
    expect(front.page.locator(".pair img")).to_have_count(2)
    assert len(front.asked) == asked + 1


def answered_once(front: Front, key: str = "s") -> None:
    expect(front.page.locator(".pair img")).to_have_count(2)
    front.page.wait_for_timeout(350)
    front.page.keyboard.press(key)


def test_what_the_database_says_is_shown_and_the_answer_kept(front: Front) -> None:
    front.reply = (200, state(screen("pair", "a", "b", token="1"), screen("pair", "c", "d")))
    front.mount()
    expect(front.page.locator(".pair img")).to_have_count(2)
    front.reply = (503, {"text": "the disk is full"})
    answered_once(front)
    told = front.page.locator(".told")
    expect(told).to_have_text("Not saved yet: 1 answer waits for the connection. the disk is full")
    front.reply = (200, state(screen("pair", "c", "d"), outcomes=["stored"]))
    expect(front.page.locator(".saved")).to_have_text("All saved")
    sent = [op["token"] for each in front.asked for op in each["ops"]]
    assert len(sent) >= 2, "tried again"
    assert set(sent) == {"1"}


@pytest.mark.breaking
def test_when_the_disk_is_full_no_answer_is_taken(front: Front) -> None:
    front.reply = (200, state(screen("pair", "a", "b", token="1"), screen("pair", "c", "d")))
    front.mount()
    expect(front.page.locator(".pair img")).to_have_count(2)
    front.reply = (507, {"text": "the disk is full"})
    answered_once(front)
    told = front.page.locator(".told")
    full = (
        "The disk is full: no answer is taken until there is space. 1 answer waits in this browser."
    )
    expect(told).to_have_text(full)
    for key in ("s", "z", "d"):
        answered_once(front, key)
    expect(told).to_have_text(full)
    expect(front.page.locator(".saved")).to_have_text("Saving 1")
    front.reply = (200, state(screen("pair", "c", "d"), outcomes=["stored"]))
    expect(front.page.locator(".saved")).to_have_text("All saved")
    expect(told).not_to_contain_text("disk")
    sent = [op["token"] for each in front.asked for op in each["ops"]]
    assert set(sent) == {"1"}, "what was pressed meanwhile was not taken"


def test_when_the_pass_is_refused_the_page_can_be_loaded_again(front: Front) -> None:
    front.reply = (200, state(screen("pair", "a", "b", token="1"), screen("pair", "c", "d")))
    front.mount()
    expect(front.page.locator(".pair img")).to_have_count(2)
    front.reply = (401, {"text": "no pass"})
    answered_once(front)
    expect(front.page.get_by_role("button", name="Reload the page")).to_be_visible()
    expect(front.page.locator(".told")).to_contain_text("1 answer waits in this browser")
    kept = "Object.keys(localStorage).filter(each => each.includes('outbox'))"
    assert len(front.page.evaluate(kept)) == 1
    front.reply = (200, state(screen("pair", "c", "d"), outcomes=["stored"]))
    front.page.once("dialog", lambda dialog: dialog.accept())
    front.page.reload()
    front.load()
    front.mount()
    expect(front.page.locator(".saved")).to_have_text("All saved")
    assert front.asked[-1]["ops"][0]["token"] == "1"
    assert front.page.evaluate(kept) == []


def test_an_operation_that_is_refused_does_not_hold_up_the_others(front: Front) -> None:
    screens = [screen("pair", "a", each, token=each) for each in "bcd"]
    front.reply = (200, state(*screens))
    front.mount()
    expect(front.page.locator(".pair img")).to_have_count(2)
    front.reply = (503, {"text": ""})
    answered_once(front, "s")
    answered_once(front, "d")
    taken: list[str] = []

    def pick(route: Route) -> None:
        ops = (route.request.post_data_json or {})["ops"]
        if any(op["token"] == "b" for op in ops):
            route.fulfill(status=400, content_type="application/json", body='{"text": "bad"}')
            return
        taken.extend(op["token"] for op in ops)
        body = json.dumps(state(screens[2], outcomes=["stored"] * len(ops)))
        route.fulfill(status=200, content_type="application/json", body=body)

    front.page.route("**/likewise/label", pick)
    expect(front.page.locator(".saved")).to_have_text("All saved")
    assert taken == ["c"]
    expect(front.page.locator(".told")).to_contain_text("refused")


def test_a_screen_that_went_to_somebody_else_is_exchanged_with_a_word(front: Front) -> None:
    front.reply = (200, state(screen("pair", "a", "b", token="1")))
    front.mount()
    expect(front.page.locator(".left figcaption")).to_have_text("a.png")
    front.reply = (200, state(screen("pair", "c", "d", token="2")))
    front.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(front.page.locator(".left figcaption")).to_have_text("c.png")
    expect(front.page.locator(".told")).to_contain_text("went to somebody else")


def test_one_can_go_back_a_bounded_way(front: Front) -> None:
    def past(number: int) -> dict[str, Any]:
        asked = screen("pair", f"a{number}", f"b{number}", token=str(number))
        told = front.call("answered", asked, {f"b{number}": "similar"}, [], "now")
        return {**told, "asked": None, "number": number}

    latest = [past(each) for each in range(100, 80, -1)]
    front.reply = (200, state(screen("pair", "x", "y"), past=latest))
    front.mount()
    answered_once(front, "ArrowLeft")
    front.reply = (200, {"past": [past(each) for each in range(80, 60, -1)]})
    for _ in range(60):
        front.page.keyboard.press("ArrowLeft")
        front.page.wait_for_timeout(20)
    expect(front.page.locator(".left figcaption")).to_have_text("a61.png")
    expect(front.page.locator(".told")).to_have_text("Older answers are on the Review page.")
    assert {each.get("before") for each in front.asked[1:]} == {81}


def test_a_picture_that_does_not_come_can_only_be_unsure(front: Front) -> None:
    bad = screen("pair", "a", "b", token="1")
    bad["candidates"][0]["full"] = "data:image/png;base64,AAAA"
    front.reply = (200, state(bad, screen("pair", "c", "d", token="2")))
    front.mount()
    expect(front.page.locator(".broken")).to_be_visible()
    front.page.wait_for_timeout(350)
    front.page.keyboard.press("d")
    expect(front.page.locator(".told")).to_contain_text("only unsure")
    front.page.keyboard.press("u")
    expect(front.page.locator(".left figcaption")).to_have_text("c.png")


def test_a_screen_of_many_counts_each_of_its_answers(front: Front) -> None:
    front.reply = (200, state(screen("grid", "a", "b", "c", "d", token="1")))
    front.page.evaluate("localStorage.setItem('likewise:mode', 'grid')")
    front.mount()
    expect(front.page.locator(".tile")).to_have_count(3)
    front.page.wait_for_timeout(350)
    front.reply = (503, {"text": ""})
    front.page.get_by_role("button", name="All differ").click()
    expect(front.page.locator(".saved")).to_have_text("Saving 3")
    expect(front.page.locator(".line")).to_contain_text("3 in all")
    front.page.keyboard.press("ArrowLeft")
    expect(front.page.locator(".tile[data-said=dissimilar]")).to_have_count(3)
    front.page.get_by_role("button", name="To the open question").click()
    expect(front.page.locator(".state")).to_contain_text("Waiting for the connection")


def test_file_names_are_text(front: Front) -> None:
    evil = screen("grid", "a", "b")
    name = "<img src=x onerror=window.evil=1>"
    evil["anchor"]["name"] = evil["candidates"][0]["name"] = name
    front.reply = (200, state(evil))
    front.page.evaluate("localStorage.setItem('likewise:mode', 'grid')")
    front.mount()
    expect(front.page.locator(".anchor figcaption")).to_have_text(name)
    assert front.page.evaluate("window.evil") is None


def test_the_address_of_a_workspace_is_not_told(workspace: Workspace) -> None:
    mark = workspace_mark(workspace.path)
    assert mark == workspace_mark(workspace.path.parent / "." / workspace.path.name)
    assert mark != workspace_mark(workspace.path / "other")
    assert workspace.path.name not in mark
