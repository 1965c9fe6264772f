"""The chain through the history: each row has a digest of itself and the row before. Pure."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

START = ""
"""What stands for a digest before the first row."""
COVERED = (
    *("number", "token", "a", "b", "verdict", "annotator", "time", "strategy", "score"),
    *("fingerprint", "undoes", "screen"),
)
"""The columns that a digest covers, in its order: all but itself."""


@dataclass(frozen=True)
class Seal:
    """Where a chain ends, as kept apart from its rows."""

    number: int
    """Of the last row; 0 before the first."""
    digest: str


@dataclass(frozen=True)
class Break:
    """A place at which the history is not as it was written."""

    number: int
    """Row at which it shows."""
    what: str
    """In one sentence."""


def digest_of(before: str, row: Mapping[str, Any]) -> str:
    """BLAKE2b-256, in hex, of the digest ``before`` and the row's `COVERED` columns as JSON.

    Raises:
        ValueError: a value is of no type that the column holds.
    """
    try:
        values = [before, *(_plain(name, row[name]) for name in COVERED)]
        text = json.dumps(values, separators=(",", ":"))
    except TypeError as error:
        raise ValueError(str(error)) from error
    return hashlib.blake2b(text.encode(), digest_size=32, person=b"answers").hexdigest()


def chained(rows: Iterable[Mapping[str, Any]], last: Seal) -> tuple[list[dict[str, Any]], Seal]:
    """Rows that have a number, each with its ``digest``, and where the chain ends with them."""
    found = []
    for row in rows:
        last = Seal(row["number"], digest_of(last.digest, row))
        found.append({**row, "digest": last.digest})
    return found, last


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it, the same from whichever database it came."""
    if name == "time":
        moment = _moment(value)
        return moment.astimezone(UTC).isoformat(timespec="microseconds")
    if name == "score" and value is not None:
        return repr(stored_score(value))
    return value


def stored_score(score: float | None) -> float | None:
    """A score as every database gives it back: no NaN, and no zero below zero."""
    return None if score is None or math.isnan(score) else float(score) + 0.0


def _moment(value: Any) -> datetime:
    """A time, of PostgreSQL or as SQLite's text.

    Raises:
        ValueError: it is neither, or a text that nobody here writes so.
    """
    if isinstance(value, datetime):
        return value
    moment = datetime.fromisoformat(value)
    if moment.isoformat(sep=" ", timespec="microseconds") != value:
        raise ValueError(f"no time of ours: {value!r}")
    return moment.replace(tzinfo=UTC)


def breaks_of(rows: Iterable[Mapping[str, Any]], seal: Seal | None) -> Iterator[Break]:
    """Every place at which ``rows``, oldest first, are not what the chain says, the end included.

    Where a row is changed, the break is at it; where one is removed or added, at the next one.
    """
    last = Seal(0, START)
    for row in rows:
        number, found = row["number"], row["digest"]
        try:
            fits = found == digest_of(last.digest, row)
        except ValueError:
            fits = False
        if not fits:
            yield Break(number, _told(last.number, number))
        last = Seal(number, found)
    if seal is None:
        yield Break(last.number, "the seal that says which row is the last is gone")
    elif seal.number > last.number:
        yield Break(last.number, f"rows up to {seal.number} were there and are gone")
    elif seal != last:
        yield Break(last.number, f"row {last.number} is not the last one that was sealed")


def _told(before: int, number: int) -> str:
    if number > before + 1 and before:
        return f"row {number} was changed, or a row between {before} and it removed"
    return f"row {number} was changed, removed or added, or what was before it"
