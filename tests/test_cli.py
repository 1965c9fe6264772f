"""The command contract: exit codes, one line per error, JSON on stdout, instant help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from likewise import cli


def likewise(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "likewise.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    """How long it takes depends on what else the machine does; what is imported does not."""
    code = """
import sys
from likewise import cli
try:
    cli.run(["--help"])
finally:
    print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in cli.COMMANDS)
    imported = set(done.stderr.split())
    assert "likewise" in imported
    heavy = {"torch", "numpy", "pandas", "faiss", "PIL", "sqlalchemy", "streamlit", "pyarrow"}
    assert not heavy & imported


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.run([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "--workspace" in shown
    assert "--json" in shown


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_job(name: str) -> None:
    assert callable(cli.job_of(name))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pretain"], "did you mean 'pretrain'?"),
        (["answers"], "answers export, answers import"),
        (["pretrain", "--epocs", "3"], "--epocs"),
        (["pretrain", "--epochs", "many"], "--epochs"),
        (["finetune", "--loss", "magic"], "--loss"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", ["pretrain", "embed", "evaluate", "finetune", "simulate"])
def test_a_missing_workspace_is_told_in_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    assert cli.run([command, "--workspace", str(nowhere)]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert str(nowhere) in captured.err
    assert "likewise ingest" in captured.err
    assert not nowhere.exists()


def test_errors_are_json_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["embed", "--json", "--workspace", str(tmp_path / "none")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["error"]
    assert "no workspace" in told["error"]
    assert cli.run(["embed", "--json", "--nonsense"]) == 2
    assert "--nonsense" in json.loads(capsys.readouterr().out)["error"]


def test_a_bug_is_one_line_too_and_debug_shows_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> object:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(cli, "job_of", broken)
    assert cli.run(["status"]) == 1
    assert "ZeroDivisionError: boom" in capsys.readouterr().err
    assert cli.run(["status", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_importing_likewise_does_not_import_torch(tmp_path: Path) -> None:
    heavy = ("torch", "faiss", "cv2", "streamlit", "pandas")
    code = f"import sys, likewise, likewise.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
