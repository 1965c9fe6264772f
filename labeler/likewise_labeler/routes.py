"""What the JavaScript of our pages talks to: answers in, the next screens out, as JSON."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, cast, get_args

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from likewise.answers.replies import Reply
from likewise.answers.screens import Kind
from likewise.errors import DiskFull, LikewiseError, UsageError
from likewise_labeler import atlas_reply
from likewise_labeler.desk import Missing, Ready, the_desk
from likewise_labeler.passes import name_of
from likewise_labeler.pictures import Size
from likewise_labeler.sessions import admitted, mode
from likewise_labeler.wire import (
    BadRequest,
    Correct,
    Operation,
    Undo,
    history_request,
    label_request,
    past_json,
    screen_json,
    ways_json,
)

LONGEST_BODY = 256 * 1024
"""Bytes."""
HAND = 3
"""Screens that are reserved for one person: the one they see and the next ones."""
PAST: dict[Kind, int] = {"pair": 8, "grid": 2, "group": 2, "strip": 4}
"""Answered screens that come with every reply; more on request."""
TIMED = 60
"""Answered screens from which the pace of each way to ask is taken, when a page asks anew."""
_LASTING = "private, max-age=31536000, immutable"
_PASSING = "private, max-age=30"

Work = Callable[[bytes, str], Response]


def routes() -> list[Route]:
    """Our part of the app's addresses."""
    return [
        Route("/likewise/label", _posted(_label), methods=["POST"]),
        Route("/likewise/history", _posted(_history), methods=["POST"]),
        Route("/likewise/atlas", _posted(atlas_reply.answer), methods=["POST"]),
        Route("/likewise/images/{image}.{signature}", _image, methods=["GET"]),
    ]


def _posted(work: Work) -> Any:
    """A handler that checks sender, type and length, and does the work in a thread."""

    async def handle(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return _text(415, "send application/json")
        body = await _body(request)
        if body is None:
            return _text(413, f"at most {LONGEST_BODY:,} bytes at a time")
        start = time.perf_counter()
        response = await run_in_threadpool(_checked, work, request, body)
        worked = (time.perf_counter() - start) * 1000
        response.headers["Server-Timing"] = f"work;dur={worked:.1f}"  # milliseconds
        return response

    return handle


def _checked(work: Work, request: Request, body: bytes) -> Response:
    try:
        name = sender(request)
        if name is None:
            return _text(401, "no pass, or an old one: load the page again")
        return work(body, name)
    except BadRequest as error:
        return _text(400, str(error))
    except LikewiseError as error:
        return _text(_status(error), str(error))


def _status(error: LikewiseError) -> int:
    """507 where there is no room for answers: the screen then takes none."""
    return 507 if isinstance(error, DiskFull) else 503


def sender(request: Request) -> str | None:
    """Whose pass came with the request; None if it is none of ours, or theirs no longer.

    Raises:
        LikewiseError: the database cannot be read.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    name = name_of(token.strip()) if scheme.lower() == "bearer" else None
    if name is None or not admitted(name):
        return None
    if mode() == "password" and request.scope.get("likewise.name") != name:
        return None
    return name


def _label(body: bytes, name: str) -> Response:
    asked = label_request(body)
    ready = the_desk().look()
    if isinstance(ready, Missing):
        if asked.operations:
            return _text(503, ready.text or "there is nothing to label yet")
        return JSONResponse(_nothing(ready))
    outcomes: list[str] = []
    try:
        for operation in asked.operations:
            outcomes.append(_apply(ready, operation, name))
        told = {"outcomes": outcomes, **_state(ready, asked.kind, name)}
        if not asked.operations:
            told["ways"] = ways_json(ready.questions.past(name, None, TIMED))
        ahead = BackgroundTask(_think_ahead, ready) if asked.kind == "pair" else None
        return JSONResponse(told, background=ahead)
    except LikewiseError as error:
        status = 400 if isinstance(error, UsageError) else _status(error)
        return JSONResponse({"text": str(error), "outcomes": outcomes}, status)


def _think_ahead(ready: Ready) -> None:
    with suppress(LikewiseError):  # whoever asks next will be told
        ready.questions.think_ahead()


def _apply(ready: Ready, operation: Operation, name: str) -> str:
    match operation:
        case Reply():
            return ready.questions.answer(name, operation)
        case Undo(screen):
            return ready.questions.undo(name, screen)
        case Correct(a, b, verdict, token):
            return ready.questions.correct(name, a, b, verdict, token)


def _state(ready: Ready, kind: Kind, name: str) -> dict[str, Any]:
    questions, pictures = ready.questions, ready.pictures
    screens = questions.hand(name, kind, HAND)
    past = questions.past(name, None, PAST[kind])
    return {
        "screens": [screen_json(each, pictures) for each in screens],
        "past": [past_json(each, pictures) for each in past],
        "progress": asdict(questions.progress(name)),
        "images": ready.count,
        "model": ready.model,
        "state": "ready",
        "text": "",
    }


def _nothing(missing: Missing) -> dict[str, Any]:
    return {
        "outcomes": [],
        "screens": [],
        "past": [],
        "progress": None,
        "images": 0,
        "model": "",
        "state": "trouble" if missing.what == "trouble" else "missing",
        "text": missing.text,
    }


def _history(body: bytes, name: str) -> Response:
    asked = history_request(body)
    ready = the_desk().look()
    if isinstance(ready, Missing):
        return _text(503, ready.text or "there is nothing to label yet")
    past = ready.questions.past(name, asked.before, asked.count)
    return JSONResponse({"past": [past_json(each, ready.pictures) for each in past]})


def _image(request: Request) -> Response:
    image, signature = (request.path_params[each] for each in ("image", "signature"))
    size = request.query_params.get("size", "full")
    ready = the_desk().look()
    known = isinstance(ready, Ready) and ready.pictures.signed(image, signature)
    if not isinstance(ready, Ready) or not known or size not in get_args(Size):
        return _text(404, "no such image")
    tag = f'"{image}-{size}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": _LASTING})
    try:
        encoded = ready.pictures.encoded(image, cast(Size, size))
    except KeyError:
        return _text(404, "no such image")
    except LikewiseError as error:
        return _text(503, str(error))
    headers = {"Cache-Control": _LASTING, "ETag": tag}
    if not encoded.lasting:
        headers = {"Cache-Control": _PASSING}
    return Response(encoded.data, media_type=encoded.media, headers=headers)


async def _body(request: Request) -> bytes | None:
    """The request's body; None if it is too long."""
    parts, length = [], 0
    try:
        async for part in request.stream():
            parts.append(part)
            length += len(part)
            if length > LONGEST_BODY:
                return None
    except ClientDisconnect:
        return b""
    return b"".join(parts)


def _text(status: int, text: str) -> Response:
    return JSONResponse({"text": text}, status)
