"""Which images are asked about, held out, or of classes that are never seen. Pure.

It depends on the images' content and the names of classes alone, so it is the same everywhere.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64


@dataclass(frozen=True)
class Split:
    """Rows of three kinds of images; every image is in one of them."""

    pool: Int64[np.ndarray, " p"]
    """Pretrained on and asked about: measured as "transductive"."""
    held: Int64[np.ndarray, " h"]
    """Other images of the same classes: "inductive"."""
    unseen: Int64[np.ndarray, " u"]
    """All images of classes that are not in the pool."""


def split(
    ids: Sequence[str], classes: Sequence[str], held_share: float, unseen_share: float
) -> Split:
    """Set classes apart, and of each other class a share of its images.

    ``unseen_share`` (0 to 1) counts the first parts of the classes' names ("Greek" of
    "Greek/character01"), so that whole alphabets are unseen.
    """
    families = sorted({_family(each) for each in classes}, key=_number)
    apart = set(families[: round(unseen_share * len(families))])
    rows: dict[str, list[int]] = defaultdict(list)
    for row in sorted(range(len(ids)), key=lambda row: _number(ids[row])):
        rows[classes[row]].append(row)
    pool, held, unseen = list[int](), list[int](), list[int]()
    for name, members in rows.items():
        if _family(name) in apart:
            unseen += members
        else:
            count = round(held_share * len(members))
            held += members[:count]
            pool += members[count:]
    return Split(*(np.array(sorted(each), dtype=np.int64) for each in (pool, held, unseen)))


def _family(name: str) -> str:
    return name.split("/")[0]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
