"""What a page of the docs shows: blocks to run, blocks of output, and what only tests read.

Comments directly before a block say more about it:

``<!-- not run: REASON -->``    it cannot be run here
``<!-- app -->``                its last line starts the labeler, which then is ended
``<!-- exits: 2 -->``           its last line ends with this code
``<!-- output -->``             what the block before has printed; ``...`` stands for anything
``<!-- setup`` ``...`` ``-->``   bash that is run and not shown

``<!-- long: REASON -->`` anywhere on a page leaves it to the long tests.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["bash", "python", "setup", "output", "shown"]

RUN = ("bash", "python")
SHOWN = ("text", "toml", "csv", "json", "mermaid", "layers")
"""Languages of blocks that are no commands."""

_PIECE = re.compile(
    r"^ *<!-- (?P<words>.*?) ?-->$"
    r"|^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_GAP = re.compile(r"\s*")


@dataclass(frozen=True)
class Block:
    """A fenced block, or hidden set-up."""

    kind: Kind
    language: str
    body: str
    line: int
    """Where it begins on its page, from 1."""
    not_run: str | None = None
    """Why it is not run."""
    app: bool = False
    exits: int = 0


def blocks_of(text: str) -> list[Block]:
    """All blocks of a page, in order."""
    found: list[Block] = []
    said: list[str] = []
    end = 0
    for piece in _PIECE.finditer(text):
        if _GAP.fullmatch(text, end, piece.start()) is None:
            said = []
        end = piece.end()
        line = text.count("\n", 0, piece.start()) + 1
        words = piece["words"]
        if words is None:
            body = _dedented(piece["body"], len(piece["indent"]))
            found.append(_block(piece["language"], body, line, said))
            said = []
        elif words.startswith("setup"):
            found.append(Block("setup", "bash", words.removeprefix("setup").lstrip("\n"), line))
        else:
            said.append(words)
    return found


def why_long(text: str) -> str | None:
    """Why a page is left to the long tests, if it is."""
    found = re.search(r"^<!-- long: (.+?) -->$", text, re.MULTILINE)
    return found[1] if found else None


def to_run(page: Path) -> list[Block]:
    """The blocks of a page that are executed or compared."""
    return [
        each
        for each in blocks_of(page.read_text("utf-8"))
        if each.kind != "shown" and each.not_run is None
    ]


def _block(language: str, body: str, line: int, said: list[str]) -> Block:
    kind: Kind = "output" if "output" in said else "shown"
    if language in RUN:
        kind = "bash" if language == "bash" else "python"
    reason = next((each for each in said if each.startswith("not run:")), None)
    code = next((int(each.split()[1]) for each in said if each.startswith("exits:")), 0)
    not_run = None if reason is None else reason.removeprefix("not run:").strip()
    return Block(kind, language, body, line, not_run, "app" in said, code)


def _dedented(body: str, indent: int) -> str:
    return "".join(line[indent:] if line.strip() else "\n" for line in body.splitlines(True))
