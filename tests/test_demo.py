"""The demo on a handful of real digits: every station, a report, and a second run."""

import json
import re
from functools import partial
from pathlib import Path

import pytest

from likewise import cli
from likewise.images.samples import write_digits
from likewise.settings import Finetune, Pretrain
from likewise.workspace import Workspace


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images of each of five digits."""
    whole = tmp_path_factory.mktemp("digits") / "all"
    write_digits(whole)
    few = whole.parent / "few"
    for number in "01234":
        (few / number).mkdir(parents=True)
        for file in sorted((whole / number).iterdir())[:40]:
            file.rename(few / number / file.name)
    return few


def test_the_demo_goes_through_the_whole_loop(
    digits: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Which precision is fastest depends on what else the machine does, and the weights on it.
    exact = partial(Pretrain, precision="float32")
    quick = partial(Finetune, precision="float32", steps=40)
    monkeypatch.setattr("likewise.demo.Pretrain", exact)
    monkeypatch.setattr("likewise.demo.Finetune", quick)
    command = ["demo", "--images", str(digits), "--epochs", "6", "--answers", "120", "--json"]
    command += ["--workspace", str(tmp_path / "ws")]
    assert cli.run(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in told["models"]] == ["raw pixels", "pretrain-1", "finetune-1"]
    before, after = told["models"][1], told["models"][2]
    assert after["map@r"] > before["map@r"]
    assert after["auc"] > 0.8
    assert told["workspace"] == str(tmp_path / "ws")

    page = Path(told["report"]).read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') >= 6
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert f"{after['map@r']:.3f}" in page

    capsys.readouterr()
    assert cli.run(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert [model["fingerprint"] for model in again["models"][:2]] == [
        model["fingerprint"] for model in told["models"][:2]
    ]
    assert len(again["models"]) == 3


def test_without_class_folders_it_shows_what_it_can(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--images", str(digits / "3"), "--epochs", "4"]
    assert cli.run([*command, "--workspace", str(tmp_path / "ws")]) == 0
    captured = capsys.readouterr()
    assert "no truth to simulate answers from" in captured.err
    assert "likewise label" in captured.out
    assert (tmp_path / "ws" / "report.html").is_file()


def test_it_never_mixes_with_a_workspace_of_other_images(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path / "ws").create()
    workspace.update(roots=(tmp_path / "mine",))
    assert cli.run(["demo", "--images", str(digits), "--workspace", str(workspace.path)]) == 2
    assert "holds other images" in capsys.readouterr().err
    assert not workspace.manifest_file.exists()
