"""The command contract: exit codes, one line per error, JSON on stdout, instant help."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from likewise import cli, usage
from likewise.workspace import Workspace


def likewise(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "likewise.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


HEAVY = {
    *("torch", "torchvision", "timm", "faiss", "cv2", "albumentations", "numpy", "pandas", "PIL"),
    *("pyarrow", "scipy", "sklearn", "matplotlib", "sqlalchemy", "streamlit", "rich"),
}
"""What takes from a tenth of a second to seconds to import."""


def imported_by(code: str, cwd: Path) -> tuple[set[str], str]:
    """The packages that are there when ``code`` has run in a process of its own, and its stdout.

    How long that takes depends on what else the machine does; what is imported does not.
    """
    tell = "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    code = f"import sys\ntry:\n    {code}\nfinally:\n    {tell}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True
    )
    imported = set(done.stderr.splitlines()[-1].split())
    assert "likewise" in imported
    return imported, done.stdout


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    imported, told = imported_by("from likewise import cli; cli.run(['--help'])", tmp_path)
    assert not HEAVY & imported
    assert all(f"  {name} " in told for name in cli.COMMANDS)


@pytest.mark.parametrize("code", ["import likewise", "from likewise import Workspace"])
def test_importing_likewise_imports_nothing_heavy(code: str, tmp_path: Path) -> None:
    imported, _ = imported_by(code, tmp_path)
    assert not HEAVY & imported


NEEDY = {
    "search": ["x.png"],
    "verify": ["x.png", "y.png"],
    "adopt": ["resnet18"],
    "answers export": ["answers.csv"],
    "answers import": ["answers.csv"],
    "answers backup": ["answers.backup"],
    "answers restore": ["answers.backup"],
    "rerun": ["pretrain-1"],
    "simulate": ["--budget", "5"],
    "people add": ["ada"],
    "people remove": ["ada"],
    "gallery add": ["ada", "x.png"],
    "gallery remove": ["ada"],
    "gallery classify": ["x.png"],
    "gallery evaluate": ["classes"],
    "embeddings export": ["vectors.parquet"],
}
"""What commands need besides a workspace."""


def test_a_missing_workspace_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    """Also by those commands that train, and by every other that needs one."""
    everywhere = {"demo", "sample", "ingest", "label"}
    words = [[*name.split(), *NEEDY.get(name, [])] for name in cli.COMMANDS.keys() - everywhere]
    code = f"from likewise import cli; print([cli.run(each) for each in {words}])"
    imported, told = imported_by(code, tmp_path)
    assert not HEAVY & imported
    assert told.strip() == str([1] * len(words))
    assert not list(tmp_path.iterdir())


def test_what_is_in_a_workspace_is_told_without_torch(ready: Workspace) -> None:
    command = ["status", "--workspace", str(ready.path)]
    imported, told = imported_by(f"from likewise import cli; cli.run({command})", ready.path)
    assert not {"torch", "torchvision", "timm", "faiss", "cv2", "streamlit"} & imported
    assert "images:  40" in told


def test_a_terminal_shows_that_a_command_starts(tmp_path: Path) -> None:
    """On a line that is gone when it has; nobody else is told."""
    words = ["sample", "--to", str(tmp_path / "cli.py")]
    (tmp_path / "cli.py").write_text("in the way")
    main, terminal = pty.openpty()
    with os.fdopen(main, "rb", buffering=0) as screen:
        command = [sys.executable, "-m", "likewise.cli", *words]
        subprocess.run(command, cwd=tmp_path, stdout=terminal, stderr=terminal, check=False)
        os.close(terminal)
        with contextlib.suppress(OSError):  # the other end is closed: so says Linux
            shown = b""
            while part := screen.read(1024):
                shown += part
    first, blank, rest = shown.decode().split("\r", 2)
    assert first == "likewise sample starts ..."
    assert blank == " " * len(first)
    assert rest.startswith("likewise: ")
    assert "starts" not in likewise(*words, cwd=tmp_path).stderr


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.run([*name.split(), "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert "--workspace" in shown
    assert "--json" in shown


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_says_nothing_of_the_parser_and_its_frame_stays_whole(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.run([*name.split(), "--help"])
    assert not stop.value.code
    shown = capsys.readouterr().out
    assert "None" not in shown
    assert "(default: )" not in shown
    assert "False" not in shown
    assert shown.startswith(f"usage: likewise {name} ")
    framed = [line for line in shown.splitlines() if line.startswith((" ", "│", "╭", "╰"))]
    assert len({len(line) for line in framed[:-1]}) == 1  # without a frame the last is stripped


def test_help_fills_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    lines = """
│ --hold-out FLOAT         Share of the images (0 to 1) that is never trained  │
│                          on nor asked about, kept for `evaluate`. [default:  │
│                          0]                                                  │
│ --workers INT            Decoding processes. 0: one per core. (default: 0)   │
"""
    assert lines in likewise("ingest", "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_job(name: str) -> None:
    assert callable(cli.job_of(name))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pretain"], "did you mean 'pretrain'?"),
        (["answers"], "answers export, answers import"),
        (["pretrain", "--epocs", "3"], "--epocs"),
        (
            ["ingest", "photos", "--holdout", "0.2"],
            "likewise: Unrecognized options: --holdout, 0.2; did you mean --hold-out? "
            "`likewise ingest --help` lists the options\n",
        ),
        (
            ["finetune", "--hold-out", "x"],
            "likewise: --hold-out takes a number, not 'x'; "
            "`likewise finetune --help` lists the options\n",
        ),
        (["ingest", "photos", "--hold-out", "x"], "likewise: --hold-out takes a number, not 'x';"),
        (["ingest", "photos", "--store-size", "x"], "--store-size takes a whole number, not 'x';"),
        (["search"], "likewise: PATH is missing: Image file, in the workspace or not."),
        (["adopt"], "likewise: a word is missing: torchvision or timm name: resnet50,"),
        (["pretrain", "--epochs", "many"], "likewise: --epochs takes a whole number, not 'many';"),
        (["pretrain", "--lr"], "likewise: --lr needs a value;"),
        (
            ["finetune", "--loss", "magic"],
            "likewise: --loss takes contrastive, triplet or supcon, not 'magic';",
        ),
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


FRAME = """
╭─ Unrecognized options ────────────────────────────────╮
│ Unrecognized options: --holdout                       │
│ ───────────────────────────────────────────────────── │
│ Perhaps you meant:                                    │
│     --hold-out {None}|FLOAT                           │
│         Share of the images (0 to 1) that is never    │
│ ───────────────────────────────────────────────────── │
│ For full helptext, run likewise ingest --help         │
╰───────────────────────────────────────────────────────╯
"""


def test_a_frame_of_a_terminal_is_understood_as_one_of_ascii() -> None:
    """Which of them the parser draws depends on the encoding of stdout."""
    plain = FRAME.translate({ord(each): "-" if each == "─" else " " for each in "╭╮╰╯│─"})
    plain = plain.replace("- Unrecognized options ---", "Unrecognized options\n---")
    for frame in (FRAME, plain):
        assert usage.one_line(frame, "ingest") == (
            "Unrecognized options: --holdout; did you mean --hold-out? `likewise ingest --help` "
            "lists the options"
        )


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


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["finetune", "--loss", "magic"]])
def test_a_reader_that_has_enough_is_no_error_of_ours(words: list[str], tmp_path: Path) -> None:
    """``likewise --help | head -1`` prints no traceback."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "likewise.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode in (1, 2)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


STOPPED_EARLY = """
import sys

class Stop:
    def find_spec(self, name, *_):
        if name == "tyro":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Stop())
from likewise.__main__ import main
main()
"""


def test_ctrl_c_while_the_command_line_is_imported_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_EARLY], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "likewise: stopped; nothing was begun\n"


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
    assert cli.run(["sample"]) == 1
    assert "ZeroDivisionError: boom" in capsys.readouterr().err
    assert cli.run(["sample", "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err
