"""What all figures are drawn from: images, classes and embeddings of a workspace."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, Shaped
from matplotlib.figure import Figure
from PIL import Image

from likewise.evaluation.truth import read_truth
from likewise.images.store import Images, open_images
from likewise.neighbours.vectors import Embeddings, embedded, load_embeddings
from likewise.workspace import Workspace

SAME, DIFFERENT = "#128c6a", "#d64045"


@dataclass(frozen=True)
class Setting:
    """A workspace with the demo's images, and where figures go."""

    workspace: Workspace
    out: Path
    quick: bool = False
    """Fewer draws, smaller samples: for tests."""

    @cached_property
    def images(self) -> Images:
        """The prepared images."""
        return open_images(self.workspace)

    @cached_property
    def classes(self) -> Shaped[np.ndarray, " N"]:
        """The class of each image: its folder's name."""
        return np.asarray(read_truth(self.images, "folders"))

    @cached_property
    def models(self) -> tuple[Embeddings, Embeddings]:
        """The embeddings before and after the answers: made first and made last."""
        found = sorted(embedded(self.workspace), key=lambda meta: str(meta["made"]))
        first, last = (str(found[at]["fingerprint"]) for at in (0, -1))
        return load_embeddings(self.workspace, first), load_embeddings(self.workspace, last)

    def vectors(
        self, embeddings: Embeddings, rows: Int64[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "n D"]:
        """The vectors of these images."""
        ids = self.images.ids[rows].tolist()
        return np.asarray(embeddings.vectors[[embeddings.positions[each] for each in ids]])

    def sample(self, count: int, held_out: bool, seed: int = 0) -> Int64[np.ndarray, " n"]:
        """Rows of so many images, held out or not, drawn at random; all if there are fewer."""
        rows = np.flatnonzero(self.images.held_out == held_out)
        return np.sort(np.random.default_rng(seed).permutation(rows)[:count])

    def save(self, figure: Figure, name: str) -> None:
        """Write a figure as a small PNG."""
        file = self.out / f"{name}.png"
        figure.savefig(file)
        with Image.open(file) as picture:
            small = picture.convert("RGB").quantize(128)
        small.save(file, optimize=True)
