"""The gate in front of the app: a real server, asked over the network."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from likewise.answers import passwords
from likewise.answers.people import People
from likewise.answers.store import open_answers
from likewise.workspace import Workspace
from likewise_labeler import main as main_script
from likewise_labeler import sign_in
from likewise_labeler.desk import the_desk
from likewise_labeler.gate import Gate
from likewise_labeler.passes import issue, providers_of
from likewise_labeler.routes import routes
from likewise_labeler.sessions import COOKIE, RENEW_SECONDS, SESSION_SECONDS, SESSIONS, mode
from likewise_labeler.sign_in import SIGN_IN, SIGN_OUT, safe_target, sign_out_address
from likewise_labeler.throttle import Throttle
from tests.served import Server

NAME, PASSWORD = "Ada Lovelace", "correct horse"
PAGE = {"Accept": "text/html"}


class Served(Server):
    """The app with passwords, in a process of its own."""

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def signed_in(self) -> httpx.Client:
        client = self.client()
        assert send_form(client).status_code == 303
        return client

    def stream(self, cookie: str | None, origin: str | None = None) -> Any:
        headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        return connect(
            f"ws://127.0.0.1:{self.port}/_stcore/stream",
            additional_headers=headers,
            origin=Origin(origin or self.url),
            subprotocols=[Subprotocol("streamlit")],
            open_timeout=20,
            proxy=None,
        )


def send_form(client: httpx.Client | TestClient, name: str = NAME, password: str = PASSWORD) -> Any:
    fields = {"name": name, "password": password}
    return client.post(SIGN_IN, data=fields, follow_redirects=False)


def drain(stream: Any) -> None:
    while True:
        stream.recv(timeout=60)


@pytest.fixture(scope="module")
def served(labelled_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workspace = Workspace(tmp_path_factory.mktemp("served") / "workspace")
    shutil.copytree(labelled_images, workspace.path)
    with open_answers(workspace) as store:
        for name in (NAME, "Bob"):
            People(store).add(name, PASSWORD)
    with Served(workspace, LIKEWISE_GATE="password") as server:
        yield server


def test_nothing_passes_before_signing_in(served: Served) -> None:
    with served.client() as stranger:
        for path in ("/", "/review", "/?annotator=ada"):
            page = stranger.get(path, headers=PAGE)
            assert page.status_code == 303
            assert page.headers["location"].startswith(f"{SIGN_IN}?next=/")
        for path in (
            "/media/" + "0" * 64 + ".png",
            "/_stcore/health",
            "/_stcore/host-config",
            "/static/js/index.js",
            "/likewise/images/x.y?size=tile",
            "/likewise/sign-in/",
            "/likewise//sign-in",
            SIGN_OUT,
        ):
            assert stranger.get(path).status_code == 401, path
        pass_alone = {"Authorization": f"Bearer {issue(NAME)}"}
        said = stranger.post("/likewise/label", json={"kind": "pair"}, headers=pass_alone)
        assert said.status_code == 401
        assert stranger.put("/_stcore/upload_file/a/b", content=b"x").status_code == 401
        assert stranger.get(SIGN_IN).status_code == 200
    for cookie in (None, "forged", issue(NAME)):
        with pytest.raises(InvalidStatus), served.stream(cookie):
            pass


def test_signing_in_opens_pages_websocket_and_routes(served: Served) -> None:
    with served.client() as client:
        sent = send_form(client)
        assert (sent.status_code, sent.headers["location"]) == (303, "/")
        kept = sent.headers["set-cookie"].lower()
        assert {"httponly", "samesite=lax", "path=/", f"max-age={SESSION_SECONDS}"} <= set(
            kept.split("; ")
        )
        assert "secure" not in kept, "this is not TLS"
        page = client.get("/", headers=PAGE)
        assert page.status_code == 200
        assert page.headers["x-frame-options"] == "SAMEORIGIN"
        with served.stream(client.cookies[COOKIE]) as stream:
            assert stream.subprotocol == "streamlit"
        with (
            pytest.raises(InvalidStatus),
            served.stream(client.cookies[COOKIE], origin="https://evil.example"),
        ):
            pass
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LIKEWISE_WORKSPACE", str(served.workspace.path))
            own, other = ({"Authorization": f"Bearer {issue(each)}"} for each in (NAME, "Bob"))
            leave = sign_out_address(NAME)
        said = client.post("/likewise/label", json={"kind": "pair"}, headers=own)
        assert said.status_code == 200
        image = said.json()["screens"][0]["anchor"]["tile"]
        assert client.get(image).status_code == 200
        said = client.post("/likewise/label", json={"kind": "pair"}, headers=other)
        assert said.status_code == 401, "a pass of somebody else's"
        away = {**own, "Origin": "https://evil.example"}
        assert client.post("/likewise/label", json={}, headers=away).status_code == 403
        assert client.get(f"{SIGN_OUT}?key=x").status_code == 303
        assert client.get("/", headers=PAGE).status_code == 200, "no link of another site's ends it"
        assert client.get(leave).headers["location"] == SIGN_IN
        assert client.get("/", headers=PAGE).status_code == 303
    with served.client() as stranger:
        assert stranger.get(image).status_code == 401


def test_a_removed_person_is_out_at_once(served: Served) -> None:
    with served.client() as client:
        assert send_form(client, "Bob").status_code == 303
        with served.stream(client.cookies[COOKIE]) as stream:
            with open_answers(served.workspace) as store:
                People(store).remove("Bob")
            time.sleep(1.1)
            assert client.get("/", headers=PAGE).status_code == 303
            stream.send(b"")
            with pytest.raises(ConnectionClosed):
                drain(stream)
        assert send_form(client, "Bob").status_code == 401


@pytest.fixture
def behind(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TestClient, People]]:
    """The gate before a plain app, in this process, where time can be changed."""
    workspace.create()
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(workspace.path))
    monkeypatch.setenv("LIKEWISE_GATE", "password")
    monkeypatch.setattr(passwords, "ARGON2", PasswordHasher(1, 1024, 1))
    monkeypatch.setattr(sign_in, "_THROTTLE", Throttle())
    monkeypatch.setattr("likewise_labeler.sessions._KNOWN_SECONDS", 0.0)
    SESSIONS._known.clear()

    def inside(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.scope["likewise.name"])

    app = Starlette(routes=[Route("/", inside), *routes()], middleware=[Middleware(Gate)])
    people = the_desk().people()
    people.add(NAME, PASSWORD)
    with TestClient(app, base_url="https://label.example.org", follow_redirects=False) as client:
        yield client, people
    the_desk().store().close()


def test_over_tls_the_cookie_is_secure(behind: tuple[TestClient, People]) -> None:
    client, _ = behind
    assert "; secure" in send_form(client).headers["set-cookie"].lower()
    assert client.get("/").text == NAME


def test_guessing_is_slowed_down(behind: tuple[TestClient, People]) -> None:
    client, people = behind
    people.add("Bob", PASSWORD)
    for _ in range(5):
        said = send_form(client, NAME, "wrong horse")
        assert said.status_code == 401
        assert "not the password" in said.text
    for password in ("wrong horse", PASSWORD):
        said = send_form(client, NAME, password)
        assert said.status_code == 429
        assert 1 <= int(said.headers["retry-after"]) <= 60
    for _ in range(7):
        assert send_form(client, "Bob").status_code == 303, "others go on, and success costs none"


def test_a_session_slides_and_ends(
    behind: tuple[TestClient, People], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, people = behind
    begun = now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now)
    monkeypatch.setattr("likewise_labeler.sessions.time.time", lambda: now)
    send_form(client)
    assert "set-cookie" not in client.get("/").headers, "a young cookie stays"
    while now < begun + 3 * SESSION_SECONDS:
        now += SESSION_SECONDS - 60
        client.cookies.jar.clear_expired_cookies()
        said = client.get("/")
        assert said.status_code == 200
        assert COOKIE in said.headers["set-cookie"]
    now += RENEW_SECONDS / 2
    assert "set-cookie" not in client.get("/").headers
    now += SESSION_SECONDS + 60
    assert client.get("/").status_code == 401
    send_form(client)
    people.add(NAME, "another horse")
    assert client.get("/").status_code == 401, "a new password ends the sessions before it"


def test_a_session_of_one_person_is_not_anothers(behind: tuple[TestClient, People]) -> None:
    _, people = behind
    bob = people.add("Bob", PASSWORD)
    eve = people.add("eve@example.org", None)
    cookie = SESSIONS.start(bob)
    session = SESSIONS.read(cookie)
    assert session is not None
    assert session.name == "Bob"
    for wrong in (cookie[:-1], cookie + "x", cookie[::-1], "", issue("Bob"), SESSIONS.start(eve)):
        assert SESSIONS.read(wrong) is None


def test_the_form_keeps_what_is_typed_as_text(behind: tuple[TestClient, People]) -> None:
    client, _ = behind
    said = send_form(client, '"><script>$notice', "x")
    assert said.status_code == 401
    assert "<script>" not in said.text
    assert "&quot;&gt;&lt;script&gt;$notice" in said.text
    assert "default-src 'none'" in said.headers["content-security-policy"]
    assert said.headers["cache-control"] == "no-store"
    assert client.post(SIGN_IN, content=b"x" * 9000).status_code == 413
    for body in (b"", b"\xff=1", b"&".join([b"a=1"] * 99), b"name=" + NAME.encode()):
        assert client.post(SIGN_IN, content=body).status_code == 401
    assert client.delete(SIGN_IN).status_code == 405
    cross = client.post(SIGN_IN, data={}, headers={"Origin": "https://evil.example"})
    assert cross.status_code == 403


def test_the_way_back_is_kept_and_stays_here(behind: tuple[TestClient, People]) -> None:
    client, _ = behind
    asked = client.get("/review?image=ab&x=%2F", headers=PAGE)
    form = client.get(asked.headers["location"]).text
    (action,) = re.findall(r'action="([^"]*)"', form)
    sent = client.post(action, data={"name": NAME, "password": PASSWORD})
    assert sent.headers["location"] == "/review?image=ab&x=%2F"
    assert client.get(f"{SIGN_IN}?next=/review").headers["location"] == "/review"


@pytest.mark.parametrize(
    "target",
    [
        "",
        "review",
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "/likewise/sign-out",
        "/a\nb",
        "javascript:alert(1)",
    ],
)
def test_no_link_leads_away(target: str) -> None:
    assert safe_target(target) == "/"


def test_a_database_that_is_away_lets_nobody_in(behind: tuple[TestClient, People]) -> None:
    client, _ = behind
    send_form(client)
    the_desk().store().close()
    file = Workspace().path / "labels.db"
    file.rename(file.with_name("away"))
    file.mkdir()
    said = client.get("/")
    assert said.status_code == 503
    assert len(said.text.splitlines()) == 1
    file.rmdir()
    file.with_name("away").rename(file)
    assert client.get("/").status_code == 200


def test_failures_count_for_a_minute() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    limits = [(("name", "ada"), 3), (("address", "here"), 5)]
    for second in (0.0, 10.0, 20.0):
        now = second
        assert throttle.begin(limits) == 0
    now = 30.0
    assert throttle.begin(limits) == 30, "until the first one is a minute old"
    assert throttle.begin([(("name", "bob"), 3), (("address", "here"), 5)]) == 0
    now = 60.0
    assert throttle.begin(limits) == 0
    assert throttle.begin(limits) == 10
    throttle.forgive([key for key, _ in limits])
    assert throttle.begin(limits) == 0, "a try that succeeded does not count"
    now = 1000.0
    assert throttle.begin(limits) == 0


def test_the_throttle_forgets_what_no_longer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likewise_labeler.throttle._KEYS", 10)
    now = 0.0
    throttle = Throttle(lambda: now)
    for number in range(100):
        throttle.begin([(("name", str(number)), 1)])
        assert len(throttle._failures) <= 12
    assert throttle.begin([(("name", "99"), 1)]) > 0


@pytest.mark.parametrize(
    ("word", "expected"),
    [("", "open"), ("open", "open"), ("oidc", "oidc"), ("password", "password"), ("x", "password")],
)
def test_an_unknown_way_to_sign_in_is_no_open_door(
    word: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKEWISE_GATE", word)
    assert mode() == expected


MAIN = Path(main_script.__file__)


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    return "".join(str(each.proto.body) for each in app.get("html"))


def test_without_the_gate_a_page_still_asks_who_is_there(
    behind: tuple[TestClient, People],
) -> None:
    """Started with plain `streamlit run`, where no middleware looks at the cookie."""
    app = AppTest.from_file(str(MAIN), default_timeout=30)
    app.query_params["annotator"] = NAME
    assert "Sign in again" in shown(app.run())
    assert not app.get("bidi_component")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"is_logged_in": False}, "Sign in to label"),
        ({"is_logged_in": True, "email": "Ada@example.org"}, ""),
        ({"is_logged_in": True, "email": "ada@example.org", "email_verified": True}, ""),
        ({"is_logged_in": True, "email": "ada@example.org", "email_verified": False}, "Not on the"),
        ({"is_logged_in": True, "email": "eve@example.org"}, "eve@example.org may not label here"),
        ({"is_logged_in": True}, "Somebody without an e-mail address"),
    ],
)
def test_an_identity_provider_names_and_our_list_decides(
    claims: dict[str, Any],
    said: str,
    behind: tuple[TestClient, People],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, people = behind
    people.add("ada@example.org", None)
    monkeypatch.setenv("LIKEWISE_GATE", "oidc")
    monkeypatch.setattr("streamlit.user", claims)
    app = AppTest.from_file(str(MAIN), default_timeout=30)
    app.secrets["auth"] = {"client_id": "x"}
    text = shown(app.run())
    assert said in text
    labels = [each.label for each in app.button]
    if said:
        assert any(each.startswith("Sign in") for each in labels)
    else:
        assert labels[0] == "Sign out"
        assert "Welcome" in text


def test_a_pass_ends_with_the_place_on_the_list(
    behind: tuple[TestClient, People], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, people = behind
    people.add("ada@example.org", None)
    monkeypatch.setenv("LIKEWISE_GATE", "oidc")
    headers = {"Authorization": f"Bearer {issue('ada@example.org')}"}
    body = {"kind": "pair"}
    assert client.post("/likewise/label", json=body, headers=headers).status_code == 200
    people.remove("ada@example.org")
    assert client.post("/likewise/label", json=body, headers=headers).status_code == 401


def test_each_provider_gets_a_button() -> None:
    assert providers_of({"client_id": "x", "redirect_uri": "y"}) == [""]
    assert providers_of({"redirect_uri": "y", "google": {"client_id": "x"}}) == ["google"]
    assert providers_of({"client_id": "x", "google": {}, "okta": {}}) == ["", "google", "okta"]
    assert providers_of({}) == []


def test_the_secret_is_for_its_owner_alone(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(workspace.path))
    early = issue("ada")
    assert not workspace.path.exists(), "asking makes no workspace"
    workspace.create()
    later = issue("ada")
    file = workspace.path / "secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_bytes()) == 32
    assert [each.name for each in workspace.path.iterdir() if "secret" in each.name] == ["secret"]
    code = (
        "import sys; from likewise_labeler.passes import name_of;"
        "print([name_of(each) for each in sys.argv[1:]])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, early, later, later[:-2]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "['ada', 'ada', None]", "another process knows it too"
