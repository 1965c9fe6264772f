"""A wrong shape is told where it is passed, not where it does harm."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from likewise.evaluation.calibration import calibrate
from likewise.training.losses import simsiam_loss


def test_a_wrong_number_of_axes_is_told() -> None:
    with pytest.raises(TypeCheckError, match="p"):
        simsiam_loss(torch.zeros(4, 8), torch.zeros(2, 4, 8))


def test_axes_of_one_name_are_as_long_as_each_other() -> None:
    with pytest.raises(TypeCheckError, match="same"):
        calibrate(np.zeros(3), np.zeros(4, bool), np.zeros(9))


def test_a_wrong_type_of_number_is_told() -> None:
    with pytest.raises(TypeCheckError, match="similarities"):
        calibrate(np.zeros(3, np.float32), np.zeros(3, bool), np.zeros(9))
