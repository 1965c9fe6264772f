"""While people label, a new head is taught every so many answers."""

import json
import shutil
import threading
import time
from itertools import combinations, islice
from pathlib import Path

import pytest

from likewise import serve
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError, UsageError
from likewise.images.store import open_images
from likewise.jobs import refresh
from likewise.jobs.job import Job, now
from likewise.jobs.refresh import STEPS, Refresher, refreshing, tidy
from likewise.settings import Label
from likewise.workspace import Workspace
from tests.job_records import add_job, add_run


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that were started; they end at once."""
    jobs: list[Job] = []

    def start(workspace: Workspace, steps: object) -> Job:
        assert steps == STEPS
        jobs.append(add_job(workspace, "done", STEPS, step=1, ended=now()))
        return jobs[-1]

    monkeypatch.setattr(refresh, "start", start)
    return jobs


def answer(workspace: Workspace, count: int, verdict: str = "similar") -> None:
    """So many answers on pairs without any."""
    ids = sorted(str(each) for each in open_images(workspace).ids)
    with open_answers(workspace) as store:
        before = store.counts()["answers"]
        pairs = islice(combinations(ids, 2), before, before + count)
        store.add([NewAnswer(a, b, verdict, "ada") for a, b in pairs])  # type: ignore[arg-type]


def test_a_job_starts_when_enough_answers_are_new(ready: Workspace, started: list[Job]) -> None:
    refresher = Refresher(ready, 25)
    answer(ready, 24)
    answer(ready, 30, "unsure")
    assert refresher.look() is None
    answer(ready, 1)
    assert refresher.look() is not None
    assert refresher.look() is None
    answer(ready, 25)
    assert refresher.look() is not None
    assert len(started) == 2


def test_answers_given_before_the_start_count_unless_a_model_knows_them(
    ready: Workspace, started: list[Job]
) -> None:
    answer(ready, 30)
    assert Refresher(ready, 25).look() is not None
    add_run(ready, "finetune-1", started=now())
    assert Refresher(ready, 25).look() is None


def test_it_waits_for_the_job_at_work_and_for_an_embedding(
    ready: Workspace, started: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(ready, 30)
    refresher = Refresher(ready, 25)
    busy = add_job(ready, "running", (("pretrain",),))
    with monkeypatch.context() as patch:
        patch.setattr(refresh, "newest_job", lambda _: busy)
        assert refresher.look() is None
    away = ready.embeddings.rename(ready.path / "away")
    assert refresher.look() is None
    away.rename(ready.embeddings)
    assert refresher.look() is not None


def test_what_old_refreshes_left_is_removed(ready: Workspace) -> None:
    """All but the models of the last two; not those of other jobs, nor a parent that stayed."""
    folders: dict[str, Path] = {}
    for number, (name, kept) in enumerate(
        [("pretrain-1", True), ("finetune-1", False), ("finetune-2", False), ("finetune-3", False)]
    ):
        add_run(ready, name)
        folders[name] = ready.embeddings / f"{number:016x}"
        folders[name].mkdir()
        job = add_job(ready, "done", STEPS, step=1, ended=now())
        told = {"run": name, "fingerprint": folders[name].name, "kept": kept}
        job.result_file(0).write_text(json.dumps(told))
    add_run(ready, "finetune-9")
    tidy(ready)
    left = {each.name for each in ready.runs.iterdir()}
    assert left == {"pretrain-1", "finetune-2", "finetune-3", "finetune-9"}
    assert [name for name, folder in folders.items() if not folder.is_dir()] == ["finetune-1"]
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)


def test_trouble_does_not_end_the_watch(
    ready: Workspace, started: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "EVERY_SECONDS", 0.01)
    looks = 0
    original = Refresher.look

    def look(self: Refresher) -> Job | None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise LikewiseError("the disk is full")
        return original(self)

    monkeypatch.setattr(Refresher, "look", look)
    answer(ready, 30)
    with refreshing(ready, 25):
        deadline = time.monotonic() + 10
        while not started and time.monotonic() < deadline:
            time.sleep(0.01)
    assert started
    assert "refresh" not in {each.name for each in threading.enumerate()}


def test_without_the_flag_nothing_watches(ready: Workspace) -> None:
    with refreshing(ready, 0):
        assert "refresh" not in {each.name for each in threading.enumerate()}
    assert Label().refresh == 0
    with pytest.raises(UsageError, match="--refresh 3: give 10 answers or more"):
        serve.check(Label(refresh=3))
