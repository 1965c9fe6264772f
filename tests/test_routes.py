"""Our HTTP routes, over real questions on real databases."""

import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from likewise.answers.rows import NewAnswer
from likewise.answers.store import AnswerStore
from likewise.errors import DiskFull, LikewiseError
from likewise.workspace import Workspace
from likewise_labeler.desk import Ready, the_desk
from likewise_labeler.gate import Gate, is_loopback, is_same_host
from likewise_labeler.passes import PASS_SECONDS, issue, name_of
from likewise_labeler.routes import LONGEST_BODY, routes
from likewise_labeler.wire import BadRequest, history_request, label_request
from tests.breaking import Figure


class Caller:
    """Somebody's browser, without the browser."""

    def __init__(self, client: TestClient, name: str) -> None:
        self.client, self.name = client, name

    def post(self, path: str, body: Any) -> Any:
        answer = self.client.post(path, json=body, headers=bearer(self.name))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def label(self, *ops: Any, kind: str = "pair") -> Any:
        return self.post("/likewise/label", {"kind": kind, "ops": list(ops)})


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(name)}"}


def answer(screen: Any, *verdicts: str, seen: float = 2.5) -> dict[str, Any]:
    ids = [each["id"] for each in screen["candidates"]]
    given = dict(zip(ids, verdicts, strict=False))
    return {"op": "answer", "token": screen["token"], "verdicts": given, "seen": seen}


def serve(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    app = Starlette(routes=routes(), middleware=[Middleware(Gate)])
    return TestClient(app, base_url="http://localhost:8501")


@pytest.fixture
def client(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    with serve(ready, monkeypatch) as client:
        yield client
    the_desk().store().close()


@pytest.fixture
def client_on_any(
    ready: Workspace, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """The same on each kind of database."""
    monkeypatch.setenv("LIKEWISE_DATABASE_URL", database_url)
    with serve(ready, monkeypatch) as client:
        yield client
    the_desk().store().close()


def stored() -> list[tuple[str, str]]:
    return [(each.annotator, each.verdict) for each in the_desk().store().current()]


def test_answers_go_in_and_the_next_screens_come_out(client_on_any: TestClient) -> None:
    ada = Caller(client_on_any, "Ada Lovelace")
    first = ada.label()
    assert first["outcomes"] == []
    assert (first["state"], first["images"], first["model"]) == ("ready", 40, "run-1")
    assert first["past"] == []
    one, two, three = first["screens"]
    again = ada.label()["screens"]
    assert [each["token"] for each in again] == [each["token"] for each in (one, two, three)]
    said = ada.label(answer(one, "similar"), answer(two, "unsure"))
    assert said["outcomes"] == ["stored", "stored"]
    assert said["screens"][0]["token"] == three["token"]
    assert len({each["token"] for each in said["screens"]} - {three["token"]}) == 2
    assert set(stored()) == {
        ("Ada Lovelace", "similar"),
        ("Ada Lovelace", "unsure"),
    }
    newest, oldest = said["past"]
    assert (newest["screen"], oldest["screen"]) == (two["token"], one["token"])
    shown = {oldest["anchor"]["id"], oldest["answers"][0]["candidate"]["id"]}
    assert shown == {one["anchor"]["id"], one["candidates"][0]["id"]}
    assert said["progress"]["today"] == said["progress"]["total"] == 2
    assert (said["progress"]["similar"], said["progress"]["unsure"]) == (1, 1)


def test_the_same_request_again_changes_nothing(client_on_any: TestClient) -> None:
    """What a browser does that did not hear the reply."""
    ada = Caller(client_on_any, "ada")
    screen = ada.label()["screens"][0]
    for _ in range(2):
        assert ada.label(answer(screen, "dissimilar"))["outcomes"] == ["stored"]
        assert [verdict for _, verdict in stored()] == ["dissimilar"]
    a, b = sorted((screen["anchor"]["id"], screen["candidates"][0]["id"]))
    change = {"op": "correct", "a": a, "b": b, "verdict": "similar", "token": uuid.uuid4().hex}
    for _ in range(2):
        assert ada.label(change)["outcomes"] == ["stored"]
        assert [verdict for _, verdict in stored()] == ["similar"]
    undo = {"op": "undo", "screen": screen["token"]}
    for _ in range(2):
        reply = ada.label(undo)
        assert reply["outcomes"] == ["undone"]
        assert stored() == []
        back = reply["screens"][0]
        assert {back["anchor"]["id"], back["candidates"][0]["id"]} == {a, b}
    assert ada.label({"op": "undo", "screen": None})["outcomes"] == ["nothing"]
    assert ada.label(answer(back, "similar", seen=0.1))["outcomes"] == ["too soon"]
    assert stored() == []


def test_a_grid_is_one_screen_of_many_answers(client_on_any: TestClient) -> None:
    ada = Caller(client_on_any, "ada")
    (screen, *_) = ada.label(kind="grid")["screens"]
    assert screen["kind"] == "grid"
    assert 2 < len(screen["candidates"]) <= 24
    said = ada.label(answer(screen, "similar", "dissimilar"), kind="grid")
    assert said["outcomes"] == ["stored"]
    assert len(stored()) == 2
    (past,) = said["past"]
    assert (past["screen"], past["kind"]) == (screen["token"], "grid")
    assert past["anchor"]["id"] == screen["anchor"]["id"]
    assert {each["candidate"]["id"]: each["verdict"] for each in past["answers"]} == {
        screen["candidates"][0]["id"]: "similar",
        screen["candidates"][1]["id"]: "dissimilar",
    }


def test_a_strip_comes_with_further_images_of_each_group(client_on_any: TestClient) -> None:
    eve, ada = (Caller(client_on_any, name) for name in ("eve", "ada"))
    (alone, *_) = eve.label(kind="strip")["screens"]
    assert (alone["kind"], len(alone["candidates"])) == ("strip", 1), "there is no group yet"
    assert alone["candidates"][0]["further"] == []
    ids = [each["id"] for each in eve.label(kind="grid")["screens"][0]["candidates"]]
    eve.label()
    groups = [ids[:4], ids[4:8], ids[8:12]]
    pairs = [(group[0], each) for group in groups for each in group[1:]]
    the_desk().store().add([NewAnswer(*pair, "similar", "eve", "import") for pair in pairs])
    screen = ada.label(kind="strip")["screens"][0]
    assert len(screen["candidates"]) == 3
    for candidate in screen["candidates"]:
        (group,) = (each for each in groups if candidate["id"] in each)
        assert {each["id"] for each in candidate["further"]} == set(group) - {candidate["id"]}
        assert candidate["further"][0].keys() == screen["anchor"].keys()
    before = len(stored())
    verdicts = ("dissimilar", "similar", "dissimilar")
    said = ada.label(answer(screen, *verdicts), kind="strip")
    assert said["outcomes"] == ["stored"]
    assert len(stored()) == before + 3
    (past,) = said["past"]
    assert (past["kind"], past["anchor"]["id"]) == ("strip", screen["anchor"]["id"])
    assert [each["verdict"] for each in past["answers"]] == list(verdicts)
    back = ada.label({"op": "undo", "screen": screen["token"]}, kind="strip")["screens"][0]
    assert back["candidates"] == screen["candidates"]


def test_what_each_way_is_worth_comes_when_nothing_is_said(client: TestClient) -> None:
    ada = Caller(client, "ada")
    first = ada.label()
    assert {kind: way["most"] for kind, way in first["ways"].items()} == {
        "pair": 1,
        "grid": 24,
        "group": 24,
        "strip": 9,
    }
    assert first["ways"]["pair"]["per_screen"] is None
    for _ in range(4):
        said = ada.label(answer(ada.label()["screens"][0], "unsure"))
        assert "ways" not in said
    pair = ada.label()["ways"]["pair"]
    assert 0 < pair["per_screen"] == pair["per_answer"] < 60


def test_two_people_are_not_asked_the_same(client: TestClient) -> None:
    hands = [Caller(client, name).label()["screens"] for name in ("ada", "bob")]
    pairs = [
        {(each["anchor"]["id"], each["candidates"][0]["id"]) for each in hand} for hand in hands
    ]
    assert not pairs[0] & pairs[1]
    stranger = answer(hands[0][0], "similar")
    assert Caller(client, "bob").label(stranger)["outcomes"] == ["stale"]
    assert stored() == []


def test_a_screen_says_only_what_may_be_shown(client: TestClient) -> None:
    """Neither the strategy nor the annotator: a second reading must look like a first one."""
    (screen, *_) = Caller(client, "ada").label()["screens"]
    assert screen.keys() == {"token", "kind", "anchor", "candidates", "context", "reason"}
    about = {"id", "name", "full", "tile", "thumb", "width", "height", "tiny", "gone"}
    assert screen["anchor"].keys() == about
    assert screen["candidates"][0].keys() == about | {"score", "further"}
    assert screen["anchor"]["tiny"] == (screen["anchor"]["width"] == 28)


def test_older_screens_come_on_request(client: TestClient) -> None:
    ada = Caller(client, "ada")
    given = []
    for _ in range(5):
        screen = ada.label()["screens"][0]
        ada.label(answer(screen, "unsure"))
        given.append(screen["token"])
    newest = ada.post("/likewise/history", {"before": None, "count": 2})["past"]
    assert [each["screen"] for each in newest] == given[:-3:-1]
    older = ada.post("/likewise/history", {"before": newest[-1]["number"], "count": 20})["past"]
    assert [each["screen"] for each in older] == given[2::-1]
    assert Caller(client, "bob").post("/likewise/history", {})["past"] == []


def test_a_forged_or_old_pass_opens_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = issue("ada")
    assert name_of(good) == "ada"
    for wrong in (
        "",
        "Bearer",
        f"Basic {good}",
        f"Bearer {good}x",
        "Bearer ada",
        f"Bearer x{good}",
    ):
        for path in ("/likewise/label", "/likewise/history", "/likewise/atlas"):
            said = client.post(path, json={"kind": "pair"}, headers={"Authorization": wrong})
            assert said.status_code == 401
            assert "load the page again" in said.json()["text"]
    import time

    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + PASS_SECONDS + 2)
    assert name_of(good) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "the request: an object"),
        (b'{"kind": "triple"}', "kind: say one of pair, grid, group, strip"),
        (b'{"kind": "pair", "ops": {}}', "ops: a list"),
        (b'{"kind": "pair", "ops": [{"op": "erase"}]}', r"ops\[0\].op: say answer, undo"),
        (b'{"kind": "pair", "ops": [{"op": "undo", "screen": 3}]}', r"ops\[0\].screen"),
    ],
)
def test_what_is_no_request_is_refused_in_one_line(
    client: TestClient, body: bytes, said: str
) -> None:
    headers = {**bearer("ada"), "Content-Type": "application/json"}
    answer = client.post("/likewise/label", content=body, headers=headers)
    assert answer.status_code == 400
    with pytest.raises(BadRequest, match=said):
        label_request(body)
    assert "\n" not in answer.json()["text"]


GOOD = {"op": "answer", "token": "t", "verdicts": {"x": "similar"}, "seen": 1, "together": ["x"]}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("token", "a b", "up to 64 letters"),
        ("token", "x" * 65, "up to 64 letters"),
        ("token", None, "up to 64 letters"),
        ("verdicts", [], "an object"),
        ("verdicts", {"x": "maybe"}, "similar, dissimilar, unsure"),
        ("verdicts", {"x": ["similar"]}, "similar, dissimilar, unsure"),
        ("verdicts", {"\0": "similar"}, "up to 64 letters"),
        ("verdicts", {str(n): "similar" for n in range(65)}, "at most 64"),
        ("seen", "1", "seconds"),
        ("seen", True, "seconds"),
        ("seen", -0.1, "seconds"),
        ("seen", float("nan"), "seconds"),
        ("seen", float("inf"), "seconds"),
        ("seen", 10**400, "seconds"),
        ("together", "x", "a list"),
        ("together", [1], "up to 64 letters"),
    ],
)
def test_each_field_of_an_answer_is_checked(field: str, value: Any, said: str) -> None:
    body = {"kind": "pair", "ops": [{**GOOD, field: value}]}
    with pytest.raises(BadRequest, match=rf"ops\[0\]\.{field}: .*{said}"):
        label_request(json.dumps(body).encode())


def test_a_good_answer_is_read_as_it_is() -> None:
    (reply,) = label_request(json.dumps({"kind": "grid", "ops": [GOOD]}).encode()).operations
    assert vars(reply) == {
        "token": "t",
        "verdicts": {"x": "similar"},
        "seen": 1.0,
        "together": ("x",),
    }


@pytest.mark.parametrize(
    "body", [{"before": 0}, {"before": "1"}, {"before": 2**70}, {"count": 0}, {"count": 101}]
)
def test_a_wrong_part_of_history_is_refused(body: Any) -> None:
    with pytest.raises(BadRequest, match="whole number"):
        history_request(json.dumps(body).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["similar", "pair", "answer", "undo", "a" * 32, "b" * 32]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["answer", "undo", "correct"]) | VALUES},
    optional={
        "token": st.just("own") | VALUES,
        "screen": st.just("own") | VALUES,
        "verdicts": st.dictionaries(st.just("own") | st.text(max_size=4), VALUES) | VALUES,
        "verdict": VALUES,
        "seen": VALUES,
        "together": VALUES,
        "a": VALUES,
        "b": VALUES,
    },
)
BODIES = st.fixed_dictionaries(
    {"kind": st.sampled_from(["pair", "grid", "group", "strip"]) | VALUES},
    optional={"ops": st.lists(OPERATIONS | VALUES, max_size=3) | VALUES},
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(BODIES | VALUES, st.sampled_from(["label", "history", "atlas"]))
def test_no_body_breaks_the_server(client: TestClient, body: Any, path: str) -> None:
    """The test client passes on any exception that a handler lets through."""
    (screen, *_) = Caller(client, "ada").label()["screens"]
    sent = json.dumps(body).replace('"own":', f'"{screen["candidates"][0]["id"]}":')
    sent = sent.replace('"own"', f'"{screen["token"]}"')
    headers = {**bearer("ada"), "Content-Type": "application/json"}
    answer = client.post(f"/likewise/{path}", content=sent, headers=headers)
    assert answer.status_code in (200, 400)
    assert "\n" not in answer.json().get("text", "")


def test_only_json_of_bounded_length_is_read(client: TestClient) -> None:
    body = json.dumps({"kind": "pair"})
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {**bearer("ada"), "Content-Type": kind}
        assert client.post("/likewise/label", content=body, headers=headers).status_code == 415
    long = body + " " * (LONGEST_BODY + 1 - len(body))
    headers = {**bearer("ada"), "Content-Type": "application/json; charset=utf-8"}
    assert client.post("/likewise/label", content=long, headers=headers).status_code == 413
    assert client.post("/likewise/label", content=long[:-1], headers=headers).status_code == 200


def test_answers_on_images_that_were_not_asked_are_refused(client: TestClient) -> None:
    (screen, *_) = Caller(client, "ada").label()["screens"]
    other = {**answer(screen), "verdicts": {"f" * 32: "similar"}}
    body = {"kind": "pair", "ops": [other]}
    assert client.post("/likewise/label", json=body, headers=bearer("ada")).status_code == 400
    assert stored() == []


def test_trouble_with_the_database_keeps_the_outbox(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, _ = Caller(client, "ada").label()["screens"]
    ready = the_desk().look()
    assert isinstance(ready, Ready)
    real, calls = ready.questions.answer, itertools.count()

    def failing(name: str, reply: Any) -> Any:
        if next(calls) == 1:
            raise LikewiseError("the answers in labels.db: disk I/O error")
        return real(name, reply)

    monkeypatch.setattr(ready.questions, "answer", failing)
    body = {"kind": "pair", "ops": [answer(one, "similar"), answer(two, "similar")]}
    said = client.post("/likewise/label", json=body, headers=bearer("ada"))
    assert said.status_code == 503
    assert said.json() == {
        "text": "the answers in labels.db: disk I/O error",
        "outcomes": ["stored"],
    }
    assert client.post("/likewise/label", json=body, headers=bearer("ada")).status_code == 200
    assert len(stored()) == 2


@pytest.mark.breaking
def test_a_full_disk_is_told_and_what_was_stored_stays(client: TestClient, figure: Figure) -> None:
    one, two, _ = Caller(client, "ada").label()["screens"]
    Caller(client, "ada").label(answer(one, "similar"))
    store: AnswerStore = the_desk().store()
    room = ["PRAGMA max_page_count = 1"]  # as many as there are

    def limit(connection: Any, _: object) -> None:
        connection.execute(room[-1])

    store.close()
    event.listen(store._engine, "connect", limit)
    others = (NewAnswer(f"{each:032x}", "f" * 32, "similar", "a") for each in itertools.count())
    with pytest.raises(DiskFull, match="the disk is full"):
        list(map(lambda each: store.add([each]), others))  # noqa: C417
    before = stored()
    body = {"kind": "pair", "ops": [answer(two, "similar")]}
    said = client.post("/likewise/label", json=body, headers=bearer("ada"))
    figure(f"status {said.status_code}: {said.json()['text'].rpartition(': ')[2]}")
    assert said.status_code == 507
    assert stored() == before
    room.append("PRAGMA max_page_count = 100000")
    store.close()
    assert client.post("/likewise/label", json=body, headers=bearer("ada")).status_code == 200
    assert stored() == [*before, ("ada", "similar")]


def test_a_lost_table_is_one_line(client: TestClient) -> None:
    Caller(client, "ada").label()
    store: AnswerStore = the_desk().store()
    with store.writing() as connection:
        connection.execute(text("DROP TABLE screens"))
    said = client.post("/likewise/label", json={"kind": "pair"}, headers=bearer("ada"))
    assert said.status_code == 503
    assert "screens" in said.json()["text"]
    assert "\n" not in said.json()["text"]


def test_without_embeddings_there_is_nothing_yet(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(workspace, monkeypatch) as client:
        ada = Caller(client, "ada")
        assert ada.label()["state"] == "missing"
        workspace.create()
        said = ada.label()
        assert (said["state"], said["screens"], said["outcomes"]) == ("missing", [], [])
        body = {"kind": "pair", "ops": [{"op": "undo", "screen": None}]}
        kept = client.post("/likewise/label", json=body, headers=bearer("ada"))
        assert kept.status_code == 503
        history = client.post("/likewise/history", json={}, headers=bearer("ada"))
        assert history.status_code == 503


def test_images_have_lasting_signed_addresses(client: TestClient) -> None:
    (screen, *_) = Caller(client, "ada").label()["screens"]
    address = screen["anchor"]["tile"]
    sent = client.get(address)
    assert sent.status_code == 200
    assert sent.headers["content-type"] in ("image/png", "image/jpeg")
    assert sent.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = client.get(address, headers={"If-None-Match": sent.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(screen["anchor"]["full"], headers={"If-None-Match": sent.headers["etag"]})
    assert other.status_code == 200
    signed, _, size = address.partition("?")
    last = "0" if signed[-1] != "0" else "1"
    stolen = screen["candidates"][0]["id"].join(("/likewise/images/", signed[signed.index(".") :]))
    for wrong in (
        f"{signed[:-1]}{last}?{size}",
        f"{stolen}?{size}",
        f"{signed}?size=huge",
        f"{signed}é?{size}",
        "/likewise/images/..%2Fsecret.0",
        "/likewise/images/x.",
    ):
        assert client.get(wrong).status_code == 404


def test_only_this_machine_is_answered_by_name(client: TestClient) -> None:
    """A web page may point a name of its own at 127.0.0.1, but cannot hide that name."""
    (screen, *_) = Caller(client, "ada").label()["screens"]
    for host in ("evil.example", "evil.example:8501", "localhost.evil.example", "192.168.0.7", ""):
        assert client.get(screen["anchor"]["tile"], headers={"Host": host}).status_code == 403
    for host in ("127.0.0.1:8501", "[::1]:8501", "labeler.localhost", "LOCALHOST"):
        assert client.get(screen["anchor"]["tile"], headers={"Host": host}).status_code == 200


def test_another_sites_page_cannot_post(client: TestClient) -> None:
    for origin, status in (
        ("http://localhost:8501", 200),
        ("http://localhost:8502", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ):
        headers = {**bearer("ada"), "Origin": origin}
        said = client.post("/likewise/label", json={"kind": "pair"}, headers=headers)
        assert said.status_code == status


@given(st.text())
def test_any_text_may_stand_in_a_host_header(text: str) -> None:
    assert is_loopback(text) in (True, False)
    assert is_same_host(text, text) in (True, False)
    assert not is_same_host(f"http://{text}.example", "localhost")
