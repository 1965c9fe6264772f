"""Seals: any changed byte is noticed, and what was written before there were seals is read."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.errors import LikewiseError
from likewise.images.store import open_images
from likewise.models.model_files import load_model, save_model
from likewise.models.nets import build_backbone
from likewise.models.runs import Run, runs_of, start_run
from likewise.seals import (
    BLANK,
    MARK,
    is_whole,
    read_sealed_json,
    seal,
    write_sealed_json,
)
from likewise.training.checkpoint import read_checkpoint
from likewise.workspace import Workspace


@given(before=st.binary(max_size=40), after=st.binary(max_size=40), data=st.data())
def test_every_changed_byte_breaks_a_seal(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("seal") / "file"
    file.write_bytes(before + MARK.encode() + after)
    seal(file)
    assert is_whole(file)
    whole = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    file.write_bytes(whole)
    assert not is_whole(file)


def test_a_seal_may_be_of_the_first_bytes_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(f"{MARK}head and tail")
    seal(file, len(MARK) + 4)
    file.write_bytes(file.read_bytes().replace(b"tail", b"back"))
    assert is_whole(file, len(MARK) + 4)
    assert is_whole(file) is False


def test_without_a_seal_nothing_is_known(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in ("", "nothing", '"seal":"short"'):
        file.write_text(text)
        assert is_whole(file) is None


def test_sealed_json_is_json(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_sealed_json(file, {"format": 2, "name": '"seal": "' + BLANK + '"', "n": ["Größe"]})
    assert is_whole(file)
    told = json.loads(file.read_text())
    assert read_sealed_json(file, 2, "write it again") == {
        key: value for key, value in told.items() if key != "seal"
    }
    file.write_text(json.dumps(told | {"n": []}))
    with pytest.raises(LikewiseError, match=r"a\.json is damaged; write it again"):
        read_sealed_json(file, 2, "write it again")
    for text in ('{"format": 2}', "[]", "{}", '{"format": "x"}', "{"):
        file.write_text(text)
        with pytest.raises(LikewiseError, match="is damaged"):
            read_sealed_json(file, 2, "write it again")
    file.write_text('{"format": 1, "n": 3}')
    assert read_sealed_json(file, 2, "") == {"format": 1, "n": 3}
    with pytest.raises(LikewiseError, match="could not read"):
        read_sealed_json(tmp_path / "none", 2, "")


def test_runs_and_models_from_before_there_were_seals_are_read(workspace: Workspace) -> None:
    run = start_run(workspace.create(), "pretrain", {"epochs": 3}, name=None)
    fingerprint = save_model(run.model_file, build_backbone("small", image_size=16))
    config = json.loads((run.folder / "config.json").read_text())
    del config["seal"]
    (run.folder / "config.json").write_text(json.dumps(config | {"format": 1}))
    with safetensors.safe_open(run.model_file, framework="pt") as opened:
        metadata = dict(opened.metadata())
    del metadata["seal"]
    tensors = safetensors.torch.load_file(run.model_file)
    safetensors.torch.save_file(tensors, run.model_file, metadata | {"format": "1"})
    (older,) = runs_of(workspace)
    assert older.settings == {"epochs": 3}
    assert older.fingerprint == fingerprint
    load_model(older.model_file)
    safetensors.torch.save_file(tensors, run.model_file, metadata)
    with pytest.raises(LikewiseError, match="is damaged"):
        load_model(older.model_file)


def test_a_checkpoint_from_before_there_were_seals_is_read(tmp_path: Path) -> None:
    run = Run(tmp_path, "pretrain", {}, "", None)
    torch.save({"format": 1, "n": 7}, run.checkpoint_file)
    assert read_checkpoint(run)["n"] == 7
    torch.save({"format": 2, "n": 7}, run.checkpoint_file)
    with pytest.raises(LikewiseError, match="could not read the checkpoint"):
        read_checkpoint(run)


def test_a_manifest_from_before_there_were_checksums_is_read(filled: Workspace) -> None:
    file = filled.manifest_file
    table = pq.read_table(file).drop_columns("checksum")
    metadata = dict(table.schema.metadata)
    del metadata[b"likewise.seal"]
    older = table.replace_schema_metadata(metadata | {b"likewise.format": b"1"})
    pq.write_table(older, file, write_page_checksum=True)
    pixels = filled.path / "images.1.pixels"
    whole = open_images(filled)
    expected = [whole[row].copy() for row in range(len(whole))]
    spoilt = bytearray(pixels.read_bytes())
    spoilt[0] ^= 1
    pixels.write_bytes(spoilt)
    assert (open_images(filled)[1] == expected[1]).all()
    assert (open_images(filled)[0] != expected[0]).sum() == 1, "nobody has computed its checksum"
    pq.write_table(table.replace_schema_metadata(metadata), file)
    with pytest.raises(LikewiseError, match=r"images\.parquet cannot be read \(it is damaged\)"):
        open_images(filled)


def test_changed_pixels_are_told_with_the_images_name(filled: Workspace) -> None:
    store = filled.path / "images.1.pixels"
    spoilt = bytearray(store.read_bytes())
    spoilt[-1] ^= 128
    store.write_bytes(spoilt)
    images = open_images(filled)
    told = []
    for row in range(len(images)):
        try:
            images[row]
        except LikewiseError as error:
            told.append(str(error))
    assert len(told) == 1
    assert f"the prepared image of {images.path(len(images) - 1)} is damaged" in told[0]
