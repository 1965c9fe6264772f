"""What `likewise status` says at each station of the loop."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from likewise import Workspace, cli
from likewise.answers.store import NewAnswer, open_answers
from likewise.errors import LikewiseError
from likewise.jobs.next_step import Holdings
from likewise.models.runs import Kind, resumable, start_run
from likewise.settings import Adopt, Common, Finetune, Pretrain, config_of
from likewise.status import next_command
from likewise.workspace import Workspace as Store

TINY = {"epochs": 1, "batch_size": 8, "image_size": 16, "precision": "float32", "workers": 0}


def test_status_leads_through_the_loop(
    tmp_path: Path, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "ws")
    with pytest.raises(LikewiseError, match="likewise ingest"):
        workspace.status()
    for seed in range(20):
        picture(tmp_path / "in" / f"{seed}.png", seed)
    (tmp_path / "in" / "broken.png").write_text("not an image")
    workspace.ingest(tmp_path / "in", workers=1)
    told = workspace.status()
    assert (told.images, told.failed, told.models) == (20, 1, [])
    assert told.next == "`likewise pretrain`"

    run = workspace.pretrain(**TINY).run
    told = workspace.status()
    assert told.models[0]["name"] == run.name
    assert told.models[0]["state"] == "not embedded"
    assert told.next == "`likewise embed`"

    workspace.embed(precision="float32")
    told = workspace.status()
    assert told.models[0]["state"] == "embedded"
    assert "in use" not in told.as_text(), "there is no other"
    assert told.next.startswith("`likewise label`: 0 of the first 100")
    assert told.stale == []

    ids = workspace.images().ids.tolist()
    pairs = [(a, b) for a in ids for b in ids if a < b][:100]
    with open_answers(workspace) as store:
        store.add([NewAnswer(a, b, "similar", "test") for a, b in pairs])
    assert workspace.status().next == "`likewise finetune`"
    assert "100 similar, 0 dissimilar, 0 unsure" in workspace.status().as_text()

    picture(tmp_path / "in" / "later.png", 99)
    workspace.ingest(workers=1)
    told = workspace.status()
    assert told.stale == ["1 image without an embedding"]
    assert told.next == "`likewise embed`"
    assert set(told.as_json()) >= {"images", "models", "answers", "stale", "next"}


@pytest.mark.parametrize(
    ("new", "enough", "expected"),
    [
        (0, True, "`likewise groups` or `likewise search IMAGE`; there are answers enough"),
        (12, True, "`likewise finetune` on 12 new answers; it is worth stopping there"),
        (
            12,
            False,
            "`likewise label`: 12 new answers since the last fine-tuning; with 50 another one is "
            "worth it",
        ),
        (60, True, "`likewise finetune`"),
    ],
)
def test_what_is_next_agrees_with_what_more_answers_would_bring(
    new: int, enough: bool, expected: str
) -> None:
    held = Holdings(images=500, models=2, newest="x", embedded=True, answers=300, new=new)
    assert next_command([], held, enough) == expected


@pytest.mark.parametrize(
    ("kind", "settings", "command"),
    [
        ("pretrain", Pretrain(epochs=3), "likewise pretrain --epochs 3"),
        (
            "finetune",
            Finetune(depth="backbone", lr=0.01),
            "likewise finetune --depth backbone --lr 0.01",
        ),
        (
            "adopt",
            Adopt(backbone="resnet18", init="my nets/a.pth"),
            "likewise adopt resnet18 --init 'my nets/a.pth'",
        ),
    ],
)
def test_an_unfinished_run_is_gone_on_with_by_the_command_that_began_it(
    workspace: Store, kind: Kind, settings: Common, command: str
) -> None:
    """Word for word: with other options a new run would begin."""
    run = start_run(workspace, kind, config_of(settings), name=None)
    told = next_command([run], Holdings(images=500), enough=False)
    assert told == f"`{command}` again: it goes on with {kind}-1"
    name, words = cli.split_command(shlex.split(command)[1:])
    assert resumable(workspace, kind, config_of(cli.parse(name, words))) == run


def test_settings_the_api_does_not_know_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="epocs"):
        Workspace(tmp_path).pretrain(epocs=3)
