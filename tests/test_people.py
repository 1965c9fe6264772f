"""Who may sign in: the table of people, passwords, the allow-list, the commands."""

import base64
import hashlib
import io
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from likewise import people as commands
from likewise.answers import passwords
from likewise.answers.passwords import hashed, matches, nobodys
from likewise.answers.people import People, allowed_address
from likewise.answers.store import AnswerStore, open_answers
from likewise.cli import run
from likewise.errors import UsageError
from likewise.people import gate_for
from likewise.workspace import Workspace

SODIUM = b"SodiumChloride"


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "ARGON2", PasswordHasher(1, 1024, 1))


@pytest.fixture
def people(database_url: str) -> Iterator[People]:
    with AnswerStore(database_url) as store:
        yield People(store)


def test_only_the_right_password_opens(people: People) -> None:
    added = people.add("Ada Lovelace", "correct horse")
    assert people.find("Ada Lovelace") == added
    assert people.check("Ada Lovelace", "correct horse") == added
    for name, password in (
        ("Ada Lovelace", "correct horse "),
        ("Ada Lovelace", ""),
        ("ada lovelace", "correct horse"),
        ("Bob", "correct horse"),
        ("", ""),
    ):
        assert people.check(name, password) is None


def test_a_new_password_and_a_removal_end_what_was(people: People) -> None:
    first = people.add("ada", "correct horse")
    people.add("bob", "battery staple")
    second = people.add("ada", "another horse")
    assert first.serial != second.serial
    assert people.check("ada", "correct horse") is None
    assert [each.name for each in people.all()] == ["ada", "bob"]
    assert people.remove("ada")
    assert not people.remove("ada")
    assert people.find("ada") is None
    assert people.check("ada", "another horse") is None
    assert [each.name for each in people.all()] == ["bob"]


def test_no_password_is_kept(database_url: str) -> None:
    with AnswerStore(database_url) as store:
        people = People(store)
        people.add("ada", "correct horse")
        people.add("bob", "correct horse")
        with store.reading() as connection:
            rows = [str(row) for row in connection.execute(text("SELECT * FROM people"))]
            kept = connection.execute(text("SELECT password FROM people")).scalars().all()
    assert not any("correct horse" in row for row in rows)
    assert kept[0] != kept[1], "each has a salt of its own"
    assert all(each.startswith("$argon2id$v=19$m=1024,t=1,p=1$") for each in kept)


def test_the_hash_is_that_of_the_standard() -> None:
    """Two vectors: of Argon2's reference implementation, and of RFC 7914, section 12, the third."""
    kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
    assert matches("password", kept)
    assert not matches("passwore", kept)
    before = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    fields = [base64.b64encode(each).decode() for each in (SODIUM, bytes.fromhex(before)[:32])]
    assert matches("pleaseletmein", "$".join(["scrypt", "16384", "8", "1", *fields]))


def test_a_hash_of_before_opens_and_is_replaced(database_url: str) -> None:
    raw = hashlib.scrypt(b"correct horse", salt=SODIUM, n=1024, r=8, p=1, dklen=32)
    fields = [base64.b64encode(each).decode() for each in (SODIUM, raw)]
    with AnswerStore(database_url) as store:
        people = People(store)
        added = people.add("ada", "correct horse")
        with store.writing() as connection:
            old = {"old": "$".join(["scrypt", "1024", "8", "1", *fields])}
            connection.execute(text("UPDATE people SET password = :old"), old)

        def kept() -> str:
            with store.reading() as connection:
                return str(connection.execute(text("SELECT password FROM people")).scalar())

        assert people.check("ada", "wrong horse") is None
        assert kept() == old["old"]
        assert people.check("ada", "correct horse") == added, "who is signed in stays so"
        assert kept().startswith("$argon2id$")
        assert people.check("ada", "correct horse") == added
        assert people.check("ada", "wrong horse") is None


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=8, max_size=20), st.text(max_size=20))
def test_a_hash_matches_its_password_alone(password: str, other: str) -> None:
    import unicodedata

    same = unicodedata.normalize("NFKC", password) == unicodedata.normalize("NFKC", other)
    kept = hashed(password)
    assert matches(password, kept)
    assert matches(other, kept) == same
    assert not matches(password, nobodys())


def test_a_name_that_nobody_has_takes_as_long(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "ARGON2", PasswordHasher(2, 8192, 1))
    with AnswerStore(database_url) as store:
        people = People(store)
        people.add("ada", "correct horse")
        people.add("eve@example.org", None)

        def seconds(name: str) -> float:
            took = []
            for _ in range(7):
                begun = time.process_time()
                people.check(name, "wrong horse")
                took.append(time.process_time() - begun)
            return statistics.median(took)

        known, unknown, elsewhere = map(seconds, ("ada", "nobody", "eve@example.org"))
    assert 0.5 < unknown / known < 2
    assert 0.5 < elsewhere / known < 2


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
def test_a_poor_password_is_refused(people: People, password: str) -> None:
    with pytest.raises(UsageError, match="8 to 1,024 characters"):
        people.add("ada", password)
    assert people.all() == []


@pytest.mark.parametrize("name", ["", " ada", "a  b", "a\nb", "x" * 61])
def test_a_name_that_cannot_be_stored_is_refused(people: People, name: str) -> None:
    with pytest.raises(UsageError, match="the name"):
        people.add(name, "correct horse")


def test_only_verified_addresses_on_the_list_are_let_in(people: People) -> None:
    people.add("ada@example.org", None)
    people.add("bob@example.org", "correct horse")
    for verified in (True, None, "true"):
        found = allowed_address(" Ada@Example.org", verified, people)
        assert found is not None
        assert found.name == "ada@example.org"
    for email, verified in (
        ("ada@example.org", False),
        ("ada@example.org", "False"),
        ("eve@example.org", True),
        ("bob@example.org", True),
        (None, True),
        (3, True),
        ("", True),
    ):
        assert allowed_address(email, verified, people) is None
    assert people.check("ada@example.org", "") is None


def test_the_commands_add_list_and_remove(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.create()

    def call(*words: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = run(["people", *words, "--workspace", str(workspace.path)])
        told = capsys.readouterr()
        return code, told.out + told.err

    assert "nobody yet" in call("list")[1]
    assert call("add", "ada", "--password-stdin", typed="correct horse\n")[0] == 0
    assert call("add", "Eve@Example.org", "--oidc")[0] == 0
    code, told = call("list", "--json")
    listed = json.loads(told)["people"]
    assert [(each["name"], each["oidc"]) for each in listed] == [
        ("ada", False),
        ("eve@example.org", True),
    ]
    with open_answers(workspace) as store:
        assert People(store).check("ada", "correct horse") is not None
    assert call("remove", "EVE@example.org")[0] == 0
    assert call("remove", "eve@example.org") == (
        1,
        "likewise: nobody is called 'eve@example.org'; `likewise people list` shows the names\n",
    )
    for words, said in (
        (("add", "bob"), "--password-stdin"),
        (("add", "bob", "--password-stdin"), "8 to 1,024"),
        (("add", "bob", "--oidc"), "e-mail address"),
        (("add", "b@c", "--oidc", "--password-stdin"), "needs no password"),
    ):
        code, told = call(*words)
        assert code == 2
        assert said in told
        assert len(told.splitlines()) == 1


def test_the_password_is_asked_for_twice(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.create()

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    typed = iter(["correct horse", "correct hearse", "correct horse", "correct horse"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    command = ["people", "add", "ada", "--workspace", str(workspace.path)]
    assert run(command) == 2
    assert "differ" in capsys.readouterr().err
    assert run(command) == 0
    with open_answers(workspace) as store:
        assert People(store).check("ada", "correct horse") is not None


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder and a current one without settings of Streamlit."""
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("LIKEWISE_GATE", raising=False)
    monkeypatch.setattr(commands, "find_spec", lambda name: object())
    return tmp_path / "home"


LOOPBACK = ["127.0.0.1", "localhost", "::1", "127.8.8.8"]
ELSEWHERE = ["0.0.0.0", "::", "192.168.1.7", "example.org", "", "127.0.0.1.example.org"]


@pytest.mark.parametrize("host", LOOPBACK + ELSEWHERE)
def test_beyond_this_machine_somebody_must_sign_in(
    host: str, workspace: Workspace, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gate() -> str:
        try:
            return gate_for(host, workspace)
        except UsageError as error:
            return "refused" if "likewise people add" in str(error) else str(error)

    here = host in LOOPBACK
    assert gate() == ("open" if here else "refused"), "also without a workspace"
    workspace.create()
    with open_answers(workspace) as store:
        people = People(store)
        people.add("eve@example.org", None)
        assert gate() == ("open" if here else "refused"), "no identity provider is set up"
        people.add("ada", "correct horse")
        assert gate() == ("open" if here else "password")
        (at_home / ".streamlit").mkdir()
        (at_home / ".streamlit" / "secrets.toml").write_text("[auth]\nclient_id = 'x'\n")
        assert gate() == ("open" if here else "oidc")
        monkeypatch.setenv("LIKEWISE_GATE", "password")
        assert gate() == "password", "for a proxy in front"
        monkeypatch.setenv("LIKEWISE_GATE", "oidc")
        assert gate() == "oidc"
        people.remove("eve@example.org")
        assert gate() == "refused"
        monkeypatch.setenv("LIKEWISE_GATE", "open")
        assert gate() == ("open" if here else "password"), "no word opens it to others"


def test_an_identity_provider_needs_its_library(
    workspace: Workspace, at_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.create()
    with open_answers(workspace) as store:
        People(store).add("eve@example.org", None)
    (at_home / ".streamlit").mkdir()
    (at_home / ".streamlit" / "secrets.toml").write_text("[auth]\nclient_id = 'x'\n")
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="Authlib"):
        gate_for("0.0.0.0", workspace)
