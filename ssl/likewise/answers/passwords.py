"""What is kept of a password: a scrypt hash (RFC 7914) with a salt of its own."""

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata

from likewise.errors import UsageError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
SCRYPT = (2**15, 8, 3)
"""N, r and p: 32 MiB and some tenths of a second a try (OWASP, Password Storage, 2024)."""

_AT_ONCE = threading.BoundedSemaphore(2)
"""Guesses that are checked at the same time, as each takes memory."""


def hashed(password: str) -> str:
    """What is kept of a password: ``scrypt$N$r$p$salt$hash``.

    Raises:
        UsageError: it is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UsageError(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters, not "
            f"{len(password):,}"
        )
    salt = secrets.token_bytes(16)
    fields = ["scrypt", *map(str, SCRYPT), _text(salt), _text(_scrypt(password, salt, *SCRYPT))]
    return "$".join(fields)


def matches(password: str, kept: str) -> bool:
    """Whether `hashed` made ``kept`` from this password; takes as long if it did not."""
    _, n, r, p, salt, expected = kept.split("$")
    with _AT_ONCE:
        found = _scrypt(password[:LONGEST_PASSWORD], base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(expected))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    # NFKC: the same password may be typed in several ways (RFC 8265).
    data = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=2**28, dklen=32)


def nobodys() -> str:
    """A hash that costs as much to check as any, and matches nothing."""
    return "$".join(["scrypt", *map(str, SCRYPT), _text(bytes(16)), _text(bytes(32))])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
