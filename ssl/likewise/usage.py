"""What the parser says of wrong words and of options, put as everything else here is put."""

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from textwrap import wrap

_RULE = re.compile("[─-]{3,}|─ .+ ─+")
"""Between the parts of the parser's message, and around its title; with ASCII alone it differs."""
_FRAMED = re.compile(r"│ .* │")
"""A line about an option, between the edges of its frame; there is none with ASCII alone."""
_UNSET = re.compile(r" ?\(default:[\s│]+(None|False)?\)")


def _one_of(found: re.Match[str]) -> str:
    *others, last = re.findall("'([^']*)'", found[3])
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"{found[2]} takes {listed}, not {found[1]}"


_PUT: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.+)"),
        lambda found: f"{found[1]} takes a whole number, not {found[2]}",
    ),
    (
        re.compile(r"Error parsing (\S+): could not convert string to float: (.+)"),
        lambda found: f"{found[1]} takes a number, not {found[2]}",
    ),
    (
        re.compile(r"Error parsing (\S+): no type matching \{None\}\|(\w+) .*from \[(.+)\]"),
        lambda found: (
            f"{found[1]} takes {'a whole number' if found[2] == 'INT' else 'a number'}, "
            f"not {found[3]}"
        ),
    ),
    (re.compile(r"invalid choice (.+) for argument '(\S+)'\. Expected one of \((.+)\)"), _one_of),
    (
        re.compile(r"Missing value for argument '(\S+)'\. Expected 1 values"),
        lambda found: f"{found[1]} needs a value",
    ),
    (
        re.compile(r"Missing from likewise [a-z ]+: ([A-Z]+) (.+?)\.? \(required\)"),
        lambda found: f"{found[1] if found[1] != 'STR' else 'a word'} is missing: {found[2]}",
    ),
)
"""What the parser says, and what people read instead."""


def one_line(box: str, name: str) -> str:
    """One line out of the parser's framed message: what is wrong, and what may have been meant."""
    parts: list[list[str]] = [[]]
    for line in (each.strip("╭╮╰╯│ ") for each in box.splitlines()):
        if _RULE.fullmatch(line):
            parts.append([])
        elif line:
            parts[-1].append(line)
    wrong = " ".join(parts[1]).partition(" Got errors:")[0] if parts[1:] else ""
    similar = [part for part in parts[2:] if part and "helptext" not in part[0]]
    meant = [line.split()[0] for part in similar for line in part if line.startswith("--")]
    hint = f"did you mean {' or '.join(meant)}? " if meant else ""
    wrong = _put(wrong.removesuffix(".")) or "wrong usage"
    return f"{wrong}; {hint}`likewise {name} --help` lists the options"


def tidy(text: str) -> str:
    """The text of ``--help`` without what only the parser cares for; every line as long as before.

    An option that may be absent is ``--name INT``, and no default is ``None``: what happens
    without it stands in its help, which flows whatever lines it has in the source.
    """
    for metavar in ("{None}|PATH", "{None}|STR", "{None}|INT", "{None}|FLOAT"):
        text = text.replace(metavar, metavar.removeprefix("{None}|").ljust(len(metavar)))
    text = _UNSET.sub(lambda found: re.sub(r"[^\s│]", " ", found[0]), text)
    lines: list[str] = []
    for framed, part in groupby(text.splitlines(), lambda line: bool(_FRAMED.fullmatch(line))):
        these = list(part)
        lines += _flowing(these) if framed else these
    return "\n".join(lines)


def _flowing(lines: list[str]) -> Iterator[str]:
    """The lines of one frame, each option's help filled anew."""
    inside = [line[2:-2].rstrip() for line in lines]
    hanging = [len(line) - len(line.lstrip()) for line in inside if line.startswith(" ")]
    if not hanging:
        yield from (line for line in lines if line.strip("│ "))
        return
    column, width = min(hanging), len(lines[0]) - 4
    options: list[tuple[str, list[str]]] = []
    for line in filter(None, inside):
        name, gap, told = line[: column - 2], line[column - 2 : column], line[column:]
        if name.strip() and gap.strip():  # too long to have its help beside it
            name, told = line, ""
        if name.strip():
            options.append((name, []))
        options[-1][1].append(told)
    for name, parts in options:
        filled = wrap(" ".join(filter(None, parts)), width - column)
        if len(name) > column - 2 or not filled:
            filled.insert(0, "")
        for part in filled:
            yield f"│ {f'{name:<{column}}{part}':<{width}} │"
            name = ""


def _put(wrong: str) -> str:
    for pattern, put in _PUT:
        if found := pattern.fullmatch(wrong):
            return put(found)
    return wrong
