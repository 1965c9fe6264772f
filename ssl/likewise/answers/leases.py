"""Which pair is on whose screen. Each function works inside a transaction of its caller."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from likewise.answers.standing import Pair
from likewise.answers.tables import leases_table


def _token() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Question:
    """A pair that is reserved for one annotator until it is answered or expires."""

    a: str
    b: str
    """Image ids, ``a < b``."""
    annotator: str
    strategy: str
    score: float | None
    """Cosine similarity, -1 to 1."""
    reason: str
    """Why it is asked: one short sentence."""
    fingerprint: str
    """Of the model whose embedding proposed it."""
    shown: datetime
    """When it came on the screen, or when somebody last answered too soon."""
    expires: datetime
    """From then on others may be asked."""
    token: str = field(default_factory=_token)
    """Comes back with the answer, so that an answer to anything else is noticed."""

    @property
    def pair(self) -> Pair:
        """The two images."""
        return self.a, self.b


def lease(connection: Connection, question: Question) -> None:
    """Reserve a question's pair.

    Raises:
        sqlalchemy.exc.IntegrityError: the pair is reserved already, or the annotator has another.
    """
    connection.execute(insert(leases_table).values(**asdict(question)))


def release(connection: Connection, token: str) -> None:
    """Give a pair back."""
    connection.execute(delete(leases_table).where(leases_table.c.token == token))


def release_expired(connection: Connection, now: datetime) -> None:
    """Give back what nobody answered in time."""
    connection.execute(delete(leases_table).where(leases_table.c.expires <= now))


def change(connection: Connection, token: str, **times: datetime) -> None:
    """Set ``shown`` or ``expires``."""
    connection.execute(update(leases_table).where(leases_table.c.token == token).values(**times))


def leased_to(connection: Connection, annotator: str) -> Question | None:
    """The question on this annotator's screen."""
    query = select(leases_table).where(leases_table.c.annotator == annotator)
    row = connection.execute(query).mappings().first()
    return _question(row) if row else None


def leases(connection: Connection) -> list[Question]:
    """Everything that is on somebody's screen."""
    return [_question(row) for row in connection.execute(select(leases_table)).mappings()]


def _question(row: Mapping[Any, Any]) -> Question:
    return Question(**{each.name: row[each.name] for each in fields(Question)})
