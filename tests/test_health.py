"""Health figures against cases whose answer is known."""

import math

import pytest
import torch

from likewise.training.health import (
    collapse_warning,
    effective_rank,
    nearest,
    neighbour_stability,
    relative_std,
)


def gaussian(count: int, dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


def test_std_is_one_for_isotropic_vectors_and_zero_for_equal_ones() -> None:
    assert relative_std(gaussian(4000, 64)) == pytest.approx(1, abs=0.02)
    assert relative_std(torch.ones(50, 64)) == pytest.approx(0, abs=1e-6)
    assert relative_std(1000 * gaussian(4000, 64)) == pytest.approx(1, abs=0.02)


def test_effective_rank_counts_the_directions_in_use() -> None:
    # On the corners of a regular simplex all directions are used alike.
    corners = torch.eye(9)
    assert effective_rank(corners) == pytest.approx(8, abs=1e-6)
    flat = torch.zeros(400, 30)
    angles = torch.linspace(0, 2 * math.pi, 401)[:-1]
    flat[:, 0], flat[:, 1] = angles.cos(), angles.sin()
    assert effective_rank(flat) == pytest.approx(2, abs=1e-4)
    assert effective_rank(torch.ones(10, 5)) == 1.0


def test_rank_sees_the_local_collapse_that_std_misses() -> None:
    signs = torch.sign(gaussian(500, 1)) * torch.ones(1, 64)
    assert relative_std(signs) > 0.9
    assert effective_rank(signs) == pytest.approx(1, abs=1e-6)
    told = collapse_warning(1.0, effective_rank(signs))
    assert told is not None
    assert "one direction" in told


def test_neighbours_are_the_nearest_others() -> None:
    vectors = gaussian(60, 8)
    found = nearest(vectors, k=5)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    for row in range(60):
        similarity = unit @ unit[row]
        expected = sorted((n for n in range(60) if n != row), key=lambda n: -similarity[n])[:5]
        assert found[row].tolist() == expected


def test_stability_is_the_share_of_neighbours_kept() -> None:
    before = torch.tensor([[1, 2], [3, 4]])
    assert neighbour_stability(before, before.flip(1)) == 1.0
    assert neighbour_stability(before, torch.tensor([[1, 9], [8, 7]])) == 0.25


def test_collapse_is_told_in_plain_words_and_health_is_not() -> None:
    told = collapse_warning(0.01, 20.0)
    assert told is not None
    assert "same vector to every image" in told
    assert "likewise views" in told
    assert collapse_warning(0.9, 3.0) is None
