"""Somebody's label page without a browser: plain sockets, which may be dropped anywhere."""

import json
import random
import socket
import time
from typing import Any, Literal

import pytest

from likewise_labeler.passes import issue
from tests.served import Server

Drop = Literal["half sent", "unheard", "half heard"]
DROPS: tuple[Drop, ...] = ("half sent", "unheard", "half heard")
UNSURE = "unsure"


class Dropped(Exception):
    """The connection ended before the reply was here."""


def pass_for(server: Server, name: str) -> str:
    """What the page of this annotator would show to the server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKEWISE_WORKSPACE", str(server.workspace.path))
        return issue(name)


class Tab:
    """The page of one annotator: what is on it, and what the server has not confirmed yet."""

    def __init__(self, server: Server, name: str, timeout: float = 60.0) -> None:
        self.server, self.name, self.timeout = server, name, timeout
        self._pass = pass_for(server, name)

    def label(self, *ops: dict[str, Any], kind: str = "pair", drop: Drop | None = None) -> Any:
        """One request; the reply.

        Raises:
            Dropped: there was none, by ``drop`` or because the server is gone.
        """
        body = json.dumps({"kind": kind, "ops": ops}).encode()
        head = (
            f"POST /likewise/label HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n"
            f"Authorization: Bearer {self._pass}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        ).encode()
        address = ("127.0.0.1", self.server.port)
        try:
            with socket.create_connection(address, timeout=self.timeout) as connection:
                if drop == "half sent":
                    connection.sendall((head + body)[: len(head) + len(body) // 2])
                    raise Dropped(drop)
                connection.sendall(head + body)
                if drop == "unheard":
                    raise Dropped(drop)
                heard = connection.recv(100) if drop == "half heard" else _all_of(connection)
        except OSError as error:
            raise Dropped(str(error)) from error
        if drop:
            raise Dropped(drop)
        first, _, content = heard.partition(b"\r\n\r\n")
        status = first.split(b" ", 2)[1:2]
        if status != [b"200"] or not content:
            raise Dropped(heard.decode(errors="replace")[:300] or "nothing heard")
        if b"chunked" in first.lower():
            raise AssertionError("the reply comes in pieces; read them")
        return json.loads(content)

    def until_heard(self, *ops: dict[str, Any]) -> Any:
        """The same, again and again until there is a reply: what a browser's outbox does."""
        deadline = time.monotonic() + 300
        while True:
            try:
                return self.label(*ops)
            except Dropped:
                assert time.monotonic() < deadline, "the server does not come back"
                time.sleep(0.1)


def _all_of(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def answer(screen: Any, verdict: str = UNSURE, seen: float = 1.0) -> dict[str, Any]:
    """The operation that answers all of a screen."""
    verdicts = {each["id"]: verdict for each in screen["candidates"]}
    return {"op": "answer", "token": screen["token"], "verdicts": verdicts, "seen": seen}


def pair_on(screen: Any) -> tuple[str, str]:
    """The ids on a pair screen, in order."""
    a, b = sorted((screen["anchor"]["id"], screen["candidates"][0]["id"]))
    return a, b


def drawn_drop(dice: random.Random) -> Drop:
    return dice.choice(DROPS)
