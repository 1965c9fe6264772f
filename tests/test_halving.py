"""The first epochs on smaller views."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.settings import Pretrain
from likewise.training import pretrain as pretrain_module
from likewise.training.halving import halved
from likewise.training.pretrain import pretrain
from likewise.workspace import Workspace


@given(st.integers(1, 3), st.integers(4, 12), st.integers(0, 2**31))
def test_each_pixel_is_the_mean_of_four_as_opencv_has_it(count: int, half: int, seed: int) -> None:
    views = np.random.default_rng(seed).integers(256, size=(count, 2 * half, 2 * half, 3))
    views = views.astype(np.uint8)
    found = halved(torch.from_numpy(views)).numpy().astype(int)
    for view, small in zip(views, found, strict=True):
        expected = cv2.resize(view, (half, half), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(small - expected).max() <= 1  # halves are rounded to even here, up there


def test_an_odd_side_loses_its_last_row() -> None:
    views = torch.randint(256, (2, 9, 9, 3), dtype=torch.uint8)
    assert torch.equal(halved(views), halved(views[:, :8, :8]))


def test_the_first_epochs_see_half_the_side_the_others_all_of_it(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sides: list[int] = []
    forward = pretrain_module._Pretraining._plain_forward

    def noted(self: object, flat: torch.Tensor) -> tuple[torch.Tensor, ...]:
        sides.append(flat.shape[1])
        return forward(self, flat)  # type: ignore[arg-type]

    monkeypatch.setattr(pretrain_module._Pretraining, "_plain_forward", noted)
    pretrain(
        filled,
        Pretrain(
            epochs=5, small_first=0.6, batch_size=8, image_size=16, workers=0,
            projector_dim=32, predictor_dim=8, preset="natural", precision="float32",
        ),
    )  # fmt: skip
    steps = len(sides) // 5
    assert sides == [8] * 3 * steps + [16] * 2 * steps
    assert "5 epochs, the first 3 at 8 px" in capsys.readouterr().err
