"""`likewise embeddings export`: vectors that others read, with whose they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from likewise.errors import UsageError
from likewise.export import vector_files
from likewise.export.vector_files import export_embeddings
from likewise.images.ingest import ingest
from likewise.images.store import open_images
from likewise.neighbours.vectors import load_embeddings, write_embeddings
from likewise.settings import EmbeddingsExport, Ingest
from likewise.workspace import Workspace


def test_parquet_holds_ids_paths_and_vectors(
    filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "_BLOCK", 10)
    ids = open_images(filled).ids
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(filled, [vectors], ids, 8, "f1", "run-1")
    (tmp_path / "in" / "3.png").unlink()
    ingest(filled, Ingest(workers=1))
    done = export_embeddings(filled, EmbeddingsExport(file=tmp_path / "v.parquet"))
    saved, images = load_embeddings(filled), open_images(filled)
    table = pq.read_table(tmp_path / "v.parquet")
    assert (done.images, done.dim) == saved.vectors.shape == (26, 8)
    assert table.column("id").to_pylist() == saved.ids.tolist()
    written = np.stack(table.to_pandas()["vector"].to_list())
    assert written.dtype == np.float32
    assert np.array_equal(written, vectors)
    assert table.schema.metadata[b"likewise.fingerprint"].decode() == saved.fingerprint
    assert set(table.column("fingerprint").to_pylist()) == {saved.fingerprint}
    paths = dict(zip(table.column("id").to_pylist(), table.column("path").to_pylist(), strict=True))
    assert sum(each is None for each in paths.values()) == 1
    assert all(paths[str(i)] == str(images.path(row)) for row, i in enumerate(images.ids))


def test_npy_has_its_rows_beside_it(embedded: Workspace, tmp_path: Path) -> None:
    done = export_embeddings(embedded, EmbeddingsExport(file=tmp_path / "v.npy"))
    saved = load_embeddings(embedded)
    assert np.array_equal(np.load(tmp_path / "v.npy"), saved.vectors)
    rows = pd.read_csv(tmp_path / "v.csv")
    assert rows["id"].tolist() == saved.ids.tolist()
    assert rows["row"].tolist() == list(range(24))
    assert set(rows["fingerprint"]) == {saved.fingerprint} == {done.fingerprint}
    assert [str(each) for each in done.files] == done.as_json()["files"]
    assert "24 vectors of 256 numbers" in done.as_text()


def test_other_suffixes_and_models_are_refused(embedded: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.parquet or \.npy"):
        export_embeddings(embedded, EmbeddingsExport(file=tmp_path / "v.csv"))
    with pytest.raises(UsageError, match="no run 'other'"):
        export_embeddings(embedded, EmbeddingsExport(file=tmp_path / "v.npy", model="other"))
    assert not list(tmp_path.glob("v.*"))
