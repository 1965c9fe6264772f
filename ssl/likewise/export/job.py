"""`likewise export`: a model as a folder of files that other programs load."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likewise.errors import LikewiseError, UsageError
from likewise.export import prepare
from likewise.export.card import card
from likewise.export.described import DESCRIPTION, description, onnx_metadata
from likewise.export.facts import Facts, facts_of
from likewise.export.parity import Parity, check_parity
from likewise.export.whole import Whole, program_of, write_onnx
from likewise.files import replacing_folder, write_json
from likewise.images.store import Images, open_images
from likewise.inference.table_files import one_line
from likewise.models import small_net
from likewise.models.model_files import load_model, write_tensors
from likewise.models.runs import Run, finished_run
from likewise.notebook import Displayed
from likewise.progress import say
from likewise.settings import Export
from likewise.workspace import Workspace

ONNX, PROGRAM, WEIGHTS, HEAD = "model.onnx", "model.pt2", "model.safetensors", "head.safetensors"
CARD, PREPARE, SMALL = "README.md", "prepare.py", "small_net.py"
_OURS = {ONNX, f"{ONNX}.data", PROGRAM, WEIGHTS, HEAD, CARD, PREPARE, SMALL, DESCRIPTION}
_LEFT_BY_USE = {"__pycache__"}


@dataclass(frozen=True)
class ModelExported(Displayed):
    """What `export` wrote."""

    folder: Path
    run: Run
    dim: int
    parity: Parity
    facts: Facts
    files: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The fields of the command contract."""
        return {
            "folder": str(self.folder),
            "model": self.run.name,
            "fingerprint": self.run.fingerprint,
            "dim": self.dim,
            "files": list(self.files),
            "parity": {
                "images": self.parity.images,
                "onnx": self.parity.onnx,
                "torch": self.parity.torch,
            },
        }

    def as_text(self) -> str:
        """What a person reads."""
        return (
            f"{self.run.name}: {self.dim} dimensions, in {one_line(str(self.folder))}\n"
            f"{', '.join(self.files)}\n"
            f"compared with the model on {self.parity.images:,} images: greatest difference "
            f"{self.parity.onnx:.1e} (ONNX), {self.parity.torch:.1e} (torch)\n"
            f"next: {CARD} there says how to load it"
        )


def export(workspace: Workspace, settings: Export) -> ModelExported:
    """Write the newest or named model as ONNX, torch program and safetensors, with its card.

    Raises:
        UsageError: no such model, or the folder holds something else.
        LikewiseError: the model cannot be exported, the exported files differ from it, or they
            cannot be written. The folder of before is kept.
    """
    images = open_images(workspace.require())
    run = finished_run(workspace, settings.model)
    folder = settings.folder or workspace.path / "exports" / run.name
    _check_folder(folder)
    whole = Whole(load_model(run.model_file), baked=settings.preprocessing == "baked")
    facts = facts_of(workspace, images, run, settings.truth)
    say(f"{run.name}: exporting (a minute for a large net)")
    with replacing_folder(folder.absolute()) as temporary:
        parity = _write(temporary, whole, run, images, facts, workspace.config.store_size)
        files = tuple(sorted(each.name for each in temporary.iterdir()))
    return ModelExported(folder, run, whole.backbone.dim, parity, facts, files)


def _write(
    folder: Path, whole: Whole, run: Run, images: Images, facts: Facts, store_size: int
) -> Parity:
    described = description(whole, run, store_size)
    described["threshold"] = facts.threshold
    _write_weights(folder, whole, described)
    program = program_of(whole)
    torch.export.save(program, folder / PROGRAM)
    write_onnx(program, folder / ONNX, onnx_metadata(described))
    parity = check_parity(whole, images, folder / ONNX, folder / PROGRAM)
    write_json(folder / DESCRIPTION, described)
    shutil.copyfile(Path(prepare.__file__), folder / PREPARE)
    if whole.backbone.architecture.name == "small":
        shutil.copyfile(Path(small_net.__file__), folder / SMALL)
    text = card(whole, facts, parity, torch.__version__.partition("+")[0])
    (folder / CARD).write_text(text, encoding="utf-8")
    return parity


def _write_weights(folder: Path, whole: Whole, described: dict[str, Any]) -> None:
    metadata = {"format": "pt"} | onnx_metadata(described)
    parts = [(WEIGHTS, whole.backbone.net), (HEAD, whole.backbone.head)]
    for name, part in parts:
        if part is None:
            continue
        state = {key: value.detach().contiguous() for key, value in part.state_dict().items()}
        write_tensors(folder / name, state, metadata)


def _check_folder(folder: Path) -> None:
    """Refuse a folder with anything in it that an export does not write.

    Raises:
        UsageError: there is such a thing.
    """
    name = one_line(str(folder))
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{name} is there and no folder; choose another")
    if not folder.is_dir():
        return
    try:
        foreign = sorted({each.name for each in folder.iterdir()} - _OURS - _LEFT_BY_USE)
    except OSError as error:
        raise LikewiseError(f"could not look into {name}: {error.strerror}") from error
    if foreign:
        raise UsageError(
            f"{name} holds {one_line(foreign[0])}, which `likewise export` did not make; choose "
            "another folder"
        )
