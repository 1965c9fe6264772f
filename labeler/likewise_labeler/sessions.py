"""Who is signed in: which way of signing in holds, and the cookies that say who it was."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from itsdangerous import BadData

from likewise.answers.people import People, Person
from likewise_labeler.desk import the_desk
from likewise_labeler.secret import signer

Mode = Literal["open", "password", "oidc"]
COOKIE = "likewise_session"
SESSION_SECONDS = 12 * 3600
"""Without a sign of life; then one signs in again."""
RENEW_SECONDS = 300
"""A cookie older than this is replaced by a new one."""
_KNOWN_SECONDS = 1.0
"""For so long the database is not asked again whether somebody may be in."""
_KNOWN_NAMES = 10_000


@dataclass(frozen=True)
class Session:
    """Somebody who signed in."""

    name: str
    age: float
    """Of the cookie, in seconds."""


class Sessions:
    """Makes and reads the cookies of those who signed in; may be shared by threads.

    A session ends `SESSION_SECONDS` after its last cookie was made, when the person is removed,
    and when they get a new password.
    """

    def __init__(
        self, people: Callable[[], People], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.people, self._clock = people, clock
        self._known: dict[str, tuple[float, Person | None]] = {}

    def start(self, person: Person) -> str:
        """The cookie of somebody who has just proved who they are."""
        return str(signer("session").dumps([person.name, person.serial]))

    def read(self, cookie: str | None) -> Session | None:
        """Whose session it is; None if the cookie is forged, too old, or of somebody removed.

        Raises:
            LikewiseError: the database cannot be read.
        """
        if not cookie:
            return None
        try:
            (name, serial), made = signer("session").loads(
                cookie, max_age=SESSION_SECONDS, return_timestamp=True
            )
        except (BadData, ValueError, TypeError):
            return None
        person = self.person(name)
        if person is None or person.oidc or person.serial != serial:
            return None
        return Session(person.name, max(0.0, time.time() - made.timestamp()))

    def person(self, name: str) -> Person | None:
        """Who has this name now, or had it a second ago.

        Raises:
            LikewiseError: the database cannot be read.
        """
        now = self._clock()
        until, known = self._known.get(name, (now, None))
        if until <= now:
            known = self.people().find(name)
            if len(self._known) >= _KNOWN_NAMES:
                self._known.clear()
            self._known[name] = (now + _KNOWN_SECONDS, known)
        return known


SESSIONS = Sessions(lambda: the_desk().people())
"""Those of this process."""


def mode() -> Mode:
    """How people sign in, as `likewise label` decided; an unknown word means with a password."""
    match os.environ.get("LIKEWISE_GATE", ""):
        case "" | "open":
            return "open"
        case "oidc":
            return "oidc"
        case _:
            return "password"


def admitted(name: str) -> bool:
    """Whether somebody who once was let in under this name may still be in.

    Raises:
        LikewiseError: the database cannot be read.
    """
    return mode() == "open" or SESSIONS.person(name) is not None
