"""Seals: files that say themselves whether they are whole.

Somewhere in a sealed file stands ``"seal": "HEX"``: BLAKE2b-128 of the file's bytes, taken with
zeros in place of these 32 digits. A file that has room for a word of ours, as JSON, Parquet and
safetensors have, stays what it is.
"""

import hashlib
import json
import mmap
import re
from pathlib import Path
from typing import Any

from likewise.errors import LikewiseError
from likewise.files import read_json, reason_of, replacing

BLANK = "0" * 32
"""What stands in a file that is to be sealed."""
MARK = f'"seal":"{BLANK}"'
"""The whole word, for formats that take any text."""
_WORD = re.compile(rb'"seal": ?"([0-9a-f]{32})"')
_NEAR = 1 << 16
"""The seal stands within so many bytes of a file's beginning or end."""


def seal(file: Path, length: int | None = None) -> None:
    """Seal a file that has `BLANK` in it, or its first ``length`` bytes.

    Raises:
        OSError: it cannot be written.
    """
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        size = len(data) if length is None else length
        found = _find(data, size)
        assert found is not None
        digits = _digest(data, size, found)
        opened.seek(found.start(1))
        opened.write(digits.encode())


def is_whole(file: Path, length: int | None = None) -> bool | None:
    """Whether a file (or its first ``length`` bytes) has the bytes that it was sealed with.

    None: there is no seal in it.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        if not opened.seek(0, 2):
            return None
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size = len(data) if length is None else min(length, len(data))
            found = _find(data, size)
            return None if found is None else _digest(data, size, found).encode() == found[1]


def _find(data: mmap.mmap, size: int) -> re.Match[bytes] | None:
    head = _WORD.search(data, 0, min(size, _NEAR))
    return head or _WORD.search(data, max(0, size - _NEAR), size)


def _digest(data: mmap.mmap, size: int, found: re.Match[bytes]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    with memoryview(data) as view:
        hasher.update(view[: found.start(1)])
        hasher.update(BLANK.encode())
        hasher.update(view[found.end(1) : size])
    return hasher.hexdigest()


def write_sealed_json(path: Path, value: dict[str, Any]) -> None:
    """Write ``value`` as indented JSON with a seal, whole or not at all.

    Raises:
        LikewiseError: the file could not be written.
    """
    with replacing(path) as temporary:
        text = json.dumps(value | {"seal": BLANK}, indent=2, ensure_ascii=False) + "\n"
        temporary.write_text(text, encoding="utf-8")
        seal(temporary)


def read_sealed_json(path: Path, since: int, advice: str) -> dict[str, Any]:
    """Read what `write_sealed_json` wrote, without the seal.

    Args:
        path: The file.
        since: Files whose ``format`` is lower were written before there were seals.
        advice: What is to be done where it is damaged.

    Raises:
        LikewiseError: it is missing or damaged.
    """
    try:
        whole = is_whole(path)
    except OSError as error:
        raise LikewiseError(f"could not read {path}: {reason_of(error)}") from error
    damaged = LikewiseError(f"{path} is damaged; {advice}")
    if whole is False:
        raise damaged
    try:
        value = read_json(path)
        older = isinstance(value, dict) and 0 < int(value["format"]) < since
    except (LikewiseError, KeyError, TypeError, ValueError) as error:
        raise damaged from error
    if not whole and not older:
        raise damaged
    value.pop("seal", None)
    told: dict[str, Any] = value
    return told
