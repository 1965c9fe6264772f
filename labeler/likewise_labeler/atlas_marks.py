"""How the points of the map are coloured, and what its legend says."""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from likewise.answers.links import Links
from likewise_labeler.catalogue import Catalogue

COLOURS = 11
"""How many groups or folders have a colour of their own: the largest ones."""
OTHERS, PLAIN, HIDDEN = COLOURS, COLOURS + 1, 255
"""Marks of images in a smaller group or folder, of those in none, and of those not on the map."""
Label = str | None
"""To what an image belongs; "" is nothing, None is not on the map."""


@dataclass(frozen=True)
class Entry:
    """A line of the legend."""

    mark: int
    """Under `COLOURS` a colour, else `OTHERS` or `PLAIN`."""
    label: str
    """Empty for `PLAIN`."""
    count: int


def marks_of(labels: Sequence[Label]) -> tuple[UInt8[np.ndarray, " N"], list[Entry]]:
    """A mark for each image, and the legend: the largest label first, then by name."""
    counts = Counter(each for each in labels if each)
    ordered = sorted(counts, key=lambda label: (-counts[label], label))
    marks: dict[Label, int] = {label: min(place, OTHERS) for place, label in enumerate(ordered)}
    marks |= {"": PLAIN, None: HIDDEN}
    legend = [Entry(place, label, counts[label]) for place, label in enumerate(ordered[:COLOURS])]
    if rest := ordered[COLOURS:]:
        legend.append(Entry(OTHERS, f"{len(rest):,} more", sum(counts[each] for each in rest)))
    if plain := sum(each == "" for each in labels):
        legend.append(Entry(PLAIN, "", plain))
    return np.array([marks[each] for each in labels], np.uint8), legend


def groups_of(links: Links) -> list[list[str]]:
    """The groups of several images, in no order: quick, for the sake of those who wait."""
    every = (links.members(root) for root in links.roots())
    return [list(members) for members in every if len(members) > 1]


def group_labels(catalogue: Catalogue, groups: Iterable[Sequence[str]]) -> list[Label]:
    """For each image the name of its group, which is that of the group's first image."""
    rows = {each: row for row, each in enumerate(catalogue.ids)}
    labels = plain_labels(catalogue)
    known = (sorted(rows[each] for each in group if each in rows) for group in groups)
    shown = ([row for row in group if catalogue.present[row]] for group in known)
    taken: Counter[str] = Counter()
    for group in sorted(filter(None, shown)):
        name = f"like {catalogue.names[group[0]]}"
        taken[name] += 1
        label = f"{name} ({taken[name]})" if taken[name] > 1 else name
        for row in group:
            labels[row] = label
    return labels


def folder_labels(catalogue: Catalogue) -> list[Label]:
    """For each image its folder."""
    folders: list[Label] = [*catalogue.folders, None]  # place -1 is the last one
    return [folders[place] for place in catalogue.folder_of.tolist()]


def plain_labels(catalogue: Catalogue) -> list[Label]:
    """For each image that is there: nothing."""
    return ["" if here else None for here in catalogue.present.tolist()]


def packed(places: Float32[np.ndarray, "N 2"]) -> str:
    """Places in the unit square as base64 of little-endian 16-bit numbers, x before y."""
    return base64.b64encode(np.round(places * 65535).astype("<u2").tobytes()).decode()
