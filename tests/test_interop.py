"""Datasets of PyTorch and DataFrames of pandas, both ways."""

import hashlib
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional as vision

from likewise.api import Workspace
from likewise.errors import LikewiseError, UsageError
from likewise.files import digest
from likewise.images.augmentation import whole_view
from likewise.images.dataset_files import pixels_of
from likewise.models.model_files import save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import start_run


@pytest.fixture
def here(embedded: Any) -> Workspace:
    """Twenty-four embedded images, with the methods of the API."""
    return Workspace(embedded.path)


def shrunk(image: Image.Image) -> torch.Tensor:
    made: torch.Tensor = vision.pil_to_tensor(image.resize((8, 8)))
    return made


class Pictures:
    """Eight pictures as torchvision's datasets give them, the last one twice."""

    classes = ("cat", "dog/wolf")

    def __init__(self, kind: Callable[[np.ndarray], Any]) -> None:
        self.kind = kind

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> tuple[Any, int]:
        if index >= len(self):
            raise IndexError(index)
        seed = min(index, 7)
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 30 + seed, 3), np.uint8)
        return self.kind(pixels), seed % 2


def as_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)


def test_vectors_of_a_run_are_asked_for_by_its_name(here: Workspace) -> None:
    with pytest.raises(UsageError, match="no run 'gone'"):
        here.vectors(model="gone")
    with pytest.raises(UsageError, match="not both"):
        here.vectors("0123", model="pretrain-1")
    run = start_run(here, "pretrain", {}, name="later")
    save_model(run.model_file, build_backbone("small", image_size=24))
    with pytest.raises(
        LikewiseError, match=r"later has no embeddings; run `likewise embed --model later`"
    ):
        here.vectors(model="later")


def test_the_dataset_gives_the_prepared_pixels_and_their_ids(here: Workspace) -> None:
    images, dataset = here.images(), here.dataset()
    assert len(dataset) == 24
    pixels, image_id = dataset[5]
    assert image_id == images.ids[5] == dataset.ids[5]
    assert np.array_equal(pixels.permute(1, 2, 0).numpy(), images[5])
    square, _ = here.dataset(size=16)[5]
    assert np.array_equal(square.permute(1, 2, 0).numpy(), whole_view(images[5], 16))
    small, _ = here.dataset(shrunk)[5]
    assert torch.equal(small, shrunk(Image.fromarray(np.array(images[5]))))
    with pytest.raises(IndexError):
        dataset[24]
    with pytest.raises(UsageError, match="size=0"):
        here.dataset(size=0)


def test_batches_are_made_and_the_dataset_travels(here: Workspace) -> None:
    dataset = here.dataset(shrunk)
    sent = pickle.dumps(dataset)
    assert len(sent) < 20_000  # the pixels stay where they are
    again = pickle.loads(sent)
    for (pixels, ids), (same, known) in zip(
        DataLoader(dataset, batch_size=10), DataLoader(again, batch_size=10), strict=True
    ):
        assert torch.equal(pixels, same)
        assert list(ids) == list(known)
        assert pixels.shape[1:] == (3, 8, 8)


@pytest.mark.long
def test_workers_read_the_same_as_the_main_process(here: Workspace) -> None:
    dataset = here.dataset(shrunk)
    spawn = multiprocessing.get_context("spawn")
    spawned = DataLoader(dataset, batch_size=10, num_workers=1, multiprocessing_context=spawn)
    for (pixels, ids), (again, same) in zip(DataLoader(dataset, 10), spawned, strict=True):
        assert torch.equal(pixels, again)
        assert list(ids) == list(same)


def test_a_dataset_is_ingested_once_whatever_it_gives(tmp_path: Path) -> None:
    kinds: list[Callable[[np.ndarray], Any]] = [
        Image.fromarray,
        as_tensor,
        lambda pixels: as_tensor(pixels).float() / 255,
        lambda pixels: pixels,
    ]
    workspace = Workspace(tmp_path / "workspace")
    found = [workspace.ingest(Pictures(kind), workers=1) for kind in kinds]
    assert [each.images for each in found] == [8] * 4
    assert [each.new for each in found] == [8, 0, 0, 0]
    images, ids = workspace.images(), workspace.ids_of(Pictures(as_tensor))
    assert ids[7] == ids[8]
    assert set(ids) == set(images.ids.tolist())
    for index, each in enumerate(ids):
        row = images.positions[each]
        assert np.array_equal(images[row], Pictures(np.asarray)[index][0])
        assert digest(images.path(row)) == each
        assert images.path(row).parent.name == ("cat", "dog_wolf")[min(index, 7) % 2]
    again = workspace.ingest(workers=1)  # the folder is known now
    assert (again.images, again.new) == (8, 0)


def test_ids_follow_from_the_pixels_alone() -> None:
    """By hand: a PPM of one red pixel, hashed by another implementation's words."""
    workspace = Workspace("nowhere")
    red = TensorDataset(torch.tensor([[[[255]], [[0]], [[0]]]], dtype=torch.uint8))
    expected = hashlib.blake2b(b"P6\n1 1\n255\n\xff\x00\x00", digest_size=16).hexdigest()
    assert workspace.ids_of(red) == [expected]


def test_a_dataset_of_files_is_its_files(here: Workspace, tmp_path: Path) -> None:
    folder = ImageFolder(str(tmp_path / "in"))
    found = here.ingest(folder, workers=1)
    assert (found.images, found.new) == (24, 0)
    assert not (here.path / "datasets").exists()
    assert set(here.ids_of(folder)) == set(here.images().ids.tolist())


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))))
def test_pixels_come_through_every_kind_unchanged(pixels: np.ndarray) -> None:
    tensor = as_tensor(pixels)
    for each in (pixels, tensor, tensor.float() / 255, tensor.double() / 255):
        assert np.array_equal(pixels_of(each), pixels)
    grey = pixels[..., :1]
    assert np.array_equal(pixels_of(as_tensor(grey)), np.repeat(grey, 3, axis=2))
    assert np.array_equal(pixels_of(grey[..., 0]), np.repeat(grey, 3, axis=2))


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("cat.png", "str is no image"),
        (torch.full((3, 4, 4), -1.5), "without Normalize"),
        (torch.full((3, 4, 4), float("nan")), "floats from nan"),
        (np.zeros((4, 4, 5), np.uint8), "has not 1 or 3 channels"),
        (np.zeros((4, 4, 3), np.int64), "numbers of type int64"),
        ({"picture": 1}, "NoneType is no image"),
    ],
)
def test_what_is_no_image_is_told_with_its_place(item: Any, why: str, tmp_path: Path) -> None:
    good = np.zeros((4, 4, 3), np.uint8)
    workspace = Workspace(tmp_path / "workspace")
    with pytest.raises(LikewiseError, match=f"item 1 of the dataset: .*{why}"):
        workspace.ingest([good, item])


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    for source, why in (
        (iter([1]), "no path, no DataFrame and no dataset"),
        ([], "the dataset list is empty"),
        (pd.DataFrame({"file": ["a"]}), "no column \"path\"; it has 'file'"),
        (pd.DataFrame({"path": [None]}), "names no images"),
    ):
        with pytest.raises(LikewiseError, match=why):
            workspace.ingest(source)


def test_images_are_ingested_from_a_frame(tmp_path: Path, picture: Callable[..., Path]) -> None:
    files = [picture(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    workspace = Workspace(tmp_path / "workspace")
    frame = pd.DataFrame({"path": [str(each) for each in files] + [None], "price": range(4)})
    assert workspace.ingest(frame, workers=1, hold_out=0.5).images == 3
    told = workspace.images_frame()
    assert sorted(told["path"]) == [str(each) for each in files]
    assert told.loc[told["path"] == str(files[1]), "id"].item() == digest(files[1])
    assert told[["width", "height", "status"]].drop_duplicates().values.tolist() == [[32, 24, "ok"]]
    held_out = dict(zip(workspace.images().ids.tolist(), workspace.images().held_out, strict=True))
    assert dict(zip(told["id"], told["held_out"], strict=True)) == held_out


def test_embeddings_are_a_frame_by_id(here: Workspace) -> None:
    frame, saved = here.embeddings_frame(), here.vectors()
    assert here.vectors(model=saved.model).fingerprint == saved.fingerprint
    assert here.vectors(saved.fingerprint).model == saved.model
    assert here.embeddings_frame(model=saved.model).equals(frame)
    assert frame.attrs == {"fingerprint": saved.fingerprint, "model": saved.model}
    assert frame.index.tolist() == saved.ids.tolist()
    assert np.array_equal(frame.drop(columns="path").to_numpy(np.float32), saved.vectors)


def name(path: str | Path) -> str:
    """Of a file; the fixture's images lie in two places."""
    return Path(path).name


def verdicts(frame: pd.DataFrame) -> dict[frozenset[str], str]:
    rows = zip(frame["path_a"], frame["path_b"], frame["verdict"], strict=True)
    return {frozenset((name(a), name(b))): verdict for a, b, verdict in rows}


def test_answers_go_to_a_frame_and_come_back(here: Workspace, tmp_path: Path) -> None:
    files = sorted((tmp_path / "in").rglob("*.png"))
    given = pd.DataFrame(
        {
            "path_a": [str(each) for each in files[:4]],
            "path_b": [str(each) for each in files[4:8]],
            "verdict": ["similar", "dissimilar", "unsure", "similar"],
            "annotator": ["ada", None, "ada", "bob"],
            "time": [pd.Timestamp("2026-01-02T03:04:05.000006Z"), pd.NaT, pd.NaT, pd.NaT],
            "extra": [[1], 2, None, 4],
        }
    )
    assert here.add_answers(given, annotator="sheet").answers == 4
    told = here.answers_frame()
    assert sorted(told["annotator"]) == ["ada", "ada", "bob", "sheet"]
    assert told["time"].min() == pd.Timestamp("2026-01-02T03:04:05.000006Z")
    assert verdicts(told) == verdicts(given)
    back = here.add_answers(told)
    assert (back.answers, back.skipped) == (0, 4)
    assert len(here.answers_frame(history=True)) == 4
    assert set(map(name, here.groups_frame()["path"])) == set(map(name, files))


def test_a_frame_that_cannot_be_used_is_told(here: Workspace) -> None:
    with pytest.raises(LikewiseError, match="no column \"verdict\"; it has 'id_a'"):
        here.add_answers(pd.DataFrame({"id_a": ["x"]}))
    unknown = pd.DataFrame({"id_a": ["x"], "id_b": ["y"], "verdict": ["similar"]})
    with pytest.raises(LikewiseError, match="the DataFrame: none of its 1 rows"):
        here.add_answers(unknown)
    assert here.add_answers(pd.DataFrame({"verdict": []})).answers == 0
