"""Folders of class folders: the class of each image is the folder that it lies in."""

import os
from pathlib import Path

from likewise.errors import LikewiseError, UsageError
from likewise.images.scan import Failure, File, scan
from likewise.inference.class_names import class_name
from likewise.workspace import Workspace


def class_folders(
    workspace: Workspace, folder: Path
) -> tuple[dict[str, list[File]], list[Failure]]:
    """The image files of each class, in order of path; and what cannot be used.

    A class is named by the path from ``folder`` to the folder that holds its images, "Latin/a".

    Raises:
        UsageError: it is no folder.
        LikewiseError: it cannot be read, or holds no class folder with images.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give one with a folder of images for each class")
    found = scan([folder], workspace=workspace.path)
    top = os.path.abspath(folder)  # noqa: PTH100 - as `scan` has it
    failures = list(found.failures)
    classes: dict[str, list[File]] = {}
    for file in found.files:
        own = os.path.relpath(Path(file.path).parent, top)
        if own == os.curdir:
            failures.append(Failure(file.path, "it lies in no class folder"))
            continue
        try:
            classes.setdefault(class_name(Path(own).as_posix()), []).append(file)
        except UsageError as error:
            failures.append(Failure(file.path, str(error)))
    if not classes:
        why = f" ({failures[0].path}: {failures[0].reason})" if failures else ""
        raise LikewiseError(f"{folder} has no folder with images in it{why}")
    return classes, failures
