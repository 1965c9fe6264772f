"""What mkdocs calls while it builds the site: adds generated pages, turns links, draws diagrams.

A page that would load something from another host is an error.
"""

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from docs.hooks import api_pages, command_pages, diagrams, mirrored

_LOG = logging.getLogger("mkdocs.hooks.build")  # mkdocs counts its warnings
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc=["']?((?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*?\shref=["']?((?:https?:)?//[^"'\s>]+)"""
)
_WIDE = ("comparison.md", "peers.md")
"""Pages whose tables take the place of the table of contents."""
_OUTPUT = re.compile(r"^( *)<!-- output -->\s*```text$", re.MULTILINE)
_COMMENT = re.compile(r"^ *<!--.*?-->\n?", re.MULTILINE | re.DOTALL)


def generated() -> dict[str, str]:
    """Pages that exist in the site alone, by their place in it."""
    results = {"results/index.md": mirrored.results_index()}
    return command_pages.pages() | api_pages.pages() | results


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the parts of the navigation that follow from the repository."""
    decisions = sorted(each.name for each in Path(config.docs_dir).glob("decisions/*.md"))
    results = [place for place in mirrored.sources().values() if place.startswith("results/")]
    pages = sorted((each for each in results if each.endswith(".md")), reverse=True)
    config.nav = _filled(
        config.nav,
        {
            "reference/commands": list(command_pages.pages()),
            "decisions": [f"decisions/{name}" for name in decisions],
            "results": ["results/index.md", *pages],
        },
    )
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the generated pages and those from elsewhere in the repository."""
    for place, text in generated().items():
        files.append(File.generated(config, place, content=text))
    for source, place in mirrored.sources().items():
        files.append(File.generated(config, place, abs_src_path=str(mirrored.ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Make a page of the repository one of the site."""
    place = page.file.src_uri
    if place in _WIDE:
        page.meta["hide"] = ["toc"]
    sources = {there: source for source, there in mirrored.sources().items()}
    text = mirrored.in_site(markdown, sources.get(place, f"docs/{place}"), place)
    return diagrams.drawn(_without_comments(text))


def on_post_page(output: str, *, page: Page, **_: Any) -> str:
    """Refuse what a browser would fetch from elsewhere."""
    for address in foreign(output):
        _LOG.warning("'%s' would load %s: keep a copy in the repository", page.url, address)
    return output


def foreign(html: str) -> list[str]:
    """Addresses on other hosts that a browser loads by itself; links that one clicks are fine."""
    return [one or other for one, other in _LOADED.findall(html)]


def _without_comments(markdown: str) -> str:
    """Without what only tests read, and output marked as such; code blocks stay whole."""
    markdown = _OUTPUT.sub(r"\1```{ .text .output }", markdown)
    parts = re.split(r"(^ *```.*?^ *```$\n?)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if at % 2 else _COMMENT.sub("", part) for at, part in enumerate(parts))


def _filled(nav: Any, lists: dict[str, list[str]]) -> Any:
    if isinstance(nav, list):
        return [_filled(each, lists) for each in nav]
    if isinstance(nav, dict):
        return {title: _filled(each, lists) for title, each in nav.items()}
    return lists.get(nav, nav)
