"""The contrastive part of a head: its loss and gradient against torch, and what it is good for."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from likewise.answers.placement import Placement
from likewise.training.contrast import MARGIN, PULL, PUSH, contrasted, multi_similarity, summed

RNG = np.random.default_rng(0)


def drawn(count: int, groups: int, dim: int) -> tuple[np.ndarray, ...]:
    """Inputs, groups and confidences."""
    inputs = RNG.normal(size=(count, dim)).astype(np.float32)
    return inputs, RNG.integers(groups, size=count), RNG.uniform(0.5, 1, count).astype(np.float32)


def by_pairs(
    weight: torch.Tensor, inputs: np.ndarray, groups: np.ndarray, confidence: np.ndarray
) -> torch.Tensor:
    """The loss as the paper writes it, pair by pair."""
    unit = functional.normalize(torch.from_numpy(inputs).double() @ weight.T, dim=1)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(groups)):
        pulled, pushed = torch.ones(()).double(), torch.ones(()).double()
        for j in range(len(groups)):
            if i == j:
                continue
            trusted, cosine = float(confidence[i] * confidence[j]), unit[i] @ unit[j]
            if groups[i] == groups[j]:
                pulled = pulled + trusted * torch.exp(-PULL * (cosine - MARGIN))
            else:
                pushed = pushed + trusted * torch.exp(PUSH * (cosine - MARGIN))
        total = total + torch.log(pulled) / PULL + torch.log(pushed) / PUSH
    return total / len(groups)


@pytest.mark.parametrize("groups", [1, 3, 12])
def test_loss_and_gradient_are_those_of_the_paper(groups: int) -> None:
    inputs, members, confidence = drawn(12, groups, 5)
    weight = RNG.normal(size=(4, 5)).astype(np.float32)
    oracle = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
    expected = by_pairs(oracle, inputs, members, confidence)
    expected.backward()  # type: ignore[no-untyped-call]
    loss, slope = multi_similarity(weight, inputs, members, confidence)
    assert oracle.grad is not None
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    np.testing.assert_allclose(slope, oracle.grad.numpy(), rtol=1e-3, atol=1e-5)


def test_metrics_are_summed_by_their_parts() -> None:
    one, other = RNG.normal(size=(2, 4, 4))
    metrics = [each.T @ each / (each**2).sum() for each in (one, other)]
    for part in (0.0, 0.3, 1.0):
        made = summed(one, other, part)
        expected = (1 - part) * metrics[0] + part * metrics[1]
        np.testing.assert_allclose(made.T @ made / 4, expected, atol=1e-12)
        assert (made**2).sum() == pytest.approx(4)


def placed(inputs: np.ndarray, members: np.ndarray) -> Placement:
    """All images placed, surely."""
    return Placement(np.arange(len(inputs)), members, np.ones(len(inputs)), 0.0)


def telling(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of ten groups that differ along the first of six directions alone, and the groups."""
    members = np.arange(count) % 10
    inputs = RNG.normal(size=(count, 6)).astype(np.float32)
    inputs[:, 0] = RNG.permutation(10)[members] - 4.5 + 0.1 * inputs[:, 0]
    return inputs, members


def lengths(inputs: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Of the directions, after a head that left all as they are got its contrast."""
    made = contrasted(np.eye(6), inputs, placed(inputs, members))
    return np.sqrt(np.diag(made.T @ made))


def test_what_tells_groups_apart_gets_longer_the_more_are_placed() -> None:
    few, some, many = (lengths(*telling(count)) for count in (20, 200, 2000))
    few, some, many = (each[0] / each[1:].max() for each in (few, some, many))
    assert 0.9 < few < 1.1
    assert 1.2 < some < many


def test_the_same_seed_makes_the_same_head() -> None:
    inputs, members, _ = drawn(600, 30, 8)
    one, two, other = (contrasted(np.eye(8), inputs, placed(inputs, members), s) for s in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
