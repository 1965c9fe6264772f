"""The site: what is generated agrees with the code, links work in it and in the repository."""

import ast
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from docs.hooks import api_pages, build, command_pages, diagrams, mirrored
from likewise import cli, settings
from likewise.api import Workspace

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("**/*.md"))


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_command_page_has_what_its_help_has(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        cli.run([*name.split(), "--help"])
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    page = command_pages.page(name)
    common = {"--workspace", "--json", "--debug"}
    in_help = set(re.findall(r"(?<=\s)--[a-z][a-z-]+(?=[ ,])", told)) - {"--help"}
    shown = set(re.findall(r"^`(--[a-z-]+)`", page, re.MULTILINE))
    assert common <= in_help
    own = {each.flag for each in command_pages.options(cli.COMMANDS[name].settings)}
    assert shown == {each for each in own if each.startswith("--")} - common
    assert shown <= in_help
    for option in command_pages.options(cli.COMMANDS[name].settings):
        assert option.text.replace("`", "") in told.replace("`", "")
        if option.default:
            assert f"(default: {option.default}" in told


def test_choices_and_defaults_are_told() -> None:
    page = command_pages.page("finetune")
    assert "`--loss` `contrastive` · `triplet` · `supcon`, by default `supcon`" in page
    assert "`--rank` *number*, by default `8`" in page
    assert "`--model` *text*\n" in page
    assert "# likewise search" in command_pages.page("search")
    assert "```text\nlikewise search IMAGE [options]\n```" in command_pages.page("search")
    assert "`--in` *path*" in command_pages.page("search")
    assert "(exit code 1)" in command_pages.page("embed")


def test_a_new_command_gets_a_page_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        cli.COMMANDS, "new thing", cli.Command(settings.Embed, cli.COMMANDS["embed"].job)
    )
    assert "reference/commands/new-thing.md" in command_pages.pages()
    assert "(new-thing.md)" in command_pages.index()


def test_results_of_all_methods_are_described() -> None:
    shown = {name for _, name in api_pages.returned()}
    tree = ast.parse((ROOT / "ssl/likewise/api.py").read_text("utf-8"))
    methods = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)]
    public = [each for each in methods if hasattr(Workspace, each.name) and each.name[0] != "_"]
    returns = {
        ast.literal_eval(each.returns) for each in public if isinstance(each.returns, ast.Constant)
    }
    assert len(returns) > 10
    assert shown == {each for each in returns if "." not in each}  # pandas has its own pages


def test_links_to_the_repository_become_links_of_the_site() -> None:
    text = (
        "[a](../benchmarks/results/2026-11-24-search.md) [b](architecture.md#rooms) "
        "[c](../CHANGELOG.md) [d](https://example.org) [e](#here)\n"
        "```text\n[f](../CHANGELOG.md)\n```\n"
    )
    assert mirrored.in_site(text, "docs/faq.md", "faq.md") == (
        "[a](results/2026-11-24-search.md) [b](architecture.md#rooms) "
        "[c](changelog.md) [d](https://example.org) [e](#here)\n"
        "```text\n[f](../CHANGELOG.md)\n```\n"
    )
    there = mirrored.in_site("[x](docs/architecture.md)", "CONTRIBUTING.md", "contributing.md")
    assert there == "[x](architecture.md)"
    back = mirrored.in_site("[x](2026-11-23-demo.md)", "benchmarks/results/a.md", "results/a.md")
    assert back == "[x](2026-11-23-demo.md)"


def test_what_only_tests_read_is_not_shown() -> None:
    text = "<!-- setup\nmkdir a\n-->\n\n```bash\necho '<!-- kept -->'\n```\n"
    assert build._without_comments(text) == "\n```bash\necho '<!-- kept -->'\n```\n"
    output = "<!-- output -->\n\n```text\ndone\n```\n"
    assert build._without_comments(output) == "```{ .text .output }\ndone\n```\n"


def test_what_would_be_loaded_from_elsewhere_is_noticed() -> None:
    html = (
        '<script src="https://unpkg.com/x.js"></script><img alt="" src=//cdn.example.org/a.png>'
        '<link rel="stylesheet" href="https://fonts.example.org/css">'
        '<link rel="canonical" href="https://likewise.example.org/">'
        '<a href="https://example.org">link</a><img src="a.png"><link href="a.css">'
    )
    assert build.foreign(html) == [
        "https://unpkg.com/x.js",
        "//cdn.example.org/a.png",
        "https://fonts.example.org/css",
    ]


def test_every_diagram_is_drawn_and_no_drawing_is_left_over() -> None:
    wanted = {
        diagrams.drawing_of(each) for page in PAGES for each in diagrams.diagrams(page.read_text())
    }
    assert wanted == set(diagrams.FOLDER.glob("*.svg"))
    drawn = diagrams.drawn((DOCS / "architecture.md").read_text("utf-8"))
    assert "```mermaid" not in drawn
    assert drawn.count("<svg") == 2


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text("utf-8").split()
    for page in PAGES:
        place = str(page.relative_to(DOCS))
        assert place.startswith("decisions/") or place in listed


@cache
def messages() -> list[str]:
    """The text of every error and warning in the code, a blank in the place of each value."""
    found = []
    for file in [*ROOT.glob("ssl/**/*.py"), *ROOT.glob("labeler/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    each.value if isinstance(each, ast.Constant) else " " for each in node.values
                )
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return [*found, (ROOT / "Makefile").read_text("utf-8")]


def explained() -> list[str]:
    """The lines that the page on trouble explains, but those of other programs."""
    text = (DOCS / "troubleshooting.md").read_text("utf-8")
    lines = re.findall(r"^`(.+)`\n:   ", text, re.MULTILINE)
    return [each for each in lines if "torchvision::nms" not in each]


@pytest.mark.parametrize("line", explained())
def test_every_error_that_is_explained_can_be_met(line: str) -> None:
    parts = [each.strip() for each in line.split("...") if each.strip(" :;()")]
    assert parts
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    assert any(pattern.search(each) for each in messages()), line


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The site, built as `make docs` does, and where it is served."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *asked: _Quiet(*asked, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@pytest.mark.long
@pytest.mark.browser
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_shows_itself_and_asks_nobody_else(
    width: int, site: tuple[str, Path], browser: Browser
) -> None:
    url, folder = site
    pages = sorted(folder.glob("**/*.html"))
    assert len(pages) > 60
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    asked, wrong = list[str](), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("response", lambda got: wrong.append(got.url) if got.status >= 400 else None)
    wide = list[str]()
    for file in pages:
        if file.name == "404.html":
            continue
        page.goto(f"{url}/{file.relative_to(folder)}")
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1"):
            wide.append(file.name)
    context.close()
    assert not [each for each in asked if not each.startswith((url, "data:"))]
    assert not wrong
    assert not wide
