"""Mermaid diagrams as drawings made beforehand, so that no page loads a script for them."""

import hashlib
import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pictures" / "diagrams"
_BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def diagrams(markdown: str) -> list[str]:
    """The source of each diagram of a page."""
    return _BLOCK.findall(markdown)


def drawing_of(diagram: str) -> Path:
    """The file that holds the drawing of a diagram; its name changes with the source."""
    return FOLDER / f"{hashlib.sha256(diagram.encode()).hexdigest()[:12]}.svg"


def drawn(markdown: str) -> str:
    """The page with drawings in the place of diagrams.

    Raises:
        FileNotFoundError: one was not drawn yet; the text says how.
    """

    def drawing(match: re.Match[str]) -> str:
        file = drawing_of(match[1])
        if not file.exists():
            raise FileNotFoundError(
                f"{file} is missing: a diagram has changed; `python -m docs.draw.diagrams` draws it"
            )
        return f'<div class="diagram">{file.read_text("utf-8")}</div>'

    return _BLOCK.sub(drawing, markdown)
