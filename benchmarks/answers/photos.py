"""Frozen features of many small photos, made chunk by chunk so that it can go on where it stopped.

The net is EfficientNet-Lite0 with ImageNet weights (see lite0_weights.py), in bfloat16.
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from benchmarks.answers.lite0_weights import BACKBONE, write_weights
from likewise.errors import LikewiseError
from likewise.files import replacing
from likewise.models.backbones import Backbone
from likewise.models.nets import build_backbone

SIDE = 128
"""Pixels; photos of 32 px are enlarged to it (bicubic)."""
CHUNK = 1000
_BATCH = 100


def features(files: Sequence[Path], cache: Path) -> Float32[np.ndarray, "N D"]:
    """Unit vectors of the photos, in their order; finished chunks are read from ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    net: Backbone | None = None
    chunks = []
    for start in range(0, len(files), CHUNK):
        part = files[start : start + CHUNK]
        names = "\n".join("/".join(file.parts[-3:]) for file in part)
        file = (
            cache / f"{start:06}-{hashlib.blake2b(names.encode(), digest_size=6).hexdigest()}.npy"
        )
        if not file.exists():
            net = net or _network(cache)
            began = time.perf_counter()
            vectors = _embedded(net, part)
            with replacing(file) as temporary, temporary.open("wb") as out:
                np.save(out, vectors)
            rate = len(part) / (time.perf_counter() - began)
            print(
                f"features: {start + len(part):,}/{len(files):,} photos, {rate:.0f}/s", flush=True
            )
        chunks.append(np.load(file))
    return np.concatenate(chunks)


def _network(cache: Path) -> Backbone:
    weights = cache / "lite0.safetensors"
    if not weights.exists():
        write_weights(weights)
    net = build_backbone(BACKBONE, image_size=SIDE, init=str(weights))
    return net.eval().to(memory_format=torch.channels_last)


@torch.inference_mode()
def _embedded(net: Backbone, files: Sequence[Path]) -> Float32[np.ndarray, "n D"]:
    done = []
    for start in range(0, len(files), _BATCH):
        pictures = torch.from_numpy(np.stack([_photo(file) for file in files[start:][:_BATCH]]))
        with torch.autocast("cpu", torch.bfloat16):
            done.append(net.embed(pictures).float().numpy())
    return np.concatenate(done)


def _photo(file: Path) -> UInt8[np.ndarray, "128 128 3"]:
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise LikewiseError(f"{file} is not an image; remove it or choose another --folder")
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
