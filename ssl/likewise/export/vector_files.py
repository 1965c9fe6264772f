"""`likewise embeddings export`: vectors as Parquet, or as ``.npy`` with a list of its rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from likewise.answers.tabular import write_records
from likewise.files import replacing
from likewise.images.manifest import display
from likewise.images.store import Images, open_images
from likewise.inference.table_files import check_suffix, one_line
from likewise.neighbours.vectors import Embeddings, embeddings_of
from likewise.notebook import Displayed
from likewise.settings import EmbeddingsExport
from likewise.workspace import Workspace

SUFFIXES = (".parquet", ".npy")
ROW_COLUMNS = ("row", "id", "path", "fingerprint")
_BLOCK = 8192


@dataclass(frozen=True)
class EmbeddingsExported(Displayed):
    """What was written."""

    files: tuple[Path, ...]
    images: int
    dim: int
    model: str
    fingerprint: str

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {**vars(self), "files": [str(each) for each in self.files]}

    def as_text(self) -> str:
        """What a person reads."""
        files = " and ".join(one_line(str(each)) for each in self.files)
        return (
            f"{self.images:,} vectors of {self.dim} numbers by {self.model} ({self.fingerprint}) "
            f"written to {files}"
        )


def export_embeddings(workspace: Workspace, settings: EmbeddingsExport) -> EmbeddingsExported:
    """Write the embeddings made last, or those of a named model.

    Parquet has a row per image: ``id``, ``path`` (the first, as text; null where the file is
    gone), ``fingerprint`` of the model, and ``vector``, a list of D float32.

    Raises:
        UsageError: the suffix is unknown, or there is no such model.
        LikewiseError: there are no embeddings, or a file cannot be written.
    """
    check_suffix(settings.file, SUFFIXES)
    images = open_images(workspace.require())
    embeddings = embeddings_of(workspace, settings.model)
    if settings.file.suffix.lower() == ".parquet":
        _write_parquet(settings.file, embeddings, images)
        files: tuple[Path, ...] = (settings.file,)
    else:
        files = (settings.file, settings.file.with_suffix(".csv"))
        with replacing(files[0]) as temporary, temporary.open("wb") as out:
            np.save(out, embeddings.vectors)
        ids, paths = embeddings.ids.tolist(), first_paths(images, embeddings.ids.tolist())
        rows = [
            {"row": row, "id": each, "path": path, "fingerprint": embeddings.fingerprint}
            for row, (each, path) in enumerate(zip(ids, paths, strict=True))
        ]
        write_records(files[1], rows, ROW_COLUMNS)
    count, dim = embeddings.vectors.shape
    return EmbeddingsExported(files, count, dim, embeddings.model, embeddings.fingerprint)


def first_paths(images: Images, ids: list[str]) -> list[str | None]:
    """Where each image lies, as text; None where its file is gone."""
    rows = (images.positions.get(each) for each in ids)
    return [None if row is None else display(str(images.path(row))) for row in rows]


def _write_parquet(file: Path, embeddings: Embeddings, images: Images) -> None:
    dim = embeddings.vectors.shape[1]
    metadata = {
        "likewise.fingerprint": embeddings.fingerprint,
        "likewise.model": embeddings.model,
        "likewise.unit_length": "true",
    }
    schema = pa.schema(
        {
            "id": pa.string(),
            "path": pa.string(),
            "fingerprint": pa.dictionary(pa.int8(), pa.string()),
            "vector": pa.list_(pa.float32(), dim),
        },
        metadata=metadata,
    )
    with replacing(file) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in _batches(embeddings, images, schema):
            writer.write_batch(batch)


def _batches(embeddings: Embeddings, images: Images, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    count, dim = embeddings.vectors.shape
    for start in range(0, count, _BLOCK):
        part = np.ascontiguousarray(embeddings.vectors[start : start + _BLOCK])
        ids = embeddings.ids[start : start + _BLOCK].tolist()
        fingerprint = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(ids), np.int8)), pa.array([embeddings.fingerprint])
        )
        columns = [
            pa.array(ids, pa.string()),
            pa.array(first_paths(images, ids), pa.string()),
            fingerprint,
            pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), dim),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
