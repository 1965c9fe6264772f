"""`likewise views` writes a picture of what pretraining sees."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likewise.errors import UsageError
from likewise.evaluation.view_sheet import views
from likewise.settings import Views
from likewise.workspace import Workspace


def test_the_sheet_shows_images_and_their_views(filled: Workspace, tmp_path: Path) -> None:
    told = views(filled, Views(images=3, views=4, out=tmp_path / "sheet.png")).as_json()
    assert told == {
        "picture": str(tmp_path / "sheet.png"),
        "preset": "natural",
        "image_size": 24,
    }
    few = np.asarray(Image.open(tmp_path / "sheet.png"))
    views(filled, Views(images=3, views=4, out=tmp_path / "same.png"))
    views(filled, Views(images=3, views=4, out=tmp_path / "other.png", seed=1))
    views(filled, Views(images=5, views=4, out=tmp_path / "more.png"))
    assert np.array_equal(few, np.asarray(Image.open(tmp_path / "same.png")))
    assert not np.array_equal(few, np.asarray(Image.open(tmp_path / "other.png")))
    assert np.asarray(Image.open(tmp_path / "more.png")).shape[0] > few.shape[0]
    assert np.ptp(few.astype(int), axis=2).max() > 50  # coloured pictures


def test_it_lands_in_the_workspace_and_refuses_nonsense(filled: Workspace) -> None:
    assert views(filled, Views()).picture == filled.path / "views.png"
    with pytest.raises(UsageError, match="--views"):
        views(filled, Views(views=0))
