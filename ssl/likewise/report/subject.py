"""What a report is about: the workspace, its newest model or a run's, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from likewise.answers.belief import Belief
from likewise.answers.consensus import decision
from likewise.answers.ledger import Ledger
from likewise.answers.standing import Entry, Pair
from likewise.answers.store import open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.evaluation.evaluate import Evaluation, embeddings_by_age, evaluate
from likewise.evaluation.prospects import Prospects, belief_on, prospects
from likewise.evaluation.truth import read_truth
from likewise.files import read_json
from likewise.images.store import Images, open_images
from likewise.inference.copies import DuplicatesFound
from likewise.inference.duplicates import duplicates
from likewise.inference.sorted_images import GroupsFound
from likewise.inference.sorting import sort_images
from likewise.jobs.next_step import Holdings, holdings_of
from likewise.models.runs import KEPT, Run, runs_of
from likewise.neighbours.vectors import Embeddings, embedded
from likewise.report.thumbnails import Thumbnails
from likewise.settings import Duplicates, Evaluate, Report
from likewise.status import next_command
from likewise.workspace import Workspace

MEASURED = 5_000
"""Images that figures are measured on, at most; of more, a sample."""
PROBABLY = 0.9
"""Chance from which on an answer is called probably wrong."""

Rows = Int64[np.ndarray, " n"]
Labels = Shaped[np.ndarray, " N"]
Graph = tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]


@dataclass(frozen=True)
class Subject:
    """What a report is about. What takes long is computed when it is asked for, once."""

    workspace: Workspace
    settings: Report
    images: Images
    history: Sequence[Entry]
    ledger: Ledger
    runs: tuple[Run, ...]
    """All of the workspace, oldest first."""
    run: Run | None
    """The one that the report is about; None: the whole workspace."""
    models: tuple[Embeddings, ...]
    """The embeddings to be compared, the one that the report is about last."""
    labels: Labels | None
    """The class of each image ("" where unknown), if the truth is known."""
    now: datetime
    """When the report is made, UTC."""

    @property
    def after(self) -> Embeddings | None:
        """The embedding that the report is about."""
        return self.models[-1] if self.models else None

    @cached_property
    def before(self) -> Embeddings | None:
        """The embedding that it came from, else the oldest other one."""
        others = self.models[:-1]
        if not others:
            return None
        parents = {run.fingerprint: run.parent for run in self.runs if run.finished}
        parent = parents.get(self.models[-1].fingerprint)
        return next((each for each in others if each.fingerprint == parent), others[0])

    @property
    def pair(self) -> list[Embeddings]:
        """Before and after, as far as there are any."""
        return [each for each in (self.before, self.after) if each is not None]

    @cached_property
    def lineage(self) -> list[Run]:
        """The runs that led to the embedding that the report is about, the first one first."""
        by_print = {run.fingerprint: run for run in self.runs if run.finished}
        found = [self.run] if self.run is not None and not self.run.finished else []
        fingerprint: str | None = self.after.fingerprint if self.after else None
        if self.run is not None:
            fingerprint = self.run.fingerprint if self.run.finished else self.run.parent
        elif fingerprint is None and by_print:
            fingerprint = next(reversed(by_print))
        while fingerprint in by_print and by_print[fingerprint] not in found:
            found.append(by_print[fingerprint])
            fingerprint = found[-1].parent
        return found[::-1]

    @cached_property
    def thumbnails(self) -> Thumbnails:
        """Pictures for the page."""
        return Thumbnails(self.images)

    @cached_property
    def hidden(self) -> set[str]:
        """Images that are held out."""
        return set(self.images.ids[self.images.held_out].tolist())

    @cached_property
    def belief(self) -> Belief | None:
        """What all answers add up to, on the embedding that the report is about."""
        return None if self.after is None else belief_on(self.after, self.ledger, self.hidden)

    @cached_property
    def doubts(self) -> dict[Pair, float]:
        """Pairs with an answer that is rather wrong than right, and the chance, the surest first.

        Not those that somebody settled who saw what others said.
        """
        if self.belief is None:
            return {}
        found: dict[Pair, float] = {}
        for each in self.belief.doubts():
            if decision(self.ledger.answers_on(each.answer.pair)) is None:
                found.setdefault(each.answer.pair, each.wrong)
        return found

    @property
    def wrong(self) -> list[Pair]:
        """Those among the doubts that may be called wrong without a look at them."""
        return [pair for pair, chance in self.doubts.items() if chance >= PROBABLY]

    @cached_property
    def prospects(self) -> Prospects | None:
        """What answers say about quality; None without embeddings."""
        if self.after is None:
            return None
        about = self.after if self.run is not None else None
        return prospects(self.workspace, self.ledger, self.history, self.hidden, about, self.belief)

    @cached_property
    def next_step(self) -> str:
        """What would bring the workspace furthest, as `likewise status` says it."""
        enough = self.prospects is not None and self.prospects.forecast.stop
        return next_command(self.runs, self.held, enough)

    @cached_property
    def held(self) -> Holdings:
        """What the workspace holds, as far as it decides what comes next."""
        return holdings_of(self.workspace, self.ledger.settled())

    @cached_property
    def groups(self) -> GroupsFound | None:
        """All images in groups; None without answers or embeddings."""
        if self.after is None or not self.ledger.groups():
            return None
        return sort_images(self.workspace, self.images, self.after, self.ledger)

    @cached_property
    def copies(self) -> DuplicatesFound:
        """Files that are there twice."""
        exact = not any(True for _ in embedded(self.workspace))
        return duplicates(self.workspace, Duplicates(exact=exact))

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """The figures of all models on the truth; None without one."""
        if self.labels is None or not self.models or self.settings.truth is None:
            return None
        wanted = Evaluate(truth=self.settings.truth, seed=self.settings.seed)
        return evaluate(self.workspace, wanted, self.models, MEASURED)

    def graph(self, model: Embeddings) -> Graph:
        """The nearest images of each by a model, and their similarities; read once."""
        found = self._graphs.get(model.fingerprint)
        if found is None:
            found = self._graphs[model.fingerprint] = model.neighbours()
        return found

    @cached_property
    def _graphs(self) -> dict[str, Graph]:
        return {}

    def vectors(self, model: Embeddings, rows: Rows) -> Float32[np.ndarray, "n D"]:
        """The vectors that a model gave some images."""
        places = [model.positions[each] for each in self.images.ids[rows].tolist()]
        return np.ascontiguousarray(model.vectors[places])

    @cached_property
    def candidates(self) -> Rows:
        """Images to show: embedded by both models; held out and of a known class where possible."""
        there = np.ones(len(self.images), bool)
        for model in self.pair:
            there &= np.isin(self.images.ids, model.ids)
        if self.labels is None:
            return np.flatnonzero(there)
        known = there & (self.labels != "")
        held_out = known & self.images.held_out
        return np.flatnonzero(held_out if held_out.sum() > 1 else known)

    def drawn(self, rows: Rows, count: int) -> Int64[np.ndarray, " m"]:
        """Some of the rows, at random, ascending."""
        random = np.random.default_rng(self.settings.seed)
        return np.sort(random.permutation(rows)[:count])


def subject_of(workspace: Workspace, settings: Report) -> Subject:
    """Look at what is there.

    Raises:
        UsageError: no such run.
        LikewiseError: no images yet, or a file is damaged.
    """
    images = open_images(workspace.require())
    runs = tuple(runs_of(workspace))
    run = _run(workspace, runs, settings.run)
    with open_answers(workspace) as answers:
        history = answers.history()
    labels = None if settings.truth is None else read_truth(images, settings.truth)
    if labels is not None and len(set(labels.tolist()) - {""}) < 2:
        raise LikewiseError(
            f"--truth {settings.truth}: fewer than two classes, so there is nothing to compare; "
            "leave it out"
        )
    return Subject(
        workspace=workspace,
        settings=settings,
        images=images,
        history=history,
        ledger=Ledger(history),
        runs=runs,
        run=run,
        models=tuple(_models(workspace, runs, run)),
        labels=labels,
        now=datetime.now(UTC),
    )


def _run(workspace: Workspace, runs: Sequence[Run], name: str | None) -> Run | None:
    if name is None:
        return None
    for run in runs:
        if run.name == name:
            return run
    known = ", ".join(run.name for run in runs) or "none yet"
    raise UsageError(f"--run: no run {name!r} in {workspace.path} (there are: {known})")


def _models(workspace: Workspace, runs: Sequence[Run], run: Run | None) -> list[Embeddings]:
    """All embeddings by age; of a run, its own and that of the model it started from."""
    if not any(True for _ in embedded(workspace)):
        return []
    models = embeddings_by_age(workspace)
    if run is None:
        return models
    wanted = [run.parent, run.fingerprint if run.finished else None]
    by_print = {each.fingerprint: each for each in models}
    return [by_print[each] for each in wanted if each in by_print]


def why_kept(run: Run) -> str:
    """Why a run left no model; "" where it did."""
    if not run.kept:
        return ""
    note: dict[str, Any] = read_json(run.folder / KEPT)
    return f"{note.get('model', 'the model before')} stays in use: {note.get('why', '')}"
