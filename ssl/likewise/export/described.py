"""What the exported files say of themselves: ``preprocessing.json`` and the metadata of ONNX."""

import json
from typing import Any

from likewise import __version__
from likewise.export.whole import INPUT, OUTPUT, Whole
from likewise.images.augmentation import SQUASH
from likewise.images.decode import MAX_ASPECT
from likewise.models.runs import Run

FORMAT = 1
DESCRIPTION = "preprocessing.json"


def description(whole: Whole, run: Run, store_size: int) -> dict[str, Any]:
    """All that is needed to feed the model and to read what it gives.

    Steps are in their order. ``store_size`` is the short side in pixels to which the workspace
    shrinks its images.
    """
    backbone = whole.backbone
    architecture = backbone.architecture
    side = architecture.image_size
    pixels, planes = ["batch", side, side, 3], ["batch", 3, side, side]
    return {
        "format": FORMAT,
        "likewise": __version__,
        "model": run.name,
        "fingerprint": run.fingerprint,
        "architecture": architecture.name,
        "decode": {
            "colour": "RGB",
            "bits": 8,
            "orientation": "EXIF applied",
            "transparency": "laid on white",
        },
        "shrink": {
            "short_side": store_size,
            "max_aspect": MAX_ASPECT,
            "filter": "bicubic, antialiased",
            "enlarge": False,
        },
        "crop": {"aspect": SQUASH, "where": "centre"},
        "resize": {
            "size": [side, side],
            "keep_aspect": False,
            "shrinking": "area",
            "enlarging": "bicubic, a = -0.75",
        },
        "side": side,
        "normalise": {
            "scale": 1 / 255,
            "mean": list(architecture.mean),
            "std": list(architecture.std),
            "in_the_model": whole.baked,
        },
        "input": {
            "name": INPUT,
            "dtype": "uint8" if whole.baked else "float32",
            "shape": pixels if whole.baked else planes,
            "layout": "NHWC" if whole.baked else "NCHW",
        },
        "output": {
            "name": OUTPUT,
            "dtype": "float32",
            "shape": ["batch", backbone.dim],
            "unit_length": True,
            "similarity": "dot product",
        },
    }


def onnx_metadata(described: dict[str, Any]) -> dict[str, str]:
    """The same for the ONNX file: the whole description as JSON, and what it is of."""
    return {
        "likewise.format": str(FORMAT),
        "likewise.fingerprint": described["fingerprint"],
        "likewise.model": described["model"],
        "likewise.preprocessing": json.dumps(described, sort_keys=True),
    }
