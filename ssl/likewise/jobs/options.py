"""The settings of a command as fields to fill in: names, kinds, defaults and help, written once."""

import ast
import inspect
import textwrap
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from likewise.settings import Common

_LABELS = {"lr": "Learning rate", "fresh": "Begin anew"}
"""Where the name would say little."""


@dataclass(frozen=True)
class Option:
    """One setting."""

    name: str
    label: str
    """The name as words."""
    help: str
    """The field's docstring."""
    default: Any
    choices: tuple[str, ...]
    """What it may be; empty where anything of the default's type may be given."""


def options_of(settings: type[Common]) -> dict[str, Option]:
    """The settings of a command by name, without those that every command takes."""
    common = {each.name for each in fields(Common)}
    helps, hints = _docstrings(settings), get_type_hints(settings)
    return {
        each.name: Option(
            name=each.name,
            label=_LABELS.get(each.name) or each.name.replace("_", " ").capitalize(),
            help=helps.get(each.name, ""),
            default=each.default,
            choices=_choices(hints[each.name]),
        )
        for each in fields(settings)
        if each.name not in common
    }


def _choices(hint: Any) -> tuple[str, ...]:
    return get_args(hint) if get_origin(hint) is Literal else ()


def _docstrings(settings: type[Common]) -> dict[str, str]:
    """The string below each field, as one line."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(below.value.value).split())
    return found
