"""Which process of a job this one is, as `torchrun` says in the environment.

Without `torchrun` there is one process, which is the first and the only one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from likewise.errors import UsageError


@dataclass(frozen=True)
class Rank:
    """The place of a process among those of its job."""

    number: int = 0
    """From 0."""
    count: int = 1
    local: int = 0
    """Its number among those of this machine."""
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes files and talks."""
        return self.number == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.count == 1

    def share(self, total: int) -> slice:
        """The part of ``total`` things in a row that falls to this process.

        The parts follow one another, leave nothing out and differ by at most one in length.
        """
        return slice(
            total * self.number // self.count,
            total * (self.number + 1) // self.count,
        )


def here(environment: Mapping[str, str] | None = None) -> Rank:
    """The rank of this process.

    Raises:
        UsageError: the environment contradicts itself.
    """
    environment = os.environ if environment is None else environment
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Rank()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    given = {
        name: environment.get(name, default) for name, default in zip(names, "0101", strict=True)
    }
    try:
        rank = Rank(*(int(each) for each in given.values()))
    except ValueError:
        rank = Rank(count=0)
    if not (0 <= rank.number < rank.count and 0 <= rank.local < rank.local_count <= rank.count):
        told = " ".join(f"{name}={value}" for name, value in given.items())
        raise UsageError(
            f"the environment says {told}, which cannot be; start several processes with "
            "`torchrun`, and one without these variables"
        )
    return rank
