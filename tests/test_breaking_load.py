"""Many people at once, each with a page and pictures of their own: how long an answer takes.

The full form takes a machine on which nothing else runs, and 13 minutes for each crowd.
"""

from pathlib import Path

import pytest

from benchmarks.labeler import make_workspace
from benchmarks.labeler_server import running
from benchmarks.load import measure
from tests.breaking import Figure

KILOBYTES_AN_ANSWER = 8.0
"""By which the server may grow: it keeps what answers add up to."""


@pytest.mark.breaking
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("people", "pause", "seconds", "within"),
    [
        (4, 0.5, 5.0, None),
        pytest.param(25, 2.0, 720.0, 100.0, marks=pytest.mark.long),
        pytest.param(100, 5.0, 720.0, 200.0, marks=pytest.mark.long),
    ],
)
def test_a_crowd_is_answered_quickly_and_without_errors(
    tmp_path: Path, figure: Figure, people: int, pause: float, seconds: float, within: float | None
) -> None:
    workspace = make_workspace(tmp_path, 10_000 if within else 100)
    with running(workspace) as (url, process):
        load = measure(workspace, url, process, people, pause, seconds)
    took = f"p50 {load.at(50):.0f} ms, p95 {load.at(95):.0f} ms, the longest {load.at(100):.0f} ms"
    figure(
        f"{people} people, {pause:g} s per answer, {seconds / 60:.1f} minutes: {took}; "
        f"{len(load.errors)} errors in {len(load.answered):,} answers and {load.pictures:,} "
        f"pictures; {load.growth:+.2f} MB a minute once warm, {load.memory[-1]:.0f} MB at the end"
    )
    assert load.errors == []
    assert len(load.answered) > 0
    if within is not None:
        assert load.at(95) < within
        an_answer = load.growth * 1024 / (len(load.answered) / (seconds / 60))
        assert an_answer < KILOBYTES_AN_ANSWER
