"""The job ``ingest``: files on disk to manifest and prepared store, reading only what is new."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.errors import LikewiseError, UsageError
from likewise.images.changes import bring_up_to_date, elsewhere, forget, missing
from likewise.images.edition import carry_over, open_edition, publish
from likewise.images.manifest import Manifest, display, read_manifest
from likewise.images.reading import Reader, in_children
from likewise.images.scan import Failure, Found, describe_others, scan
from likewise.notebook import Displayed
from likewise.settings import Ingest
from likewise.wording import counted
from likewise.workspace import Workspace

MIN_STORE_SIZE = 8
_SHOWN = 10


@dataclass(frozen=True)
class IngestResult(Displayed):
    """What an ingest found; ``found = images + duplicates + failed``."""

    workspace: Path
    images: int
    """Distinct usable images among the files found."""
    new: int
    """Those that were not usable before."""
    duplicates: int
    """Files with the same bytes as another file found."""
    gone: int
    """Images whose last file disappeared."""
    failures: tuple[Failure, ...]
    others: str
    """Files left aside for their suffix, as text."""

    @property
    def found(self) -> int:
        """Files found, and folders that could not be read."""
        return self.images + self.duplicates + len(self.failures)

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "found": self.found,
            "images": self.images,
            "new": self.new,
            "unchanged": self.images - self.new,
            "duplicates": self.duplicates,
            "gone": self.gone,
            "failed": len(self.failures),
            "failures": [
                {"path": display(each.path), "reason": each.reason} for each in self.failures
            ],
        }

    def as_text(self) -> str:
        """A summary, with the first failures and where the rest is."""
        lines = [
            f"{self.images:,} images ({self.new:,} new, {self.images - self.new:,} unchanged) "
            f"are ready in {self.workspace}"
        ]
        if self.duplicates:
            lines.append(f"{self.duplicates:,} files are byte-equal copies of another")
        if self.gone:
            lines.append(f"{self.gone:,} images are gone from disk (their answers are kept)")
        if self.others:
            lines.append(f"left aside, no image suffix: {self.others}")
        if self.failures:
            lines.append(f"{len(self.failures):,} could not be used:")
            lines += [f"  {_printable(path)}: {why}" for path, why in self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            more = len(self.failures) - _SHOWN
            lines.append(f"  and {more:,} more; `likewise ingest --json` lists them all")
        lines.append("next: likewise pretrain")
        return "\n".join(lines)


def ingest(
    workspace: Workspace,
    settings: Ingest,
    *,
    reader: Reader = in_children,
) -> IngestResult:
    """List the files, read what is new or changed, and commit.

    What is done is committed every half minute and on Ctrl-C, and not done again. A failed file
    is tried again only when it changed, or could not be read at all.

    Raises:
        UsageError: a setting is out of range, or there is nothing to ingest.
        LikewiseError: a source does not exist or holds no images; none of them can be used; the
            workspace cannot be written.
    """
    _check(settings)
    roots = settings.images or workspace.config.roots
    if not roots:
        raise UsageError("name a folder of images: likewise ingest FOLDER")
    found = scan(roots, workspace=workspace.path)
    _require_images(workspace, found)
    with _leaving_nothing_half_made(workspace), workspace.lock("images"):
        _configure(workspace, settings, found)
        edition, old = open_edition(workspace, workspace.config.store_size)
        before = _usable(old or edition.manifest)
        files = found.files if old is None else [*found.files, *elsewhere(old, found)]
        with edition:
            bring_up_to_date(edition, files, reader, settings.workers)
            forget(old or edition.manifest, edition.manifest, found)
            if old is not None:
                carry_over(old, edition)
            edition.commit()
        if old is not None:
            publish(workspace, edition)
        return _result(workspace, edition.manifest, found, before)


def _check(settings: Ingest) -> None:
    if settings.store_size is not None and settings.store_size < MIN_STORE_SIZE:
        raise UsageError(
            f"--store-size {settings.store_size} is too small; give at least {MIN_STORE_SIZE}"
        )
    if settings.hold_out is not None and not 0 <= settings.hold_out < 1:
        raise UsageError(f"--hold-out {settings.hold_out} must be at least 0 and below 1")
    if settings.workers < 0:
        raise UsageError(f"--workers {settings.workers} must be 0 (one per core) or more")


def _require_images(workspace: Workspace, found: Found) -> None:
    if found.files or found.failures:
        return
    known = read_manifest(workspace.manifest_file)
    if known is not None and any(missing(known, found)):
        return  # all its images have been removed: that is an answer, not a mistake
    where = found.roots[0] if found.roots else "the list"
    count = found.others.total()
    if not count:
        raise LikewiseError(f"{where} holds no files; give a folder of images")
    raise LikewiseError(
        f"{where} holds {counted(count, 'file')}, but none with an image suffix: "
        f"{describe_others(found.others)}; give another folder, or name image files themselves"
    )


@contextmanager
def _leaving_nothing_half_made(workspace: Workspace) -> Iterator[None]:
    """Make the workspace; remove it again if its very first ingest yields nothing."""
    existed, folder_existed = workspace.exists(), workspace.path.exists()
    workspace.create()
    try:
        yield
    except LikewiseError:
        if not existed and not _usable(read_manifest(workspace.manifest_file)):
            made = ("workspace.toml", "images.parquet", "images.1.pixels", ".images.lock")
            for name in made:
                (workspace.path / name).unlink(missing_ok=True)
            if not folder_existed:
                shutil.rmtree(workspace.path, ignore_errors=True)
        raise


def _configure(workspace: Workspace, settings: Ingest, found: Found) -> None:
    config = workspace.config
    roots = (*config.roots, *map(Path, found.roots))
    changes: dict[str, Any] = {"roots": tuple(dict.fromkeys(roots))}
    if settings.store_size is not None:
        changes["store_size"] = settings.store_size
    if settings.hold_out is not None:
        changes["hold_out"] = settings.hold_out
    for root in changes["roots"]:
        if display(str(root)) != str(root):
            raise LikewiseError(
                f"the name of the folder {display(str(root))} is not UTF-8; rename it, or give "
                "the folder above it"
            )
    if any(getattr(config, name) != value for name, value in changes.items()):
        workspace.update(**changes)


def _usable(manifest: Manifest | None) -> set[str]:
    rows = manifest.rows.values() if manifest else ()
    return {row.id for row in rows if row.status == "ok"}


def _result(
    workspace: Workspace, manifest: Manifest, found: Found, before: set[str]
) -> IngestResult:
    rows = [(file.path, manifest.by_path[file.path]) for file in found.files]
    failures = found.failures + [
        Failure(path, row.reason) for path, row in rows if row.status == "failed"
    ]
    usable = [row.id for _, row in rows if row.status == "ok"]
    images = set(usable)
    if failures and not images:
        first = f"{display(failures[0].path)}: {failures[0].reason}"
        if len(failures) == 1:
            raise LikewiseError(first)
        raise LikewiseError(f"none of the {len(failures):,} files can be used; the first, {first}")
    return IngestResult(
        workspace=workspace.path,
        images=len(images),
        new=len(images - before),
        duplicates=len(usable) - len(images),
        gone=len(before - _usable(manifest)),
        failures=tuple(failures),
        others=describe_others(found.others),
    )


def _printable(path: str) -> str:
    """A path on one line, without control characters."""
    text = display(path)
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
