"""Image files to what the exported model takes, as Likewise prepares them.

Needs Pillow and NumPy alone; `likewise export` puts a copy of this file beside the model. Sizes
and colours come from ``preprocessing.json`` in the same folder.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


def prepare(*files: str | os.PathLike[str] | Image.Image, normalised: bool = False) -> Any:
    """The input of model.onnx and model.pt2 for some images: files, or images of Pillow.

    RGB bytes (N, S, S, 3) where the model normalises them itself, else float32 (N, 3, S, S).
    ``normalised`` asks for the latter in any case: the net alone (model.safetensors) takes it.

    Raises:
        ValueError: an image has more than 8 bits a channel.
    """
    settings = json.loads(Path(__file__).with_name("preprocessing.json").read_text("utf-8"))
    images = np.stack([square(each, settings) for each in files])
    if not normalised and settings["input"]["dtype"] == "uint8":
        return images
    mean, std = (np.array(settings["normalise"][key], np.float32) * 255 for key in ("mean", "std"))
    return np.ascontiguousarray(((images - mean) / std).transpose(0, 3, 1, 2), np.float32)


def square(
    image: str | os.PathLike[str] | Image.Image, settings: dict[str, Any]
) -> npt.NDArray[np.uint8]:
    """RGB bytes (S, S, 3): shrunk, cut to an aspect ratio of at most 4:3, squeezed to a square."""
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            return square(_small(opened, settings["shrink"]), settings)
    image = _small(image, settings["shrink"])
    pixels, squash, side = np.asarray(_rgb(image)), settings["crop"]["aspect"], settings["side"]
    height, width = pixels.shape[:2]
    if width > height * squash:
        keep = round(height * squash)
        pixels = pixels[:, (width - keep) // 2 :][:, :keep]
    elif height > width * squash:
        keep = round(width * squash)
        pixels = pixels[(height - keep) // 2 :][:keep]
    return resize(pixels, side)


def resize(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3) to (side, side, 3): averaged over areas to shrink both sides, else bicubic."""
    height, width = pixels.shape[:2]
    if (height, width) == (side, side):
        return pixels
    weights = area if side < min(height, width) else cubic
    rows = np.tensordot(weights(height, side), pixels.astype(np.float32), (1, 0))
    both = np.tensordot(weights(width, side), rows, (1, 1)).transpose(1, 0, 2)
    return np.clip(np.rint(both), 0, 255).astype(np.uint8)


def area(length: int, side: int) -> npt.NDArray[np.float32]:
    """(side, length): the share of each pixel in the mean of each cell (OpenCV's INTER_AREA)."""
    edges = np.arange(side + 1) * (length / side)
    pixel = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    shares: npt.NDArray[np.float32] = (overlap.clip(0) * (side / length)).astype(np.float32)
    return shares


def cubic(length: int, side: int) -> npt.NDArray[np.float32]:
    """(side, length): Keys' cubic with a = -0.75, edges repeated (OpenCV's INTER_CUBIC)."""
    centre = (np.arange(side) + 0.5) * (length / side) - 0.5
    first = np.floor(centre).astype(int) - 1
    weights = np.zeros((side, length), np.float64)
    for tap in range(4):
        x = np.abs(centre - (first + tap))
        near = (1.25 * x - 2.25) * x * x + 1
        far = -0.75 * (((x - 5) * x + 8) * x - 4)
        value = np.where(x <= 1, near, np.where(x < 2, far, 0))
        np.add.at(weights, (np.arange(side), (first + tap).clip(0, length - 1)), value)
    return weights.astype(np.float32)


def _small(image: Image.Image, shrink: dict[str, Any]) -> Image.Image:
    """Upright, in a mode whose pixels may be averaged, no larger than Likewise keeps images."""
    short, long = sorted(image.size)
    scale = min(1, shrink["short_side"] / short, shrink["max_aspect"] * shrink["short_side"] / long)
    size = tuple(max(1, round(each * scale)) for each in image.size)
    image.draft(None, (2 * size[0], 2 * size[1]))  # JPEG: decoded at 1/2, 1/4 or 1/8
    if image.mode.startswith(("I", "F")):
        raise ValueError("more than 8 bits a channel; convert the image first")
    if image.mode in _TRANSPARENT or "transparency" in image.info:
        plain = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
    elif image.mode in ("1", "L"):
        plain = image.convert("L")
    else:
        plain = image if image.mode in ("CMYK", "YCbCr", "LAB") else image.convert("RGB")
    if plain.size != size:
        plain = plain.resize((size[0], size[1]), Image.Resampling.BICUBIC, reducing_gap=3.0)
    plain.info, plain.getexif()[0x0112] = {}, image.getexif().get(0x0112, 1)
    return ImageOps.exif_transpose(plain)


def _rgb(image: Image.Image) -> Image.Image:
    """Transparency is laid on white."""
    if image.mode in ("RGBA", "LA"):
        layers = image.convert("RGBA")
        paper = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(paper, layers).convert("RGB")
    return image.convert("RGB")
