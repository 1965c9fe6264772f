"""The people who may sign in to the labeler, in the table ``people`` of the answers' database."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from likewise.answers.annotators import NAME_LENGTH, annotator_name
from likewise.answers.passwords import hashed, is_outdated, matches, nobodys
from likewise.answers.store import AnswerStore
from likewise.answers.tables import UtcTime
from likewise.errors import UsageError

_metadata = MetaData()
people_table = Table(
    "people",
    _metadata,
    Column("name", Text, primary_key=True),
    Column("oidc", Boolean, nullable=False),
    Column("password", Text),  # NULL where an identity provider knows the person
    Column("serial", Text, nullable=False),
    Column("added", UtcTime, nullable=False),
)


def make_people_table(connection: Connection) -> None:
    """Make it unless it is there."""
    _metadata.create_all(connection)


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in."""

    name: str
    oidc: bool
    """An identity provider says who it is; else a password does."""
    serial: str
    """Changes with the password, and so ends the sessions before it."""
    added: datetime


class People:
    """The people of a database; may be shared by threads.

    Raises (every method):
        LikewiseError: the database cannot be read or written.
    """

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        with store.writing() as connection:
            make_people_table(connection)

    def all(self) -> list[Person]:
        """Everybody, by name."""
        with self._store.reading() as connection:
            rows = connection.execute(select(people_table).order_by(people_table.c.name)).mappings()
            return [_person(row) for row in rows]

    def find(self, name: str) -> Person | None:
        """The person of that name, exactly as added."""
        found = self._row(name)
        return _person(found) if found else None

    def check(self, name: str, password: str) -> Person | None:
        """The person, if that is the password; takes the same time for names nobody has."""
        row = self._row(name)
        kept = str(row["password"]) if row and row["password"] else nobodys()
        if not matches(password, kept) or not row:
            return None
        if is_outdated(kept):
            self._keep(name, kept, hashed(password))
        return _person(row)

    def add(self, name: str, password: str | None) -> Person:
        """Let somebody in, with a new password; without one an identity provider knows them.

        Raises:
            UsageError: the name cannot be stored, or the password is too short.
        """
        if not name or annotator_name(name, "") != name:
            raise UsageError(
                f"the name {name!r}: give up to {NAME_LENGTH} letters, digits or signs, with "
                "single spaces between them"
            )
        values = {
            "name": name,
            "oidc": password is None,
            "password": None if password is None else hashed(password),
            "serial": secrets.token_hex(8),
            "added": datetime.now(UTC),
        }
        with self._store.writing() as connection:
            connection.execute(delete(people_table).where(people_table.c.name == name))
            connection.execute(insert(people_table).values(values))
        return _person(values)

    def remove(self, name: str) -> bool:
        """Let somebody in no more; False if nobody has that name."""
        with self._store.writing() as connection:
            gone = connection.execute(delete(people_table).where(people_table.c.name == name))
            return gone.rowcount > 0

    def _keep(self, name: str, before: str, kept: str) -> None:
        """Put a better hash of the same password in the place of the one that stood there."""
        with self._store.writing() as connection:
            row = (people_table.c.name == name) & (people_table.c.password == before)
            connection.execute(update(people_table).where(row).values(password=kept))

    def _row(self, name: str) -> Any:
        with self._store.reading() as connection:
            query = select(people_table).where(people_table.c.name == name)
            return connection.execute(query).mappings().first()


def allowed_address(email: object, verified: object, people: People) -> Person | None:
    """The person whom an identity provider named, if they are on the list.

    ``email`` and ``verified`` are the claims ``email`` and ``email_verified``. An address counts
    in any case of its letters, and not if the provider says that it did not verify it.
    """
    if not isinstance(email, str) or verified is False or str(verified).lower() == "false":
        return None
    person = people.find(email.strip().casefold())
    return person if person and person.oidc else None


def _person(row: Any) -> Person:
    return Person(row["name"], bool(row["oidc"]), row["serial"], row["added"])
