"""The job ``groups``: all images sorted into groups, from answers and embedding together."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from likewise.answers.ledger import Ledger
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError
from likewise.files import replacing, write_json
from likewise.images.manifest import display
from likewise.images.store import Images, open_images
from likewise.inference.balance import balance_of
from likewise.inference.group_sheet import Cell, Row, draw_groups
from likewise.inference.link_folder import check_folder, write_links
from likewise.inference.sorted_images import COLUMNS, GroupsFound
from likewise.inference.table_files import check_suffix, one_line, write_table
from likewise.inference.telling import tell
from likewise.neighbours.vectors import Embeddings, load_embeddings
from likewise.settings import Groups
from likewise.wording import counted
from likewise.workspace import Workspace

_DRAWN, _TILES = 30, 18
NO_GROUP = "no-group"


def groups(workspace: Workspace, settings: Groups) -> GroupsFound:
    """Tell the group of every image, and write what is asked for.

    Raises:
        UsageError: a file's suffix is unknown, or the folder for links is not to be used.
        LikewiseError: there are no answers or embeddings yet, or a file cannot be read or written.
    """
    _check(workspace, settings)
    images = open_images(workspace)
    embeddings = load_embeddings(workspace)
    with open_answers(workspace) as answers:
        ledger = Ledger(answers.history())
    if not ledger.groups():
        raise LikewiseError(
            "no answers yet, so that nothing says what belongs together; `likewise label`, or "
            "`likewise answers import FILE`"
        )
    found = sort_images(workspace, images, embeddings, ledger)
    return dataclasses.replace(found, written=tuple(_write(found, settings)))


def sort_images(
    workspace: Workspace, images: Images, embeddings: Embeddings, ledger: Ledger
) -> GroupsFound:
    """All images in groups, by the answers of a ledger and an embedding.

    Raises:
        LikewiseError: embeddings cannot be read.
    """
    told = tell(workspace, images, embeddings, ledger)
    sizes = np.bincount(told.groups[told.groups >= 0]).astype(np.int64)
    waiting = len(images.positions.keys() - embeddings.positions.keys())
    return GroupsFound(images, told, balance_of(sizes), embeddings.model, waiting)


def _check(workspace: Workspace, settings: Groups) -> None:
    check_suffix(settings.out)
    check_suffix(settings.sheet, (".png",))
    check_suffix(settings.fiftyone, (".json",))
    if settings.links is not None:
        check_folder(settings.links, workspace.require().config.roots)


def _write(found: GroupsFound, settings: Groups) -> Iterator[str]:
    """Write the files asked for, and say so."""
    if settings.out is not None:
        write_table(settings.out, found.records(), COLUMNS)
        yield f"table:    {_shown(settings.out)}"
    if settings.sheet is not None:
        with replacing(settings.sheet) as temporary:
            temporary.write_bytes(sheet(found))
        yield f"sheet:    {_shown(settings.sheet)}"
    if settings.fiftyone is not None:
        write_json(settings.fiftyone, fiftyone_labels(found))
        yield (
            f"fiftyone: fo.Dataset.from_dir(labels_path={str(settings.fiftyone)!r}, "
            "dataset_type=fo.types.FiftyOneImageClassificationDataset)"
        )
    if settings.links is not None:
        count = write_links(settings.links, _linked(found))
        yield f"links:    {count:,} in {_shown(settings.links)}"


def _shown(file: Path) -> str:
    return one_line(display(str(file)))


def _linked(found: GroupsFound) -> Iterator[tuple[str, list[tuple[Path, str]]]]:
    for group in (*range(found.balance.groups), -1):
        rows = [int(found.told.rows[place]) for place in found.members(group)]
        if rows:
            yield (
                found.name(group) or NO_GROUP,
                [(found.images.path(row), str(found.images.ids[row])) for row in rows],
            )


def fiftyone_labels(found: GroupsFound) -> dict[str, Any]:
    """Labels as FiftyOne imports them (FiftyOneImageClassificationDataset, FiftyOne 0.21 on).

    Keys are absolute paths, so that no folder of media is needed; the label is the group's name,
    null where there is none. A path that is not UTF-8 is left out: JSON has no such text.
    """
    told = found.told
    labels: dict[str, Any] = {}
    for place, row in enumerate(told.rows.tolist()):
        path = str(found.images.path(row).absolute())
        if path != display(path):
            continue
        name = found.name(int(told.groups[place]))
        labels[path] = (
            None
            if not name
            else {
                "label": name,
                "confidence": float(told.confidence[place]),
                "attributes": {
                    "by": "answers" if told.answered[place] else "spread",
                    "likewise_id": str(found.images.ids[row]),
                },
            }
        )
    return {"labels": labels}


def sheet(found: GroupsFound) -> bytes:
    """A PNG of the largest groups, the surest images first, then outliers and doubtful members."""
    rows = []
    for group in range(min(_DRAWN, found.balance.groups)):
        places = found.members(group)
        answered = int(found.told.answered[places].sum())
        told = f"{counted(len(places), 'image')}, {answered:,} answered"
        cells = [_cell(found, place) for place in places[:_TILES]]
        rows.append(Row(found.name(group), told, cells, count=len(places)))
    for name, told, places in (
        ("doubtful", "members, the least sure first", found.doubtful),
        ("outliers", "in no group, the farthest first", found.outliers),
    ):
        if places:
            cells = [_cell(found, place) for place in places[:_TILES]]
            rows.append(Row(name, told, cells, count=len(places)))
    more = found.balance.groups - _DRAWN
    known = int((found.told.groups >= 0).sum())
    title = (
        f"{counted(found.balance.groups, 'group')}, {known:,} of "
        f"{counted(len(found.told.rows), 'image')}"
    )
    return draw_groups(title, rows, f"{counted(more, 'more group')} not drawn" if more > 0 else "")


def _cell(found: GroupsFound, place: int) -> Cell:
    told, row = found.told, int(found.told.rows[place])
    sure = f"{told.confidence[place]:.2f}"
    by = f"answered, {sure}" if told.answered[place] else f"spread, {sure}"
    if told.groups[place] < 0:
        by = f"nearest {told.similarity[place]:.2f}"
    return found.images[row], found.images.path(row).name, by
