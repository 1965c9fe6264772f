"""Images that lie on the device: the right ones, the same views from a key, and when they do."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from likewise.errors import LikewiseError
from likewise.images.augmentation import Recipe
from likewise.images.batched_crops import BOX_DRAWS, random_boxes
from likewise.images.batched_views import BatchedViews
from likewise.images.ingest import ingest
from likewise.images.store import Images, open_images
from likewise.settings import Ingest
from likewise.training import resident as resident_module
from likewise.training.ahead import sent_ahead
from likewise.training.batches import Request
from likewise.training.resident import (
    Resident,
    bytes_kept,
    made_on_device,
    resident_batches,
    squared,
)
from likewise.workspace import Workspace

CPU = torch.device("cpu")
SHAPES = [(32, 24), (20, 40), (16, 16), (48, 30)]


@pytest.fixture
def images(workspace: Workspace, picture: Callable[..., Path], tmp_path: Path) -> Images:
    """Twelve images of four sizes."""
    for seed in range(12):
        picture(tmp_path / "in" / f"{seed:02}.png", seed, SHAPES[seed % 4])
    ingest(workspace, Ingest(images=(tmp_path / "in",), workers=1))
    return open_images(workspace)


def plain(views: int, count: int) -> torch.Tensor:
    """Draws of whole images, neither mirrored nor jittered nor grey nor blurred."""
    draws = torch.ones(views, count, BOX_DRAWS + 13)
    draws[..., 10:20] = 0.5  # as wide as high
    return draws


@pytest.mark.parametrize("chunk", [1, 4000, 1 << 20])
def test_every_image_is_found_again(
    images: Images, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident_module, "_CHUNK", chunk)
    monkeypatch.setattr("likewise.images.augmentation.SCALE", (1.0, 1.0))
    kept = np.array([0, 2, 3, 5, 6, 7, 9, 11])
    views = BatchedViews("natural", 16)
    resident = Resident(images, kept, views, CPU)
    assert resident.pixels.numel() == bytes_kept(images, kept, views)
    square = [row for row in kept.tolist() if images[row].shape[:2] == (16, 16)]
    asked = np.array([*square[::-1], square[0]])
    made = resident.views_of(asked, plain(2, len(asked)))
    assert made.shape == (2, len(asked), 16, 16, 3)
    for view in made:
        for place, row in enumerate(asked.tolist()):
            assert np.array_equal(view[place].numpy(), images[row])
    with pytest.raises(ValueError, match="not here"):
        resident.views_of(np.array([1]), plain(1, 1))


def test_each_view_shows_its_own_image_whatever_the_sizes(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likewise.images.augmentation.JITTERED", 0.0)
    monkeypatch.setattr("likewise.images.augmentation.GREYED", 0.0)
    rows = np.random.default_rng(0).permutation(len(images))
    resident = Resident(images, np.arange(len(images)), BatchedViews("natural", 24), CPU)
    draws = resident.views.draws(2 * len(rows), 5).view(2, len(rows), -1)
    made = resident.views_of(rows, draws).numpy().astype(int)
    sizes = torch.from_numpy(images.sizes[rows].astype(np.int64))
    for view, numbers in zip(made, draws, strict=True):
        boxes = random_boxes(numbers[:, :BOX_DRAWS], sizes, (0.2, 1.0)).tolist()
        for place, (top, left, height, width) in enumerate(boxes):
            crop = images[int(rows[place])][top : top + height, left : left + width]
            expected = cv2.resize(crop, (24, 24), interpolation=cv2.INTER_LINEAR)
            if numbers[place, BOX_DRAWS] < 0.5:
                expected = expected[:, ::-1]
            assert np.abs(view[place] - expected).max() <= 1


def test_glyphs_are_kept_as_squares(images: Images) -> None:
    rows = np.arange(4)
    views = BatchedViews("glyph", 20)
    resident = Resident(images, rows, views, CPU)
    assert resident.pixels.shape == (4 * 20 * 20, 3)
    assert bytes_kept(images, rows, views) == 3 * 4 * 20 * 20
    own = resident.pixels.view(4, 20, 20, 3).numpy()
    for row in range(4):
        assert np.array_equal(own[row], squared(images[row], 20))
    assert resident.views_of(rows, views.draws(8, 0).view(2, 4, -1)).shape == (2, 4, 20, 20, 3)


@pytest.mark.parametrize("recipe", ["natural", "grey", "glyph"])
def test_batches_depend_on_seed_epoch_and_step_alone(images: Images, recipe: Recipe) -> None:
    resident = Resident(images, np.arange(12), BatchedViews(recipe, 16), CPU)
    requests = [
        Request(epoch, step, np.arange(6) + 6 * step) for epoch in range(2) for step in range(2)
    ]

    def made(some: list[Request], seed: int = 1) -> dict[tuple[int, int], torch.Tensor]:
        batches = sent_ahead(resident_batches(resident, some, count=2, seed=seed), CPU)
        return {(request.epoch, request.step): views for request, views in batches}

    whole, rest, other = made(requests), made(requests[1:]), made(requests, seed=2)
    assert list(whole) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert whole[0, 0].shape == (2, 6, 16, 16, 3)
    assert all(torch.equal(whole[key], rest[key]) for key in rest)
    assert not any(torch.equal(whole[key], other[key]) for key in whole)
    assert not torch.equal(whole[0, 0], whole[1, 0])
    assert not torch.equal(whole[0, 0][0], whole[0, 0][1])


@pytest.mark.parametrize("recipe", ["natural", "grey", "glyph"])
def test_a_share_of_a_batch_has_the_views_of_the_whole(images: Images, recipe: Recipe) -> None:
    resident = Resident(images, np.arange(12), BatchedViews(recipe, 40), CPU)
    requests = [Request(0, 0, np.array([3, 1, 8, 11, 5]))]
    ((_, whole),) = resident_batches(resident, requests, count=2, seed=3)
    for own in (slice(0, 2), slice(2, 5)):

        def share(total: int, own: slice = own) -> slice:
            return own

        ((_, part),) = resident_batches(resident, requests, count=2, seed=3, share=share)
        assert torch.equal(part, whole[:, own])


def test_auto_is_a_gpu_with_room_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (400, 1000))
    assert made_on_device("auto", gpu, 100)
    assert not made_on_device("auto", gpu, 101)
    assert not made_on_device("auto", CPU, 1)
    assert not made_on_device("auto", torch.device("mps"), 1)
    assert made_on_device("device", CPU, 1)
    assert made_on_device("device", gpu, 10**6)
    assert not made_on_device("cpu", gpu, 1)


def test_too_many_images_are_told(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(LikewiseError, match=r"GB of images do not fit.*--views-on cpu"):
        Resident(images, np.arange(12), BatchedViews("natural", 16), CPU)


class FakeStream:
    """Writes down what it is asked for."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name, self.told = name, told

    def wait_stream(self, other: "FakeStream") -> None:
        self.told.append(f"{self.name} waits for {other.name}")

    def __enter__(self) -> None:
        self.told.append(f"on {self.name}")

    def __exit__(self, *failure: object) -> None:
        self.told.append(f"off {self.name}")


class FakeViews:
    def __init__(self, number: int, told: list[str]) -> None:
        self.number, self.told = number, told

    def to(self, device: torch.device, non_blocking: bool) -> "FakeViews":
        assert non_blocking
        self.told.append(f"copy {self.number} to {device}")
        return self

    def record_stream(self, stream: FakeStream) -> None:
        self.told.append(f"{self.number} used on {stream.name}")


def test_a_gpu_gets_the_next_batch_beside_the_present_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a GPU: in what order its streams would be asked."""
    told: list[str] = []
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: FakeStream("beside", told))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: FakeStream("main", told))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
    source = ((number, FakeViews(number, told)) for number in range(2))
    for number, _ in sent_ahead(source, torch.device("cuda", 0)):  # type: ignore[arg-type]
        told.append(f"step {number}")
    one_batch = [
        "on beside",
        "copy {0} to cuda:0",
        "off beside",
        "main waits for beside",
        "{0} used on main",
        "step {0}",
    ]
    assert told == [
        "beside waits for main",
        *(line.format(0) for line in one_batch),
        *(line.format(1) for line in one_batch),
        "on beside",
        "off beside",
    ]
