"""A model as a file: ``model.safetensors`` with weights, architecture and fingerprint."""

import dataclasses
import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from likewise import __version__
from likewise.errors import LikewiseError
from likewise.files import reason_of, replacing
from likewise.models.backbones import Architecture, Backbone
from likewise.models.metadata import FORMAT, HEADED, header_length, read_metadata
from likewise.models.nets import assemble
from likewise.seals import BLANK, seal

_HEAD = "head/"
"""Begins the names of a head's tensors, which no net can have."""


def fingerprint_of(backbone: Backbone) -> str:
    """16 hex digits that change when a weight, the head or the architecture does."""
    state = _state_of(backbone)
    hasher = hashlib.blake2b(digest_size=8)
    hasher.update(_architecture_text(backbone.architecture).encode())
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous()
        hasher.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        hasher.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()


def _state_of(backbone: Backbone) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = dict(backbone.net.state_dict())
    if backbone.head is not None:
        state |= {_HEAD + key: value for key, value in backbone.head.state_dict().items()}
    return state


def _architecture_text(architecture: Architecture) -> str:
    described = dataclasses.asdict(architecture)
    if not architecture.head:  # as it was before there were heads
        del described["head"]
    return json.dumps(described, sort_keys=True)


def save_model(file: Path, backbone: Backbone) -> str:
    """Write weights, architecture and fingerprint as safetensors; return the fingerprint.

    Raises:
        LikewiseError: the file could not be written.
    """
    fingerprint = fingerprint_of(backbone)
    metadata = {
        "format": str(HEADED if backbone.architecture.head else FORMAT),
        "version": __version__,
        "architecture": _architecture_text(backbone.architecture),
        "dim": str(backbone.dim),
        "fingerprint": fingerprint,
        "seal": BLANK,
    }
    weights = {key: value.detach().cpu().contiguous() for key, value in _state_of(backbone).items()}
    with replacing(file) as temporary:
        write_tensors(temporary, weights, metadata)
        seal(temporary, header_length(temporary))
    return fingerprint


def write_tensors(file: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file.

    Raises:
        RuntimeError: it could not be written, as torch and faiss have it.
    """
    try:
        safetensors.torch.save_file(tensors, file, metadata)
    except safetensors.SafetensorError as error:
        raise RuntimeError(str(error)) from error


def load_model(file: Path) -> Backbone:
    """Build the saved backbone, in evaluation mode, and check its fingerprint.

    Raises:
        LikewiseError: the file is missing or damaged.
    """
    metadata = read_metadata(file)
    described = json.loads(metadata["architecture"])
    described |= {key: tuple(described[key]) for key in ("mean", "std")}
    backbone = assemble(Architecture(**described))
    try:
        state = safetensors.torch.load_file(file)
        own = {key: state.pop(key) for key in list(state) if key.startswith(_HEAD)}
        backbone.net.load_state_dict(state)
        if backbone.head is not None:
            backbone.head.load_state_dict(
                {key.removeprefix(_HEAD): value for key, value in own.items()}
            )
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise LikewiseError(f"could not read the model {file}: {reason_of(error)}") from error
    if fingerprint_of(backbone) != metadata["fingerprint"]:
        raise LikewiseError(f"{file} is damaged (its fingerprint does not match); train it again")
    return backbone.eval()


def largest_difference(one: Path, other: Path) -> float | None:
    """The largest between two numbers of the same place; None if the files hold other shapes.

    Raises:
        LikewiseError: a file cannot be read.
    """
    try:
        first, second = safetensors.torch.load_file(one), safetensors.torch.load_file(other)
    except (OSError, safetensors.SafetensorError) as error:
        raise LikewiseError(f"could not compare {one} and {other}: {reason_of(error)}") from error
    if {key: each.shape for key, each in first.items()} != {
        key: each.shape for key, each in second.items()
    }:
        return None
    gaps = (
        (first[key].double() - second[key].double()).abs().max().item()
        for key in first
        if first[key].numel()
    )
    return float(max(gaps, default=0.0))
