"""The checkpoint of a run on disk: sealed, and the one before it is kept until it is replaced."""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from likewise.errors import LikewiseError
from likewise.files import reason_of, replacing
from likewise.models.runs import Run
from likewise.models.together import from_first
from likewise.progress import say
from likewise.seals import MARK, is_whole, seal
from likewise.settings import MemoryFormat, Precision

FORMAT = 2
"""Since 2 with a seal behind the archive that torch writes."""


def write_checkpoint(run: Run, state: dict[str, Any]) -> None:
    """Replace a run's checkpoint; the present one becomes the one before.

    Raises:
        LikewiseError: the file could not be written; the old ones are kept.
    """
    with replacing(run.checkpoint_file) as temporary:
        torch.save(state | {"format": FORMAT}, temporary)
        with temporary.open("ab") as file:
            file.write(f"\n{MARK}\n".encode())
        seal(temporary)
        if run.checkpoint_file.is_file():
            with replacing(run.checkpoint_before) as before:
                _same_file(run.checkpoint_file, before)


def _same_file(file: Path, name: Path) -> None:
    """A second name for a file; a copy where file systems have no such thing."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)


def has_checkpoint(run: Run) -> bool:
    """Whether a run can go on; where its last checkpoint is damaged, from the one before it.

    To be asked before it is read. A damaged one makes room for the one before it, which is told.
    """
    file, before = run.checkpoint_file, run.checkpoint_before
    if before.is_file() and not (file.is_file() and _loads(file)) and _loads(before):
        say(f"{file} is damaged; going on from the checkpoint before it")
        before.replace(file)
    return file.is_file()


def _loads(file: Path) -> bool:
    try:
        return bool(is_whole(file)) or bool(_read(file))
    except (LikewiseError, OSError):
        return False


def read_checkpoint(run: Run) -> dict[str, Any]:
    """The raw content of a run's checkpoint.

    Raises:
        LikewiseError: the file is damaged or of another format.
    """
    try:
        saved = _read(run.checkpoint_file)
    except LikewiseError as error:
        raise LikewiseError(f"{error}; remove {run.folder} to start that run again") from error
    if saved["format"] > FORMAT:
        raise LikewiseError(f"{run.checkpoint_file} has format {saved['format']}; upgrade Likewise")
    return saved


def _read(file: Path) -> dict[str, Any]:
    try:
        whole = is_whole(file)
        if whole is False:
            raise ValueError("it is damaged")
        saved: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        if whole is None and saved["format"] >= FORMAT:
            raise ValueError("it is damaged")
    except Exception as error:  # torch reports damage by many kinds of exception
        raise LikewiseError(f"could not read the checkpoint {file}: {reason_of(error)}") from error
    return saved


def remove_checkpoints(run: Run) -> None:
    """A finished run needs none."""
    for file in (run.checkpoint_file, run.checkpoint_before):
        file.unlink(missing_ok=True)


def arithmetic_of(
    run: Run | None, precision: Precision, memory_format: MemoryFormat
) -> tuple[Precision, MemoryFormat]:
    """What is wanted; where it is auto, what an interrupted run has begun with."""
    if run is None or not from_first(lambda: has_checkpoint(run)):
        return precision, memory_format
    kept = read_checkpoint(run)["kept"]
    return (
        kept["precision"] if precision == "auto" else precision,
        kept["memory_format"] if memory_format == "auto" else memory_format,
    )
