"""How far a job is, what the runs show, and what is to be done next."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from likewise import cli
from likewise.answers.standing import Answer, Verdict
from likewise.errors import LikewiseError
from likewise.images.ingest import ingest
from likewise.jobs import records
from likewise.jobs.job import Status
from likewise.jobs.next_step import Holdings, first_epochs, flags, holdings_of, next_step
from likewise.jobs.options import options_of
from likewise.jobs.records import records_of, seconds_left, speeds
from likewise.jobs.watch import run_of, steps_shown, watch
from likewise.settings import Common, Finetune, Ingest, Pretrain
from likewise.training.answer_sampler import STEPS_PER_EPOCH
from likewise.workspace import Workspace
from tests.job_records import LEARN, THEN, add_job, add_run, row


def answered(verdict: Verdict, time: datetime, number: int = 1) -> Answer:
    return Answer(
        number=number, a=f"{number:032x}", b="f" * 32, verdict=verdict,
        annotator="ada", time=time, strategy="random", score=None, fingerprint="f1",
    )  # fmt: skip


# Runs, read without torch.


def test_fine_tuning_has_as_many_epochs_as_the_learner_says(workspace: Workspace) -> None:
    assert records.STEPS_PER_EPOCH == STEPS_PER_EPOCH
    assert add_run(workspace, "finetune-1").epochs == 6
    assert add_run(workspace, "finetune-2", settings={"steps": 151}).epochs == 7
    assert add_run(workspace, "pretrain-1").epochs == 12


def test_runs_come_oldest_first_and_damage_is_told(workspace: Workspace) -> None:
    add_run(workspace, "pretrain-2", started=THEN)
    add_run(workspace, "pretrain-1", started=THEN + timedelta(hours=1))
    assert [each.name for each in records_of(workspace)] == ["pretrain-2", "pretrain-1"]
    (workspace.runs / "pretrain-1" / "config.json").write_text('{"kind": "pretrain"}')
    with pytest.raises(LikewiseError, match="pretrain-1"):
        records_of(workspace)


def test_time_left_by_hand() -> None:
    assert seconds_left([], 10, 0.0) is None
    assert seconds_left([row(1, 4.0)], 3, 0.0) == 8.0
    rows = [row(1, 100.0), *(row(epoch, 100.0 + 2.0 * epoch) for epoch in range(2, 8))]
    assert seconds_left(rows, 10, 0.0) == 6.0, "a slow beginning is forgotten"
    assert seconds_left(rows, 10, 0.5) == 5.5
    assert seconds_left(rows, 10, 500.0) == 4.0, "no less than the epochs to come"
    assert seconds_left(rows, 7, 1.0) == 0.0


def test_speed_by_hand() -> None:
    assert speeds([row(1, 2.0), row(2, 3.0)], 8) == [40.0, 80.0]
    assert speeds([], 8) == []


# How far a job is.


def test_a_pretraining_is_followed_by_its_name_in_the_log(workspace: Workspace) -> None:
    add_run(workspace, "pretrain-1", rows=12)
    add_run(workspace, "pretrain-2", rows=3, finished=False)
    job = add_job(workspace, "running", LEARN)
    lines = ["preset: grey", "pretrain-2: small at 28 px", "going on at epoch 4, step 1"]
    job.log_file.write_text("\n".join(lines))
    found = run_of(job, records_of(workspace), lines)
    assert found is not None
    assert found.name == "pretrain-2"
    seen = watch(workspace, job, trainable=5, at=datetime.now(UTC))
    assert (seen.run, seen.epochs, seen.text) == (found, 12, "epoch 4 of 12")
    assert seen.share == 0.25
    assert seen.seconds_left is not None
    assert 16.0 <= seen.seconds_left <= 18.0
    assert seen.speeds == (25.0, 25.0, 25.0), "no more images a step than there are"


def test_a_run_without_a_name_in_the_log_is_the_one_just_made(workspace: Workspace) -> None:
    old = add_run(workspace, "pretrain-1")
    later = datetime.fromtimestamp(old.changed, UTC) + timedelta(seconds=5)
    job = add_job(workspace, "running", LEARN, step_started=later)
    assert run_of(job, [old], ["preset: grey"]) is None
    earlier = replace(job, step_started=later - timedelta(seconds=10))
    assert run_of(earlier, [old], []) == old
    assert run_of(replace(earlier, steps=(("finetune",),)), [old], ["pretrain-1: x"]) is None


def test_fine_tuning_counts_the_copy_that_is_measured(workspace: Workspace) -> None:
    run = add_run(workspace, "finetune-1", finished=False)
    job = add_job(workspace, "running", (("finetune",),), step_started=THEN)
    copy = run.folder / "held-out"
    copy.mkdir()
    (copy / "metrics.jsonl").write_text("".join(json.dumps(row(n, 2.0 * n)) + "\n" for n in (1, 2)))
    seen = watch(workspace, job, trainable=100, at=datetime.now(UTC))
    assert seen.text == "epoch 3 of 6 of a copy that is measured on answers it never saw"
    assert seen.share == pytest.approx(2 / 12)
    assert seen.seconds_left is not None
    assert 18.0 <= seen.seconds_left <= 20.0, "4 epochs of the copy, 6 of the model, 2 s each"
    (run.folder / "measured.json").write_text("{}")
    (run.folder / "metrics.jsonl").write_text(json.dumps(row(1, 2.0)) + "\n")
    seen = watch(workspace, job, trainable=100, at=datetime.now(UTC))
    assert seen.text == "epoch 2 of 6"
    assert seen.share == pytest.approx(7 / 12)


def test_reading_is_followed_by_the_log(workspace: Workspace) -> None:
    job = add_job(workspace, "running", (("ingest", "in"), *LEARN))
    assert watch(workspace, job, 0, THEN).text == "working"
    job.log_file.write_text("ingest: 500/2,000 files, 100/s, 15 s left\n")
    seen = watch(workspace, job, 0, THEN)
    assert (seen.text, seen.share, seen.seconds_left) == ("500 of 2,000 files", 0.25, 15.0)
    assert watch(workspace, replace(job, status="lost"), 0, THEN).seconds_left is None


def test_a_job_that_is_done_shows_the_run_it_made(workspace: Workspace) -> None:
    run = add_run(workspace, "pretrain-1", rows=2, settings={"epochs": 2})
    job = add_job(workspace, "done", LEARN, step=1)
    assert watch(workspace, job, 100, THEN).run is None
    job.result_file(0).write_text('{"run": "pretrain-1"}')
    seen = watch(workspace, job, 100, THEN)
    assert (seen.run, len(seen.rows), seen.seconds_left) == (run, 2, None)
    assert watch(workspace, replace(job, status="running"), 100, THEN).run is None


@pytest.mark.parametrize(
    ("status", "states"),
    [
        ("running", ["done", "now", "waiting"]),
        ("stopping", ["done", "now", "waiting"]),
        ("stopped", ["done", "stopped", "waiting"]),
        ("failed", ["done", "failed", "waiting"]),
        ("lost", ["done", "failed", "waiting"]),
        ("done", ["done", "done", "done"]),
    ],
)
def test_each_step_has_a_state(workspace: Workspace, status: Status, states: list[str]) -> None:
    job = add_job(workspace, status, (("ingest", "in"), *LEARN), step=1)
    assert [state for _, state in steps_shown(job)] == states
    assert [title for title, _ in steps_shown(job)][1] == "Learn from the images"


# What is next.

FULL = Holdings(
    images=1000, trainable=800, models=1, newest="pretrain-1", embedded=True, answers=240, new=240
)


@pytest.mark.parametrize(
    ("held", "what", "title"),
    [
        (Holdings(), "images", "Choose images"),
        (replace(FULL, models=0, newest="", embedded=False), "pretrain", "Learn a first model"),
        (replace(FULL, embedded=False), "embed", "Embed the images"),
        (replace(FULL, waiting=3), "embed", "Embed the images"),
        (replace(FULL, answers=99, new=99), "answer", "Answer more pairs"),
        (replace(FULL, new=49), "answer", "Answer more pairs"),
        (replace(FULL, new=50), "finetune", "Fine-tune on 240 answers"),
        (FULL, "finetune", "Fine-tune on 240 answers"),
    ],
)
def test_the_next_step(held: Holdings, what: str, title: str) -> None:
    suggestion = next_step(held)
    assert (suggestion.what, suggestion.title) == (what, title)
    assert [step[0] for step in suggestion.steps] == {
        "images": [],
        "answer": [],
        "embed": ["embed"],
        "pretrain": ["pretrain", "embed"],
        "finetune": ["finetune", "embed"],
    }[what]


def test_an_interrupted_pretraining_comes_first(workspace: Workspace) -> None:
    settings = {"epochs": 40, "lr": 0.1, "recipe": "grey", "images": "digest"}
    run = add_run(workspace, "pretrain-2", rows=3, finished=False, settings=settings)
    suggestion = next_step(replace(FULL, unfinished=run))
    assert suggestion.title == "Go on with pretrain-2"
    assert "3 of 40 epochs" in suggestion.reason
    assert suggestion.steps[0] == ("pretrain", "--epochs", "40", "--lr", "0.1")


def test_a_first_model_sees_as_many_images_as_the_demos() -> None:
    assert [first_epochs(count) for count in (0, 10, 480, 4_000, 48_000, 10**6)] == [
        *(100, 100, 100, 12, 4, 4)
    ]


def test_what_a_workspace_holds(ready: Workspace, picture: Callable[..., Path]) -> None:
    assert holdings_of(Workspace(ready.path / "none"), ()) == Holdings()
    answers = [
        answered("similar", THEN),
        answered("unsure", THEN, 2),
        answered("dissimilar", THEN + timedelta(days=2), 3),
    ]
    held = holdings_of(ready, answers)
    assert (held.images, held.trainable, held.models) == (40, 40, 0)
    assert (held.answers, held.new) == (2, 2)
    add_run(ready, "run-1", settings={"epochs": 1})
    assert holdings_of(ready, answers).embedded
    add_run(ready, "finetune-1", started=THEN + timedelta(days=1))
    held = holdings_of(ready, answers)
    assert (held.newest, held.embedded, held.new) == ("finetune-1", False, 1)
    add_run(ready, "pretrain-3", started=THEN + timedelta(days=3), finished=False)
    held = holdings_of(ready, answers)
    assert held.unfinished is not None
    assert held.unfinished.name == "pretrain-3"


def test_new_images_wait_to_be_embedded(
    ready: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    add_run(ready, "run-1", settings={"epochs": 1})
    picture(tmp_path / "more" / "new.png", 77, size=(50, 40))
    ingest(ready, Ingest(images=(tmp_path / "more",), workers=1))
    assert holdings_of(ready, ()).waiting == 1


# Options, written once.


@pytest.mark.parametrize("settings", [Pretrain, Finetune])
def test_every_option_has_its_flags_help(
    settings: type[Common], capsys: pytest.CaptureFixture[str]
) -> None:
    name = settings.__name__.lower()
    with pytest.raises(SystemExit):
        cli.parse(name, ["--help"])
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for option in options_of(settings).values():
        assert "--" + option.name.replace("_", "-") in told
        assert option.help[:30] in told
        assert option.help
    assert options_of(settings).keys() == (
        {each.name for each in fields(settings)} - {each.name for each in fields(Common)}
    )


def test_options_know_their_choices() -> None:
    assert options_of(Finetune)["loss"].choices == ("contrastive", "triplet", "supcon")
    assert options_of(Pretrain)["epochs"].choices == ()
    assert options_of(Pretrain)["epochs"].help == "Passes over the images."
    assert options_of(Pretrain)["lr"].label == "Learning rate"
    assert options_of(Pretrain)["batch_size"].label == "Batch size"


@given(
    some.builds(
        Pretrain,
        epochs=some.integers(1, 500),
        lr=some.floats(1e-4, 5.0),
        backbone=some.sampled_from(["small", "resnet18"]),
        preset=some.sampled_from(["auto", "grey"]),
        fresh=some.booleans(),
        seed=some.integers(0, 9),
    )
)
def test_flags_say_what_was_chosen(chosen: Pretrain) -> None:
    values = {each.name: getattr(chosen, each.name) for each in fields(Pretrain)}
    assert cli.parse("pretrain", list(flags(Pretrain(), values))) == chosen
