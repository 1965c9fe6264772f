"""Answers as rows of a table, with the paths of their images."""

from collections.abc import Mapping
from pathlib import Path

from likewise.answers.standing import Answer, Entry, Standing
from likewise.answers.tabular import Record
from likewise.images.manifest import display
from likewise.images.store import open_images
from likewise.workspace import Workspace

COLUMNS = (
    *("id_a", "id_b", "path_a", "path_b", "verdict", "annotator", "time"),
    *("strategy", "score", "fingerprint"),
)
HISTORY_COLUMNS = (*COLUMNS, "number", "state", "undoes")


def display_paths(workspace: Workspace) -> Mapping[str, str]:
    """A path of each image by its id, as text; none before the first ingest."""
    if not workspace.manifest_file.exists():
        return {}
    images = open_images(workspace)
    return {str(each): display(str(images.path(row))) for row, each in enumerate(images.ids)}


def paths_of_files(workspace: Workspace) -> Mapping[str, Path]:
    """Where each image's file lies, by its id, whatever the bytes of its name."""
    if not workspace.manifest_file.exists():
        return {}
    images = open_images(workspace)
    return {str(each): images.path(row) for row, each in enumerate(images.ids)}


def record_of(answer: Answer, paths: Mapping[str, str]) -> Record:
    """A standing answer, with `COLUMNS`."""
    return {
        "id_a": answer.a,
        "id_b": answer.b,
        "path_a": paths.get(answer.a),
        "path_b": paths.get(answer.b),
        "verdict": answer.verdict,
        "annotator": answer.annotator,
        "time": answer.time.isoformat(),
        "strategy": answer.strategy,
        "score": answer.score,
        "fingerprint": answer.fingerprint,
    }


def history_record(entry: Entry, standing: Standing, paths: Mapping[str, str]) -> Record:
    """A row of the history, with `HISTORY_COLUMNS`."""
    record: Record = {"number": entry.number, "state": standing.state(entry)}
    if isinstance(entry, Answer):
        return record_of(entry, paths) | record
    undo = {"annotator": entry.annotator, "time": entry.time.isoformat(), "undoes": entry.undoes}
    return undo | record
