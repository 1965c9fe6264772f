"""The images themselves: how many, what they look like, what could not be read, what is double."""

from collections import defaultdict

import numpy as np
from jaxtyping import Int

from likewise.images.manifest import read_table
from likewise.inference.copies import DuplicateGroup, DuplicatesFound
from likewise.inference.keepers import file_sizes
from likewise.report.page import Html, Section, Table, box, definitions, heading, paragraph, table
from likewise.report.subject import Subject

_SHOWN, _REASONS, _FILES, _DOUBLES, _COPIES = 20, 6, 4, 4, 10


def images_section(subject: Subject) -> Section:
    """What was read, and what was not."""
    images = subject.images
    failed = failures(subject)
    sizes = file_sizes(subject.workspace)
    widths, heights = np.asarray(sizes.width), np.asarray(sizes.height)
    middle = np.argsort(widths.astype(np.int64) * heights, kind="stable")[len(widths) // 2]
    total = float(np.asarray(sizes.bytes).astype(np.float64).sum())
    held = int(images.held_out.sum())
    hidden = f" {held:,} of them are kept aside to measure with." if held else ""
    bad = sum(map(len, failed.values()))
    lead = (
        f"{len(images):,} different images.{hidden} "
        f"{f'{bad:,} files could not be read.' if bad else 'Every file could be read.'}"
    )
    rows = [
        ("files", f"{int(images.path_counts.sum()):,}, {total / 1e6:,.1f} MB"),
        ("usual size", f"{widths[middle]:,} × {heights[middle]:,} pixels"),  # noqa: RUF001
        ("widths", _span(widths)),
        ("heights", _span(heights)),
    ]
    some = subject.drawn(np.arange(len(images)), _SHOWN)
    body = [
        subject.thumbnails.strip(some.tolist(), len(images)),
        definitions(rows),
        *_failed(failed),
        *_doubles(subject, subject.copies),
    ]
    return Section("The images", lead, body)


def _span(sides: Int[np.ndarray, " N"]) -> str:
    low, high = int(sides.min()), int(sides.max())
    return f"{low:,} pixels" if low == high else f"{low:,} to {high:,} pixels"


def failures(subject: Subject) -> dict[str, list[str]]:
    """The files that could not be read, by the reason, the commonest first."""
    columns = ["status", "reason", "paths"]
    manifest, _ = read_table(subject.workspace.manifest_file, columns)
    found: dict[str, list[str]] = defaultdict(list)
    status = manifest.column("status").to_numpy()
    for row in manifest.take(np.flatnonzero(status == "failed")).to_pylist():
        found[row["reason"]] += row["paths"]
    return dict(sorted(found.items(), key=lambda each: (-len(each[1]), each[0])))


def _failed(failed: dict[str, list[str]]) -> list[Html]:
    if not failed:
        return []
    rows = []
    for reason, paths in list(failed.items())[:_REASONS]:
        names = ["/".join(each.split("/")[-2:]) for each in paths[:_FILES]]
        more = f", and {len(paths) - _FILES:,} more" if len(paths) > _FILES else ""
        rows.append([reason, f"{len(paths):,}", ", ".join(names) + more])
    others = len(failed) - _REASONS
    note = f"{others:,} more reasons: `likewise ingest` lists them." if others > 0 else ""
    header = ["why", "files", "which"]
    return [heading("Could not be read"), table(Table(header, rows)), paragraph(note, "note")]


def _doubles(subject: Subject, found: DuplicatesFound) -> list[Html]:
    if not found.groups:
        what = "the same bytes" if found.threshold is None else "the same bytes, or nearly alike"
        return [heading("No duplicates"), paragraph(f"No two files are {what}.", "note")]
    files = sum(len(each.paths) for each in found.groups)
    exact = sum(len(each.copies) == 1 for each in found.groups)
    told = (
        f"{len(found.groups):,} {'picture is' if len(found.groups) == 1 else 'pictures are'} there "
        f"more than once, in {files:,} files: {exact:,} with the same bytes, "
        f"{len(found.groups) - exact:,} nearly alike. `likewise duplicates` lists them and says "
        "which to keep."
    )
    shown = [_double(subject, each) for each in found.groups[:_DOUBLES]]
    return [heading("Duplicates"), paragraph(told), *shown]


def _double(subject: Subject, group: DuplicateGroup) -> Html:
    rows = [subject.images.positions[copy.id] for copy in group.copies[:_COPIES]]
    names = ["/".join(each.split("/")[-2:]) for each in group.paths[:_FILES]]
    more = len(group.paths) - len(names)
    told = ", ".join([*names, *([f"and {more:,} more"] if more > 0 else [])])
    strip = subject.thumbnails.strip(rows, len(group.copies))
    return box("group", [paragraph(f"{group.kind}: {told}"), strip])
