"""A folder of symbolic links, a folder for each group: images to look through in a file manager."""

import os
from collections.abc import Iterable
from pathlib import Path

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of, replacing_folder, write_json
from likewise.images.manifest import display
from likewise.inference.table_files import one_line

MARKER = ".likewise-groups.json"
"""In each folder that was made here; without it a folder is somebody else's."""
_FORBIDDEN = frozenset('/\\:*?"<>|')
_LONGEST = 120


def check_folder(folder: Path, roots: Iterable[Path]) -> None:
    """Refuse a folder that may not be made anew, before any work is done.

    Raises:
        UsageError: it holds something else than such links, or lies among the images, where the
            next `likewise ingest` would read them.
    """
    name = one_line(display(str(folder)))
    place = Path(os.path.realpath(folder))
    for root in roots:
        real = Path(os.path.realpath(root))
        if real.is_dir() and (place == real or real in place.parents or place in real.parents):
            raise UsageError(f"{name} and the images of {root} overlap; choose another folder")
    if folder.is_symlink() or (folder.exists() and not (folder / MARKER).is_file()):
        raise UsageError(f"{name} is there and was not made by `likewise groups`; choose another")
    if folder.exists() and (foreign := _foreign(folder)):
        raise UsageError(
            f"{name} holds {one_line(display(foreign))}, which was not made by `likewise groups`; "
            "move it, or choose another folder"
        )


def _foreign(folder: Path) -> str:
    """A name in the folder that is neither a link nor a folder of links; "" if there is none."""
    for at, folders, files in os.walk(folder):
        for each in files:
            path = Path(at) / each
            if not path.is_symlink() and path != folder / MARKER:
                return str(path.relative_to(folder))
        if Path(at) != folder and folders:
            return str((Path(at) / folders[0]).relative_to(folder))
    return ""


def write_links(folder: Path, groups: Iterable[tuple[str, Iterable[tuple[Path, str]]]]) -> int:
    """Make the folder in the place of the one that was made before; return how many links.

    Links are relative where folder and image have more than the root in common, so that both can
    be moved together.

    Args:
        folder: To be made; `check_folder` says whether it may be.
        groups: Name of each, and its images with their ids.

    Raises:
        LikewiseError: links cannot be made here. The folder of before is kept.
    """
    place = Path(os.path.realpath(folder.parent)) / folder.name
    with replacing_folder(place) as temporary:
        try:
            count = _link_all(temporary, groups)
            write_json(temporary / MARKER, {"format": 1, "links": count})
        except (OSError, NotImplementedError) as error:
            raise LikewiseError(
                f"could not make links in {one_line(display(str(folder)))}: {reason_of(error)}. "
                "Where the file system has no symbolic links (Windows without developer mode, "
                "exFAT), use `likewise groups --out groups.csv`"
            ) from error
    return count


def _link_all(folder: Path, groups: Iterable[tuple[str, Iterable[tuple[Path, str]]]]) -> int:
    count = 0
    for name, images in groups:
        (folder / name).mkdir()
        taken: set[str] = set()
        for path, image_id in images:
            link = folder / name / _free(safe_name(path.name), image_id, taken)
            link.symlink_to(_target(path, link.parent))
            count += 1
    return count


def _target(path: Path, folder: Path) -> Path:
    """What a link in ``folder`` to ``path`` says."""
    real = Path(os.path.normpath(path.absolute()))
    if real.drive == folder.drive and len(Path(os.path.commonpath((real, folder))).parts) > 1:
        return Path(os.path.relpath(real, folder))
    return real


def safe_name(name: str) -> str:
    """A file name without what programs may take for something else, at most 120 characters.

    Control and path characters, and what is not UTF-8, become ``_``; so does a dot or hyphen in
    front (hidden, or an option). The suffix stays.
    """
    text = "".join(each if each.isprintable() and each not in _FORBIDDEN else "_" for each in name)
    if text[:1] in (".", "-", "~", " ", ""):
        text = "_" + text[1:]
    stem, dot, suffix = text.rpartition(".")
    if not dot or len(suffix) > 10:
        return text[:_LONGEST]
    return f"{stem[: _LONGEST - len(suffix) - 1]}.{suffix}"


def _free(name: str, image_id: str, taken: set[str]) -> str:
    """The name, or with the image's id if the group has it; names differ not only in case."""
    stem, dot, suffix = name.rpartition(".")
    stem, suffix = (stem, suffix) if dot else (name, "")
    for number in range(len(taken) + 2):
        again = f"-{number}" if number > 1 else ""
        end = "" if number == 0 else f"-{image_id[:8]}{again}"
        chosen = f"{stem}{end}{dot}{suffix}"
        if chosen.casefold() not in taken:
            break
    taken.add(chosen.casefold())
    return chosen
