"""A reference page for every command, from its settings and the docstring of its job."""

import dataclasses
import typing
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import griffe

from likewise import cli
from likewise.settings import Common

FOLDER = "reference/commands"
_SOURCES = Path(__file__).parents[2] / "ssl"


@dataclasses.dataclass(frozen=True)
class Option:
    """A flag or argument as a reader needs to know it."""

    flag: str
    """``--top``, or for an argument ``IMAGE``."""
    value: str
    """What follows the flag: a type, or the choices; empty for a switch."""
    default: str
    """Empty if it must be given, or the text itself says what happens without it."""
    text: str
    argument: bool


def pages() -> dict[str, str]:
    """Markdown of every page, by its place in the docs."""
    return {f"{FOLDER}/index.md": index()} | {address(name): page(name) for name in cli.COMMANDS}


def address(name: str) -> str:
    """Where the page of a command lies."""
    return f"{FOLDER}/{name.replace(' ', '-')}.md"


def index() -> str:
    """The list of all commands, and what they have in common."""
    lines = [
        f"| [`likewise {name}`]({name.replace(' ', '-')}.md) | {_first_line(each.settings)} |"
        for name, each in cli.COMMANDS.items()
    ]
    return "\n".join(
        (
            "# Commands",
            "",
            "These pages are made from the code, as is `likewise COMMAND --help`.",
            "",
            "| command | does |",
            "|---|---|",
            *lines,
            "",
            "## What all commands have in common",
            "",
            *(_entry(each) for each in options(Common)),
            "Long work shows its progress on stderr, and goes on where it was interrupted when the "
            "same command is run again.",
            "",
            "| exit code | means |",
            "|---|---|",
            "| 0 | done |",
            "| 1 | the work failed; one line says what, where and what to do |",
            "| 2 | wrong usage; one line says what |",
            "",
        )
    )


def page(name: str) -> str:
    """The page of one command."""
    command = cli.COMMANDS[name]
    found = options(command.settings)
    own = [each for each in found if each not in options(Common)]
    arguments = [each for each in own if each.argument]
    flags = [each for each in own if not each.argument]
    usage = " ".join(["likewise", name, *(each.flag for each in arguments)])
    parts = [f"# likewise {name}", "", _text(command.settings), ""]
    parts += ["```text", usage + (" [options]" if flags else ""), "```", ""]
    for title, chosen in (("Arguments", arguments), ("Options", flags)):
        if chosen:
            parts += [f"## {title}", "", *map(_entry, chosen)]
    parts += [
        "Besides, it takes `--workspace`, `--json` and `--debug`, "
        "[as all commands do](index.md#what-all-commands-have-in-common).",
        "",
    ]
    if failures := _failures(command.job):
        parts += ["## What can go wrong", "", *(f"- {each}" for each in failures), ""]
    return "\n".join(parts)


def options(settings: type[Common]) -> list[Option]:
    """The options of a settings class, in the order of its fields."""
    hints = get_type_hints(settings, include_extras=True)
    texts = _field_docs(settings)
    return [
        _option(field, hints[field.name], texts[field.name])
        for field in dataclasses.fields(settings)
    ]


def _option(field: dataclasses.Field[Any], hint: Any, text: str) -> Option:
    marks: list[Any] = []
    while get_origin(hint) is typing.Annotated:
        hint, *more = get_args(hint)
        marks += more
    argument = any("Positional" in str(mark) for mark in marks)
    name = next((mark.name for mark in marks if getattr(mark, "name", None)), field.name)
    default = _default(field)
    if hint is bool:
        flag = f"--no-{name}" if field.default is True else f"--{name}"
        return Option(flag.replace("_", "-"), "", "", text, argument)
    if argument:
        many = get_origin(hint) is tuple
        return Option(f"{name.upper()}{' ...' * many}", _type(hint), default, text, argument)
    return Option(f"--{name.replace('_', '-')}", _type(hint), default, text, argument)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default in (dataclasses.MISSING, None, ()):
        return ""
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def _type(hint: Any) -> str:
    """The kind of value in a word, or the choices."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType, tuple):
        inner = (each for each in get_args(hint) if each not in (NoneType, Ellipsis))
        return " | ".join(dict.fromkeys(map(_type, inner)))
    names = {"Path": "path", "str": "text", "int": "number", "float": "number"}
    name = str(hint.__name__)
    return names.get(name, name)


def _entry(option: Option) -> str:
    head = f"`{option.flag}`"
    if option.value and not option.argument:
        choices = " · ".join(f"`{each}`" for each in option.value.split(" | "))
        head += f" {choices}" if "|" in option.value else f" *{option.value}*"
    if option.default:
        head += f", by default `{option.default}`"
    return f"{head}\n:   {option.text}\n"


@cache
def _package() -> griffe.Module:
    """The sources as they are written; parsed once."""
    loaded = griffe.load("likewise", search_paths=[str(_SOURCES)], resolve_aliases=False)
    assert isinstance(loaded, griffe.Module)
    return loaded


def _module(name: str) -> griffe.Object:
    found = _package()[name.removeprefix("likewise.")]
    assert isinstance(found, griffe.Object)
    return found


def _field_docs(settings: type[Common]) -> dict[str, str]:
    """Each field's docstring on one line, also of inherited fields."""
    texts: dict[str, str] = {}
    for each in reversed(settings.__mro__):
        if dataclasses.is_dataclass(each):
            for name, member in _module(each.__module__)[each.__name__].members.items():
                if member.docstring:
                    texts[name] = " ".join(member.docstring.value.split())
    return texts


def _text(settings: type[Common]) -> str:
    return " ".join((settings.__doc__ or "").split())


def _first_line(settings: type[Common]) -> str:
    return (settings.__doc__ or "").splitlines()[0]


def _failures(job: str) -> list[str]:
    """What the job's docstring says it raises."""
    module, function = job.split(":")
    docstring = _module(module)[function].docstring
    sections = docstring.parse("google") if docstring else []
    return [
        f"{'Wrong usage' if str(each.annotation) == 'UsageError' else 'Failure'} "
        f"(exit code {2 if str(each.annotation) == 'UsageError' else 1}): "
        f"{' '.join(each.description.split())}"
        for section in sections
        if section.kind is griffe.DocstringSectionKind.raises
        for each in section.value
    ]
