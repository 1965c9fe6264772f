"""What is kept of a password: an Argon2id hash (RFC 9106) with a salt of its own.

Workspaces of earlier versions hold scrypt hashes; they open, and are replaced as people sign in
(docs/decisions/0028-passwords.md).
"""

import base64
import hashlib
import hmac
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from likewise.errors import UsageError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
ARGON2 = PasswordHasher(time_cost=2, memory_cost=64 * 1024, parallelism=1)
"""64 MiB, more than OWASP asks for (Password Storage, 2024); a tenth of a second a try."""

_AT_ONCE = threading.BoundedSemaphore(2)
"""Guesses that are checked at the same time, as each takes memory."""


def hashed(password: str) -> str:
    """What is kept of a password: ``$argon2id$v=19$m=...,t=...,p=...$salt$hash``.

    Raises:
        UsageError: it is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UsageError(
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,} characters, not "
            f"{len(password):,}"
        )
    return ARGON2.hash(_bytes(password))


def matches(password: str, kept: str) -> bool:
    """Whether ``kept`` was made of this password; takes as long if it was not."""
    data = _bytes(password[:LONGEST_PASSWORD])
    with _AT_ONCE:
        if kept.startswith("scrypt$"):
            return _matches_scrypt(data, kept)
        try:
            return ARGON2.verify(kept, data)
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(kept: str) -> bool:
    """Whether a hash is not what `hashed` would make today."""
    return kept.startswith("scrypt$") or ARGON2.check_needs_rehash(kept)


def nobodys() -> str:
    """A hash that costs as much to check as any, and matches nothing."""
    cost = f"m={ARGON2.memory_cost},t={ARGON2.time_cost},p={ARGON2.parallelism}"
    return f"$argon2id$v=19${cost}${22 * 'A'}${43 * 'A'}"


def _matches_scrypt(data: bytes, kept: str) -> bool:
    """Hashes of before, ``scrypt$N$r$p$salt$hash`` (RFC 7914)."""
    _, n, r, p, salt, expected = kept.split("$")
    found = hashlib.scrypt(
        data, salt=base64.b64decode(salt), n=int(n), r=int(r), p=int(p), maxmem=2**28, dklen=32
    )
    return hmac.compare_digest(found, base64.b64decode(expected))


def _bytes(password: str) -> bytes:
    # NFKC: the same password may be typed in several ways (RFC 8265).
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
