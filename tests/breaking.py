"""What tests that break things on purpose share: two sizes of each, and the figure they reached."""

from collections.abc import Callable

import pytest

Figure = Callable[[str], None]
"""The fixture ``figure``: ``figure("200 kills, 0 unreadable")`` notes what a test has seen, before
it asserts that this is enough. `benchmarks.reliability` makes a table of it."""
HOURS = 2


def times(reduced: int, full: int) -> pytest.MarkDecorator:
    """The test gets ``times``: a few in the default suite; in the long one all, within `HOURS`."""
    in_full = [pytest.mark.long, pytest.mark.timeout(HOURS * 3600)]
    sizes = [reduced, pytest.param(full, marks=in_full)]
    return pytest.mark.parametrize("times", sizes)
