"""Do the exported files give the vectors that the model gives? Asked on images of the workspace."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from likewise.errors import LikewiseError
from likewise.export.whole import INPUT, Whole
from likewise.files import reason_of
from likewise.images.augmentation import whole_view
from likewise.images.store import Images
from likewise.models.backbones import Backbone

TOLERANCE = 1e-4
"""Greatest difference of two numbers of unit vectors that passes."""
CHECKED = 32
_BATCHES = (1, 3, CHECKED)
"""Where batches end: of one image, of two, and of the rest."""


@dataclass(frozen=True)
class Parity:
    """What the comparison came to."""

    images: int
    onnx: float
    """Greatest difference of a number between onnxruntime and torch."""
    torch: float
    """The same between the torch program, as read from its file, and the model."""


def check_parity(whole: Whole, images: Images, onnx_file: Path, program_file: Path) -> Parity:
    """Compare on up to 32 images, spread evenly over the workspace, in batches of three sizes.

    Raises:
        LikewiseError: a file cannot be used, or differs from the model by more than 1e-4.
    """
    rows = np.unique(np.linspace(0, len(images) - 1, min(CHECKED, len(images))).astype(int))
    backbone = whole.backbone
    side = backbone.architecture.image_size
    views = np.stack([whole_view(images[row], side) for row in rows.tolist()])
    expected = backbone.embed(torch.from_numpy(views)).numpy()
    inputs = list(_batches(views, backbone, baked=whole.baked))
    onnx, program = _onnx_vectors(onnx_file, inputs), _program_vectors(program_file, inputs)
    differences = []
    for name, made in (("ONNX model", onnx), ("torch program", program)):
        apart = np.abs(made - expected).max(axis=1)
        if not np.isfinite(apart).all() or apart.max() > TOLERANCE:
            worst = images.path(int(rows[np.nan_to_num(apart, nan=np.inf).argmax()]))
            raise LikewiseError(
                f"the {name} differs from the model by {apart.max():.1e} on {worst} (allowed: "
                f"{TOLERANCE:.0e}), so nothing was written; other versions of torch and "
                "onnxruntime may export it rightly"
            )
        differences.append(float(apart.max()))
    return Parity(len(rows), *differences)


def _batches(
    views: UInt8[np.ndarray, "N S S 3"], backbone: Backbone, *, baked: bool
) -> Iterator[torch.Tensor]:
    for part in np.split(views, _BATCHES):
        if len(part):
            pixels = torch.from_numpy(np.ascontiguousarray(part))
            yield pixels if baked else backbone.normalise(pixels).contiguous()


def _onnx_vectors(file: Path, inputs: list[torch.Tensor]) -> Float32[np.ndarray, "N D"]:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        made = [session.run(None, {INPUT: part.numpy()})[0] for part in inputs]
    except Exception as error:  # onnxruntime has a dozen exceptions of its own
        raise LikewiseError(
            f"onnxruntime cannot use the exported model: {reason_of(error)}"
        ) from error
    return np.concatenate(made)


def _program_vectors(file: Path, inputs: list[torch.Tensor]) -> Float32[np.ndarray, "N D"]:
    try:
        module: Any = torch.export.load(file).module()
        with torch.inference_mode():
            return np.concatenate([module(part).numpy() for part in inputs])
    except Exception as error:
        raise LikewiseError(f"torch cannot use the exported program: {reason_of(error)}") from error
