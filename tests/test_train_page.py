"""What the Train page and the first-run page decide and show."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from likewise.errors import LikewiseError
from likewise.images.ingest import ingest
from likewise.jobs import survey as survey_module
from likewise.jobs.job import (
    Job,
    Steps,
    hold_alive,
    jobs_of,
    now,
)
from likewise.jobs.records import records_of
from likewise.jobs.survey import survey
from likewise.settings import Finetune, Ingest
from likewise.workspace import Workspace
from likewise_labeler import first_run
from likewise_labeler.curves import HEIGHT, WIDTH, Curve, curves_of, drawn, points
from likewise_labeler.first_run import steps_of
from likewise_labeler.job_words import about_time, job_rows, model_rows, outcome, table
from tests.job_records import LEARN, THEN, add_job, add_run, row

# A look at a folder.


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.PNG", "deep/er/c.webp", "notes.txt", ".hidden.jpg", ".git/d.jpg"):
        (tmp_path / "album" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "album" / name).touch()
    (tmp_path / "album" / "loop").symlink_to(tmp_path / "album")
    return tmp_path / "album"


def test_a_look_counts_what_ingest_would_take(album: Path, workspace: Workspace) -> None:
    found = survey(f' "{album}" ', workspace.path)
    assert (found.folder, found.images, found.complete) == (album, 3, True)
    assert [each.name for each in found.examples] == ["a.jpg", "b.PNG", "c.webp"]
    assert (found.others, found.closed) == (".txt (1)", 0)


def test_the_workspace_inside_the_folder_is_passed_over(album: Path) -> None:
    (album / "workspace" / "samples").mkdir(parents=True)
    (album / "workspace" / "samples" / "x.jpg").touch()
    assert survey(str(album), album / "workspace").images == 3
    assert survey(str(album), album.parent / "elsewhere").images == 4


def test_a_look_ends_in_time(tmp_path: Path, workspace: Workspace) -> None:
    for number in range(50):
        (tmp_path / f"{number}.jpg").touch()
    ticks = iter(range(1000))
    found = survey(str(tmp_path), workspace.path, 10.5, lambda: float(next(ticks)))
    assert (found.images, found.complete) == (11, False)
    assert len(survey(str(tmp_path), workspace.path).examples) == survey_module.EXAMPLES


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("  ", "type the path"),
        ("photos", "not a full path"),
        ("/no/such/folder", "/no/such/folder does not exist"),
        ("/a\0b", "type the path"),
        ("{album}/a.jpg", "is a file; give the folder"),
        ("{album}/empty", "holds no images; give another"),
        ("{album}/texts", r"holds no images but \.txt \(1\)"),
        ("{album}/ws", "is the workspace itself"),
    ],
)
def test_a_wrong_folder_is_told_in_one_line(album: Path, typed: str, told: str) -> None:
    for name in ("empty", "texts", "ws"):
        (album / name).mkdir()
    (album / "texts" / "x.txt").touch()
    with pytest.raises(LikewiseError, match=told) as caught:
        survey(typed.format(album=album), album / "ws")
    assert "\n" not in str(caught.value)


def test_folders_that_may_not_be_read(
    album: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = os.scandir
    closed = {str(album / "deep")}

    def scandir(folder: str) -> Any:
        if folder in closed:
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr("likewise.jobs.survey.os.scandir", scandir)
    found = survey(str(album), workspace.path)
    assert (found.images, found.closed) == (2, 1)
    closed.add(str(album))
    with pytest.raises(LikewiseError, match="permission denied"):
        survey(str(album), workspace.path)


# Words, tables, curves.


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "5 s"), (42, "40 s"), (61, "1 min"), (700, "12 min"), (7000, "1 h 57 min"),
     (90000, "25 h")],
)  # fmt: skip
def test_time_in_words(seconds: float, text: str) -> None:
    assert about_time(float(seconds)) == text


def test_how_a_job_ended(workspace: Workspace) -> None:
    done = add_job(workspace, "done", (("finetune",), ("embed",)), step=1, ended=now())
    measured = {"before": {"auc": 0.8}, "after": {"auc": 0.9123}}
    done.result_file(0).write_text(json.dumps(measured))
    done.result_file(1).write_text('{"model": "finetune-1"}')
    kind, text = outcome(done)
    assert kind == "good"
    assert "now proposed by finetune-1" in text
    assert "0.800 before, 0.912 after" in text
    warned = add_job(workspace, "done", (("pretrain",),))
    warned.result_file(0).write_text('{"run": "pretrain-1", "health": {"warning": "collapsed"}}')
    assert "Warning: collapsed" in outcome(warned)[1]
    failed = add_job(workspace, "failed", LEARN, error="too few images")
    assert outcome(failed) == ("bad", "Learn from the images: too few images")
    assert outcome(replace(failed, status="stopped"))[0] == "open"
    assert "killed" in outcome(replace(failed, status="lost"))[1]


def test_tables_are_newest_first_and_safe(workspace: Workspace) -> None:
    add_job(
        workspace, "failed", LEARN, error="<b>", started=THEN, ended=THEN + timedelta(minutes=3)
    )
    add_job(workspace, "done", (("embed",),), started=THEN)
    first, second = job_rows(jobs_of(workspace), UTC)
    assert (first["Job"], first["State"], first["Took"]) == ("2", "done", "")
    assert (second["State"], second["Took"]) == ("failed: <b>", "3 min")
    assert second["Started"] == "2026-03-01 12:00"
    html = table([first, second])
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "Took" not in table([first]), "an empty column says nothing"


def test_the_table_of_models(workspace: Workspace) -> None:
    add_run(workspace, "pretrain-1", rows=12)
    tuned = add_run(workspace, "finetune-1", rows=6, started=THEN + timedelta(hours=1))
    (tuned.folder / "measured.json").write_text('{"before": {"auc": 0.5}, "after": {"auc": 1}}')
    add_run(workspace, "pretrain-2", rows=2, finished=False, started=THEN + timedelta(hours=2))
    embedded = {"pretrain-1": "2026-02", "finetune-1": "2026-01"}
    rows = model_rows(records_of(workspace), embedded, UTC)
    assert [(each["Model"], each["State"]) for each in rows] == [
        ("pretrain-2", "unfinished"),
        ("finetune-1", "embedded"),
        ("pretrain-1", "proposes the pairs"),
    ]
    assert rows[0]["Epochs"] == "2 of 12"
    assert rows[1]["AUC on held-out answers"] == "0.500 → 1.000"
    assert rows[2]["AUC on held-out answers"] == ""


def test_a_curve_fills_its_field() -> None:
    curve = Curve("Loss", "", (0.0, -1.0, -0.5), 2)
    assert points(curve, 4) == [
        (WIDTH / 4, 0.0), (WIDTH / 2, HEIGHT), (3 * WIDTH / 4, HEIGHT / 2)
    ]  # fmt: skip
    floored = replace(curve, values=(5.0, 10.0), floor=0.0)
    assert points(floored, 2) == [(WIDTH / 2, HEIGHT / 2), (WIDTH, 0.0)]
    assert points(replace(curve, values=(3.0, 3.0)), 2)[0][1] == HEIGHT, "flat, but drawn"
    assert "-0.50" in drawn(curve, 4)
    assert drawn(replace(curve, values=()), 4) == ""
    assert "<i>" not in drawn(replace(curve, title="<i>"), 4)


def test_each_kind_of_training_has_its_curves() -> None:
    rows = [row(1, 1.0), row(2, 2.0)]
    assert [each.title for each in curves_of("pretrain", rows, (1.0, 2.0))] == [
        *("Loss", "Spread", "Directions in use", "Images per second")
    ]
    loss, pace = curves_of("finetune", [{"loss": 0.3}], (5.0,))
    assert (loss.values, pace.values) == ((0.3,), (5.0,))


# The pages.


@pytest.fixture
def here(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(workspace.path))
    monkeypatch.setenv("LIKEWISE_GATE", "open")
    return workspace


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[list[str]]]]:
    """The jobs that the pages start, instead of starting them."""
    begun: list[list[list[str]]] = []
    monkeypatch.setattr(
        "likewise_labeler.job_panel.start",
        lambda workspace, steps: begun.append([list(step) for step in steps]),
    )
    return begun  # type: ignore[return-value]


def _train() -> None:
    from likewise_labeler.desk import the_desk
    from likewise_labeler.train_page import train_page

    train_page(the_desk())


def opened() -> AppTest:
    return shown(AppTest.from_function(_train, default_timeout=30).run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [each for each in app.button if each.label == label]
    return shown(button.click().run())


def text(app: AppTest) -> str:
    return "".join(str(each.proto.body) for each in app.get("html"))


def test_a_newcomer_looks_and_begins(
    here: Workspace, album: Path, picture: Callable[..., Path], started: list[Any]
) -> None:
    app = opened()
    assert "Welcome" in text(app)
    app.text_input[0].set_value(str(album / "nowhere"))
    press(app, "Look")
    assert app.error[0].value == f"{album / 'nowhere'} does not exist"
    picture(album / "a.jpg", 1, size=(200, 100))
    app.text_input[0].set_value(str(album))
    press(app, "Look")
    assert not app.error
    assert "<b>3 images</b>" in text(app)
    assert text(app).count("data:image/jpeg") == 1, "those that cannot be shown are left out"
    press(app, "Read images and learn a first model")
    assert started == [
        [["ingest", str(album)], ["pretrain", "--epochs", "100"], ["embed", "--model", "{run}"]]
    ]


def test_sample_digits_begin_too(here: Workspace, started: list[Any]) -> None:
    press(opened(), "Try it with sample digits")
    folder = str(here.path / "samples" / "digits")
    assert started[0][:2] == [["sample", "digits", "--to", folder], ["ingest", folder]]
    assert started[0][2] == ["pretrain", "--epochs", "10"]


def test_beyond_this_machine_no_folder_is_opened(
    here: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gate in ("password", "oidc", ""):
        monkeypatch.setenv("LIKEWISE_GATE", gate)
        app = opened()
        assert not app.text_input
        assert "serves that machine alone" in app.info[0].value
        assert "likewise ingest FOLDER_OF_IMAGES" in app.code[0].value


def test_without_a_model_the_second_step_is_shown(
    here: Workspace, picture: Callable[..., Path], tmp_path: Path, started: list[Any]
) -> None:
    for seed in range(3):
        picture(tmp_path / "in" / f"{seed}.png", seed)
    ingest(here, Ingest(images=(tmp_path / "in",), workers=1))
    app = AppTest.from_function(_missing, default_timeout=30).run()
    assert "3 images are read" in text(shown(app))
    press(app, "Learn a first model")
    assert started[0][0][0] == "pretrain"


def _missing() -> None:
    from likewise.workspace import Workspace
    from likewise_labeler.desk import Missing
    from likewise_labeler.first_run import missing_page

    missing_page(Missing("embeddings", ""), Workspace().path)


def test_how_far_a_beginner_is(workspace: Workspace) -> None:
    def states(job: Job | None, has_images: bool) -> list[str]:
        return list(steps_of(job, has_images).values())

    job = add_job(workspace, "running", (("ingest", "in"), *LEARN))
    assert states(None, False) == ["now", "waiting", "waiting"]
    assert states(None, True) == ["done", "now", "waiting"]
    assert states(job, False) == ["now", "waiting", "waiting"]
    assert states(replace(job, step=1), True) == ["done", "now", "waiting"]
    assert states(replace(job, status="failed"), False) == ["failed", "waiting", "waiting"]
    assert states(replace(job, step=1, status="lost"), True) == ["done", "failed", "waiting"]
    assert states(replace(job, step=2, status="done"), True) == ["done", "now", "waiting"]


def test_a_form_begins_with_the_defaults_of_the_command(here: Workspace) -> None:
    app = shown(AppTest.from_function(_finetune_form, default_timeout=30).run())
    chosen = {str(each.key).split("-")[1]: each.value for each in app.selectbox}
    usual = Finetune()
    assert chosen == {name: getattr(usual, name) for name in ("depth", "loss", "precision")}


def _finetune_form() -> None:
    import os

    from likewise.settings import Finetune
    from likewise.workspace import Workspace
    from likewise_labeler.train_page import _form

    _form(Workspace(os.environ["LIKEWISE_WORKSPACE"]), Finetune())


def test_the_train_page_says_what_is_next(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    monkeypatch.setenv("LIKEWISE_GATE", "open")
    add_run(ready, "run-1", rows=12, settings={"epochs": 12})
    app = opened()
    assert "0 of the first 100 answers" in text(app)
    assert "proposes the pairs" in text(app)
    (epochs,) = [each for each in app.number_input if each.label == "Epochs"]
    assert (epochs.value, epochs.help) == (100, "Passes over the images.")
    epochs.set_value(7)
    press(app, "Start")
    assert started == [[["pretrain", "--epochs", "7"], ["embed", "--model", "{run}"]]]


def test_a_job_that_failed_is_told_with_its_log(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    job = add_job(ready, "failed", LEARN, error="the disk is full", ended=now())
    job.log_file.write_text("first\nsecond\n")
    app = opened()
    assert app.error[0].value == "Learn from the images: the disk is full"
    shown(app.toggle(key="log-ended-1").set_value(True).run())
    assert app.code[0].value.endswith("first\nsecond")
    monkeypatch.setattr(
        "likewise_labeler.job_panel.again",
        lambda workspace, job: started.append(job.number),
    )
    press(app, "Try again")
    assert started == [1]


def test_a_job_at_work_is_shown_live(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    add_run(ready, "pretrain-1", rows=3, finished=False)
    job = add_job(ready, "running", LEARN)
    job.log_file.write_text("pretrain-1: small at 28 px\n")
    alive = hold_alive(job.folder)
    try:
        app = opened()
        bar = app.get("progress")[0].proto
        assert bar.text in ("Epoch 4 of 12, 20 s left", "Epoch 4 of 12, 15 s left")
        assert bar.value == 25
        labels = [each.label for each in app.button]
        assert labels == ["Stop"], "nothing else is started meanwhile"
        monkeypatch.setattr(
            "likewise_labeler.job_panel.stop", lambda job: started.append(job.number)
        )
        press(app, "Stop")
        assert started == [1]
    finally:
        os.close(alive)
    assert "Broken off" in shown(app.run()).info[0].value


def test_a_lost_job_is_offered_again(ready: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEWISE_WORKSPACE", str(ready.path))
    add_job(ready, "running", LEARN)
    app = opened()
    assert "Broken off" in app.info[0].value
    assert "Go on" in [each.label for each in app.button]


def test_trouble_with_a_start_is_one_line(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(workspace: Workspace, steps: Steps) -> Job:
        raise LikewiseError("job 3 (embed) is at work")

    monkeypatch.setattr("likewise_labeler.job_panel.start", refuse)
    app = press(opened(), "Try it with sample digits")
    assert app.error[0].value == "job 3 (embed) is at work"


def test_the_pages_never_import_torch_nor_faiss() -> None:
    code = (
        "import sys, likewise_labeler.train_page, likewise_labeler.first_run; "
        "print({'torch', 'faiss'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_file_that_is_no_image_has_no_thumb(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"not an image")
    assert first_run._thumbs([tmp_path / "x.jpg"]) == []
