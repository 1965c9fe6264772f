"""Results as JSON lines: one for each data set, arm, annotator, seed and budget."""

import hashlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = tuple[str, str, str, int, int]


def key_of(record: Record) -> Key:
    """What makes a result that result."""
    return (
        str(record["data"]),
        str(record["arm"]),
        str(record["annotator"]),
        int(record["seed"]),
        int(record["budget"]),
    )


def code_digest() -> str:
    """Of the sources of likewise and of this benchmark: results of other sources don't mix."""
    root = Path(__file__).resolve().parents[2]
    content = hashlib.blake2b(digest_size=6)
    for folder in (root / "ssl" / "likewise", root / "benchmarks" / "answers"):
        for file in sorted(folder.rglob("*.py")):
            content.update(file.read_bytes())
    return content.hexdigest()


def read(file: Path) -> list[Record]:
    """The results in a file, the last one of each key; a line cut off at the end is dropped."""
    found: dict[Key, Record] = {}
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[key_of(record)] = record
    return list(found.values())


def append(file: Path, record: Record) -> None:
    """Add a result; NaN becomes null."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(_plain(record), allow_nan=False) + "\n")


def missing(budgets: Iterable[int], key: Key, known: set[Key]) -> list[int]:
    """The budgets of a run that have no result yet; the budget in ``key`` counts for nothing."""
    return [budget for budget in budgets if (*key[:4], budget) not in known]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value
