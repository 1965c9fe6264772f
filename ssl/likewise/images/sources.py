"""What `Workspace.ingest` takes besides paths: pandas DataFrames and datasets of PyTorch."""

import os
from pathlib import Path
from typing import Any, cast

from likewise.errors import LikewiseError
from likewise.images.dataset_files import Indexed, files_of, write_dataset
from likewise.workspace import Workspace


def paths_from(source: Any, workspace: Workspace) -> list[Path]:
    """The files or folders that a source stands for.

    Args:
        source: A path; a DataFrame with a column "path"; or a map-style dataset, whose images are
            written to ``datasets/`` in the workspace unless they are files already.
        workspace: Where they are going to be read.

    Raises:
        LikewiseError: it is none of these, or has nothing in it.
    """
    if isinstance(source, (str, os.PathLike)):
        return [Path(source)]
    if hasattr(source, "columns"):
        return _from_frame(source)
    dataset = as_indexed(source)
    if not len(dataset):
        raise LikewiseError(f"the dataset {type(source).__name__} is empty")
    files = files_of(dataset)
    if files is not None:
        return list(dict.fromkeys(files))
    folder = workspace.path / "datasets" / type(source).__name__.lower()
    workspace.create()
    write_dataset(dataset, folder)
    return [folder]


def as_indexed(source: Any) -> Indexed:
    """A dataset that says how long it is and gives items by number.

    Raises:
        LikewiseError: it is something else, an iterable dataset for example.
    """
    if not (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        raise LikewiseError(
            f"{type(source).__name__} is no path, no DataFrame and no dataset with a length and "
            "items by number"
        )
    return cast(Indexed, source)


def _from_frame(frame: Any) -> list[Path]:
    if "path" not in frame.columns:
        there = ", ".join(map(repr, frame.columns)) or "nothing"
        raise LikewiseError(f'the DataFrame has no column "path"; it has {there}')
    paths = [Path(each) for each in frame["path"].dropna() if each]
    if not paths:
        raise LikewiseError("the DataFrame names no images")
    return paths
