"""Small made-up images that stand in for a reader's own, in the folders that a page names.

``python -m tests.stand_ins KIND FOLDER [CLASSES [EACH]]``; kinds are photos, strokes and surfaces.
Each class has a folder of its own, and its images are alike. Equal arguments give equal files.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIDE = 64


def photo(kind: int, seed: int) -> Image.Image:
    """A coloured thing on a plain ground; the kind decides form and colours."""
    own, random = np.random.default_rng(kind), np.random.default_rng([kind, seed])
    ground, colour, second = own.integers(60, 255, 3), *own.integers(0, 200, (2, 3))
    picture = np.full((SIDE, SIDE, 3), ground, np.uint8)
    corners = 3 + kind % 5
    angles = np.sort(own.uniform(0, 2 * np.pi, corners)) + random.uniform(-0.15, 0.15)
    radius = SIDE * own.uniform(0.25, 0.42, corners) * random.uniform(0.85, 1.1)
    middle = SIDE / 2 + random.uniform(-5, 5, 2)
    points = np.stack((np.cos(angles), np.sin(angles)), 1) * radius[:, None] + middle
    cv2.fillPoly(picture, [points.astype(np.int32)], colour.tolist())
    cv2.circle(picture, middle.astype(int).tolist(), int(SIDE / 9), second.tolist(), -1)
    light = random.uniform(0.8, 1.15)
    noise = random.normal(0, 6, picture.shape)
    return Image.fromarray(np.clip(picture * light + noise, 0, 255).astype(np.uint8))


def stroke(kind: int, seed: int) -> Image.Image:
    """A line as of a pen on white paper; the kind is the hand."""
    own, random = np.random.default_rng(kind + 100), np.random.default_rng([kind, seed])
    points = own.uniform(0.15, 0.85, (7, 2)) + random.normal(0, 0.025, (7, 2))
    at = np.linspace(0, 6, 120)
    line = np.stack([np.interp(at, np.arange(7), points[:, axis]) for axis in (0, 1)], 1)
    smooth = cv2.blur(line, (1, 9)) * (2 * SIDE, SIDE)
    paper = np.full((SIDE, 2 * SIDE), 255, np.uint8)
    cv2.polylines(paper, [smooth.astype(np.int32)], False, 30, 2, cv2.LINE_AA)
    return Image.fromarray(paper)


def surface(kind: int, seed: int) -> Image.Image:
    """A grey texture; kind 0 has no flaw, the others a flaw of their kind."""
    random = np.random.default_rng([kind, seed])
    grey = cv2.GaussianBlur(random.normal(0, 60, (SIDE, SIDE)), (7, 7), 2) + 150
    x, y = random.integers(16, SIDE - 16, 2).tolist()
    if kind == 1:
        cv2.circle(grey, (x, y), 7, 30, -1)
    elif kind == 2:
        cv2.line(grey, (x - 14, y - 9), (x + 14, y + 9), 240, 2)
    elif kind > 2:
        cv2.rectangle(grey, (x - 8, y - 8), (x + 8, y + 8), 60 + 30 * kind, 2)
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


KINDS = {"photos": photo, "strokes": stroke, "surfaces": surface}


def main() -> None:
    """Write the images."""
    kind, folder, *numbers = sys.argv[1:]
    classes, each = (*map(int, numbers), *(5, 8)[len(numbers) :])
    for one in range(classes):
        (Path(folder) / f"{one + 1:02}").mkdir(parents=True, exist_ok=True)
        for seed in range(each):
            KINDS[kind](one, seed).save(Path(folder) / f"{one + 1:02}" / f"{seed + 1:02}.png")


if __name__ == "__main__":
    main()
