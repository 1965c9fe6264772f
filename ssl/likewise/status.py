"""What the workspace holds, what is stale, and what to do next."""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from likewise.answers.ledger import Ledger
from likewise.answers.standing import VERDICTS
from likewise.answers.store import open_answers
from likewise.evaluation.prospects import NOTHING_TOLD, Prospects, prospects
from likewise.images.manifest import read_table
from likewise.images.store import open_images
from likewise.jobs.next_step import LEAST_ANSWERS, Holdings, flags, holdings_of, next_step
from likewise.models.runs import Run, runs_of
from likewise.neighbours.vectors import embedded
from likewise.notebook import Displayed
from likewise.settings import Adopt, Finetune, Pretrain, Status
from likewise.wording import counted
from likewise.workspace import Workspace


@dataclass(frozen=True)
class WorkspaceStatus(Displayed):
    """What `status` found."""

    workspace: str
    images: int
    held_out: int
    failed: int
    models: list[dict[str, Any]]
    answers: dict[str, int]
    stale: list[str]
    next: str
    prospects: Prospects | None = None
    """What the answers say about quality; None without embeddings."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        told = self.prospects.as_json() if self.prospects else NOTHING_TOLD
        return {name: value for name, value in vars(self).items() if name != "prospects"} | told

    def as_text(self) -> str:
        """What a person reads."""
        said = ", ".join(f"{self.answers[verdict]:,} {verdict}" for verdict in VERDICTS)
        held = f", {self.held_out:,} of them held out" if self.held_out else ""
        failed = f"; {counted(self.failed, 'file')} could not be read" if self.failed else ""
        lines = [self.workspace, f"images:  {self.images:,}{held}{failed}"]
        several = [model["state"] for model in self.models].count("embedded") > 1
        for model in self.models:
            used = ", in use" if several and model["in_use"] else ""
            lines.append(f"model:   {model['name']} ({model['state']}{used})")
        lines.append(f"answers: {self.answers['answers']:,} ({said})")
        if self.prospects and self.answers["answers"]:
            lines.append(f"quality: {self.prospects.forecast.as_text()}")
            lines.append(f"same:    {self.prospects.threshold_text()}")
            asked = self.prospects.asked
            lines.append(f"asks:    {asked.strategy}. {asked.reason}")
        lines += [f"stale:   {each}" for each in self.stale]
        return "\n".join((*lines, f"next:    {self.next}"))


def status(workspace: Workspace, settings: Status) -> WorkspaceStatus:
    """Look at what is there.

    Raises:
        LikewiseError: there is no workspace, or a file in it is damaged.
    """
    workspace.require()
    images = open_images(workspace)
    table, _ = read_table(workspace.manifest_file, ["status"])
    failed = table.column("status").to_pylist().count("failed")
    runs = runs_of(workspace)
    vectors = [str(meta["fingerprint"]) for meta in embedded(workspace)]
    models = [_describe(run, vectors) for run in runs]
    for model in models:
        model["in_use"] = vectors[-1:] == [model["fingerprint"]]
    with open_answers(workspace) as answers:  # makes an empty database where there is none
        counts, history = answers.counts(), answers.history()
    ledger = Ledger(history)
    held = holdings_of(workspace, ledger.settled())
    hidden = set(images.ids[images.held_out].tolist())
    told = prospects(workspace, ledger, history, hidden)
    enough = told is not None and told.forecast.stop
    waiting = counted(held.waiting, "image")
    stale = [f"{waiting} without an embedding"] if held.waiting else []
    return WorkspaceStatus(
        workspace=str(workspace.path),
        images=len(images),
        held_out=int(images.held_out.sum()),
        failed=failed,
        models=models,
        answers=counts,
        stale=stale,
        next=next_command(runs, held, enough),
        prospects=told,
    )


def _describe(run: Run, embedded_fingerprints: Collection[str]) -> dict[str, Any]:
    if run.kept:
        return {"name": run.name, "kind": run.kind, "fingerprint": None, "state": "no better"}
    if not run.finished:
        done, wanted = len(run.metrics()), run.settings.get("epochs")
        state = f"unfinished, {done} of {wanted} epochs" if wanted else "unfinished"
        return {"name": run.name, "kind": run.kind, "fingerprint": None, "state": state}
    state = "embedded" if run.fingerprint in embedded_fingerprints else "not embedded"
    return {"name": run.name, "kind": run.kind, "fingerprint": run.fingerprint, "state": state}


def next_command(runs: Sequence[Run], held: Holdings, enough: bool) -> str:
    """The command that brings the workspace furthest; ``enough``: more answers would not."""
    if runs and not runs[-1].finished and not runs[-1].kept:
        return f"`{_again(runs[-1])}` again: it goes on with {runs[-1].name}"
    suggestion = next_step(held)
    match suggestion.what:
        case "images":
            return "`likewise ingest IMAGES`"
        case "answer" if enough and held.new >= LEAST_ANSWERS:
            return f"`likewise finetune` on {held.new:,} new answers; it is worth stopping there"
        case "answer" if enough:
            return "`likewise groups` or `likewise search IMAGE`; there are answers enough"
        case "answer":
            return f"`likewise label`: {suggestion.reason[0].lower()}{suggestion.reason[1:-1]}"
        case _:
            return f"`likewise {suggestion.what}`"


def _again(run: Run) -> str:
    """The command that began a run."""
    match run.kind:
        case "pretrain":
            words = flags(Pretrain(), run.settings)
        case "finetune":
            words = flags(Finetune(), run.settings)
        case "adopt":
            backbone = str(run.settings["backbone"])
            words = backbone, *flags(Adopt(backbone=backbone), run.settings)
    return shlex.join(("likewise", run.kind, *words))
