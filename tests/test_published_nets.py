"""Nets that people start from today, with weights in a file: adopted, embedded, tuned, exported."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.answers.lite0_weights import write_weights
from likewise.api import Workspace
from likewise.models.model_files import load_model
from tests.test_export import every_snippet_gives, vector_of

LITE0 = "tf_efficientnet_lite0"
NETS = [
    (LITE0, 96, "baked"),  # its real ImageNet weights
    ("vit_small_patch14_dinov2", 56, "baked"),
    ("vit_small_patch16_dinov3", 64, "described"),
    ("vit_base_patch16_siglip_224", 64, "baked"),
    ("convnext_atto", 64, "described"),
    ("vit_tiny_patch16_224", 64, "described"),
    ("torchvision/resnet18", 64, "baked"),
]


@pytest.fixture
def answered(workspace: Workspace, tmp_path: Path) -> Workspace:
    """Twenty-four images of two kinds, dark and light, and answers on most of them."""
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.normal(70 + 110 * (number % 2), 25, (40, 50, 3)).clip(0, 255).astype(np.uint8)
        file = tmp_path / "in" / ("dark", "light")[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    api = Workspace(workspace.path)
    api.ingest(tmp_path / "in", workers=1)
    files = sorted((tmp_path / "in").rglob("*.png"))
    pairs = [(a, b) for a in files[:10] for b in (files[1], files[13], files[20]) if a != b]
    api.add_answers(
        pd.DataFrame(
            {
                "path_a": [str(a) for a, _ in pairs],
                "path_b": [str(b) for _, b in pairs],
                "verdict": ["similar" if a.parent == b.parent else "dissimilar" for a, b in pairs],
            }
        )
    )
    return api


def published(name: str, file: Path) -> Path:
    """The file as somebody would download it: native size, with the classifier if there is one.

    Only those of EfficientNet-Lite0 are real; others are random, for the architecture's sake.
    """
    if name == LITE0:
        write_weights(file)
        return file
    torch.manual_seed(0)
    if name.startswith("torchvision/"):
        import torchvision

        net = torchvision.models.get_model(name.removeprefix("torchvision/"))
    else:
        net = timm.create_model(name)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, file)
    return file


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "side", "preprocessing"), NETS)
def test_a_net_is_adopted_embedded_tuned_and_exported(
    name: str, side: int, preprocessing: str, answered: Workspace, tmp_path: Path
) -> None:
    file = published(name, tmp_path / "weights.safetensors")
    adopted = answered.adopt(name, init=str(file), image_size=side)
    first = answered.embed(precision="float32")
    assert (first.fingerprint, first.images, first.dim) == (adopted.fingerprint, 24, adopted.dim)
    tuned = answered.finetune(
        depth="adapters", steps=2, batch_size=8, workers=0, precision="float32"
    )
    assert tuned.parent.name == adopted.run.name
    if not tuned.kept:
        before, after = (load_model(each.run.model_file).net for each in (adopted, tuned))
        assert before.state_dict().keys() == after.state_dict().keys()
    answered.finetune(depth="head", precision="float32", model=adopted.run.name)
    answered.embed(precision="float32")
    done = answered.export(tmp_path / "out", preprocessing=preprocessing)
    assert 0 < done.parity.onnx < 1e-4
    image = tmp_path / "in" / "light" / "03.png"
    every_snippet_gives(done.folder, image, vector_of(answered, image))
    card = (done.folder / "README.md").read_text("utf-8")
    assert "weights.safetensors, whose licence Likewise does not know" in card


@pytest.mark.parametrize("name", ["vit_small_patch14_reg4_dinov2", "convnext_atto"])
def test_a_published_file_fits_another_side(name: str, tmp_path: Path) -> None:
    from likewise.models.nets import build_backbone

    file = published(name, tmp_path / "weights.safetensors")
    backbone = build_backbone(name, image_size=56, init=str(file))
    assert backbone.net.eval()(torch.zeros(1, 3, 56, 56)).shape == (1, backbone.dim)
