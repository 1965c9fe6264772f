"""While people label: a new head every so many answers, taught and embedded in the background."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from likewise.answers.store import open_answers
from likewise.errors import LikewiseError
from likewise.jobs.control import RUN, start
from likewise.jobs.job import Job, Steps, jobs_of, newest_job
from likewise.jobs.next_step import LEAST_ANSWERS, holdings_of
from likewise.neighbours.vectors import embedded
from likewise.workspace import Workspace

STEPS: Steps = (("finetune", "--depth", "head", "--hold-out", "0"), ("embed", "--model", RUN))
KEPT = 2
"""Models of refreshes that are kept, the newest ones; each takes as much room as any other."""
EVERY_SECONDS = 10.0
"""Between two looks at the answers."""


class Refresher:
    """Starts a job when ``every`` answers are new since the last one.

    Args:
        workspace: Where people label.
        every: How many similar and dissimilar answers.
    """

    def __init__(self, workspace: Workspace, every: int) -> None:
        self.workspace, self.every = workspace, every
        with open_answers(workspace) as store:
            held = holdings_of(workspace, store.settled())
        self.learnt = self._given() - held.new
        """How many answers there were when a model last learnt from them."""

    def look(self) -> Job | None:
        """Start a job if it is time for one and nothing else is at work; return it.

        Raises:
            LikewiseError: a file cannot be read or written.
        """
        given = self._given()
        if given < LEAST_ANSWERS or given - self.learnt < self.every:
            return None
        last = newest_job(self.workspace)
        if not embedded(self.workspace) or (last is not None and last.active):
            return None
        tidy(self.workspace)
        job = start(self.workspace, STEPS)
        self.learnt = given
        return job

    def run(self, ended: threading.Event) -> None:
        """Look every few seconds until ``ended``; trouble is left to the next look."""
        while not ended.wait(EVERY_SECONDS):
            with suppress(LikewiseError):
                self.look()

    def _given(self) -> int:
        with open_answers(self.workspace) as store:
            counts = store.counts()
        return counts["similar"] + counts["dissimilar"]


@contextmanager
def refreshing(workspace: Workspace, every: int) -> Iterator[None]:
    """Refresh the embedding every so many answers while the block lasts; 0: never.

    Raises:
        LikewiseError: the workspace cannot be read.
    """
    if not every:
        yield
        return
    ended = threading.Event()
    refresher = Refresher(workspace, every)
    thread = threading.Thread(target=refresher.run, args=(ended,), name="refresh", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def tidy(workspace: Workspace) -> None:
    """Remove what earlier refreshes left, but for the newest models.

    Raises:
        LikewiseError: what a job returned is damaged.
    """
    done = [each for each in jobs_of(workspace) if each.steps == STEPS and each.status == "done"]
    told = [each.result(0) or {} for each in done]
    made = [each for each in told if each and not each["kept"]]
    old, new = made[:-KEPT], made[-KEPT:]
    needed = {str(each["fingerprint"]) for each in new}
    with workspace.lock("runs"), workspace.lock("embeddings"):
        for each in old:
            shutil.rmtree(workspace.runs / str(each["run"]), ignore_errors=True)
            if each["fingerprint"] not in needed:
                shutil.rmtree(workspace.embeddings / str(each["fingerprint"]), ignore_errors=True)
