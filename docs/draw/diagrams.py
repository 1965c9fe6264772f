"""Draws the Mermaid diagrams of all pages that have none yet, and removes drawings of old ones.

npm pack @mermaid-js/tiny && tar xzf mermaid-js-tiny-*.tgz
python -m docs.draw.diagrams package/dist/mermaid.tiny.js
"""

import argparse
import re
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from docs.hooks.diagrams import FOLDER, diagrams, drawing_of

_COLOURS = {  # of Mermaid's neutral theme: those of the page instead
    "#eee": "var(--diagram-box)",
    "#999": "var(--diagram-line)",
    "#666": "var(--diagram-line)",
    "#111111": "var(--md-typeset-color)",
    "#000000": "var(--md-typeset-color)",
    "#333": "var(--md-typeset-color)",
}


def main() -> None:
    """Draw what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mermaid", type=Path, help="mermaid.tiny.js")
    options = parser.parse_args()
    pages = sorted(FOLDER.parents[1].glob("**/*.md"))
    wanted = {drawing_of(each): each for page in pages for each in diagrams(page.read_text())}
    for old in set(FOLDER.glob("*.svg")) - set(wanted):
        old.unlink()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_content("<body></body>")
        page.add_script_tag(path=options.mermaid)
        for file, diagram in wanted.items():
            if not file.exists():
                file.write_text(_in_page_colours(draw(page, diagram, f"d{file.stem}")), "utf-8")
        browser.close()


def draw(page: Page, diagram: str, name: str) -> str:
    """The drawing as SVG."""
    script = """async ([text, name]) => {
        mermaid.initialize({startOnLoad: false, theme: "neutral", fontFamily: "inherit",
                            flowchart: {htmlLabels: false, useMaxWidth: true}});
        return (await mermaid.render(name, text)).svg;
    }"""
    drawn = page.evaluate(script, [diagram, name])
    assert isinstance(drawn, str)
    return drawn


def _in_page_colours(svg: str) -> str:
    return re.sub(
        r"#[0-9a-fA-F]{3,6}\b", lambda found: _COLOURS.get(found[0].lower(), found[0]), svg
    )


if __name__ == "__main__":
    main()
