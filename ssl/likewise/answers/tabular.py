"""Answers as rows of text in a CSV, JSONL or Parquet file, chosen by its suffix."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of, replacing

SUFFIXES = (".csv", ".jsonl", ".parquet")
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""A cell that begins so may be run as a formula by a spreadsheet (OWASP, CSV injection); or, the
last one, would lose its apostrophe when it is read again."""

Record = dict[str, Any]


def kind_of(file: Path) -> str:
    """The suffix in lower case.

    Raises:
        UsageError: it is none of `SUFFIXES`.
    """
    kind = file.suffix.lower()
    if kind not in SUFFIXES:
        known = f"{', '.join(SUFFIXES[:-1])} or .parquet"
        raise UsageError(f"{file}: the name must end in {known} (or .json, for Label Studio)")
    return kind


def write_records(file: Path, records: Sequence[Record], columns: Sequence[str]) -> None:
    """Write ``records``, whole or not at all.

    In CSV an absent value is an empty cell, and text that a spreadsheet could take for a formula
    begins with an apostrophe, which `read_records` removes.

    Raises:
        LikewiseError: the file cannot be written.
    """
    kind = kind_of(file)
    with replacing(file) as temporary:
        if kind == ".parquet":
            import pandas

            pandas.DataFrame(records, columns=list(columns)).to_parquet(temporary, index=False)
            return
        with temporary.open("w", encoding="utf-8", newline="") as out:
            if kind == ".csv":
                writer = csv.writer(out)
                writer.writerow(columns)
                writer.writerows([_cell(each.get(name)) for name in columns] for each in records)
            else:
                for each in records:
                    values = {name: each[name] for name in columns if each.get(name) is not None}
                    out.write(json.dumps(values, ensure_ascii=False) + "\n")


def read_records(file: Path) -> list[Record]:
    """The rows of a file, without empty values.

    CSV may be separated by commas, semicolons or tabs, and start with a byte order mark.

    Raises:
        UsageError: the suffix is unknown.
        LikewiseError: the file cannot be read, or is not what its suffix says.
    """
    kind = kind_of(file)
    try:
        if kind == ".parquet":
            import pyarrow.parquet

            records = pyarrow.parquet.read_table(file).to_pylist()
        elif kind == ".jsonl":
            lines = file.read_text(encoding="utf-8-sig").split("\n")
            records = [json.loads(line) for line in lines if line.strip()]
        else:
            records = _read_csv(file.read_bytes().decode("utf-8-sig"))  # line breaks stay
    except (OSError, ValueError, csv.Error) as error:
        raise LikewiseError(f"could not read {file}: {reason_of(error)}") from error
    if not all(isinstance(each, dict) for each in records):
        raise LikewiseError(f"could not read {file}: every line must be a JSON object")
    return [{k: v for k, v in each.items() if v is not None and v != ""} for each in records]


def _read_csv(text: str) -> list[Record]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows.fieldnames = [(name or "").strip() for name in rows.fieldnames or []]
    return [{k: _text(v) for k, v in row.items() if isinstance(k, str) and v} for row in rows]


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_ACTIVE):
        return "'" + value
    return value


def _text(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_ACTIVE) else cell
