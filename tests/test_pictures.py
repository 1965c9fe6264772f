"""Picture files from anywhere get the vectors that they would have in the workspace."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from likewise.errors import LikewiseError, UsageError
from likewise.images.ingest import ingest
from likewise.neighbours import pictures
from likewise.neighbours.embedding import embed
from likewise.neighbours.pictures import embed_picture, embed_pictures
from likewise.neighbours.vectors import load_embeddings
from likewise.settings import Embed, Ingest
from likewise.workspace import Workspace


def test_an_image_of_the_workspace_is_known_by_content_without_the_net(
    embedded: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pictures, "load_model")
    elsewhere = (tmp_path / "in/kind-1/04.png").rename(tmp_path / "renamed.tmp")
    embeddings = load_embeddings(embedded)
    found = embed_picture(embedded, embeddings, elsewhere)
    assert found.path == elsewhere
    assert np.array_equal(found.vector, embeddings.vectors[embeddings.positions[found.id]])


def test_a_new_file_gets_the_vector_that_ingesting_it_would_give(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    new = [picture(tmp_path / "new" / f"{seed}.jpg", seed, size=(300, 400)) for seed in (50, 51)]
    before = embed_pictures(embedded, load_embeddings(embedded), [tmp_path / "new"])
    assert [each.path for each in before.read] == new
    ingest(embedded, Ingest(images=(tmp_path / "in", tmp_path / "new"), workers=1))
    embed(embedded, Embed(precision="float32"))
    after = load_embeddings(embedded)
    for each in before.read:
        assert np.allclose(each.vector, after.vectors[after.positions[each.id]], atol=1e-5)


def test_more_files_than_a_batch_all_come_back_in_order(
    embedded: Workspace,
    picture: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "BATCH", 2)
    for seed in range(5):
        picture(tmp_path / "new" / f"{seed}.png", 60 + seed)
    embeddings = load_embeddings(embedded)
    read, failures = embed_pictures(embedded, embeddings, [tmp_path / "new", tmp_path / "in"])
    assert len(read) == 29
    assert not failures
    one = embed_picture(embedded, embeddings, tmp_path / "new/3.png")
    assert np.allclose(one.vector, read[3].vector, atol=1e-5)


def test_what_cannot_be_read_is_named(embedded: Workspace, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new/broken.png").write_bytes(b"\x89PNG, but no more")
    embeddings = load_embeddings(embedded)
    read, failures = embed_pictures(embedded, embeddings, [tmp_path / "new"])
    assert not read
    assert [Path(each.path).name for each in failures] == ["broken.png"]
    with pytest.raises(LikewiseError, match=r"broken\.png: "):
        embed_picture(embedded, embeddings, tmp_path / "new/broken.png")
    with pytest.raises(LikewiseError, match="does not exist"):
        embed_picture(embedded, embeddings, tmp_path / "none.png")
    with pytest.raises(UsageError, match="give one image"):
        embed_picture(embedded, embeddings, tmp_path / "new")


def test_a_model_that_is_gone_is_told(
    embedded: Workspace, picture: Callable[..., Path], tmp_path: Path
) -> None:
    (embedded.runs / "pretrain-1" / "model.safetensors").unlink()
    new = picture(tmp_path / "new.png", 99)
    with pytest.raises(LikewiseError, match="likewise embed"):
        embed_picture(embedded, load_embeddings(embedded), new)
