"""What a workspace holds as pandas DataFrames, and answers from one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from likewise.answers.answer_rows import (
    COLUMNS,
    HISTORY_COLUMNS,
    display_paths,
    history_record,
    record_of,
)
from likewise.answers.exchange import Imported, store_answers
from likewise.answers.standing import Standing
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError
from likewise.export.vector_files import first_paths
from likewise.images.manifest import read_table
from likewise.images.store import is_held_out, open_images
from likewise.inference.pair_files import pairs_of
from likewise.inference.sorted_images import COLUMNS as GROUP_COLUMNS
from likewise.inference.sorting import groups
from likewise.inference.verified_pairs import VerifiedPairs, verify_rows
from likewise.neighbours.vectors import Embeddings
from likewise.settings import Groups, Verify
from likewise.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

_IMAGE_COLUMNS = ("id", "paths", "bytes", "width", "height", "status", "reason")


def images_frame(workspace: Workspace) -> "pd.DataFrame":
    """A row per image and per file that failed.

    Columns: ``id``, ``path`` (the first), ``paths``, ``bytes``, ``width``, ``height``, ``status``
    (ok, failed, gone), ``reason``, ``held_out``.

    Raises:
        LikewiseError: nothing is ingested yet, or the table is damaged.
    """
    open_images(workspace)
    table, _ = read_table(workspace.manifest_file, list(_IMAGE_COLUMNS))
    frame: pd.DataFrame = table.to_pandas()
    frame.insert(1, "path", [each[0] if len(each) else None for each in frame["paths"]])
    share = workspace.config.hold_out
    held_out = [
        status == "ok" and is_held_out(each, share)
        for each, status in zip(frame["id"], frame["status"], strict=True)
    ]
    frame["held_out"] = np.array(held_out, bool)
    return frame


def embeddings_frame(workspace: Workspace, embeddings: Embeddings) -> "pd.DataFrame":
    """A row per image: ``path``, then the numbers of its vector, 0 to D - 1; the index is the id.

    ``frame.attrs`` holds ``fingerprint`` and ``model``.
    """
    import pandas as pd

    ids = embeddings.ids.tolist()
    frame = pd.DataFrame(np.array(embeddings.vectors), index=pd.Index(ids, name="id"))
    frame.insert(0, "path", first_paths(open_images(workspace), ids))
    frame.attrs |= {"fingerprint": embeddings.fingerprint, "model": embeddings.model}
    return frame


def answers_frame(workspace: Workspace, *, history: bool = False) -> "pd.DataFrame":
    """A row per answer that stands, or with ``history`` per row ever written, oldest first.

    The columns are those of `likewise answers export`; ``time`` is a time (UTC).

    Raises:
        LikewiseError: the answers cannot be read.
    """
    import pandas as pd

    with open_answers(workspace.require()) as store:
        rows = store.history()
    paths, standing = display_paths(workspace), Standing(rows)
    if history:
        records = [history_record(each, standing, paths) for each in rows]
    else:
        records = [record_of(each, paths) for each in standing.answers()]
    columns = HISTORY_COLUMNS if history else COLUMNS
    frame = pd.DataFrame(records, columns=list(columns))
    frame["time"] = pd.to_datetime(frame["time"], utc=True, format="ISO8601")
    return frame


def groups_frame(workspace: Workspace) -> "pd.DataFrame":
    """A row per file, with its group and how sure that is; the table of `likewise groups`.

    Raises:
        LikewiseError: there are no answers or embeddings yet.
    """
    import pandas as pd

    return pd.DataFrame(groups(workspace, Groups()).records(), columns=list(GROUP_COLUMNS))


def add_answers(
    workspace: Workspace, frame: "pd.DataFrame", annotator: str = "import", *, gold: bool = False
) -> Imported:
    """Store the answers in a DataFrame; see `likewise answers import`.

    Columns: ``path_a``, ``path_b`` (relative ones count from here, or from an ingested folder) or
    ``id_a``, ``id_b``; ``verdict``; ``annotator`` and ``time`` if known. Empty cells and further
    columns do not matter.

    Raises:
        LikewiseError: a column is missing, or there are rows but none that can be used.
    """
    if "verdict" not in frame.columns:
        there = ", ".join(map(repr, frame.columns)) or "nothing"
        raise LikewiseError(f'the DataFrame has no column "verdict"; it has {there}')
    records = [_record(each) for each in frame.to_dict("records")]
    return store_answers(
        workspace, records, "the DataFrame", beside=Path.cwd(), annotator=annotator, gold=gold
    )


def verify_frame(workspace: Workspace, frame: "pd.DataFrame", settings: Verify) -> VerifiedPairs:
    """Judge the pairs of a DataFrame; columns as in `likewise verify --pairs`.

    Relative paths count from here, or from an ingested folder. Rows are numbered from 1.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: no embeddings, no row can be used, or nothing can be written.
    """
    records = [_record(each) for each in frame.to_dict("records")]
    return verify_rows(
        workspace,
        lambda finder: pairs_of(enumerate(records, 1), finder),
        "the DataFrame",
        Path.cwd(),
        settings,
    )


def _record(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row without the cells that pandas calls missing, and with Python's own times."""
    import pandas as pd

    record = {}
    for key, value in row.items():
        if not pd.api.types.is_scalar(value) or pd.isna(value) or value == "":
            continue
        record[str(key)] = value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
    return record
