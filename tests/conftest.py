"""Fixtures that several tests share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likewise.workspace import Workspace


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write to their own workspaces, whatever the developer's environment says."""
    monkeypatch.delenv("LIKEWISE_WORKSPACE", raising=False)
    monkeypatch.delenv("LIKEWISE_DATABASE_URL", raising=False)


@pytest.fixture
def picture() -> Callable[..., Path]:
    """``picture(path, seed=0, size=(width, height), **options)`` writes an image; returns path.

    The content is smooth coloured noise that depends on the seed alone, so that equal seeds give
    byte-equal files. The suffix chooses the format; options go to `PIL.Image.Image.save`.
    """

    def make(path: Path, seed: int = 0, size: tuple[int, int] = (32, 24), **options: Any) -> Path:
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, **options)
        return path

    return make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace that does not exist yet."""
    return Workspace(tmp_path / "workspace")
