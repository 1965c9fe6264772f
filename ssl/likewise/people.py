"""`likewise people`: who may sign in to the labeler, and where somebody has to."""

import getpass
import ipaddress
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import tomlkit

from likewise.answers.people import People, Person
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.settings import PeopleAdd, PeopleList, PeopleRemove
from likewise.workspace import Workspace

Gate = Literal["open", "password", "oidc"]
"""How people sign in."""


@dataclass(frozen=True)
class PersonAdded:
    """Somebody may sign in now."""

    name: str
    oidc: bool

    def as_json(self) -> dict[str, Any]:
        """The fields of the result."""
        return {"name": self.name, "oidc": self.oidc}

    def as_text(self) -> str:
        """What a person reads."""
        how = "through the identity provider" if self.oidc else "with that password"
        return f"{self.name} may sign in {how}"


@dataclass(frozen=True)
class PeopleListed:
    """Everybody who may sign in."""

    people: list[Person]

    def as_json(self) -> dict[str, Any]:
        """The fields of the result."""
        rows = [
            {"name": each.name, "oidc": each.oidc, "added": each.added.isoformat()}
            for each in self.people
        ]
        return {"people": rows}

    def as_text(self) -> str:
        """What a person reads."""
        if not self.people:
            return "nobody yet; `likewise people add NAME` lets somebody sign in"
        width = max(len(each.name) for each in self.people)
        return "\n".join(
            f"{each.name:<{width}}  {'identity provider' if each.oidc else 'password':<17}  "
            f"since {each.added:%Y-%m-%d}"
            for each in self.people
        )


@dataclass(frozen=True)
class PersonRemoved:
    """Somebody may sign in no more."""

    name: str

    def as_json(self) -> dict[str, Any]:
        """The fields of the result."""
        return {"name": self.name}

    def as_text(self) -> str:
        """What a person reads."""
        return f"{self.name} can sign in no more; their answers stay"


def add_person(workspace: Workspace, settings: PeopleAdd) -> PersonAdded:
    """Let a person sign in, with a password or (``--oidc``) by e-mail address.

    Raises:
        UsageError: the name or the password will not do, or there is nobody to ask for it.
    """
    if settings.oidc:
        name = settings.name.strip().casefold()
        if settings.password_stdin:
            raise UsageError("--oidc needs no password; leave out --password-stdin")
        if "@" not in name:
            raise UsageError(f"--oidc takes an e-mail address, not {settings.name!r}")
    else:
        name = settings.name
    with open_answers(workspace) as store:
        people = People(store)
        password = None if settings.oidc else _ask_password(settings.password_stdin)
        person = people.add(name, password)
    return PersonAdded(person.name, person.oidc)


def list_people(workspace: Workspace, settings: PeopleList) -> PeopleListed:
    """Everybody who may sign in."""
    with open_answers(workspace) as store:
        return PeopleListed(People(store).all())


def remove_person(workspace: Workspace, settings: PeopleRemove) -> PersonRemoved:
    """Let a person sign in no more; an open session ends at once.

    Raises:
        LikewiseError: there is nobody of that name.
    """
    with open_answers(workspace) as store:
        people = People(store)
        name = settings.name
        if people.remove(name) or people.remove(name := name.strip().casefold()):
            return PersonRemoved(name)
    raise LikewiseError(
        f"nobody is called {settings.name!r}; `likewise people list` shows the names"
    )


def gate_for(host: str, workspace: Workspace) -> Gate:
    """How people sign in at this address.

    On this machine nobody has to, unless ``$LIKEWISE_GATE`` (password or oidc) says so: for a
    proxy in front. Elsewhere the identity provider that ``.streamlit/secrets.toml`` names, if
    people with e-mail addresses are added, else the passwords of those who have one.

    Raises:
        UsageError: nobody could sign in, and others could reach the app.
        LikewiseError: the people cannot be read.
    """
    wanted = os.environ.get("LIKEWISE_GATE", "")
    if is_loopback(host) and wanted in ("", "open"):
        return "open"
    people = _people(workspace)
    with_password = any(not each.oidc for each in people)
    with_address = any(each.oidc for each in people) and has_provider()
    if with_address and wanted != "password":
        if find_spec("authlib") is None:
            raise UsageError(
                "signing in with an identity provider needs Authlib; run "
                "`pip install likewise[oidc]`"
            )
        return "oidc"
    if with_password and wanted != "oidc":
        return "password"
    if is_loopback(host):
        raise UsageError(
            f"LIKEWISE_GATE={wanted}, but nobody can sign in; add people with "
            "`likewise people add NAME`, or unset it"
        )
    raise UsageError(
        f"--host {host}: others could reach the labeler there, and nobody can sign in; add people "
        "with `likewise people add NAME`, or use 127.0.0.1 and, from elsewhere, an SSH tunnel"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def has_provider() -> bool:
    """Whether an identity provider is set up for Streamlit, here or in the home folder."""
    for folder in (Path.cwd(), Path.home()):
        try:
            text = (folder / ".streamlit" / "secrets.toml").read_text(encoding="utf-8")
            if tomlkit.parse(text).get("auth"):
                return True
        except (OSError, ValueError):
            continue
    return False


def _ask_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("no terminal to ask for the password on; give it with --password-stdin")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise UsageError("the two passwords differ; run the command again")
    return password


def _people(workspace: Workspace) -> list[Person]:
    if not workspace.exists():
        return []
    with open_answers(workspace) as store:
        return People(store).all()
