"""The JSON between the label screen and the server: checked on the way in, complete on the way out.

Anything that does not fit is a `BadRequest` with one line that says what and where.
"""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from likewise.answers.history import Past
from likewise.answers.replies import Reply
from likewise.answers.screens import Kind, Screen
from likewise.answers.standing import VERDICTS, Verdict
from likewise.answers.worth import LARGEST, paces, worth
from likewise_labeler.pictures import Pictures

KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_OPERATIONS = 200
"""In one request; a longer outbox is sent in parts."""
MOST_CANDIDATES = 64
MOST_PAST = 100
_WORD = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_LARGEST_NUMBER = 2**53
_T = TypeVar("_T", bound=str)


class BadRequest(ValueError):
    """A request that no page of ours sends; the text is one line."""


@dataclass(frozen=True)
class Undo:
    """Take back the answers of a screen; of the last one, if none is named."""

    screen: str | None


@dataclass(frozen=True)
class Correct:
    """Another verdict on a pair that was answered before."""

    a: str
    b: str
    verdict: Verdict
    token: str


Operation = Reply | Undo | Correct


@dataclass(frozen=True)
class LabelRequest:
    """What happened on a label screen, and which kind of screens it wants next."""

    kind: Kind
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class HistoryRequest:
    """Which part of one's own history to show."""

    before: int | None
    count: int


def label_request(body: bytes) -> LabelRequest:
    """Read the body of ``POST /likewise/label``."""
    fields = _object(_parsed(body), "the request")
    kind = _one_of(fields.get("kind"), KINDS, "kind")
    operations = _list(fields.get("ops", []), MOST_OPERATIONS, "ops")
    read = (_operation(each, f"ops[{place}]") for place, each in enumerate(operations))
    return LabelRequest(kind, tuple(read))


def history_request(body: bytes) -> HistoryRequest:
    """Read the body of ``POST /likewise/history``."""
    fields = _object(_parsed(body), "the request")
    before, count = fields.get("before"), fields.get("count", 20)
    if before is not None:
        before = _whole(before, 1, _LARGEST_NUMBER, "before")
    return HistoryRequest(before, _whole(count, 1, MOST_PAST, "count"))


def screen_json(screen: Screen, pictures: Pictures) -> dict[str, Any]:
    """A screen as the browser draws it; why the pair was chosen by name is told to nobody."""
    further = screen.further or ((),) * len(screen.candidates)
    candidates = zip(screen.candidates, screen.scores, further, strict=True)
    return {
        "token": screen.token,
        "kind": screen.kind,
        "anchor": pictures.about(screen.anchor),
        "candidates": [
            {**pictures.about(image), "score": score, "further": [pictures.about(e) for e in more]}
            for image, score, more in candidates
        ],
        "context": [pictures.about(image) for image in screen.context],
        "reason": screen.reason,
    }


def past_json(past: Past, pictures: Pictures) -> dict[str, Any]:
    """An answered screen, with its images."""
    answers = [
        {
            "a": each.a,
            "b": each.b,
            "candidate": pictures.about(each.a if each.b == past.anchor else each.b),
            "verdict": each.verdict,
        }
        for each in past.answers
        if past.anchor in each.pair  # not what was said of candidates among themselves
    ]
    return {
        "screen": past.screen,
        "kind": past.kind,
        "number": past.number,
        "time": max(each.time for each in past.answers).isoformat(),
        "anchor": pictures.about(past.anchor),
        "answers": answers,
    }


def ways_json(past: Iterable[Past]) -> dict[str, Any]:
    """What each way to ask is worth: answers on a screen, and what this person needs for them."""
    timed = paces(past)
    return {
        kind: {
            "most": worth(kind, LARGEST[kind], shift=kind != "group"),
            "per_screen": timed[kind].per_screen if kind in timed else None,
            "per_answer": timed[kind].per_answer if kind in timed else None,
        }
        for kind in KINDS
    }


def _operation(value: Any, where: str) -> Operation:
    fields = _object(value, where)
    match fields.get("op"):
        case "answer":
            return _reply(fields, where)
        case "undo":
            screen = fields.get("screen")
            return Undo(None if screen is None else _word(screen, f"{where}.screen"))
        case "correct":
            a, b = (_word(fields.get(name), f"{where}.{name}") for name in ("a", "b"))
            if a == b:
                raise BadRequest(f"{where}: a pair needs two different images")
            verdict = _one_of(fields.get("verdict"), VERDICTS, f"{where}.verdict")
            return Correct(a, b, verdict, _word(fields.get("token"), f"{where}.token"))
        case _:
            raise BadRequest(f"{where}.op: say answer, undo or correct")


def _reply(fields: dict[str, Any], where: str) -> Reply:
    given = _object(fields.get("verdicts"), f"{where}.verdicts")
    together = _list(fields.get("together", []), MOST_CANDIDATES, f"{where}.together")
    if len(given) > MOST_CANDIDATES:
        raise BadRequest(f"{where}.verdicts: at most {MOST_CANDIDATES} of them")
    return Reply(
        token=_word(fields.get("token"), f"{where}.token"),
        verdicts={
            _word(image, f"{where}.verdicts"): _one_of(each, VERDICTS, f"{where}.verdicts")
            for image, each in given.items()
        },
        seen=_seconds(fields.get("seen"), f"{where}.seen"),
        together=tuple(_word(each, f"{where}.together") for each in together),
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("the request is not JSON") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest(f"{where}: an object is needed")
    return value


def _list(value: Any, most: int, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise BadRequest(f"{where}: a list of at most {most} is needed")
    return value


def _word(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BadRequest(f"{where}: up to 64 letters and digits are needed")
    return value


def _one_of(value: Any, known: tuple[_T, ...], where: str) -> _T:
    for each in known:
        if value == each:
            return each
    raise BadRequest(f"{where}: say one of {', '.join(known)}")


def _whole(value: Any, least: int, most: int, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"{where}: a whole number from {least:,} to {most:,} is needed")
    return value


def _seconds(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadRequest(f"{where}: a number of seconds is needed")
    if not (0 <= value <= _LARGEST_NUMBER and math.isfinite(value)):
        raise BadRequest(f"{where}: a number of seconds is needed")
    return float(value)
