"""Photos to measure with: crops of two real ones, that come with scikit-learn, as JPEG files."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

QUALITY = 90


def photos(folder: Path, count: int, width: int, height: int, classes: int = 1) -> Path:
    """Write ``count`` JPEG files of this size into ``folder/CLASS/``; each is another crop."""
    from sklearn.datasets import load_sample_images

    originals = load_sample_images().images
    rng = np.random.default_rng(0)
    for number in range(count):
        image = _crop(originals[number % len(originals)], width / height, rng)
        shrinks = image.shape[1] > width
        resized = cv2.resize(
            image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
        file = folder / f"class{number % classes}" / f"{number:06d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), resized[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return folder


def _crop(
    image: UInt8[np.ndarray, "H W 3"], aspect: float, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    tall = int(min(height, width / aspect) * rng.uniform(0.5, 1.0))
    wide = min(width, round(tall * aspect))
    top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
    return np.ascontiguousarray(image[top : top + tall, left : left + wide])
