"""Settings of commands that write models and vectors for other programs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from likewise.settings.common import Common


@dataclass(frozen=True, kw_only=True)
class Export(Common):
    """Write a model as ONNX, torch program and safetensors, with a model card; check them."""

    folder: Positional[Path | None] = None
    """Folder to make. [default: WORKSPACE/exports/MODEL]"""
    model: str | None = None
    """Name of a run. [default: the newest model]"""
    preprocessing: Literal["baked", "described"] = "baked"
    """baked: the model takes RGB bytes and normalises them itself; cutting and resizing come
    before. described: it takes normalised numbers, as nets usually do."""
    truth: str | None = None
    """Where classes are known, for figures in the card: folders (class = parent folder), or a CSV
    with columns path (or id) and class. [default: no such figures]"""


@dataclass(frozen=True, kw_only=True)
class EmbeddingsExport(Common):
    """Write the vectors of all images to a .parquet or .npy file, with ids and paths."""

    file: Positional[Path]
    """File to write. Beside a .npy a .csv with the same name says which row is which image."""
    model: str | None = None
    """Name of a run. [default: the embeddings made last]"""
