"""Pages of the repository that lie outside ``docs/`` and belong to the site, and links to them."""

import os
import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"

_FIXED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "data/README.md": "data.md",
    "benchmarks/answers/README.md": "results/how-answers-are-measured.md",
}
_FOLDERS = {"benchmarks/results": "results/index.md", "docs/decisions": "architecture.md#decisions"}
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)


def sources() -> dict[str, str]:
    """Where in the site each outside file goes, by its path in the repository."""
    results = {
        f"benchmarks/results/{file.name}": f"results/{file.name}"
        for file in sorted(RESULTS.iterdir())
        if file.suffix in (".md", ".png")
    }
    return _FIXED | results


def results_index() -> str:
    """A list of all dated results, the newest first."""
    lines = [
        f"- [{file.read_text('utf-8').splitlines()[0].removeprefix('# ')}]({file.name})"
        for file in sorted(RESULTS.glob("*.md"), reverse=True)
    ]
    text = (
        "What was measured, with command, machine and date. A figure on another page of this site "
        "comes from one of these."
    )
    return "\n".join(("# Results", "", text, "", *lines, ""))


def in_site(markdown: str, source: str, place: str) -> str:
    """Turn links as they are in the repository into links of the site.

    Args:
        markdown: The text of a page; code blocks stay as they are.
        source: Its path in the repository.
        place: Its path in the site.
    """

    def target(match: re.Match[str]) -> str:
        before, link, after = match.groups()
        if "://" in link or link.startswith(("#", "mailto:")):
            return match[0]
        path, hash_sign, anchor = link.partition("#")
        where = os.path.normpath(PurePosixPath(source).parent / path)
        there = _FOLDERS.get(where) or sources().get(where) or where.removeprefix("docs/")
        near = os.path.relpath(there, PurePosixPath(place).parent)
        return f"{before}{near}{hash_sign}{anchor}{after}"

    parts = _FENCE.split(markdown)
    return "".join(part if at % 2 else _LINK.sub(target, part) for at, part in enumerate(parts))
