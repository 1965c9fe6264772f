"""JPEG files as they are, but for what they tell beside the picture; nothing is decoded.

Kept is what a decoder needs (ITU-T T.81, annex B). EXIF, XMP, comments, colour profiles, thumbnails
and whatever follows the picture are left out.
"""

import re

_START, _END = b"\xff\xd8", b"\xff\xd9"
_FRAMES = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive, with Huffman's code: what browsers show."""
_TABLES = (0xC4, 0xDB, 0xDD)
"""Huffman's, of quantisation, and the restart interval."""
_SCAN = 0xDA
_COLOURS = {0xE0: (16, b"JFIF\0"), 0xEE: (14, b"Adobe")}
"""Segments that tell how colours are coded: their length where they hold no thumbnail."""
_TOLD_BESIDE = (*range(0xE0, 0xF0), 0xFE)
"""Applications' segments and comments."""
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The first marker that is no part of a scan's own data."""


def plain_jpeg(data: bytes) -> bytes | None:
    """The same picture, and no word about it; None if this is no JPEG file that browsers show.

    Grey and three colours of 8 bits pass. The bytes are taken to have been decoded before, so
    only their structure is looked at.
    """
    if not data.startswith(_START):
        return None
    parts, at, framed = [_START], len(_START), False
    while not data.startswith(_END, at):
        if data.startswith(b"\xff\xff", at):  # a fill byte
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        end = at + 2 + length
        if data[at : at + 1] != b"\xff" or length < 2 or end > len(data):
            return None
        marker, segment = data[at + 1], data[at:end]
        if marker == _SCAN and framed:
            following = _AFTER_SCAN.search(data, end)
            if following is None:
                return None
            end = following.start()
            parts.append(data[at:end])
        elif marker in _FRAMES and not framed and _is_shown(segment):
            framed = True
            parts.append(segment)
        elif marker in _TABLES or _tells_colours(marker, segment):
            parts.append(segment)
        elif marker not in _TOLD_BESIDE:
            return None
        at = end
    return b"".join((*parts, _END)) if framed else None


def _is_shown(frame: bytes) -> bool:
    """Whether a frame is of 8 bits, of a height told here, and grey or of three colours."""
    return len(frame) > 9 and frame[4] == 8 and frame[5:7] != b"\0\0" and frame[9] in (1, 3)


def _tells_colours(marker: int, segment: bytes) -> bool:
    length, name = _COLOURS.get(marker, (0, b""))
    return len(segment) == length + 2 and segment[4:].startswith(name)
