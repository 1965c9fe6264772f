"""What changed on disk since the manifest was written, and what that makes of the manifest."""

import os
from collections.abc import Iterator

from likewise.images.edition import Edition
from likewise.images.manifest import Manifest, Row, Stamp, image_row
from likewise.images.reading import Outcome, Reader, Reading
from likewise.images.scan import File, Found
from likewise.progress import progress


def bring_up_to_date(edition: Edition, files: list[File], reader: Reader, workers: int) -> None:
    """Bring the manifest up to date with what lies at the files' paths."""
    manifest = edition.manifest
    fresh = [file for file in files if not _unchanged(manifest.by_path.get(file.path), file)]
    if not fresh:
        return
    roots = {file.path: file.root for file in fresh}
    known = frozenset(key for key, row in manifest.rows.items() if row.status != "failed")
    reading = Reading(edition.manifest.store_size, known)
    done = len(files) - len(fresh)
    with progress("Reading images", len(files), done=done) as advance:
        for outcome in reader(fresh, reading, workers):
            stamp = Stamp(outcome.mtime_ns, roots[outcome.path], outcome.ctime_ns)
            _note(edition, outcome, stamp)
            advance(1)
            edition.commit_if_due()


def _unchanged(row: Row | None, file: File) -> bool:
    if row is None or row.id == "":  # a file that could not be read may be readable now
        return False
    stamp = row.paths[file.path]
    # Some editors set the time of last change back; the other time is the system's own.
    return (
        row.bytes == file.size
        and stamp.mtime_ns == file.mtime_ns
        and stamp.ctime_ns in (0, file.ctime_ns)
    )


def _note(edition: Edition, outcome: Outcome, stamp: Stamp) -> None:
    manifest = edition.manifest
    manifest.drop(outcome.path)
    if outcome.reason:
        row = Row(outcome.id, outcome.size, "failed", reason=outcome.reason)
        manifest.add_failure(outcome.path, stamp, row)
    elif (known := manifest.rows.get(outcome.id)) is not None:
        manifest.add_path(outcome.path, stamp, known)
    elif outcome.image is not None:
        offset = edition.append(outcome.image.pixels)
        row = image_row(outcome.id, outcome.size, outcome.image, offset)
        manifest.add_image(outcome.path, stamp, row)


def elsewhere(old: Manifest, found: Found) -> Iterator[File]:
    """Known files that this scan did not look for: a new store size concerns them as well."""
    listed = {file.path for file in found.files}
    lost = set(missing(old, found))
    for path, row in old.by_path.items():
        if path in listed or path in lost:
            continue
        try:
            status = os.stat(path)  # noqa: PTH116 - any bytes
        except OSError:
            continue
        root = row.paths[path].root
        yield File(path, status.st_size, status.st_mtime_ns, root, status.st_ctime_ns)


def missing(manifest: Manifest, found: Found) -> Iterator[str]:
    """Known paths that the scan would have found if they were still there."""
    listed = {file.path for file in found.files}
    for path, row in manifest.by_path.items():
        if path not in listed and found.covers(path, row.paths[path].root):
            yield path


def forget(known: Manifest, current: Manifest, found: Found) -> None:
    """Drop the paths at which there is nothing any more, or (new edition) something else."""
    if known is current:
        lost = list(missing(known, found))
    else:
        ids = {path: row.id for path, row in current.by_path.items()}
        lost = [path for path, row in known.by_path.items() if ids.get(path) != row.id]
    for path in lost:
        known.drop(path)
