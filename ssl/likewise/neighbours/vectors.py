"""The embeddings of a workspace as files: one folder per model, named by its fingerprint."""

import functools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from likewise.errors import LikewiseError
from likewise.files import digest, replacing_folder
from likewise.models.runs import finished_run
from likewise.neighbours.growing import Graph, grown_graph
from likewise.neighbours.milvus_place import Place, place_for, place_of
from likewise.neighbours.vector_index import FLAT_UP_TO, VectorIndex, keys_of, neighbour_blocks
from likewise.progress import progress
from likewise.seals import read_sealed_json, write_sealed_json
from likewise.workspace import Workspace

if TYPE_CHECKING:
    from likewise.neighbours.searcher import Searcher

FORMAT = 2
"""Since 2 meta.json has a seal."""
VECTORS, IDS, NEIGHBOURS, INDEX = "vectors.npy", "ids.npy", "neighbours.npz", "index.faiss"
FILES = (VECTORS, IDS, NEIGHBOURS)
META = "meta.json"
"""Names the files with their digests; written last."""
_BLOCK = 65_536
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
    place: Place | None = None
    """Where on Milvus they are searched; None: here."""

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Row of each image id."""
        return {str(each): row for row, each in enumerate(self.ids)}

    @functools.cached_property
    def searcher(self) -> "Searcher":
        """Answers one question about them after another.

        Raises:
            LikewiseError: their index is missing, damaged or out of reach.
        """
        from likewise.neighbours.searcher import Searcher

        return Searcher(self)

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
        made = embedded(workspace)
        if not made:
            raise LikewiseError(
                f"{workspace.path} has no embeddings yet; run `likewise pretrain`, then "
                "`likewise embed`"
            )
        fingerprint = str(made[-1]["fingerprint"])
    folder = workspace.embeddings / fingerprint
    meta = read_meta(folder)
    for name in {*FILES, *meta["digests"]}:
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
        place=place_of(workspace, meta.get("collection")),
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

    Where most images have these vectors already, the graph grows (`likewise.neighbours.growing`).
    The graph of very many images may miss a few (`likewise.neighbours.cells`), with ``quick`` that
    of many, unless Milvus makes it.

    Raises:
        LikewiseError: a file could not be written, a vector is not finite, or Milvus cannot be
            reached; the embeddings that were there before are kept.
    """
    from likewise.neighbours.cells import EXACT_UP_TO, quick_graph

    keys, place = keys_of(ids), place_for(workspace, fingerprint)
    with replacing_folder(workspace.embeddings / fingerprint) as folder:
        with _rows_of(folder / VECTORS, (len(ids), dim), "<f4") as file:
            for chunk in chunks:
                file.write(np.ascontiguousarray(chunk).data)
        np.save(folder / IDS, ids)
        vectors = np.load(folder / VECTORS, mmap_mode="r")
        index = _index_at(place, folder)
        index.fill(keys, vectors)
        graph = _grown(workspace, fingerprint, ids, vectors)
        if graph is None and place is None and len(ids) > (EXACT_UP_TO if quick else FLAT_UP_TO):
            with progress("neighbours", len(ids)) as advance:
                graph = quick_graph(vectors, NEIGHBOURS_KEPT, advance)
        if graph is not None:
            np.savez(folder / NEIGHBOURS, rows=graph[0], similarities=graph[1])
        else:
            _write_graph(folder, index, keys, vectors)
        _write_meta(folder, place, {"fingerprint": fingerprint, "model": model})
    return index.described(len(ids))


def renew(workspace: Workspace, fingerprint: str, model: str) -> str:
    """Make embeddings the newest ones; return the index's description.

    They stay as they are, but are indexed where that is to be now, if they are not yet.

    Raises:
        LikewiseError: they cannot be read, or not be written, or Milvus cannot be reached.
    """
    folder = workspace.embeddings / fingerprint
    place, ids = place_for(workspace, fingerprint), np.load(folder / IDS)
    meta = read_meta(folder)
    index = _index_at(place, folder)
    if place is not None or INDEX not in meta["digests"]:
        index.fill(keys_of(ids), np.load(folder / VECTORS, mmap_mode="r"))
    _write_meta(folder, place, meta | {"model": model})
    if place is not None:
        (folder / INDEX).unlink(missing_ok=True)
    os.utime(workspace.embeddings)  # those who watch the folder look again
    return index.described(len(ids))


def _index_at(place: Place | None, folder: Path) -> VectorIndex:
    """The index on Milvus, or the one in the folder; neither FAISS nor pymilvus before."""
    if place is not None:
        from likewise.neighbours.milvus_index import MilvusIndex

        return MilvusIndex(place)
    from likewise.neighbours.faiss_index import FaissIndex

    return FaissIndex(folder / INDEX)


def _grown(
    workspace: Workspace,
    fingerprint: str,
    ids: Shaped[np.ndarray, " N"],
    vectors: Float32[np.ndarray, "N D"],
) -> Graph | None:
    """The neighbour graph from the one that is there; None where that is no help."""
    try:
        earlier = load_embeddings(workspace, fingerprint)
    except LikewiseError:
        return None  # there is none, or it is damaged
    came_from = np.array([earlier.positions.get(str(each), -1) for each in ids], np.int64)
    for start in range(0, len(ids), _BLOCK):
        before = came_from[start : start + _BLOCK]
        now = vectors[start : start + _BLOCK][before >= 0]
        if not np.array_equal(now, earlier.vectors[before[before >= 0]]):
            return None
    return grown_graph(earlier.neighbours(), came_from, vectors)


def _write_graph(
    folder: Path,
    index: VectorIndex,
    keys: Int64[np.ndarray, " N"],
    vectors: Float32[np.ndarray, "N D"],
) -> None:
    """Write the neighbour graph; however large it is, only a part of it is in memory."""
    shape = (len(vectors), NEIGHBOURS_KEPT)
    parts = folder / "rows.npy", folder / "similarities.npy"
    with (
        _rows_of(parts[0], shape, "<i8") as rows,
        _rows_of(parts[1], shape, "<f4") as similarities,
        progress("neighbours", len(vectors)) as advance,
    ):
        for found, near in neighbour_blocks(index, keys, vectors, NEIGHBOURS_KEPT, advance):
            rows.write(found.data)
            similarities.write(near.data)
    graph = [np.load(part, mmap_mode="r") for part in parts]
    np.savez(folder / NEIGHBOURS, rows=graph[0], similarities=graph[1])
    del graph  # Windows removes no file that is open
    for part in parts:
        part.unlink()


@contextmanager
def _rows_of(path: Path, shape: tuple[int, int], numbers: str) -> Iterator[IO[bytes]]:
    """A new ``.npy`` file whose rows are to be written one after the other."""
    with path.open("wb") as file:
        header = {"descr": numbers, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _write_meta(folder: Path, place: Place | None, about: dict[str, Any]) -> None:
    """Write what ``about`` says, where the index is, and those digests that it lacks."""
    known = about.get("digests", {})
    names = FILES if place is not None else (*FILES, INDEX)
    digests = {name: known.get(name) or digest(folder / name) for name in names}
    meta = about | {"format": FORMAT, "made": _now(), "digests": digests}
    meta["collection"] = None if place is None else place.collection
    write_sealed_json(folder / META, meta)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def embedded(workspace: Workspace) -> list[dict[str, Any]]:
    """The meta.json of every embeddings folder of the workspace, those made last at the end.

    Raises:
        LikewiseError: one cannot be read, or has another format.
    """
    files = sorted(workspace.embeddings.glob(f"[!.]*/{META}"))
    return sorted((read_meta(each.parent) for each in files), key=lambda meta: str(meta["made"]))


def read_meta(folder: Path) -> dict[str, Any]:
    """The ``meta.json`` of an embeddings folder.

    Raises:
        LikewiseError: it is damaged or of another format.
    """
    file, again = folder / META, f"remove {folder} and run `likewise embed`"
    meta = read_sealed_json(file, FORMAT, again)
    if meta["format"] > FORMAT:
        raise LikewiseError(
            f"{file} has format {meta['format']}, this version of Likewise reads format "
            f"{FORMAT}; upgrade Likewise, or {again}"
        )
    return meta
