"""The job ``duplicates``: images that are there twice, and which of them to keep."""

from collections.abc import Sequence

import numpy as np

from likewise.answers.ledger import Ledger
from likewise.answers.quality import models_of
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.files import replacing, write_json
from likewise.images.look import Look
from likewise.images.store import Images, open_images
from likewise.inference.copies import COLUMNS, DuplicateGroup, DuplicatesFound
from likewise.inference.group_sheet import Row, draw_groups
from likewise.inference.keepers import best_first, copy_of, file_sizes
from likewise.inference.linkage import NearGroup
from likewise.inference.near import Graph, NearGroups, near_groups, usual_threshold
from likewise.inference.table_files import check_suffix, one_line, write_table
from likewise.inference.verdicts import Denials
from likewise.models.runs import runs_of
from likewise.neighbours.vectors import Embeddings, embedded, load_embeddings
from likewise.settings import Duplicates
from likewise.wording import counted
from likewise.workspace import Workspace

_DRAWN = 40


def duplicates(workspace: Workspace, settings: Duplicates) -> DuplicatesFound:
    """Find groups of duplicates; nothing is deleted or moved.

    Raises:
        UsageError: a setting makes no sense.
        LikewiseError: no images or no embeddings yet, or a file cannot be read or written.
    """
    _check(settings)
    images = open_images(workspace)
    embeddings = None if settings.exact else embeddings_to_compare(workspace, settings.model)
    near, threshold = None, None
    groups: list[NearGroup] = []
    if embeddings is not None:
        graph = Graph(embeddings.vectors, *embeddings.neighbours())
        threshold = settings.threshold
        if threshold is None:
            threshold = usual_threshold(graph.similarities)
        near = _near(workspace, images, embeddings, graph, threshold)
        rows = images.positions
        groups = [
            NearGroup(np.array([rows[str(embeddings.ids[e])] for e in each.rows]), each.weakest)
            for each in near.groups
        ]
    found = DuplicatesFound(
        tuple(_with_copies(workspace, images, groups)),
        len(images),
        embeddings.model if embeddings else None,
        threshold,
        near,
        0 if embeddings is None else len(images.positions.keys() - embeddings.positions.keys()),
        Look(workspace, images),
    )
    _write(found, images, settings)
    return found


def _check(settings: Duplicates) -> None:
    if settings.exact and settings.threshold is not None:
        raise UsageError("--exact compares bytes, --threshold embeddings: give one of them")
    if settings.threshold is not None and not -1 < settings.threshold <= 1:
        raise UsageError(
            f"--threshold is a cosine similarity, above -1 and at most 1, not {settings.threshold}"
        )
    check_suffix(settings.out)
    check_suffix(settings.sheet, (".png",))


def embeddings_to_compare(workspace: Workspace, model: str | None) -> Embeddings:
    """The embeddings of a run; by default the newest ones that have learnt nothing from answers.

    Raises:
        UsageError: there is no such run.
        LikewiseError: there are no embeddings, or they are damaged.
    """
    if model is not None:
        runs = {each.name: each for each in runs_of(workspace.require())}
        if model not in runs or not runs[model].finished:
            known = ", ".join(name for name, run in runs.items() if run.finished) or "none"
            raise UsageError(f"no model '{one_line(model)}'; there is {known}")
        fingerprint = runs[model].fingerprint
        if not any(each.fingerprint == fingerprint for each in models_of(workspace)):
            raise LikewiseError(f"{model} has no embeddings; `likewise embed --model {model}`")
        return load_embeddings(workspace, fingerprint)
    if not embedded(workspace):
        raise LikewiseError(
            f"{workspace.path} has no embeddings yet; run `likewise pretrain`, then `likewise "
            "embed`, or look for equal bytes alone: `likewise duplicates --exact`"
        )
    untaught = [each for each in models_of(workspace) if not each.learnt]
    return load_embeddings(workspace, untaught[-1].fingerprint if untaught else None)


def _near(
    workspace: Workspace, images: Images, embeddings: Embeddings, graph: Graph, threshold: float
) -> NearGroups:
    with open_answers(workspace) as answers:
        ledger = Ledger(answers.history())
    ids = embeddings.ids.tolist()
    here = np.fromiter((each in images.positions for each in ids), bool, len(ids))
    return near_groups(graph, threshold, here, Denials(ids, ledger).among)


def _with_copies(
    workspace: Workspace, images: Images, near: Sequence[NearGroup]
) -> list[DuplicateGroup]:
    """Groups of files: near ones, and images with several files that are in none of these."""
    sizes = file_sizes(workspace)
    grouped = np.zeros(len(images), bool)
    for each in near:
        grouped[each.rows] = True
    alone = np.flatnonzero(images.path_counts > 1)
    every = [*near, *(NearGroup(np.array([row]), 1.0) for row in alone[~grouped[alone]])]
    groups = [
        DuplicateGroup(
            tuple(best_first([copy_of(images, sizes, int(row)) for row in each.rows])),
            min(1.0, each.weakest),
        )
        for each in every
    ]
    return sorted(groups, key=lambda each: (-len(each.paths), each.paths[0]))


def _write(found: DuplicatesFound, images: Images, settings: Duplicates) -> None:
    if settings.out is not None and settings.out.suffix.lower() == ".json":
        write_json(settings.out, found.as_json())
    elif settings.out is not None:
        write_table(settings.out, found.records(), COLUMNS)
    if settings.sheet is not None:
        with replacing(settings.sheet) as temporary:
            temporary.write_bytes(_sheet(found, images))


def _sheet(found: DuplicatesFound, images: Images) -> bytes:
    rows = []
    for number, group in enumerate(found.groups[:_DRAWN], 1):
        cells = [
            (images.find(copy.id), path.name, f"{copy.width} × {copy.height}")  # noqa: RUF001
            for copy in group.copies
            for path in copy.paths
        ]
        rows.append(Row(f"{number}", f"{counted(len(cells), 'file')}, {group.kind}", cells, "keep"))
    title = (
        f"{counted(len(found.groups), 'group')} of duplicates among "
        f"{counted(found.images, 'image')}"
    )
    more = len(found.groups) - _DRAWN
    return draw_groups(title, rows, f"and {counted(more, 'more group')}" if more > 0 else "")
