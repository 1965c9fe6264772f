"""Everything that the docs show to type is typed, page by page, in a folder of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doc_blocks import RUN, SHOWN, blocks_of, to_run, why_long
from tests.doc_shell import Shell, command_server, unprinted

pytestmark = pytest.mark.timeout(1800)  # the first one waits until torch is loaded

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "data/README.md")),
        *ROOT.glob("docs/**/*.md"),
    ]
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def parameters() -> list[object]:
    """The pages with something to run; those that take long only in the long tests."""
    return [
        pytest.param(
            page, id=name_of(page), marks=[pytest.mark.long] if why_long(page.read_text()) else []
        )
        for page in PAGES
        if to_run(page)
    ]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with command_server(tmp_path_factory.mktemp("commands")) as programs:
        yield programs


@pytest.mark.parametrize("page", parameters())
def test_what_a_page_shows_works(page: Path, programs: Path, tmp_path: Path) -> None:
    with Shell(tmp_path, programs) as shell:
        for block in to_run(page):
            shell.run(block)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_escapes(page: Path) -> None:
    """Each is run, compared, no command at all, or says why it is not run."""
    text = page.read_text("utf-8")
    blocks = blocks_of(text)
    fences = re.findall(r"^ *(?:```|~~~)", text, re.MULTILINE)
    assert len(fences) == 2 * len(blocks) - 2 * sum(each.kind == "setup" for each in blocks)
    for block in blocks:
        assert block.language in (*RUN, *SHOWN), f"line {block.line}: {block.language!r}"
        if block.not_run is not None:
            assert len(block.not_run.split()) >= 3, f"line {block.line}: say why it is not run"
        if block.kind == "shown":
            first = block.body.split(maxsplit=1)[:1]
            assert first not in (["likewise"], ["$"], ["make"], ["pip"]) or "[" in block.body
    outside = re.sub(r"^ *```.*?^ *```$|^<!--.*?-->$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.findall(r"^(?: {4,}|\t)(?:\$ |likewise |pip |make |import )", outside, re.M)


def test_words_before_a_block_say_how_it_is_run() -> None:
    text = """
<!-- setup
mkdir a
-->

1. First:

    <!-- exits: 2 -->
    ```bash
    likewise pretain
      deeper
    ```

<!-- output -->

```text
did you mean ...
```

<!-- not run: needs the internet -->
```bash
curl it
```

<!-- app -->
Words between.

```python
x = 1
```
"""
    first, second, third, fourth, fifth = blocks_of(text)
    assert (first.kind, first.body, first.line) == ("setup", "mkdir a\n", 2)
    assert (second.kind, second.exits, second.line) == ("bash", 2, 9)
    assert second.body == "likewise pretain\n  deeper\n"
    assert (third.kind, third.body) == ("output", "did you mean ...\n")
    assert (fourth.kind, fourth.not_run) == ("bash", "needs the internet")
    assert (fifth.kind, fifth.app, fifth.not_run) == ("python", False, None)


def test_output_is_compared_line_by_line_in_order() -> None:
    printed = "read 12 images\n  found   3 groups\ndone\n"
    assert unprinted("read ... images\nfound 3 groups", printed) is None
    assert unprinted("found 3 groups\nread 12 images", printed) == "read 12 images"
    assert unprinted("found 4 groups", printed) == "found 4 groups"
    assert unprinted("found", printed) == "found"
    assert unprinted("a.b", "axb") == "a.b"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```bash\nfalse\ntrue\n```", "line 1: it ended with an error"),
        ("```bash\nlikewise pretain\n```", "did you mean 'pretrain'"),
        ("<!-- exits: 1 -->\n```bash\nlikewise --help\n```", "it ended with 0, not 1"),
        ("```bash\ncd here\n```", "No such file"),
        ("```python\nx = 1\n```\n\n```python\nx.lower()\n```", "AttributeError"),
        ("```bash\necho one\n```\n<!-- output -->\n```text\ntwo\n```", "not printed: two"),
    ],
)
def test_what_does_not_work_is_noticed(
    text: str, told: str, programs: Path, tmp_path: Path
) -> None:
    with Shell(tmp_path, programs) as shell:
        *before, last = blocks_of(text)
        for block in before:
            shell.run(block)
        with pytest.raises(AssertionError, match=re.escape(told)):
            shell.run(last)


def test_the_folder_and_variables_stay_from_block_to_block(programs: Path, tmp_path: Path) -> None:
    text = """```bash
mkdir here && cd here && export WORD=kept
```
```bash
echo $WORD > file; likewise --version
```
<!-- output -->
```text
likewise ...
```
```python
number = 3
```
```python
print(number, flush=True)
```
<!-- output -->
```text
3
```"""
    with Shell(tmp_path, programs) as shell:
        for block in blocks_of(text):
            shell.run(block)
    assert (tmp_path / "here" / "file").read_text() == "kept\n"
