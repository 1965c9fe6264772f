"""Lists of image paths: CSV, Parquet or Arrow tables with a column "path"."""

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from likewise.errors import LikewiseError
from likewise.files import reason_of

LIST_SUFFIXES = (".csv", ".parquet", ".arrow", ".feather")
_COLUMN = "path"


def read_list(file: Path) -> list[str]:
    """Absolute paths in the list's column "path"; relative ones count from the list's folder.

    Raises:
        LikewiseError: the list cannot be read, has no such column or no entries.
    """
    try:
        entries = _read_csv(file) if file.suffix.lower() == ".csv" else _read_arrow(file)
    except (OSError, ValueError, csv.Error) as error:  # pyarrow's errors are ValueErrors
        raise LikewiseError(f"could not read the list {file}: {reason_of(error)}") from error
    if strange := next(
        (each for each in entries if not isinstance(each, str | bytes | None)), None
    ):
        raise LikewiseError(f'the list {file}: {strange!r} in its column "{_COLUMN}" is no path')
    paths = [os.path.abspath(file.parent / os.fsdecode(entry)) for entry in entries if entry]  # noqa: PTH100
    if not paths:
        raise LikewiseError(f'the list {file} is empty; it needs a column "{_COLUMN}" with paths')
    return paths


def _read_csv(file: Path) -> list[str]:
    # Other bytes than UTF-8 come through as surrogates: they are what file names are made of.
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        table = csv.DictReader(lines)
        _require_column(file, table.fieldnames or ())
        return [row[_COLUMN] for row in table]


def _read_arrow(file: Path) -> list[str | bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if file.suffix.lower() == ".parquet":
        table = pq.ParquetFile(file).read()
    else:
        with pa.memory_map(str(file)) as source:
            try:
                table = pa.ipc.open_file(source).read_all()
            except pa.ArrowInvalid:  # not the file layout, so the stream layout
                source.seek(0)
                table = pa.ipc.open_stream(source).read_all()
    _require_column(file, table.column_names)
    entries: list[str | bytes] = table.column(_COLUMN).to_pylist()
    return entries


def _require_column(file: Path, names: Iterable[str]) -> None:
    if _COLUMN not in names:
        there = ", ".join(map(repr, names)) or "nothing"
        raise LikewiseError(f'the list {file} has no column "{_COLUMN}"; it has {there}')
