"""`likewise export`: files that other programs load, and that give the model's own vectors."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from likewise.api import Workspace
from likewise.errors import LikewiseError, UsageError
from likewise.export import job, parity, prepare
from likewise.export.facts import licence_of
from likewise.export.job import export
from likewise.images.augmentation import whole_view
from likewise.images.decode import load
from likewise.images.ingest import ingest
from likewise.models.backbones import with_head
from likewise.models.heads import Head
from likewise.models.model_files import load_model, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, start_run
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import load_embeddings
from likewise.settings import Embed, Export, Ingest

_WITHOUT_LIKEWISE = """
import sys
class NoLikewise:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "likewise":
            raise ModuleNotFoundError("likewise is not installed")
sys.meta_path.insert(0, NoLikewise())
try:
    import likewise
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("likewise could be imported")
"""
_RUN = """
import json, numpy
made = []
for code in json.loads(sys.stdin.read()):
    names = {}
    exec(code, names)
    made.append(numpy.asarray(names["vectors"]).tolist())
print(json.dumps(made))
"""


def with_random_head(workspace: Workspace, parent: Run, rows: int = 8) -> Run:
    """A run whose model is another's with a head on it, as `likewise finetune` leaves one."""
    backbone = load_model(parent.model_file)
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(rows, backbone.dim)).astype(np.float32)
    head = Head(weight, rng.normal(size=rows).astype(np.float32), 0.4)
    run = start_run(workspace, "finetune", {"depth": "head"}, name=None, parent=parent.fingerprint)
    save_model(run.model_file, with_head(backbone, head))
    return run


def snippets(folder: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)


def run_alone(codes: list[str], folder: Path) -> Any:
    """Run pieces of code in a process that has no likewise; return the vectors each made."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_LIKEWISE + _RUN],
        cwd=folder,
        input=json.dumps(codes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def every_snippet_gives(folder: Path, image: Path, expected: np.ndarray) -> None:
    """The lines of the card, as shown, on a file called ``image.jpg`` as shown."""
    shutil.copyfile(image, folder / "image.jpg")
    made = run_alone(snippets(folder), folder)
    (folder / "image.jpg").unlink()
    assert made.shape == (3, 1, len(expected))
    assert np.abs(made[:, 0] - expected).max() < 1e-3


def vector_of(workspace: Workspace, file: Path) -> np.ndarray:
    """The stored vector of an image of the workspace."""
    saved, images = load_embeddings(workspace), workspace.images()
    row = next(row for row in range(len(images)) if images.path(row) == file)
    return np.array(saved.vectors[saved.positions[str(images.ids[row])]])


@pytest.fixture(scope="module")
def _exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of photos-like pictures, a small net with a head, and its export."""
    folder = tmp_path_factory.mktemp("export")
    for seed in range(12):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
        file = folder / "in" / f"kind-{seed % 2}" / f"{seed:02}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coarse).resize((300 + 20 * seed, 310)).save(file)
    workspace = Workspace(folder / "workspace")
    ingest(workspace, Ingest(images=(folder / "in",), workers=1))
    torch.manual_seed(0)
    run = start_run(workspace, "pretrain", {"epochs": 3, "preset": "natural"}, name=None)
    save_model(run.model_file, build_backbone("small", image_size=28))
    with_random_head(workspace, run)
    embed(workspace, Embed(precision="float32"))
    workspace.export(truth="folders")
    return folder


@pytest.fixture
def exported(_exported: Path) -> tuple[Workspace, Path]:
    """The workspace and the folder of its export; both are shared, and stay as they are."""
    workspace = Workspace(_exported / "workspace")
    return workspace, workspace.path / "exports" / "finetune-1"


def test_the_lines_of_the_card_give_the_embedding(
    exported: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, folder = exported
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = workspace.config.roots[0] / "kind-1" / "07.jpg"
    every_snippet_gives(copy, file, vector_of(workspace, file))
    assert all(len(code.strip().splitlines()) <= 6 for code in snippets(copy)[:2])


def test_the_onnx_file_says_what_it_takes(exported: tuple[Workspace, Path]) -> None:
    workspace, folder = exported
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    shapes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 28, 28, 3], ["batch", 264]]
    told = {each.key: each.value for each in model.metadata_props}
    saved = load_embeddings(workspace)
    assert told["likewise.fingerprint"] == saved.fingerprint
    described = json.loads((folder / "preprocessing.json").read_text("utf-8"))
    assert json.loads(told["likewise.preprocessing"]) == described
    assert described["output"]["shape"] == ["batch", saved.vectors.shape[1]]


def test_nothing_of_this_machine_is_in_the_files(exported: tuple[Workspace, Path]) -> None:
    workspace, folder = exported
    here = [str(workspace.path.parent).encode(), str(Path(job.__file__).parents[3]).encode()]
    for file in folder.iterdir():
        data = file.read_bytes()
        assert not [each for each in here if each in data], file.name


def test_the_weights_are_those_of_the_model(exported: tuple[Workspace, Path]) -> None:
    workspace, folder = exported
    backbone = load_model(workspace.path / "runs" / "finetune-1" / "model.safetensors")
    net, head = load_file(folder / "model.safetensors"), load_file(folder / "head.safetensors")
    assert net.keys() == backbone.net.state_dict().keys()
    assert all(torch.equal(value, net[key]) for key, value in backbone.net.state_dict().items())
    assert head["blend"].tolist() == pytest.approx([0.4])


def test_the_card_states_data_figures_and_limits(exported: tuple[Workspace, Path]) -> None:
    _, folder = exported
    text = (folder / "README.md").read_text("utf-8")
    assert "Images: 12 in the workspace (in)" in text
    assert "1. `pretrain-1`: SimSiam, small, epochs 3, preset natural; no labels." in text
    assert re.search(r"^\| finetune-1 \| [01]\.\d+ \[", text, re.MULTILINE)
    assert "No weights of others" in text
    for title in ("Files", "Use", "Preprocessing", "Data", "Figures", "Limits"):
        assert f"\n## {title}\n" in text


def test_what_differs_is_not_written(
    exported: tuple[Workspace, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, folder = exported
    monkeypatch.setattr(parity, "TOLERANCE", 0.0)

    def from_before(_: object, file: Path) -> None:
        shutil.copyfile(folder / "model.onnx", file)

    monkeypatch.setattr(job, "write_onnx", lambda program, file, metadata: from_before(0, file))
    with pytest.raises(LikewiseError, match=r"ONNX model differs .* nothing was written"):
        export(workspace, Export(folder=tmp_path / "new"))
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_else_in_it_is_left_alone(
    exported: tuple[Workspace, Path], tmp_path: Path
) -> None:
    workspace, folder = exported
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        export(workspace, Export(folder=tmp_path))
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    job._check_folder(folder)
    with pytest.raises(UsageError, match="no folder"):
        export(workspace, Export(folder=folder / "README.md"))


@given(
    width=st.integers(1, 90), height=st.integers(1, 90), side=st.integers(1, 60),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_resizing_is_that_of_opencv(width: int, height: int, side: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    shrinks = side < min(height, width)
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    theirs = cv2.resize(pixels, (side, side), interpolation=how)
    ours = prepare.resize(pixels, side)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("mode", "size", "name"),
    [
        ("RGB", (700, 500), "a.jpg"),
        ("RGB", (900, 90), "a.png"),
        ("L", (60, 300), "a.png"),
        ("RGBA", (300, 280), "a.png"),
        ("P", (50, 40), "a.gif"),
        ("CMYK", (400, 400), "a.jpg"),
        ("1", (64, 64), "a.png"),
    ],
)
def test_images_are_prepared_as_ingest_and_embed_do(
    mode: str, size: tuple[int, int], name: str, tmp_path: Path
) -> None:
    channels = len(Image.new(mode, (1, 1)).getbands())
    coarse = np.random.default_rng(1).integers(0, 256, (6, 6, channels), np.uint8)
    image = Image.fromarray(coarse[..., 0] if channels == 1 else coarse, None).resize(size)
    if mode == "CMYK":
        image = Image.merge("CMYK", image.convert("RGBA").split())
    exif = Image.Exif()
    exif[0x0112] = 6
    if name == "a.jpg":
        image.convert(mode).save(tmp_path / name, exif=exif)
    else:
        image.convert(mode).save(tmp_path / name)
    settings = {
        "shrink": {"short_side": 256, "max_aspect": 4},
        "crop": {"aspect": 4 / 3},
        "side": 48,
    }
    expected = whole_view(load(tmp_path / name, short_side=256), 48)
    ours = prepare.square(tmp_path / name, settings)
    assert ours.shape == (48, 48, 3)
    assert np.abs(ours.astype(int) - expected.astype(int)).max() <= 2


def test_licences_are_told_as_far_as_they_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def first(architecture: str, init: str) -> Run:
        monkeypatch.setattr(Run, "architecture", {"name": architecture})
        return Run(tmp_path, "adopt", {"init": init}, "", None)

    dino = "timm/vit_small_patch14_dinov2.lvd142m"
    assert "timm states the licence apache-2.0" in licence_of(first(dino, "pretrained"))
    told = licence_of(first(dino, "/somebody/weights.pth"))
    assert "weights.pth, whose licence Likewise does not know" in told
    assert "/somebody" not in told
    assert "names no licence" in licence_of(first("torchvision/resnet18", "pretrained"))
    assert "from random ones" in licence_of(first("small", "random"))


def test_a_small_stem_is_in_the_lines_that_load(filled: Workspace) -> None:
    from likewise.export.loading import weight_lines

    for backbone, library in (("resnet18", "torchvision"), ("timm/resnet26", "timm")):
        built = build_backbone(backbone, image_size=32)
        code = weight_lines(built)
        start = code.index("net = ")
        names: dict[str, Any] = {"torch": torch, "timm": timm}
        if library == "torchvision":
            import torchvision

            names["torchvision"] = torchvision
        names["load_file"] = lambda _: built.net.state_dict()  # noqa: B023
        exec(code[start : code.index("with torch.inference_mode")], names)
        images = torch.randn(2, 3, 32, 32)
        with torch.inference_mode():
            assert torch.equal(names["net"](images), built.net.eval()(images))
