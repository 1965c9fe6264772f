"""Nothing that lies in a file, or beside one, is ever run."""

import ast
import contextlib
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from likewise.answers.exchange import import_answers
from likewise.answers.rivals import FILE as RIVALS
from likewise.answers.rivals import watched_rivals
from likewise.answers.store import open_answers
from likewise.files import digest, read_json, write_json
from likewise.images.lists import read_list
from likewise.images.reading import Reading
from likewise.images.scan import File
from likewise.images.store import open_images
from likewise.inference.gallery_file import GalleryFile
from likewise.interpreter import module_command
from likewise.models.model_files import load_model
from likewise.models.nets import build_backbone
from likewise.models.runs import run_with, start_run
from likewise.models.weights import load_weights
from likewise.neighbours.atlas_files import load_atlas, save_atlas, vectors_digest
from likewise.neighbours.faiss_index import load_index
from likewise.neighbours.vectors import META, load_embeddings
from likewise.serve import command_for
from likewise.settings import AnswersImport
from likewise.training.checkpoint import read_checkpoint
from likewise.workspace import Workspace
from tests.breaking import Figure

ROOT = Path(__file__).parents[1]

# --- files that would do something if they were unpickled, or unpacked


class Runs:
    """What unpickling calls: ``function(*values)``."""

    def __init__(self, function: Callable[..., Any], *values: Any) -> None:
        self.call = function, values

    def __reduce__(self) -> Any:
        return self.call


def payloads(mark: Path) -> dict[str, tuple[bytes, Callable[[bytes], object]]]:
    """Files that make ``mark`` when they are loaded carelessly, with the way to do that."""
    shell = Runs(os.system, f"touch '{mark}'")
    code = Runs(exec, f"open({str(mark)!r}, 'w').close()")

    def by_torch(new: bool) -> bytes:
        data = io.BytesIO()
        torch.save({"state_dict": code}, data, _use_new_zipfile_serialization=new)
        return data.getvalue()

    def by_numpy(save: Callable[..., Any], *values: Any, **named: Any) -> bytes:
        data = io.BytesIO()
        save(data, *values, **named)
        return data.getvalue()

    objects = np.array([shell], dtype=object)
    names = ("rows", "similarities", "untouched", "learnt", "margin", "arr_0")

    def unpack(data: bytes) -> None:
        with np.load(io.BytesIO(data), allow_pickle=True) as saved:
            for name in saved.files:
                saved[name]

    def load_torch(data: bytes) -> object:
        return torch.load(io.BytesIO(data), weights_only=False)

    return {
        "pickle 0": (pickle.dumps(shell, 0), pickle.loads),
        "pickle 5": (pickle.dumps(code, 5), pickle.loads),
        "torch": (by_torch(True), load_torch),
        "old torch": (by_torch(False), load_torch),
        "npy": (
            by_numpy(np.save, objects),
            lambda data: np.load(io.BytesIO(data), allow_pickle=True),
        ),
        "npz": (by_numpy(np.savez, **dict.fromkeys(names, objects)), unpack),
    }


def archives(mark: Path) -> dict[str, bytes]:
    """Archives with a file that would lie at ``mark`` if they were unpacked."""
    way_out = "../" * 20 + str(mark).lstrip("/")
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name in (way_out, str(mark), f"archive/{way_out}"):
            archive.writestr(name, b"")
    with tarfile.open(fileobj=tarred, mode="w") as archive:
        for name in (way_out, str(mark)):
            archive.addfile(tarfile.TarInfo(name))
    return {"zip": zipped.getvalue(), "tar": tarred.getvalue()}


# --- the places where we read


def _in_folder_of_embeddings(name: str) -> Callable[[Workspace, bytes], object]:
    def read(workspace: Workspace, data: bytes) -> object:
        folder = load_embeddings(workspace).folder
        (folder / name).write_bytes(data)
        meta = read_json(folder / META)
        meta["digests"][name] = digest(folder / name)  # whoever made it knows that much
        write_json(folder / META, meta)
        found = load_embeddings(workspace)
        found.neighbours()
        return load_index(folder / "index.faiss")

    return read


def _atlas(workspace: Workspace, data: bytes) -> object:
    found = load_embeddings(workspace)
    file, told = found.folder / "atlas.npy", found.folder / "atlas.json"
    places = np.zeros((len(found.ids), 2), np.float32)
    save_atlas(found, places, vectors_digest(found.folder))
    assert load_atlas(found) is not None
    before = digest(file)
    file.write_bytes(data)
    told.write_text(told.read_text().replace(before, digest(file)))
    return load_atlas(found)


def _rivals(workspace: Workspace, data: bytes) -> object:
    (workspace.path / RIVALS).write_bytes(data)
    return watched_rivals(workspace.path, 24)()


def _model(workspace: Workspace, data: bytes) -> object:
    run = run_with(workspace, load_embeddings(workspace).fingerprint)
    run.model_file.write_bytes(data)
    return load_model(run.model_file)


def _checkpoint(workspace: Workspace, data: bytes) -> object:
    run = start_run(workspace, "pretrain", {}, name=None)
    run.checkpoint_file.write_bytes(data)
    return read_checkpoint(run)


def _weights(suffix: str) -> Callable[[Workspace, bytes], object]:
    def read(workspace: Workspace, data: bytes) -> object:
        file = workspace.path / f"weights{suffix}"
        file.write_bytes(data)
        load_weights(build_backbone("small", image_size=24).net, file, "small")
        return None

    return read


def _manifest(workspace: Workspace, data: bytes) -> object:
    workspace.manifest_file.write_bytes(data)
    return open_images(workspace)


def _answers(suffix: str) -> Callable[[Workspace, bytes], object]:
    def read(workspace: Workspace, data: bytes) -> object:
        file = workspace.path / f"given{suffix}"
        file.write_bytes(data)
        return import_answers(workspace, AnswersImport(file=file))

    return read


def _list(suffix: str) -> Callable[[Workspace, bytes], object]:
    def read(workspace: Workspace, data: bytes) -> object:
        file = workspace.path / f"list{suffix}"
        file.write_bytes(data)
        return read_list(file)

    return read


def _gallery(workspace: Workspace, data: bytes) -> object:
    (workspace.path / "gallery.db").write_bytes(data)
    return GalleryFile(workspace.path / "gallery.db").rows("SELECT * FROM exemplars")


def _labels(workspace: Workspace, data: bytes) -> object:
    (workspace.path / "labels.db").write_bytes(data)
    with open_answers(workspace) as store:
        return store.history()


def _settings(workspace: Workspace, data: bytes) -> object:
    workspace.settings_file.write_bytes(data)
    return workspace.config


def _image(workspace: Workspace, data: bytes) -> object:
    file = workspace.path / "image.png"
    file.write_bytes(data)
    return Reading(64)(File(str(file), len(data), 0, ""))


PLACES: dict[str, Callable[[Workspace, bytes], object]] = {
    "model.safetensors": _model,
    "checkpoint.pt": _checkpoint,
    **{f"--init {suffix}": _weights(suffix) for suffix in (".pt", ".bin", ".safetensors")},
    **{
        name: _in_folder_of_embeddings(name)
        for name in ("vectors.npy", "ids.npy", "neighbours.npz", "index.faiss")
    },
    "atlas.npy": _atlas,
    "rivals.npz": _rivals,
    "images.parquet": _manifest,
    **{f"answers{suffix}": _answers(suffix) for suffix in (".csv", ".jsonl", ".parquet", ".json")},
    **{f"list{suffix}": _list(suffix) for suffix in (".csv", ".parquet", ".arrow")},
    "gallery.db": _gallery,
    "labels.db": _labels,
    "workspace.toml": _settings,
    "an image": _image,
}


@pytest.mark.breaking
def test_no_file_is_run_wherever_it_is_read(
    embedded: Workspace, tmp_path: Path, figure: Figure
) -> None:
    mark = tmp_path / "was-run"
    live = payloads(mark)
    for name, (data, careless) in live.items():  # they are what they seem
        with contextlib.suppress(Exception):
            careless(data)
        assert mark.exists(), name
        mark.unlink()
    files = {name: data for name, (data, _) in live.items()} | archives(mark)
    kept = tmp_path / "kept"
    shutil.copytree(embedded.path, kept)
    tried, ran = 0, []
    for place, read in PLACES.items():
        for name, data in files.items():
            with contextlib.suppress(Exception):  # said elsewhere: one clear line
                read(embedded, data)
            tried += 1
            if mark.exists():
                ran.append(f"{name} as {place}")
                mark.unlink()
        shutil.rmtree(embedded.path)
        shutil.copytree(kept, embedded.path)
    figure(f"{tried} malicious files in {len(PLACES)} places: {len(ran)} executed")
    assert tried >= 60
    assert not ran


# --- modules that lie where somebody works

STRANGERS = [
    *("json", "pickle", "signal", "multiprocessing", "threading", "numpy", "PIL", "torch", "runpy"),
    *("likewise", "likewise_labeler", "streamlit", "pebble", "encodings", "sitecustomize"),
]
CONSOLE = "from likewise.__main__ import main; main()"
"""The installed command: a script elsewhere, so that it does not look in the present folder."""


@pytest.mark.breaking
def test_no_module_in_the_present_folder_is_run(
    tmp_path: Path, picture: Callable[..., Path], figure: Figure
) -> None:
    mark, folder = tmp_path / "was-run", tmp_path / "in"
    for seed in range(3):
        picture(folder / f"{seed}.png", seed)
    for name in STRANGERS:
        code = f"open({str(mark)!r}, 'a').write({name!r} + ' ')\n"
        (folder / f"{name}.py").write_text(code)
    plain = [sys.executable, "-m", "json"]
    subprocess.run(plain, cwd=folder, capture_output=True, check=False)
    assert mark.exists()  # they are what they seem
    mark.unlink()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "likewise").write_text(CONSOLE)
    ingest = [str(tmp_path / "bin" / "likewise"), "ingest", ".", "--workspace", "../workspace"]
    commands = [
        [sys.executable, *ingest],  # its children decode
        [*command_for("127.0.0.1", 1)[:4], "--version"],
        [*module_command("likewise.cli"), "--version"],
    ]
    for command in commands:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    ran = mark.read_text().split() if mark.exists() else []
    figure(f"{len(STRANGERS)} modules among the images, {len(commands)} commands: {ran} executed")
    assert not ran


# --- what the code may not do

MODULES = {
    *("pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "code"),
    *("tarfile", "pickletools", "jsonpickle", "xmlrpc"),
}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
ATTRIBUTES = {
    *("extractall", "extract", "read_pickle", "to_pickle", "unpack_archive"),
    *("load_library", "enable_load_extension", "load_extension"),
}


def offences(source: str) -> list[str]:
    """What in a module could run code that came in a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found += [name for name in names if name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [str(node.module)] * ((node.module or "").split(".")[0] in MODULES)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable":
            found.append("sys.executable")
        elif isinstance(node, ast.Call):
            found += _call(node)
    return found


def _call(node: ast.Call) -> list[str]:
    called, found = ast.unparse(node.func), []
    given = {each.arg: ast.unparse(each.value) for each in node.keywords}
    if called in CALLS or called.rpartition(".")[2] in ATTRIBUTES:
        found.append(called)
    if called.endswith(("torch.load", "hub.load", "jit.load")) and (
        given.get("weights_only") != "True"
    ):
        found.append(f"{called} without weights_only=True")
    for name, wanted in (("allow_pickle", "False"), ("shell", "False"), ("weights_only", "True")):
        if given.get(name, wanted) != wanted:
            found.append(f"{name}={given[name]}")
    if given.get("trust_remote_code", "False") != "False":
        found.append("trust_remote_code")
    return found


@pytest.mark.parametrize("root", ["ssl", "labeler"])
def test_no_code_could_come_from_a_file(root: str) -> None:
    found = {
        str(file.relative_to(ROOT)): wrong
        for file in sorted((ROOT / root).rglob("*.py"))
        if (wrong := offences(file.read_text(encoding="utf-8")))
    }
    assert found.pop("ssl/likewise/interpreter.py", ["sys.executable"]) == ["sys.executable"]
    assert not found


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from yaml import load", "eval(text)", "exec(text)", "os.system(text)"),
        *("np.load(file, allow_pickle=True)", "np.load(file, allow_pickle=given)"),
        *("torch.load(file)", "torch.load(file, weights_only=False)", "torch.hub.load(a, b)"),
        *("subprocess.run(text, shell=True)", "archive.extractall()", "pd.read_pickle(file)"),
        *("[sys.executable, '-m', 'json.tool']", "AutoModel(name, trust_remote_code=True)"),
    ],
)
def test_what_could_is_noticed(line: str) -> None:
    assert offences(line)
    assert not offences("net.eval(); torch.load(f, weights_only=True); re.compile(text)")
