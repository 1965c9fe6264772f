"""What a notebook displays of results that have pictures: HTML, see `likewise.notebook`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likewise import notebook
from likewise.images.look import Look
from likewise.images.manifest import display
from likewise.inference.classified import Classified, Recognised
from likewise.inference.copies import DuplicatesFound
from likewise.inference.gallery_changes import GalleryListed
from likewise.inference.search import Hits
from likewise.inference.sorted_images import GroupsFound
from likewise.inference.table_files import one_line
from likewise.inference.verified_pairs import Compared, VerifiedPairs
from likewise.inference.verifier import Verified
from likewise.notebook import Cell, Markup
from likewise.wording import counted, percent

_ROWS, _MEMBERS, _FEW = 15, 10, 8
_RECOGNISED, _ERRORS = 32, 4


def hits(found: Hits, look: Look) -> str:
    """The query, and what is similar to it."""
    query, *pictures = look(
        [(found.query_id, found.query), *((each.id, each.path) for each in found.results)]
    )
    cells = [Cell(query, ("query", _name(found.query)))]
    cells += [
        Cell(picture, (f"{each.similarity:.3f}", _name(each.path)))
        for each, picture in zip(found.results, pictures, strict=True)
    ]
    told = f"the most similar of {counted(found.among, 'image')} ({found.model})"
    return notebook.line(told) + notebook.tiles(cells) + "".join(map(notebook.line, found.notes()))


def verified(found: Verified, look: Look) -> str:
    """Both pictures, and what is said of them."""
    pictures = look([*zip(found.ids, found.paths, strict=True)])
    cells = [
        Cell(picture, (_name(path),)) for path, picture in zip(found.paths, pictures, strict=True)
    ]
    return notebook.tiles(cells) + notebook.text(found.as_text())


def verified_pairs(found: VerifiedPairs, look: Look) -> str:
    """All that is printed, the DET curve, and the pairs that similarity gets most wrong."""
    shown = notebook.text(found.as_text())
    if found.protocol is None:
        return shown
    from likewise.evaluation.det_plot import det

    shown += notebook.drawing(det(found.protocol, found.model), 560)
    nearest = sorted(found.pairs, key=lambda each: -each.similarity)
    strangers = [each for each in nearest if each.asked.same is False][:_ERRORS]
    missed = [each for each in reversed(nearest) if each.asked.same][:_ERRORS]
    shown += notebook.line("different pairs that are most alike") + _pairs(strangers, look)
    return shown + notebook.line("same pairs that are least alike") + _pairs(missed, look)


def _pairs(pairs: Sequence[Compared], look: Look) -> str:
    ends = [
        (image, Path(end.file or end.shown))
        for each in pairs
        for image, end in zip(each.ids, (each.asked.a, each.asked.b), strict=True)
    ]
    pictures = look(ends)
    cells = [
        Cell(picture, (f"{pairs[place // 2].similarity:.3f}", _name(path)))
        for place, ((_, path), picture) in enumerate(zip(ends, pictures, strict=True))
    ]
    return notebook.tiles(cells)


def duplicates(found: DuplicatesFound, look: Look) -> str:
    """A row for each of the first groups, the file to keep first."""
    rows = []
    for number, each in enumerate(found.groups[:_ROWS], 1):
        files = [(copy, path) for copy in each.copies for path in copy.paths][:_MEMBERS]
        pictures = look([(copy.id, path) for copy, path in files])
        cells = [
            Cell(picture, (_name(path), f"{copy.width} x {copy.height}"))
            for (copy, path), picture in zip(files, pictures, strict=True)
        ]
        rows.append((number, len(each.paths), each.kind, notebook.tiles(cells, _MEMBERS)))
    told = "".join(map(notebook.line, found.summary()))
    if not rows:
        return told
    more = len(found.groups) - len(rows)
    return (
        told
        + notebook.table(("group", "files", "alike", "the one to keep first"), rows)
        + (notebook.line(f"and {counted(more, 'more group')}") if more else "")
    )


def groups(found: GroupsFound) -> str:
    """A row for each of the largest groups, the surest images first; then what is doubtful."""
    rows = []
    for group in range(min(_ROWS, found.balance.groups)):
        places = found.members(group)
        sure = f"{float(found.told.confidence[places].mean()):.2f}"
        answered = int(found.told.answered[places].sum())
        rows.append((found.name(group), len(places), answered, sure, _members(found, places)))
    head = ("group", "images", "answered", "sure", "the surest images")
    shown = "".join(map(notebook.line, found.summary())) + notebook.table(head, rows)
    if found.balance.groups > len(rows):
        shown += notebook.line(f"and {counted(found.balance.groups - len(rows), 'smaller group')}")
    for what, places in found.remarkable():
        shown += notebook.line(what) + _members(found, places)
    return shown


def _members(found: GroupsFound, places: Sequence[int]) -> Markup:
    rows = found.told.rows[np.asarray(places[:_FEW], np.int64)].tolist()
    return notebook.strip([Cell(found.images[row]) for row in rows])


def classified(found: Classified, look: Look) -> str:
    """The images with their classes, and by which rule."""
    told = found.results[:_RECOGNISED]
    pictures = look([(each.id, each.path) for each in told])
    cells = [
        Cell(picture, _class_lines(each)) for each, picture in zip(told, pictures, strict=True)
    ]
    return notebook.tiles(cells) + notebook.text("\n".join(found.summary()))


def _class_lines(each: Recognised) -> tuple[str, ...]:
    sure = "" if each.probability is None else f" ({percent(each.probability)})"
    nearest = "" if each.class_name else f"nearest: {each.nearest}"
    lines = (each.class_name or "unknown", nearest, f"{each.similarity:.3f}{sure}")
    return tuple(filter(None, (*lines, _name(each.path))))


def gallery(found: GalleryListed) -> str:
    """A row for each class with its exemplars."""
    if found.picture is None or not found.classes:
        return notebook.text(found.as_text())
    rows = []
    for name, exemplars in [*found.classes.items()][:_RECOGNISED]:
        cells = [Cell(found.picture(each.image)) for each in exemplars[:_FEW]]
        rows.append((name, len(exemplars), notebook.strip(cells)))
    table = notebook.table(("class", "exemplars", ""), rows)
    return table + notebook.text(found.as_text().splitlines()[-1])


def _name(path: Path) -> str:
    """The folder and name of a file."""
    return one_line(display(str(Path(path.parent.name, path.name))))
