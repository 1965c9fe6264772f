"""Names of classes: any text that fits on a line. They are data, never paths."""

import unicodedata

from likewise.errors import UsageError
from likewise.inference.table_files import one_line

UNKNOWN = "unknown"
"""What an image is called that belongs to none of the classes."""
LONGEST = 200
"""Characters."""


def class_name(text: str) -> str:
    """The name as it is stored: composed (NFC), without spaces at its ends.

    So a name is the same however a keyboard or a file system has spelt its accents.

    Raises:
        UsageError: it is empty, too long, of more than a line, no valid text, or `UNKNOWN`.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise UsageError("a class needs a name; this one is empty")
    if len(name) > LONGEST:
        raise UsageError(f"a class name has at most {LONGEST} characters; this one has {len(name)}")
    if not name.isprintable():
        raise UsageError(
            f"the class name '{one_line(name)}' holds a line break, another control character or "
            "bytes that are no text; choose another"
        )
    if name.casefold() == UNKNOWN:
        raise UsageError(
            f"{name!r} cannot be a class: it is what images are called that belong to none; "
            "choose another name"
        )
    return name
