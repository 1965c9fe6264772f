"""Backbones, SimSiam's parts, and models on disk."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from likewise.errors import LikewiseError, UsageError
from likewise.models.backbones import bare, head_on, with_head
from likewise.models.heads import Head, apply_head, untouched
from likewise.models.metadata import read_metadata
from likewise.models.model_files import fingerprint_of, load_model, save_model
from likewise.models.nets import build_backbone, resolve
from likewise.models.runs import finished_run, runs_of, start_run
from likewise.models.simsiam import SimSiam
from likewise.workspace import Workspace


@pytest.mark.parametrize("size", [9, 28, 32, 47, 64, 100])
def test_the_small_net_takes_any_size(size: int) -> None:
    backbone = build_backbone("small", image_size=size)
    images = torch.randint(0, 256, (3, size, size, 3), dtype=torch.uint8)
    embedded = backbone.eval().embed(images)
    assert embedded.shape == (3, backbone.dim) == (3, 256)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "dim"),
    [("resnet18", 512), ("torchvision/mobilenet_v3_small", 576), ("timm/resnet10t", 512)],
)
def test_backbones_of_others_give_their_pooled_features(name: str, dim: int) -> None:
    backbone = build_backbone(name, image_size=64)
    assert backbone.dim == dim
    assert backbone.architecture.image_size == 64
    assert not backbone.architecture.small_stem


def test_small_images_get_the_small_stem() -> None:
    backbone = build_backbone("resnet18", image_size=32)
    assert isinstance(backbone.net.conv1, nn.Conv2d)
    assert backbone.net.conv1.kernel_size == (3, 3)
    assert backbone.net.conv1.stride == (1, 1)
    assert isinstance(backbone.net.maxpool, nn.Identity)
    assert isinstance(build_backbone("resnet18", image_size=64).net.maxpool, nn.MaxPool2d)


def test_normalising_equals_the_textbook_formula() -> None:
    backbone = build_backbone("small", image_size=8)
    images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    expected = (images[1, 3, 5, 2] / 255 - 0.406) / 0.225
    normalised = backbone.normalise(images)
    assert normalised.shape == (2, 3, 8, 8)
    assert normalised[1, 2, 3, 5].item() == pytest.approx(expected.item(), abs=1e-5)
    assert normalised.is_contiguous(memory_format=torch.channels_last)


def test_unknown_names_are_answered_with_near_ones() -> None:
    with pytest.raises(UsageError, match="resnet18"):
        resolve("resnet81")
    with pytest.raises(UsageError, match="no pretrained weights"):
        build_backbone("small", init="pretrained")


def test_weights_from_a_file_start_a_backbone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = build_backbone("small", image_size=16)
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in source.net.state_dict().items()}}, file)
    copied = build_backbone("small", image_size=16, init=str(file))
    assert fingerprint_of(copied) == fingerprint_of(source)
    with pytest.raises(LikewiseError, match="does not fit"):
        build_backbone("resnet18", image_size=64, init=str(file))
    with pytest.raises(UsageError, match="no file"):
        build_backbone("small", image_size=16, init=str(tmp_path / "none.pt"))
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(LikewiseError, match="could not read weights"):
        build_backbone("small", image_size=16, init=str(tmp_path / "text.pt"))


@pytest.mark.parametrize(("name", "dim"), [("convnext_tiny", 768), ("mobilenet_v3_small", 576)])
def test_nets_of_torchvision_lose_their_classifier_alone(name: str, dim: int) -> None:
    backbone = build_backbone(name, image_size=64)
    assert backbone.eval()(torch.zeros(2, 3, 64, 64)).shape == (2, dim) == (2, backbone.dim)


def test_simsiam_has_the_papers_parts() -> None:
    model = SimSiam(build_backbone("small", image_size=8), projector_dim=24, predictor_dim=6)
    linear = [each for each in model.projector if isinstance(each, nn.Linear)]
    norms = [each for each in model.projector if isinstance(each, nn.BatchNorm1d)]
    assert [each.out_features for each in linear] == [24, 24, 24]
    assert [each.affine for each in norms] == [True, True, False]
    assert isinstance(model.projector[-1], nn.BatchNorm1d)
    shapes = [tuple(each.weight.shape) for each in model.predictor if isinstance(each, nn.Linear)]
    assert shapes == [(6, 24), (24, 6)]
    assert isinstance(model.predictor[-1], nn.Linear)
    assert model.predictor[-1].bias is not None


def test_a_model_survives_the_disk_and_damage_is_told(tmp_path: Path) -> None:
    torch.manual_seed(2)
    backbone = build_backbone("small", image_size=16)
    file = tmp_path / "model.safetensors"
    fingerprint = save_model(file, backbone)
    loaded = load_model(file)
    assert fingerprint_of(loaded) == fingerprint == fingerprint_of(backbone)
    images = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    assert torch.equal(loaded.embed(images), backbone.eval().embed(images))
    assert list(tmp_path.iterdir()) == [file]

    flipped = bytearray(file.read_bytes())
    flipped[-5] ^= 0x40
    file.write_bytes(flipped)
    with pytest.raises(LikewiseError, match="damaged"):
        load_model(file)
    file.write_bytes(flipped[:100])  # with or without the seal: the header has no fixed order
    with pytest.raises(LikewiseError, match=r"damaged|could not read"):
        load_model(file)


def test_the_fingerprint_sees_weights_and_architecture() -> None:
    torch.manual_seed(3)
    backbone = build_backbone("small", image_size=16)
    before = fingerprint_of(backbone)
    with torch.no_grad():
        next(backbone.parameters()).view(-1)[0] += 1e-6
    assert fingerprint_of(backbone) != before
    torch.manual_seed(3)
    assert fingerprint_of(build_backbone("small", image_size=17)) != before


def a_head(dim: int, blend: float = 0.7) -> Head:
    rng = np.random.default_rng(0)
    weight, offset = rng.normal(size=(5, dim)), rng.normal(size=5)
    return Head(weight.astype(np.float32), offset.astype(np.float32), blend)


def test_a_head_survives_the_disk_and_gives_blended_vectors(tmp_path: Path) -> None:
    torch.manual_seed(4)
    backbone = build_backbone("small", image_size=16).eval()
    plain = fingerprint_of(backbone)
    headed = with_head(backbone, a_head(256))
    file = tmp_path / "model.safetensors"
    fingerprint = save_model(file, headed)
    loaded = load_model(file)
    assert fingerprint_of(loaded) == fingerprint != plain
    assert fingerprint_of(bare(loaded)) == plain
    images = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    expected = apply_head(a_head(256), backbone.embed(images).numpy())
    assert loaded.dim == 261
    assert np.allclose(loaded.embed(images).numpy(), expected, atol=1e-5)
    kept = head_on(loaded)
    assert kept is not None
    assert np.array_equal(kept.weight, a_head(256).weight)
    assert kept.blend == pytest.approx(0.7)
    assert fingerprint_of(with_head(backbone, a_head(256, blend=0.6))) != fingerprint
    with pytest.raises(ValueError, match="without one"):
        with_head(loaded, a_head(261))


def test_a_head_is_exact_in_half_precision() -> None:
    torch.manual_seed(4)
    headed = with_head(build_backbone("small", image_size=16).eval(), a_head(256))
    assert headed.head is not None
    features = torch.randn(3, 256)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(headed.head(features), headed.head(features.clone()))
        inside = headed.head(features)
    assert torch.equal(inside, headed.head(features))


def test_models_without_a_head_keep_the_fingerprint_they_had(tmp_path: Path) -> None:
    torch.manual_seed(5)
    backbone = build_backbone("small", image_size=16).eval()
    with torch.no_grad():
        for value in backbone.net.state_dict().values():
            value.fill_(1)
    assert fingerprint_of(backbone) == "9b23cd1348f6003c"
    assert with_head(backbone, untouched(256)) is backbone
    save_model(tmp_path / "model.safetensors", backbone)
    described = read_metadata(tmp_path / "model.safetensors")
    assert described["format"] == "3"
    assert "head" not in described["architecture"]


def test_runs_are_numbered_and_found_again(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws").create()
    with pytest.raises(LikewiseError, match="likewise pretrain"):
        finished_run(workspace, None)
    first = start_run(workspace, "pretrain", {"epochs": 1}, name=None)
    second = start_run(workspace, "pretrain", {"epochs": 2}, name=None)
    tuned = start_run(workspace, "finetune", {}, name="mine", parent="abc")
    assert [run.name for run in runs_of(workspace)] == ["pretrain-1", "pretrain-2", "mine"]
    assert runs_of(workspace)[1].settings == {"epochs": 2}
    save_model(first.model_file, build_backbone("small", image_size=8))
    save_model(tuned.model_file, build_backbone("small", image_size=8))
    assert finished_run(workspace, None).name == "mine"
    assert finished_run(workspace, None, ["pretrain"]).name == "pretrain-1"
    with pytest.raises(LikewiseError, match="not finished"):
        finished_run(workspace, second.name)
    with pytest.raises(UsageError, match="there are: pretrain-1"):
        finished_run(workspace, "other")
    with pytest.raises(UsageError, match="exists already"):
        start_run(workspace, "finetune", {}, name="mine")
    with pytest.raises(UsageError, match="letters"):
        start_run(workspace, "finetune", {}, name="../up")
