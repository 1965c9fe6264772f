"""What the models find similar: neighbours before and after, and maps of the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from likewise.evaluation.plots import tsne
from likewise.evaluation.sheets import PALETTE, embedding_map, palette_of
from likewise.evaluation.truth import with_mate
from likewise.neighbours.vectors import Embeddings
from likewise.report.page import Html, Section, box, escape, heading, legend, paragraph
from likewise.report.subject import Rows, Subject
from likewise.report.thumbnails import as_url, smallest

_NEIGHBOURS = 5
_RANDOM, _WORST = 5, 3
_LOOKED_AT = 2_000
"""Images among which the worst are sought, at most."""
_MAPPED = 600
"""Images on a map, at most."""
_FEWEST_MAPPED = 8
_MAP_BYTES = 450_000


@dataclass(frozen=True)
class Nearest:
    """What a model finds nearest to some images."""

    model: Embeddings
    rows: list[list[int]]
    """For each image its neighbours in the workspace, nearest first."""
    similarity: Float64[np.ndarray, " q"]
    """Their mean cosine."""


def neighbours_section(subject: Subject) -> Section | None:
    """The nearest neighbours of some images, by the models before and after."""
    if subject.after is None or len(subject.candidates) < 2:
        return None
    random = np.random.default_rng(subject.settings.seed)
    some = random.permutation(subject.candidates)[:_LOOKED_AT]
    shown, rest = some[:_RANDOM], some[_RANDOM:]
    if subject.labels is not None:
        rest = rest[with_mate(subject.labels)[rest]]
    worst = rest[np.lexsort(_goodness(subject, rest))][:_WORST]
    body = [heading("Drawn at random"), *_queries(subject, shown)]
    if len(worst):
        why = "the fewest right" if subject.labels is not None else "nothing lies near them"
        body += [heading(f"The worst of {len(some):,}: {why}"), *_queries(subject, worst)]
    told = (
        "In the blue frame an image, beside it those that the model finds most similar to it"
        f"{', before and after' if len(subject.pair) > 1 else ''}, the most similar first. "
        f"{_about_marks(subject)}"
    )
    return Section("What it finds similar", told, body)


def _about_marks(subject: Subject) -> str:
    held_out = bool(subject.images.held_out[subject.candidates].all())
    unseen = " Nothing was trained on the images in blue frames." if held_out else ""
    if subject.labels is not None:
        return f"Ticks and crosses: the same class or another, by the known truth.{unseen}"
    if subject.ledger.groups():
        return "Ticks and crosses: people said so, or it follows; without one nobody has said."
    return "Nobody has said yet which of these belong together."


def _goodness(subject: Subject, rows: Rows) -> Sequence[Float64[np.ndarray, " q"]]:
    """Keys to sort images by how badly they do, the last key first."""
    assert subject.after is not None
    found = nearest_of(subject, subject.after, rows)
    if subject.labels is None:
        return (found.similarity,)
    right = [
        sum(_mark(subject, row, other) == "same" for other in others)
        for row, others in zip(rows.tolist(), found.rows, strict=True)
    ]
    return found.similarity, np.array(right, np.float64)


def nearest_of(subject: Subject, model: Embeddings, rows: Rows) -> Nearest:
    """The stored neighbours of images, but for those whose files are gone."""
    graph, similarities = subject.graph(model)
    places = [model.positions[each] for each in subject.images.ids[rows].tolist()]
    found, near = [], np.zeros(len(places))
    for query, place in enumerate(places):
        there = [
            (subject.images.positions[str(model.ids[other])], similarity)
            for other, similarity in zip(graph[place], similarities[place], strict=True)
            if other >= 0 and str(model.ids[other]) in subject.images.positions
        ][:_NEIGHBOURS]
        found.append([row for row, _ in there])
        near[query] = float(np.mean([each for _, each in there])) if there else -1.0
    return Nearest(model, found, near)


def _mark(subject: Subject, row: int, other: int) -> str:
    """Whether two images are known to be the same or different: by the truth, else by answers."""
    if subject.labels is not None:
        one, two = subject.labels[row], subject.labels[other]
        return "" if "" in (one, two) else "same" if one == two else "different"
    ids = subject.images.ids
    relation = subject.ledger.links.relation(str(ids[row]), str(ids[other]))
    return {"must": "same", "cannot": "different"}.get(relation or "", "")


def _queries(subject: Subject, rows: Rows) -> list[Html]:
    """A line for each image: itself, and its neighbours by each model."""
    found = [nearest_of(subject, model, rows) for model in subject.pair]
    lines = []
    for place, row in enumerate(rows.tolist()):
        sides = [_side(subject, row, each, place) for each in found]
        asked = box("strip", [subject.thumbnails.tile(row, "asked")])
        kind = "query" if len(sides) > 1 else "query alone"
        lines.append(box(kind, [box("", [_said(subject, row), asked]), *sides]))
    return lines


def _said(subject: Subject, row: int) -> Html:
    known = "" if subject.labels is None else str(subject.labels[row])
    return paragraph(known or subject.images.path(row).name, "said cut")


def _side(subject: Subject, row: int, found: Nearest, place: int) -> Html:
    others = found.rows[place]
    marks = [_mark(subject, row, other) for other in others]
    name = found.model.model
    if len(subject.pair) > 1:
        name = f"{'before' if found.model is subject.before else 'after'} ({name})"
    right = f": {marks.count('same')} of {len(others)} right" if subject.labels is not None else ""
    tiles = map(subject.thumbnails.tile, others, marks)
    return box("", [paragraph(f"{name}{right}", "said"), box("strip", tiles)])


def map_section(subject: Subject) -> Section | None:
    """All images in the plane, by the models before and after."""
    if not subject.models or len(subject.candidates) < _FEWEST_MAPPED:
        return None
    rows = subject.drawn(subject.candidates, _MAPPED)
    names, what = _names(subject, rows)
    images = [subject.images[row] for row in rows.tolist()]
    figures = []
    start = None
    for model in subject.pair:
        start = tsne(subject.vectors(model, rows), subject.settings.seed, start)
        drawn = embedding_map(start, images, names)
        data = as_url(smallest(drawn, "WEBP", _MAP_BYTES), "webp")
        when = "" if len(subject.pair) < 2 else "before: " if model is subject.before else "after: "
        caption = escape(f"{when}{model.model}")
        figures.append(
            f'<figure><img src="{data}" alt="map of the images by {escape(model.model)}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    body = [box("maps", figures)]
    colours = palette_of(names)
    if 0 < len(colours) <= len(PALETTE):
        body.append(legend((name, "rgb({}, {}, {})".format(*rgb)) for name, rgb in colours.items()))
    told = (
        f"{len(rows):,} images; those that the model finds similar lie together. Only "
        f"neighbourhoods mean something, not distances across the map (t-SNE). {what}"
    )
    return Section("A map of the images", told, body)


def _names(subject: Subject, rows: Rows) -> tuple[list[str], str]:
    """A name for each image that its frame's colour stands for, and what these names are."""
    if subject.labels is not None:
        return [str(each) for each in subject.labels[rows]], "A frame's colour is the class."
    found = subject.groups
    if found is None or not found.balance.groups:
        return [""] * len(rows), ""
    group = dict(zip(found.told.rows.tolist(), found.told.groups.tolist(), strict=True))
    several = min(found.balance.groups, len(PALETTE))
    names = [
        found.name(number) if 0 <= (number := group.get(row, -1)) < several else ""
        for row in rows.tolist()
    ]
    return names, f"A frame's colour is the group, of the {several} largest; grey: none of them."
