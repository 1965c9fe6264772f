"""The command line: words to a settings dataclass, the dataclass to its job, the result to text.

Every job is a function ``(Workspace, settings) -> Result`` in a module that is imported only when
its command runs, and has a workspace if it needs one: ``likewise --help`` and a wrong folder are
told at once.
"""

import contextlib
import difflib
import importlib
import io
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Any, Protocol

import tyro

from likewise import __version__, ranks, settings, usage
from likewise.cores import own_cores
from likewise.errors import LikewiseError, LostContact, UsageError
from likewise.interpreter import safe_children
from likewise.progress import waiting
from likewise.signals import interruptible
from likewise.workspace import Workspace

_GRACE = 3.0
"""Seconds in which `torchrun` notices that a process has failed."""


class Result(Protocol):
    """What a job returns."""

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        ...

    def as_text(self) -> str:
        """What a person reads on stdout."""
        ...


@dataclass(frozen=True)
class Command:
    """A command: its settings and where its job lives."""

    settings: type[settings.Common]
    job: str
    """``module:function``"""
    together: bool = False
    """Whether several processes, started by `torchrun`, can share the work."""
    anywhere: bool = False
    """Whether it runs where there is no workspace yet."""


COMMANDS = {
    "demo": Command(settings.Demo, "likewise.demo:demo", anywhere=True),
    "sample": Command(settings.Sample, "likewise.images.samples:sample", anywhere=True),
    "ingest": Command(settings.Ingest, "likewise.images.ingest:ingest", anywhere=True),
    "views": Command(settings.Views, "likewise.evaluation.view_sheet:views"),
    "pretrain": Command(settings.Pretrain, "likewise.training.pretrain:pretrain", together=True),
    "adopt": Command(settings.Adopt, "likewise.training.adopt:adopt"),
    "embed": Command(settings.Embed, "likewise.neighbours.embedding:embed", together=True),
    "label": Command(settings.Label, "likewise.serve:label", anywhere=True),
    "people add": Command(settings.PeopleAdd, "likewise.people:add_person"),
    "people list": Command(settings.PeopleList, "likewise.people:list_people"),
    "people remove": Command(settings.PeopleRemove, "likewise.people:remove_person"),
    "answers export": Command(settings.AnswersExport, "likewise.answers.exchange:export_answers"),
    "answers import": Command(settings.AnswersImport, "likewise.answers.exchange:import_answers"),
    "answers verify": Command(
        settings.AnswersVerify, "likewise.answers.verification:verify_answers"
    ),
    "answers backup": Command(settings.AnswersBackup, "likewise.answers.backup:backup_answers"),
    "answers restore": Command(settings.AnswersRestore, "likewise.answers.backup:restore_answers"),
    "simulate": Command(settings.Simulate, "likewise.evaluation.annotator:simulate"),
    "finetune": Command(settings.Finetune, "likewise.training.finetune:finetune", together=True),
    "rerun": Command(settings.Rerun, "likewise.training.rerun:rerun"),
    "evaluate": Command(settings.Evaluate, "likewise.evaluation.evaluate:evaluate"),
    "search": Command(settings.Search, "likewise.inference.search:search"),
    "verify": Command(settings.Verify, "likewise.inference.verify:verify"),
    "duplicates": Command(settings.Duplicates, "likewise.inference.duplicates:duplicates"),
    "groups": Command(settings.Groups, "likewise.inference.sorting:groups"),
    "gallery add": Command(settings.GalleryAdd, "likewise.inference.gallery_jobs:gallery_add"),
    "gallery remove": Command(
        settings.GalleryRemove, "likewise.inference.gallery_jobs:gallery_remove"
    ),
    "gallery list": Command(settings.GalleryList, "likewise.inference.gallery_jobs:gallery_list"),
    "gallery classify": Command(
        settings.GalleryClassify, "likewise.inference.gallery_jobs:gallery_classify"
    ),
    "gallery evaluate": Command(
        settings.GalleryEvaluate, "likewise.inference.few_shot:gallery_evaluate"
    ),
    "export": Command(settings.Export, "likewise.export.job:export"),
    "embeddings export": Command(
        settings.EmbeddingsExport, "likewise.export.vector_files:export_embeddings"
    ),
    "report": Command(settings.Report, "likewise.report.job:report"),
    "status": Command(settings.Status, "likewise.status:status"),
}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``likewise`` command; ends with the contract's exit codes."""
    if not _rank().alone and os.environ.get("OMP_NUM_THREADS") == "1":
        os.environ["OMP_NUM_THREADS"] = str(own_cores())  # torchrun's 1 was for want of a number
    with safe_children():
        code = run(sys.argv[1:] if arguments is None else arguments)
    if not _rank().alone:
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads of gloo that outlive Python's end now and then abort it (pytorch issue 190489).
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return _out(overview()) or (0 if arguments else UsageError.exit_code)
    if arguments[0] in ("-V", "--version"):
        return _out(f"likewise {__version__}")
    as_json = "--json" in arguments
    debug = "--debug" in arguments
    try:
        name, rest = split_command(arguments)
        parsed = parse(name, rest)
        _require_one_process(name)
        workspace = Workspace(parsed.workspace)
        if not COMMANDS[name].anywhere:
            workspace.require()
        with interruptible():
            with waiting(f"likewise {name} starts ..."):
                job = job_of(name)
            result = job(workspace, parsed)
    except LostContact as error:
        return _fail(str(error), error.exit_code, as_json, debug, all_met=True)
    except LikewiseError as error:
        return _fail(str(error), error.exit_code, as_json, debug)
    except KeyboardInterrupt:
        told = "stopped; run the same command again to go on"
        return _fail(told, 1, as_json, debug=False, all_met=True)
    except BrokenPipeError:
        return 1
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        hint = "" if debug else " (a bug in Likewise? --debug shows where)"
        return _fail(text + hint, 1, as_json, debug)
    return _out(json.dumps(result.as_json(), ensure_ascii=False) if as_json else result.as_text())


def split_command(arguments: list[str]) -> tuple[str, list[str]]:
    """Separate the command's name (one or two words) from its arguments.

    Raises:
        UsageError: no such command; the text names the nearest one.
    """
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            return name, arguments[words:]
    group = [name for name in COMMANDS if name.startswith(arguments[0] + " ")]
    if group:
        raise UsageError(f"likewise {arguments[0]}: say one of {', '.join(group)}")
    near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`likewise --help` lists the commands"
    raise UsageError(f"no command {arguments[0]!r}; {hint}")


def _require_one_process(name: str) -> None:
    if not COMMANDS[name].together and not ranks.here().alone:
        able = ", ".join(each for each, command in COMMANDS.items() if command.together)
        raise UsageError(
            f"`likewise {name}` is work for one process; start it without torchrun (which can "
            f"share {able} among several)"
        )


def parse(name: str, arguments: list[str]) -> settings.Common:
    """Turn flags into the command's settings.

    Raises:
        UsageError: a flag or value is wrong; the text says which.
    """
    told, helped = io.StringIO(), io.TextIOWrapper(io.BytesIO(), sys.stdout.encoding or "utf-8")
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(helped):
            return tyro.cli(
                COMMANDS[name].settings,
                args=arguments,
                prog=f"likewise {name}",
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            helped.seek(0)
            _out(usage.tidy(helped.read()).rstrip())
            raise
        raise UsageError(usage.one_line(told.getvalue(), name)) from None


def job_of(name: str) -> Any:
    """Import the function that does a command's work."""
    module, function = COMMANDS[name].job.split(":")
    return getattr(importlib.import_module(module), function)


def overview() -> str:
    """The text of ``likewise --help``."""
    width = max(map(len, COMMANDS)) + 2
    lines = [
        f"{name:<{width}}{(each.settings.__doc__ or '').splitlines()[0]}"
        for name, each in COMMANDS.items()
    ]
    return "\n".join(
        (
            "usage: likewise COMMAND [options]",
            "",
            "Images and a few hundred same/different answers become an embedding.",
            "",
            *(f"  {line}" for line in lines),
            "",
            "  likewise COMMAND --help   the options of a command",
            "  likewise --version        the version",
            "",
            "Start with `likewise demo`, or with `likewise ingest FOLDER`.",
        )
    )


def _rank() -> ranks.Rank:
    """The rank of this process; as if it were alone where the environment is wrong."""
    try:
        return ranks.here()
    except UsageError:
        return ranks.Rank()


def _out(text: str) -> int:
    """Print a result, if this is the process that talks; return the exit code."""
    if not _rank().first:
        return 0
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `likewise status | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 1
    return 0


def _fail(text: str, code: int, as_json: bool, debug: bool, *, all_met: bool = False) -> int:
    if not _rank().first:
        # What all have met the first one says, and torchrun ends the others while they wait here.
        time.sleep(_GRACE)
        if all_met:
            return code
        text, as_json = f"process {ranks.here().number}: {text}", False
    if debug:
        traceback.print_exc()
    if as_json:
        print(json.dumps({"error": text}, ensure_ascii=False))
    print(f"likewise: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
