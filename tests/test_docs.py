"""The docs are tested: what they say to type works, links lead somewhere, lists are whole."""

import ast
import dataclasses
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import get_args

import pytest

from docs.hooks import build
from likewise import __version__, cli, settings
from likewise.api import Workspace
from likewise.errors import UsageError
from tests.doc_blocks import blocks_of

ROOT = Path(__file__).parents[1]
README, ARCHITECTURE = ROOT / "README.md", ROOT / "docs" / "architecture.md"
FAQ = ROOT / "docs" / "faq.md"
PAGES = sorted([*ROOT.glob("*.md"), ROOT / "data" / "README.md", *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def read(page: Path) -> str:
    return page.read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(text) if name == language]


def spans(text: str) -> list[str]:
    """Inline code, on one line each."""
    return [" ".join(each.split()) for each in SPAN.findall(FENCE.sub("", text))]


def typed(text: str, program: str) -> Iterator[list[str]]:
    """The words after ``program`` in every command line, shown in a block or inline."""
    shown = [
        line
        for block in blocks_of(text)
        if block.language == "bash" and not block.exits  # what is shown to fail is run elsewhere
        for line in block.body.splitlines()
    ]
    for line in [*shown, *spans(text)]:
        command = line.strip().removeprefix("$ ").removeprefix(".venv/bin/")
        if command.startswith("torchrun "):
            command = command.partition(" -m ")[2]
        if command.startswith(f"{program} "):
            words = shlex.split(command, comments=True)[1:]
            yield list(takewhile(lambda word: word not in (">", "|", "&&", ";"), words))


def complaint(words: list[str]) -> str | None:
    """What the command line says to these words; None if they are fine."""
    if words[0] in ("COMMAND", "--help", "--version"):
        return None
    try:
        name, rest = cli.split_command(words)
        if "--help" not in rest:
            cli.parse(name, rest)
    except UsageError as error:
        return str(error)
    return None


def flags() -> set[str]:
    fields = [each for one in cli.COMMANDS.values() for each in dataclasses.fields(one.settings)]
    names = {f"--{each.name.replace('_', '-')}" for each in fields} | {"--in"}  # `within`
    return names | {f"--no-{each.name}" for each in fields if each.default is True}


@cache
def generated() -> set[Path]:
    """Pages that exist in the site alone."""
    return {ROOT / "docs" / place for place in build.generated()}


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_command_lines_are_found_and_wrong_ones_noticed() -> None:
    text = (
        "`likewise pretain`, `likewise embed\n--now`\n```bash\n$ likewise label --port 1  # x\n```"
        "\n`torchrun --nnodes 2 -m likewise embed --then`"
    )
    found = list(typed(text, "likewise"))
    assert found == [
        *(["label", "--port", "1"], ["pretain"], ["embed", "--now"]),
        ["embed", "--then"],
    ]
    assert [bool(complaint(words)) for words in found] == [False, True, True, True]


@every_page
def test_what_is_shown_can_be_typed(page: Path) -> None:
    wrong = [(w, why) for w in typed(read(page), "likewise") if (why := complaint(w))]
    assert not wrong


@every_page
def test_every_flag_exists(page: Path) -> None:
    named = {each.split()[0] for each in spans(read(page)) if each.startswith("--")}
    assert named <= flags() | {"--help", "--version"}


@every_page
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    wanted = {word for words in typed(read(page), "make") for word in words if "=" not in word}
    assert wanted <= targets


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", read(page))):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if target in generated():
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_every_path_in_the_prose_exists(page: Path) -> None:
    roots = ("ssl/", "labeler/", "tests/", "docs/", ".ci/")
    named = {each for each in spans(read(page)) if each.startswith(roots)}
    assert not {each for each in named if not (ROOT / each).exists()}


@every_page
def test_no_page_speaks_of_somebodys_machine(page: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:home|root|Users|work|tmp|mnt|opt|srv)\b\S*", read(page))


def test_the_readme_lists_every_command() -> None:
    shown = re.findall(r"^\| `likewise ([a-z ]+)", read(README), re.MULTILINE)
    assert [each.strip() for each in shown] == list(cli.COMMANDS)


def test_every_choice_is_explained() -> None:
    named = set(spans(read(FAQ)))
    choices = {settings.Preset, settings.Loss, settings.Strategy}
    assert {name for choice in choices for name in get_args(choice)} <= named


def test_the_keys_of_the_labeler_are_named() -> None:
    source = read(ROOT / "labeler" / "likewise_labeler" / "front" / "keys.js")
    verdicts = re.search(r"VERDICT_KEYS = \{(.+)\}", source)
    modes = re.search(r"MODE_KEYS = \{(.+)\}", source)
    others = re.search(r"const others = \{(.+?)\};", source, re.DOTALL)
    assert verdicts is not None
    assert modes is not None
    assert others is not None
    keys = re.findall(r"\"?([a-z0-9+-])\"?: ", verdicts[1] + modes[1] + others[1])
    assert len(keys) >= 12
    assert {each.upper() for each in keys} <= set(spans(read(FAQ)))


@every_page
def test_python_examples_call_what_exists(page: Path) -> None:
    for block in blocks(read(page), "python"):
        for node in ast.walk(ast.parse(block)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner, method = node.func.value, node.func.attr
            if isinstance(owner, ast.Name) and owner.id == "workspace":
                assert hasattr(Workspace, method)
                known = set(inspect.signature(getattr(Workspace, method)).parameters)
                if method in cli.COMMANDS:
                    known |= {e.name for e in dataclasses.fields(cli.COMMANDS[method].settings)}
                assert {each.arg for each in node.keywords} <= known


def test_sample_data_are_all_named() -> None:
    from likewise.images.samples import SOURCES

    assert {"digits", *SOURCES} <= set(spans(read(ROOT / "data" / "README.md")))


def test_the_tree_is_the_house() -> None:
    tree = next(each for each in blocks(read(ARCHITECTURE), "text") if "ssl/likewise/" in each)
    named = {line.split()[0] for line in tree.splitlines()}
    assert not {each for each in named if not (ROOT / each).exists()}
    rooms = {f"{each.parent.relative_to(ROOT)}/" for each in ROOT.glob("ssl/likewise/*/*.py")}
    modules = {str(each.relative_to(ROOT)) for each in ROOT.glob("ssl/likewise/*.py")}
    assert rooms | modules - {"ssl/likewise/__init__.py"} <= named


def test_the_layers_are_those_of_the_layout_test() -> None:
    tree = ast.parse(read(ROOT / "tests" / "test_layout.py"))
    layers = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "LAYERS"
    )
    (block,) = blocks(read(ARCHITECTURE), "layers")
    assert [set(line.split(", ")) for line in block.splitlines()] == layers


def test_file_formats_are_complete() -> None:
    from likewise.answers.tables import metadata
    from likewise.images.manifest import _SCHEMA
    from likewise.neighbours.vectors import FILES, META
    from likewise.workspace import WorkspaceConfig

    columns = {column.name for table in metadata.tables.values() for column in table.columns}
    config = {each.name for each in dataclasses.fields(WorkspaceConfig)}
    wanted = {*_SCHEMA.names, *metadata.tables, *columns, *config, *FILES, META}
    assert wanted <= set(spans(read(ARCHITECTURE)))


def test_decisions_are_numbered_listed_and_complete() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [page.name[:4] for page in pages] == [f"{n:04d}" for n in range(1, len(pages) + 1)]
    for page in pages:
        text = read(page)
        assert text.startswith(f"# {page.name[:4]}: ")
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequence",
        ]
        assert f"](decisions/{page.name})" in read(ARCHITECTURE)


def test_the_changelog_speaks_of_this_version() -> None:
    assert __version__ in read(ROOT / "CHANGELOG.md")
