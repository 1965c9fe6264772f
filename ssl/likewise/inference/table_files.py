"""Tables that other programs read: CSV, JSON or Parquet, chosen by the file's suffix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from likewise.answers.tabular import write_records
from likewise.errors import UsageError
from likewise.files import write_json

SUFFIXES = (".csv", ".json", ".parquet")


def check_suffix(file: Path | None, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse a name that does not say what the file is to be, before any work is done.

    Raises:
        UsageError: its suffix is none of ``suffixes``.
    """
    if file is not None and file.suffix.lower() not in suffixes:
        known = " or ".join(suffixes)
        raise UsageError(f"{one_line(str(file))}: the name must end in {known}")


def write_table(file: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows, whole or not at all; in CSV text that could be a formula is quoted.

    Raises:
        UsageError: the suffix is unknown.
        LikewiseError: the file cannot be written.
    """
    check_suffix(file)
    if file.suffix.lower() == ".json":
        write_json(file, [dict(each) for each in rows])
    else:
        write_records(file, [dict(each) for each in rows], columns)


def one_line(text: str) -> str:
    r"""A path or name as text on one line of a terminal: what is not printable becomes ``\x0a``."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
