"""Milliseconds per view on one core: every recipe, and our steps against those they replace.

    python benchmarks/views.py

Prints a Markdown table: mean and standard deviation over seven repeats of 500 views.
"""

import functools
import random
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from likewise.images.augmentation import (
    BLURRED,
    GREYED,
    JITTER,
    JITTERED,
    SCALE,
    SIGMA,
    Warp,
    transforms,
)

REPEATS, VIEWS = 7, 500


def milliseconds(make: Callable[[], object]) -> tuple[float, float]:
    """Mean and standard deviation of one call's time."""
    make()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(VIEWS):
            make()
        times.append((time.perf_counter() - start) / VIEWS * 1000)
    return statistics.mean(times), statistics.stdev(times)


def main() -> None:
    """Measure and print."""
    import albumentations as A  # after likewise, which keeps it from asking the network

    cv2.setNumThreads(1)
    photo = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    print("| recipe | image | view | ms |\n|---|---|---|---|")
    for side, image in ((28, cv2.resize(photo, (28, 28))), (64, photo), (224, photo)):
        two_steps = [
            A.Resize(side, side, interpolation=cv2.INTER_AREA),
            A.Affine(rotate=(-20, 20), shear=(-15, 15), scale=(0.8, 1.2), p=1.0),
            A.ElasticTransform(alpha=side * 0.55, sigma=side * 0.14, p=0.7),
        ]
        usual = [
            A.RandomResizedCrop((side, side), scale=SCALE),
            A.HorizontalFlip(),
            A.ColorJitter(*JITTER, p=JITTERED),
            A.ToGray(p=GREYED),
        ]
        if len(transforms("natural", side)) > len(usual):
            usual.append(A.GaussianBlur(blur_limit=0, sigma_limit=SIGMA, p=BLURRED))
        one_step = [A.Resize(side, side, interpolation=cv2.INTER_AREA), Warp()]
        pipelines = {
            "natural": transforms("natural", side),
            "natural, albumentations alone": usual,
            "grey": transforms("grey", side),
            "glyph": transforms("glyph", side),
            "Affine, then ElasticTransform": two_steps,
            "Warp": one_step,
        }
        for name, pipeline in pipelines.items():
            compose = A.Compose(pipeline)
            compose.set_random_state(np.random.default_rng(0), random.Random(0))
            mean, spread = milliseconds(functools.partial(compose, image=image))
            size = f"{image.shape[1]}x{image.shape[0]}"
            print(f"| {name} | {size} | {side} px | {mean:.3f} ± {spread:.3f} |")


if __name__ == "__main__":
    main()
