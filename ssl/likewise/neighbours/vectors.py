"""The embeddings of a workspace as files: one folder per model, named by its fingerprint."""

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from likewise.errors import LikewiseError
from likewise.files import digest, read_json, replacing_folder, write_json
from likewise.models.runs import finished_run
from likewise.workspace import Workspace

FORMAT = 1
VECTORS, IDS, NEIGHBOURS, INDEX = "vectors.npy", "ids.npy", "neighbours.npz", "index.faiss"
FILES = (VECTORS, IDS, NEIGHBOURS, INDEX)
META = "meta.json"
"""Names the files with their digests; written last."""
NEIGHBOURS_KEPT = 50
"""How many nearest neighbours of each image are stored for proposals and reports."""


@dataclass(frozen=True)
class Embeddings:
    """The vectors that one model gave the images of a workspace."""

    folder: Path
    fingerprint: str
    """Of the model that made them."""
    model: str
    """Name of the run that made the model."""
    ids: Shaped[np.ndarray, " N"]
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
    for name in FILES:
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


def embeddings_of(workspace: Workspace, model: str | None) -> Embeddings:
    """Open the embeddings that the model of a run made, by default the ones made last.

    Raises:
        UsageError: there is no such run.
        LikewiseError: there are no embeddings, or they are damaged.
    """
    if model is None:
        return load_embeddings(workspace)
    fingerprint = finished_run(workspace, model).fingerprint
    if not (workspace.embeddings / fingerprint).is_dir():
        raise LikewiseError(f"{model} has no embeddings; run `likewise embed --model {model}`")
    return load_embeddings(workspace, fingerprint)


def write_embeddings(
    workspace: Workspace,
    chunks: Iterable[Float32[np.ndarray, "B D"]],
    ids: Shaped[np.ndarray, " N"],
    dim: int,
    fingerprint: str,
    model: str,
    *,
    quick: bool = False,
) -> str:
    """Write a model's vectors, index and neighbour graph; return the index's description.

    With ``quick`` the graph of many images may miss a few (`likewise.neighbours.cells`).

    Raises:
        LikewiseError: a file could not be written, or a vector is not finite; the embeddings that
            were there before are kept.
    """
    from likewise.neighbours import index as neighbour_index  # FAISS: not in the app's process
    from likewise.neighbours.cells import EXACT_UP_TO, quick_graph

    keys = neighbour_index.keys_of(ids)
    with replacing_folder(workspace.embeddings / fingerprint) as folder:
        with (folder / VECTORS).open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (len(ids), dim)}
            )
            for chunk in chunks:
                file.write(np.ascontiguousarray(chunk).data)
        np.save(folder / IDS, ids)
        vectors = np.load(folder / VECTORS, mmap_mode="r")
        index = neighbour_index.build_index(vectors, keys)
        neighbour_index.save_index(index, folder / INDEX)
        if quick and len(ids) > EXACT_UP_TO:
            rows, similarities = quick_graph(vectors, NEIGHBOURS_KEPT)
        else:
            rows, similarities = neighbour_index.neighbour_graph(
                vectors, index, keys, NEIGHBOURS_KEPT
            )
        np.savez(folder / NEIGHBOURS, rows=rows, similarities=similarities)
        meta = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "model": model,
            "made": _now(),
            "digests": {name: digest(folder / name) for name in FILES},
        }
        write_json(folder / META, meta)
    return neighbour_index.describe(len(ids))


def renew(workspace: Workspace, fingerprint: str, model: str) -> str:
    """Make embeddings the newest ones, as they are; return the index's description.

    Raises:
        LikewiseError: they cannot be read, or not be written.
    """
    from likewise.neighbours.index import describe

    file = workspace.embeddings / fingerprint / META
    write_json(file, read_json(file) | {"model": model, "made": _now()})
    os.utime(workspace.embeddings)  # those who watch the folder look again
    return describe(len(np.load(file.with_name(IDS), mmap_mode="r")))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def embedded(workspace: Workspace) -> list[dict[str, Any]]:
    """The meta.json of every embeddings folder of the workspace.

    Raises:
        LikewiseError: one cannot be read, or has another format.
    """
    found = []
    for file in sorted(workspace.embeddings.glob(f"[!.]*/{META}")):
        meta = read_json(file)
        if meta.get("format") != FORMAT:
            raise LikewiseError(
                f"{file} has format {meta.get('format')}, this version of Likewise reads format "
                f"{FORMAT}; upgrade Likewise, or remove {file.parent} and run `likewise embed`"
            )
        found.append(meta)
    return found
