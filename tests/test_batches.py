"""Batches: every image once an epoch, the same views from a seed however they are made."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.images.augmentation import Views
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.settings import Ingest
from likewise.training.batches import divide_cores, epoch_rows, view_batches
from likewise.workspace import Workspace


@pytest.fixture
def images(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Images:
    for seed in range(23):
        picture(tmp_path / "in" / f"{seed}.png", seed)
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    return open_images(workspace)


def test_an_epoch_shows_each_image_at_most_once_and_epochs_differ() -> None:
    rows = np.arange(100, 123)
    batches = epoch_rows(rows, 5, seed=1, epoch=0)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5]
    shown = np.concatenate(batches)
    assert len(set(shown.tolist())) == 20
    assert set(shown.tolist()) <= set(rows.tolist())
    again = epoch_rows(rows, 5, seed=1, epoch=0)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    other = np.concatenate(epoch_rows(rows, 5, seed=1, epoch=1))
    assert not np.array_equal(shown, other)


def load(
    images: Images, workers: int, start: tuple[int, int] = (0, 0), seed: int = 7
) -> dict[tuple[int, int], torch.Tensor]:
    rows = np.arange(len(images))
    loader = view_batches(
        images,
        Views("natural", 16),
        lambda epoch: epoch_rows(rows, 6, seed, epoch),
        count=2,
        epochs=2,
        seed=seed,
        start=start,
        workers=workers,
    )
    return {(request.epoch, request.step): views for request, views in loader}


def test_views_depend_on_seed_epoch_and_step_alone(images: Images) -> None:
    alone = load(images, workers=0)
    assert list(alone) == [(epoch, step) for epoch in range(2) for step in range(3)]
    assert alone[0, 0].shape == (2, 6, 16, 16, 3)
    assert alone[0, 0].dtype == torch.uint8
    assert not torch.equal(alone[0, 0][0], alone[0, 0][1])
    by_others = load(images, workers=2)
    assert list(by_others) == list(alone)
    assert all(torch.equal(alone[key], by_others[key]) for key in alone)
    assert not torch.equal(alone[0, 0], load(images, workers=0, seed=8)[0, 0])


def test_a_run_goes_on_in_the_middle_of_an_epoch(images: Images) -> None:
    whole = load(images, workers=0)
    rest = load(images, workers=0, start=(0, 2))
    assert list(rest) == [(0, 2), (1, 0), (1, 1), (1, 2)]
    assert all(torch.equal(whole[key], rest[key]) for key in rest)


def test_cores_are_divided_between_loading_and_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_cores(count: int, workers: int = -1) -> tuple[int, int]:
        monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(count)))
        return divide_cores(workers)

    assert with_cores(1) == (0, 1)
    assert with_cores(2) == (0, 2)
    assert with_cores(4) == (2, 2)
    assert with_cores(32) == (8, 24)
    assert with_cores(4, workers=3) == (3, 1)
    assert with_cores(4, workers=9) == (9, 1)
