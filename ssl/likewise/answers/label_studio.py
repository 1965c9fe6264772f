"""Answers as tasks of Label Studio, and back (its "raw JSON" format of annotated tasks).

A task holds two images, and an annotation per answer: a single choice of similar, dissimilar or
unsure. Label Studio refuses annotations by people whom it doesn't know, so that who answered, when
and why stand in the ``meta`` of the choice, and ``completed_by`` is left out: whoever imports the
tasks there owns them. Coming back, an annotation that still says what its ``meta`` says is that
very answer; any other is a new one, by the person who completed it.

Sources: https://labelstud.io/guide/task_format (tasks and annotations),
https://labelstud.io/tags/choices and https://labelstud.io/tags/pairwise (which says to use Choices
to tell whether two objects are similar).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote_from_bytes, unquote_to_bytes, urlsplit

from likewise.answers.tabular import Record
from likewise.errors import LikewiseError
from likewise.files import read_json, write_json, write_text

SUFFIX = ".json"
CHOICE = "verdict"
"""Name of the control tag."""
_ENDS = (("a", "image_a"), ("b", "image_b"))
_LOCAL = "/data/local-files/"
_KEPT = ("annotator", "time", "strategy", "score", "fingerprint")

CONFIG = f"""<View>
  <Header value="Is this the same?"/>
  <View style="display: grid; grid-template-columns: 1fr 1fr; column-gap: 8px">
    <Image name="image_a" value="$image_a"/>
    <Image name="image_b" value="$image_b"/>
  </View>
  <Choices name="{CHOICE}" toName="image_a,image_b" choice="single" required="true">
    <Choice value="similar" hotkey="s"/>
    <Choice value="dissimilar" hotkey="d"/>
    <Choice value="unsure" hotkey="u"/>
  </Choices>
</View>
"""
"""The project's labeling configuration."""


def config_file(file: Path) -> Path:
    """Where the labeling configuration of a file of tasks is written."""
    return file.with_suffix(".xml")


def write_tasks(
    file: Path, records: Sequence[Record], raw_paths: Mapping[str, Path] | None = None
) -> None:
    """Write tasks, and beside them the labeling configuration.

    Images are addressed as Label Studio's local storage does, by their path below its document
    root, which is taken to be the file system's, as it is by default.

    Args:
        file: To write, whole or not at all.
        records: Standing answers, with the columns of the other formats.
        raw_paths: Where the images of some ids lie, also where that is no text.

    Raises:
        LikewiseError: a file cannot be written.
    """
    tasks: dict[tuple[str, str], dict[str, Any]] = {}
    for record in records:
        pair = str(record["id_a"]), str(record["id_b"])
        task = tasks.setdefault(pair, _task(len(tasks) + 1, record, raw_paths or {}))
        task["annotations"].append(_annotation(record))
    write_json(file, list(tasks.values()))
    write_text(config_file(file), CONFIG)


def _task(number: int, record: Record, raw_paths: Mapping[str, Path]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for end, image in _ENDS:
        known = {name: record.get(f"{name}_{end}") for name in ("id", "path")}
        path = raw_paths.get(str(known["id"]))
        data[image] = "" if path is None else _address(path)
        data |= {f"{name}_{end}": value for name, value in known.items() if value is not None}
    return {"id": number, "data": data, "annotations": []}


def _annotation(record: Record) -> dict[str, Any]:
    meta = {name: record[name] for name in ("verdict", *_KEPT) if record.get(name) is not None}
    choice = {
        "from_name": CHOICE,
        "to_name": "image_a",
        "type": "choices",
        "value": {"choices": [record["verdict"]]},
        "meta": {"likewise": meta},
    }
    return {"result": [choice], "was_cancelled": False, "created_at": record["time"]}


def _address(path: Path) -> str:
    raw = os.fsencode(path.absolute().relative_to(path.absolute().anchor))
    return f"{_LOCAL}?d={quote_from_bytes(raw.replace(os.sep.encode(), b'/'))}"


def read_tasks(file: Path) -> list[Record]:
    """The annotations of an export, as rows of the other formats, in order.

    A skipped annotation (``was_cancelled``), or one that chose nothing, has the ``state`` skipped;
    drafts and predictions are no answers. A task whose annotations say nothing usable gives a row
    that `likewise answers import` reports.

    Raises:
        LikewiseError: the file cannot be read, or is no list of annotated tasks.
    """
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(_is_task(each) for each in tasks):
        raise LikewiseError(
            f"could not read {file}: it is no export of Label Studio; export as JSON (not JSON-MIN)"
        )
    return [_row(task["data"], annotation) for task in tasks for annotation in task["annotations"]]


def _is_task(task: Any) -> bool:
    return (
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and isinstance(task.get("annotations"), list)
        and all(isinstance(each, dict) for each in task["annotations"])
    )


def _row(data: Mapping[str, Any], annotation: Mapping[str, Any]) -> Record:
    row = _images(data)
    choices, meta = _choice(annotation)
    if annotation.get("was_cancelled") or not choices:
        return row | {"state": "skipped"}
    row["verdict"] = choices[0] if len(choices) == 1 else " and ".join(sorted(choices))
    if meta.get("verdict") == row["verdict"] and meta.get("annotator") and meta.get("time"):
        return row | {name: meta[name] for name in _KEPT if meta.get(name) is not None}
    when = annotation.get("updated_at") or annotation.get("created_at")
    found = {"annotator": _person(annotation.get("completed_by")), "time": when}
    return row | {"strategy": "label-studio"} | {k: v for k, v in found.items() if v}


def _choice(annotation: Mapping[str, Any]) -> tuple[list[str], Mapping[str, Any]]:
    """What was chosen, and what we noted beside it."""
    results = annotation.get("result")
    for each in results if isinstance(results, list) else ():
        if not isinstance(each, dict) or each.get("type") != "choices":
            continue
        value, meta = each.get("value"), each.get("meta")
        chosen = value.get("choices") if isinstance(value, dict) else None
        noted = meta.get("likewise") if isinstance(meta, dict) else None
        words = [_word(word) for word in chosen] if isinstance(chosen, list) else []
        return words, noted if isinstance(noted, dict) else {}
    return [], {}


def _word(choice: Any) -> str:
    """The verdict that a choice stands for, or the choice as it is."""
    said = str(choice).strip().lower()
    return {"same": "similar", "different": "dissimilar"}.get(said, said)


def _images(data: Mapping[str, Any]) -> Record:
    row: Record = {}
    for end, image in _ENDS:
        for name in (f"id_{end}", f"path_{end}"):
            if data.get(name):
                row[name] = str(data[name])
        if f"path_{end}" not in row and data.get(image):
            row[f"path_{end}"] = _path(str(data[image]))
    return row


def _path(address: str) -> str:
    """The path that an address of a task leads to, if it is one of local storage."""
    parts = urlsplit(address)
    if parts.path == _LOCAL and "d=" in parts.query:
        below = parse_qs(parts.query, separator="&", errors="surrogateescape")["d"][0]
        return os.sep + below.lstrip("/")
    return os.fsdecode(unquote_to_bytes(parts.path)) if parts.scheme == "file" else address


def _person(completed_by: Any) -> str:
    """Who completed an annotation: an e-mail address, a name, or the number of a user."""
    if isinstance(completed_by, dict):
        names = (completed_by.get(each) for each in ("email", "username", "id"))
        return next((str(name) for name in names if name), "")
    return f"user {completed_by}" if isinstance(completed_by, int) else str(completed_by or "")
