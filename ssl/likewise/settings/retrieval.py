"""Settings of commands that look up and compare images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from likewise.settings.common import Common


@dataclass(frozen=True, kw_only=True)
class Search(Common):
    """Find the images most similar to one, which may lie anywhere."""

    image: Positional[Path]
    """Image file, in the workspace or not. The image itself is left out of the results."""
    top: int = 10
    """How many images to find."""
    within: Annotated[UseAppendAction[tuple[Path, ...]], arg(name="in")] = ()
    """Look only in this folder and those inside it; may be given several times."""
    sheet: Path | None = None
    """Picture (PNG) to draw of what was found."""


@dataclass(frozen=True, kw_only=True)
class Verify(Common):
    """Say whether two images show the same, at a chosen error rate."""

    images: Positional[tuple[Path, ...]] = ()
    """Two image files, in the workspace or not."""
    far: float = 0.01
    """Share of different pairs (0 to 1) that may pass for the same; chooses the threshold."""
    pairs: Path | None = None
    """Compare many: CSV, JSONL or Parquet with path_a, path_b (or id_a, id_b), and, where known,
    same (or verdict, or label) and subject_a, subject_b; or a .txt like LFW's pairs.txt."""
    out: Path | None = None
    """With --pairs: write what was found of each pair (CSV, JSONL, Parquet)."""
    plot: Path | None = None
    """With --pairs and a known truth: picture (PNG) of the DET curve to draw."""
    bootstrap: int = 200
    """With --pairs and a known truth: resamples for the 95 % intervals."""
    seed: int = 0
    """Seed of everything random."""
