"""Signing in and out with a name and a password: a page of ours, without Streamlit."""

import math
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import parse_qs, quote

from itsdangerous import BadData
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from likewise_labeler.secret import signer
from likewise_labeler.sessions import COOKIE, SESSION_SECONDS, SESSIONS
from likewise_labeler.throttle import Key, Throttle

SIGN_IN = "/likewise/sign-in"
SIGN_OUT = "/likewise/sign-out"
LONGEST_FORM = 8192
"""Bytes."""
FAILURES = 5
"""That one name may have from one address in a minute."""
FAILURES_IN_ALL = 30
"""That one name, or one address, may have in a minute."""
_THROTTLE = Throttle()
_PAGE = Path(__file__).with_name("front") / "sign_in.html"


async def sign_in(request: Request) -> Response:
    """The form, and what comes back from it."""
    target = safe_target(request.query_params.get("next", ""))
    if request.method in ("GET", "HEAD"):
        session = await run_in_threadpool(SESSIONS.read, request.cookies.get(COOKIE))
        return RedirectResponse(target, 303) if session else form(target)
    if request.method != "POST":
        return Response(status_code=405)
    fields = await _fields(request)
    if fields is None:
        return form(target, notice="The form was too long.", status=413)
    name, password = fields
    address = request.client.host if request.client else ""
    return await run_in_threadpool(_try, name, password, address, target, request.url.scheme)


def sign_out(request: Request) -> Response:
    """End the session, if the link was made for it."""
    try:
        named = signer("sign-out").loads(request.query_params.get("key", ""))
    except BadData:
        named = None
    response = RedirectResponse(SIGN_IN, 303)
    if named is not None and named == request.scope.get("likewise.name"):
        response.delete_cookie(COOKIE, path="/")
    return response


def sign_out_address(name: str) -> str:
    """The link that ends this person's session, and nobody else's."""
    return f"{SIGN_OUT}?key={quote(str(signer('sign-out').dumps(name)))}"


def form(target: str, name: str = "", notice: str = "", status: int = 200) -> Response:
    """The page with the two fields; ``target`` is where it leads to."""
    said = f'<p class="bad" role="alert">{escape(notice)}</p>' if notice else ""
    page = _page().substitute(
        action=escape(f"{SIGN_IN}?next={quote(target)}"),
        notice=said,
        name=escape(name),
        first="" if name else "autofocus",
        second="autofocus" if name else "",
    )
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    }
    return HTMLResponse(page, status, headers)


def keep(response: Response, cookie: str, scheme: str) -> Response:
    """Let the browser keep a session's cookie; no script can read it."""
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=scheme in ("https", "wss"),
    )
    return response


def safe_target(target: str) -> str:
    """A page of ours to go to after signing in; never another site."""
    plain = target.isprintable() and target.isascii() and "\\" not in target
    if not plain or not target.startswith("/") or target.startswith(("//", "/likewise/")):
        return "/"
    return target


@cache
def _page() -> Template:
    return Template(_PAGE.read_text(encoding="utf-8"))


def _try(name: str, password: str, address: str, target: str, scheme: str) -> Response:
    limits: list[tuple[Key, int]] = [
        (("both", name, address), FAILURES),
        (("name", name), FAILURES_IN_ALL),
        (("address", address), FAILURES_IN_ALL),
    ]
    if wait := math.ceil(_THROTTLE.begin(limits)):
        response = form(target, name, f"Too many tries. Wait {wait} seconds.", 429)
        response.headers["Retry-After"] = str(wait)
        return response
    person = SESSIONS.people().check(name, password)
    if person is None:
        return form(target, name, "That is not the password of somebody with this name.", 401)
    _THROTTLE.forgive([key for key, _ in limits])
    return keep(RedirectResponse(target, 303), SESSIONS.start(person), scheme)


async def _fields(request: Request) -> tuple[str, str] | None:
    """Name and password; None if the form is too long."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                return None
    except ClientDisconnect:
        return "", ""
    try:
        found = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return "", ""
    name, password = (found.get(each, [""])[0] for each in ("name", "password"))
    return name.strip(), password
