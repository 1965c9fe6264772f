"""The gate in front of everything: who may send a request at all.

On this machine alone ("open") a request must name this machine, so that no web page can reach the
app through a name of its own (DNS rebinding). With passwords, nothing but the form to sign in
passes without a session. Requests that change something, and websockets, must come from our pages.
"""

import ipaddress
from typing import cast
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from likewise.errors import LikewiseError
from likewise_labeler.sessions import COOKIE, RENEW_SECONDS, SESSIONS, Session, mode
from likewise_labeler.sign_in import SIGN_IN, SIGN_OUT, keep, sign_in, sign_out

_SAFE = ("GET", "HEAD", "OPTIONS")


class Gate:
    """ASGI middleware around the whole app, Streamlit's websocket included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        host, origin = (connection.headers.get(each, "") for each in ("host", "origin"))
        if mode() == "open" and not is_loopback(host):
            text = f"not served as {host or 'a nameless host'}: open it as localhost"
            await _refuse(PlainTextResponse(text, 403), scope, receive, send)
        elif changes and origin and not is_same_host(origin, host):
            text = "that request came from another site's page"
            await _refuse(PlainTextResponse(text, 403), scope, receive, send)
        elif mode() == "password":
            await self._with_session(scope, receive, send)
        elif mode() == "oidc":
            await self._app(scope, receive, _guarding(send))
        else:
            await self._app(scope, receive, send)

    async def _with_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        cookie = connection.cookies.get(COOKIE)
        path = scope["path"]
        try:
            if scope["type"] == "http" and path == SIGN_IN:
                response = await sign_in(Request(scope, receive))
                await response(scope, receive, _guarding(send))
                return
            session = await run_in_threadpool(SESSIONS.read, cookie)
        except LikewiseError as error:
            await _refuse(PlainTextResponse(str(error), 503), scope, receive, send)
            return
        if session is None:
            await _refuse(_not_signed_in(connection), scope, receive, send)
            return
        scope["likewise.name"] = session.name
        if scope["type"] == "websocket":
            await self._app(scope, _while_signed_in(receive, cast(str, cookie)), send)
        elif path == SIGN_OUT:
            await sign_out(Request(scope, receive))(scope, receive, _guarding(send))
        else:
            fresh = await _renewed(session, scope["scheme"])
            await self._app(scope, receive, _guarding(send, fresh))


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine as only this machine can."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_same_host(origin: str, host: str) -> bool:
    """Whether the page that sends a request comes from the host that it sends it to."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def _not_signed_in(connection: HTTPConnection) -> Response:
    wants_page = "text/html" in connection.headers.get("accept", "")
    if connection.scope["type"] == "http" and connection.scope["method"] == "GET" and wants_page:
        query = connection.url.query
        target = connection.url.path + (f"?{query}" if query else "")
        return RedirectResponse(
            f"{SIGN_IN}?next={quote(target)}", 303, {"Cache-Control": "no-store"}
        )
    return PlainTextResponse("sign in first", 401, {"Cache-Control": "no-store"})


def _while_signed_in(receive: Receive, cookie: str) -> Receive:
    """Messages of a websocket for as long as the session lasts."""

    async def next_message() -> Message:
        message = await receive()
        try:
            if await run_in_threadpool(SESSIONS.read, cookie) is not None:
                return message
        except LikewiseError:
            return message  # the database is away; the page will say so
        return {"type": "websocket.disconnect", "code": 4401}

    return next_message


async def _renewed(session: Session, scheme: str) -> str:
    """The Set-Cookie line that lets a session last on; empty while it is young."""
    if session.age < RENEW_SECONDS:
        return ""
    person = await run_in_threadpool(SESSIONS.person, session.name)
    if person is None:
        return ""
    return keep(Response(), SESSIONS.start(person), scheme).headers["set-cookie"]


def _guarding(send: Send, cookie: str = "") -> Send:
    """Adds to every response what keeps other sites from making use of it."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("X-Frame-Options", "SAMEORIGIN")
            headers.setdefault("Referrer-Policy", "same-origin")
            if cookie:
                headers.append("Set-Cookie", cookie)
        await send(message)

    return sending


async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 4401})
        return
    await response(scope, receive, _guarding(send))
