"""What `likewise groups` found, in words, as JSON and as a table."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from likewise.images.manifest import display
from likewise.images.store import Images
from likewise.inference.balance import Balance
from likewise.inference.table_files import one_line
from likewise.inference.telling import Told
from likewise.notebook import Displayed
from likewise.wording import counted, percent

COLUMNS = ("path", "id", "group", "sure", "by", "outlier", "similarity")
DOUBTFUL = 0.9
"""Members less sure than this are doubtful."""
_SHOWN, _FEW = 20, 5


@dataclass(frozen=True)
class GroupsFound(Displayed):
    """All images in groups."""

    images: Images
    told: Told
    balance: Balance
    model: str
    waiting: int
    """Images without an embedding, of which nothing is said."""
    written: tuple[str, ...] = ()
    """What was written where, in words."""

    def _repr_html_(self) -> str:
        from likewise.inference.displays import groups

        return groups(self)

    def name(self, group: int) -> str:
        """``group-001`` and so on, the largest first; "" for none."""
        width = max(3, len(str(self.balance.groups)))
        return f"group-{group + 1:0{width}d}" if group >= 0 else ""

    @functools.cached_property
    def _members(self) -> list[Int64[np.ndarray, " n"]]:
        """Places of all groups' images, first of those in none."""
        told = self.told
        order = np.lexsort((~told.answered, -told.confidence, told.groups))
        starts = np.searchsorted(told.groups[order], np.arange(self.balance.groups))
        return np.split(order, starts)

    def members(self, group: int) -> list[int]:
        """Places in ``told`` of a group's images, the surest first; -1: those in none."""
        found: list[int] = self._members[group + 1].tolist()
        return found

    @property
    def outliers(self) -> list[int]:
        """Places of images in no group and far from everything, the farthest first."""
        places = np.flatnonzero(self.told.outlier)
        return [int(each) for each in places[np.argsort(self.told.similarity[places])]]

    @property
    def doubtful(self) -> list[int]:
        """Places of members that are not quite sure, the least sure first."""
        told = self.told
        places = np.flatnonzero((told.groups >= 0) & (told.confidence < DOUBTFUL))
        return [int(each) for each in places[np.argsort(told.confidence[places], kind="stable")]]

    def path(self, place: int) -> str:
        """Where an image lies, as text."""
        return display(str(self.images.path(int(self.told.rows[place]))))

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        told = self.told
        known = told.groups >= 0
        return {
            "images": len(told.rows),
            "grouped": int(known.sum()),
            "answered": int((known & told.answered).sum()),
            "spread": int((known & ~told.answered).sum()),
            "alone": int(told.alone.sum()),
            "undiscovered": told.undiscovered,
            "checked": told.checked,
            "agreed": told.agreed,
            "model": self.model,
            "waiting": self.waiting,
            "balance": self.balance.as_json(),
            "groups": [self._group(each) for each in range(self.balance.groups)],
            "outliers": self._listed(self.outliers),
            "doubtful": self._listed(self.doubtful),
        }

    def _group(self, group: int) -> dict[str, Any]:
        places = self.members(group)
        return {
            "group": self.name(group),
            "images": len(places),
            "answered": int(self.told.answered[places].sum()),
            "sure": float(self.told.confidence[places].mean()),
            "examples": [self.path(each) for each in places[:3]],
        }

    def _listed(self, places: Iterable[int]) -> list[dict[str, Any]]:
        told = self.told
        return [
            {
                "path": self.path(each),
                "id": str(self.images.ids[told.rows[each]]),
                "group": self.name(int(told.groups[each])) or None,
                "sure": float(told.confidence[each]),
                "similarity": float(told.similarity[each]),
            }
            for each in places
        ]

    def records(self) -> list[dict[str, Any]]:
        """A row per file, with the `COLUMNS` of the table."""
        told = self.told
        return [
            {
                "path": display(str(path)),
                "id": str(self.images.ids[row]),
                "group": self.name(int(told.groups[place])) or None,
                "sure": round(float(told.confidence[place]), 4),
                "by": self._by(place),
                "outlier": bool(told.outlier[place]),
                "similarity": round(float(told.similarity[place]), 4),
            }
            for place, row in enumerate(told.rows.tolist())
            for path in self.images.paths(row)
        ]

    def _by(self, place: int) -> str | None:
        if self.told.alone[place]:
            return "answers"
        if self.told.groups[place] < 0:
            return None
        return "answers" if self.told.answered[place] else "spread"

    def as_text(self) -> str:
        """What a person reads."""
        told = self.as_json()
        lines = self.summary()
        if told["groups"]:
            lines += ["", f"{'group':<12}{'images':>8}{'answered':>10}{'sure':>7}  example"]
        for each in told["groups"][:_SHOWN]:
            example = one_line(each["examples"][0])
            lines.append(
                f"{each['group']:<12}{each['images']:>8,}{each['answered']:>10,}"
                f"{each['sure']:>7.2f}  {example}"
            )
        if len(told["groups"]) > _SHOWN:
            lines.append(f"... {len(told['groups']) - _SHOWN:,} more (--out, --sheet, --json)")
        for what, places in self.remarkable():
            lines += self._few(what, self._listed(places))
        return "\n".join((*lines, *self.written))

    def summary(self) -> list[str]:
        """How many images are in groups, how even these are, and what is not known."""
        told = self.told
        known = told.groups >= 0
        answered = int((known & told.answered).sum())
        lines = [
            f"{int(known.sum()):,} of {len(told.rows):,} images in groups: {answered:,} by "
            f"answers, {int(known.sum()) - answered:,} spread from these (embedding of "
            f"{self.model})",
            self.balance.as_text(),
            *self._alone(),
            f"about {percent(told.undiscovered)} of the images are of groups that nobody met yet",
        ]
        if told.checked:
            lines.append(
                f"checked by {counted(told.checked, 'answer')} that nothing learns from, on pairs "
                f"told to be in one group: {told.agreed:,} agree"
            )
        if self.waiting:
            lines.append(
                f"note: {counted(self.waiting, 'image')} without an embedding; `likewise embed`"
            )
        return lines

    def _alone(self) -> list[str]:
        count = int(self.told.alone.sum())
        like = "is alone: by answers it is" if count == 1 else "are alone: by answers they are"
        return [f"{counted(count, 'image')} {like} like no other so far"] if count else []

    def remarkable(self) -> list[tuple[str, list[int]]]:
        """Places of the images to look at, by how many of what they are; only what there is."""
        listed = [
            ("outlier", "in no group and far from everything", self.outliers),
            ("doubtful member", f"less sure than {DOUBTFUL}", self.doubtful),
        ]
        return [
            (f"{counted(len(places), noun)}, {why}", places)
            for noun, why, places in listed
            if places
        ]

    def _few(self, what: str, listed: list[dict[str, Any]]) -> list[str]:
        lines = ["", f"{what}:"]
        for each in listed[:_FEW]:
            where = f"{each['group']}, {each['sure']:.2f}  " if each["group"] else ""
            lines.append(f"  {where}{one_line(each['path'])}")
        return [*lines, "  ..."] if len(listed) > _FEW else lines
