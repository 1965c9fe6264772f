"""What is on whose screen: pairs reserved for one annotator.

Each function works inside a transaction of its caller. That no pair is on two screens is the
database's doing: a pair is the primary key of its lease.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    bindparam,
    delete,
    func,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from likewise.answers.screen_rows import Kind as Kind
from likewise.answers.screen_rows import Screen as Screen
from likewise.answers.screen_rows import new_token, row_of, screen_from
from likewise.answers.standing import Pair
from likewise.answers.tables import leases_table as leases
from likewise.answers.tables import screens_table as screens

# Statements that every answer needs, built once.
_OPEN = select(screens).where(screens.c.annotator == bindparam("annotator"), ~screens.c.closed)
_ONE = (
    select(screens)
    .where(screens.c.token == bindparam("token"), screens.c.annotator == bindparam("annotator"))
    .with_for_update()
)
_LATEST = (
    select(screens)
    .where(screens.c.annotator == bindparam("annotator"), screens.c.place >= 0)
    .order_by(screens.c.place.desc())
    .limit(bindparam("count"))
)
_HELD = screens.c.expires > bindparam("now", type_=screens.c.expires.type)
_LEASED = {  # as one row: fetched one by one, hundreds would wait for other threads as often
    name: select(type_coerce(gather(row(leases.c.a, leases.c.b, _HELD)), JSON)).select_from(
        leases.join(screens)
    )
    for name, gather, row in (
        ("sqlite", func.json_group_array, func.json_array),
        ("postgresql", func.json_agg, func.json_build_array),
    )
}
_CLOSE = update(screens).where(screens.c.token == bindparam("screen"))
_FREE = delete(leases).where(
    leases.c.screen == bindparam("screen"),
    leases.c.a == bindparam("one"),
    leases.c.b == bindparam("other"),
)


@dataclass(frozen=True)
class Stored:
    """A screen as the database knows it."""

    screen: Screen
    closed: bool
    """It was answered."""


def open_screens(connection: Connection, annotator: str, lock: bool = False) -> list[Screen]:
    """The annotator's screens that wait for an answer, in order.

    With ``lock`` nobody else changes them before the transaction ends.
    """
    query = _OPEN
    if lock:  # in the order of tokens, so that two who lock do not wait for each other
        query = query.order_by(screens.c.token).with_for_update()
    rows = connection.execute(query, {"annotator": annotator}).mappings()
    found = [screen_from(row) for row in rows]
    return sorted(found, key=lambda each: each.place)


def screen_of(connection: Connection, token: str, annotator: str) -> Stored | None:
    """The annotator's screen with this token, locked until the transaction ends."""
    values = {"token": token, "annotator": annotator}
    row = connection.execute(_ONE, values).mappings().first()
    return Stored(screen_from(row), row["closed"]) if row else None


def latest_screens(connection: Connection, annotator: str, count: int) -> list[Screen]:
    """The ``count`` screens that were reserved last for this annotator, answered or not."""
    rows = connection.execute(_LATEST, {"annotator": annotator, "count": count}).mappings()
    return [screen_from(row) for row in rows]


def leased_pairs(connection: Connection, now: datetime) -> dict[Pair, bool]:
    """Every pair that is on a screen, and whether nobody else may have it yet."""
    found = connection.execute(_LEASED[connection.dialect.name], {"now": now}).scalar()
    return {(a, b): bool(held) for a, b, held in found or ()}


def reserve(connection: Connection, screen: Screen) -> Screen | None:
    """Put a screen where nobody has its place and its pairs yet.

    Candidates whose pair somebody else has are left out; None if that leaves none.
    """
    placed = connection.execute(_inserts(connection)[0], {**row_of(screen), "closed": False})
    if not placed.rowcount:
        return None
    # In order, so that two who reserve the same pairs do not wait for each other.
    rows = [{"a": a, "b": b, "screen": screen.token} for a, b in sorted(screen.pairs)]
    got = {(a, b) for a, b in connection.execute(_inserts(connection)[1], rows)}
    if len(got) == len(rows):
        return screen
    kept = screen.only(got)
    if kept is None:
        give_back(connection, [screen.token])
        return None
    smaller = {"candidates": row_of(kept)["candidates"]}
    connection.execute(update(screens).where(screens.c.token == screen.token).values(smaller))
    return kept


def take_over(connection: Connection, pairs: Collection[Pair], now: datetime) -> None:
    """Free those of ``pairs`` that lie on expired screens, with all that is on these screens.

    Screens that somebody is just answering are left alone.
    """
    holding = select(leases.c.screen).where(tuple_(leases.c.a, leases.c.b).in_(sorted(pairs)))
    expired = (
        select(screens.c.token, screens.c.closed)
        .where(screens.c.token.in_(holding), screens.c.expires <= now)
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(expired).all()
    connection.execute(delete(leases).where(leases.c.screen.in_([token for token, _ in found])))
    give_back(connection, [token for token, closed in found if not closed])


def give_back(connection: Connection, tokens: Collection[str]) -> None:
    """Remove screens and free their pairs."""
    if tokens:
        connection.execute(delete(screens).where(screens.c.token.in_(sorted(tokens))))


def give_back_all(connection: Connection, annotator: str) -> None:
    """Free every pair that is reserved for an annotator; what they answered is kept."""
    release_rest(connection, annotator)
    connection.execute(delete(screens).where(screens.c.annotator == annotator, ~screens.c.closed))


def release_rest(connection: Connection, annotator: str) -> int:
    """Free what this annotator left unanswered on screens they answered; return how many pairs."""
    answered = select(screens.c.token).where(screens.c.annotator == annotator, screens.c.closed)
    return connection.execute(delete(leases).where(leases.c.screen.in_(answered))).rowcount


def renew(connection: Connection, tokens: Collection[str], expires: datetime) -> None:
    """Keep screens reserved until ``expires``."""
    connection.execute(
        update(screens).where(screens.c.token.in_(sorted(tokens))).values(expires=expires)
    )


def close(connection: Connection, token: str, answered: Collection[Pair], until: datetime) -> None:
    """Mark a screen as answered; pairs on it that were not stay reserved ``until`` then.

    So they are not asked again at once.
    """
    if answered:
        rows = [{"screen": token, "one": a, "other": b} for a, b in sorted(answered)]
        connection.execute(_FREE, rows)
    connection.execute(_CLOSE, {"screen": token, "closed": True, "expires": until})


def put_back(connection: Connection, screen: Screen, pairs: Collection[Pair]) -> Screen | None:
    """Reserve those ``pairs`` of a screen again, before all others; as for `reserve`."""
    connection.execute(delete(leases).where(leases.c.screen == screen.token))
    first = select(func.min(screens.c.place)).where(screens.c.annotator == screen.annotator)
    place = min(connection.execute(first).scalar() or 0, 0) - 1
    again = replace(screen, token=new_token(), place=place).only(pairs)
    return again and reserve(connection, again)


def _inserts(connection: Connection) -> tuple[Any, Any]:
    """Of a screen and of leases, leaving out rows that are there, after waiting for their writers.

    The second returns the pairs that were not there.
    """
    return _POSTGRESQL if connection.dialect.name == "postgresql" else _SQLITE


_POSTGRESQL, _SQLITE = (
    (
        dialect.insert(screens).on_conflict_do_nothing(),
        dialect.insert(leases).on_conflict_do_nothing().returning(leases.c.a, leases.c.b),
    )
    for dialect in (postgresql, sqlite)
)
