"""The embeddings of a workspace as files: one folder per model, named by its fingerprint."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int64

from likewise.errors import LikewiseError
from likewise.files import digest, read_json
from likewise.workspace import Workspace

FORMAT = 1
VECTORS, IDS, NEIGHBOURS, INDEX, META = (
    "vectors.npy",
    "ids.npy",
    "neighbours.npz",
    "index.faiss",
    "meta.json",
)


@dataclass(frozen=True)
class Embeddings:
    """The vectors that one model gave the images of a workspace."""

    folder: Path
    fingerprint: str
    """Of the model that made them."""
    model: str
    """Name of the run that made the model."""
    ids: npt.NDArray[np.str_]
    """Image ids, ``(N,)``."""
    vectors: Float32[np.ndarray, "N D"]
    """Unit vectors, memory-mapped."""

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Row of each image id."""
        return {str(each): row for row, each in enumerate(self.ids)}

    def neighbours(self) -> tuple[Int64[np.ndarray, "N k"], Float32[np.ndarray, "N k"]]:
        """The nearest other images of each image, nearest first: rows and cosine similarities.

        Where an image has fewer than k neighbours, the rest are -1.
        """
        with np.load(self.folder / NEIGHBOURS) as saved:
            return saved["rows"], saved["similarities"]


def load_embeddings(workspace: Workspace, fingerprint: str | None = None) -> Embeddings:
    """Open the embeddings of a model, by default the ones made last.

    Raises:
        LikewiseError: there are none, or the files are damaged.
    """
    if fingerprint is None:
        made = sorted(embedded(workspace), key=lambda meta: str(meta["made"]))
        if not made:
            raise LikewiseError(
                f"{workspace.path} has no embeddings yet; run `likewise pretrain`, then "
                "`likewise embed`"
            )
        fingerprint = str(made[-1]["fingerprint"])
    folder = workspace.embeddings / fingerprint
    meta = read_json(folder / META)
    for name in (VECTORS, IDS, NEIGHBOURS, INDEX):
        if not (folder / name).is_file() or digest(folder / name) != meta["digests"].get(name):
            raise LikewiseError(
                f"{folder / name} is missing or damaged; remove {folder} and run `likewise embed`"
            )
    return Embeddings(
        folder=folder,
        fingerprint=fingerprint,
        model=meta["model"],
        ids=np.load(folder / IDS),
        vectors=np.load(folder / VECTORS, mmap_mode="r"),
    )


def embedded(workspace: Workspace) -> list[dict[str, Any]]:
    """The meta.json of every embeddings folder of the workspace."""
    folders = sorted(workspace.embeddings.glob(f"*/{META}")) if workspace.exists() else []
    return [meta for file in folders if (meta := read_json(file)).get("format") == FORMAT]
