"""Weights that somebody else trained, from a file into a net."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likewise.errors import LikewiseError, UsageError
from likewise.files import reason_of


def load_weights(net: nn.Module, file: Path) -> None:
    """Copy weights from a file into ``net``; a classifier's own layers in it are left out.

    Raises:
        UsageError: there is no such file.
        LikewiseError: the file cannot be read, or holds weights of another net.
    """
    if not file.is_file():
        raise UsageError(f"--init: no file {file}; say random, pretrained, or a weights file")
    own = net.state_dict()
    state = _as_timm_names(net, _read_weights(file))
    fitting = {key: value for key, value in state.items() if key in own}
    missing = [key for key in own if key not in fitting and not key.endswith("num_batches_tracked")]
    misfits = [key for key, value in fitting.items() if value.shape != own[key].shape]
    if missing or misfits:
        raise LikewiseError(
            f"{file} does not fit the backbone: {len(missing)} weights are missing and "
            f"{len(misfits)} have another shape (first: {(missing + misfits)[0]}); "
            "choose the --backbone that it belongs to"
        )
    net.load_state_dict(fitting, strict=False)


def _as_timm_names(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as published, for another side or with other names, as a net of timm has them.

    timm keeps such a conversion (of DINOv2, SigLIP, ...) beside the class of the net.
    """
    own = net.state_dict()
    fits = own.keys() <= state.keys() and all(own[key].shape == state[key].shape for key in own)
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if fits or convert is None:
        return state
    try:
        converted: dict[str, Tensor] = convert(state, net)
    except (KeyError, RuntimeError, TypeError, ValueError):
        return state  # not its weights: what does not fit is told
    return converted


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            loaded: Mapping[str, Any] = load_file(file)
        else:
            loaded = torch.load(file, map_location="cpu", weights_only=True)
            for key in ("state_dict", "model", "model_state_dict"):
                loaded = loaded.get(key, loaded)
    except Exception as error:  # eight kinds of exception were seen on damaged files
        raise LikewiseError(f"could not read weights from {file}: {reason_of(error)}") from error
    prefixes = ("module.", "backbone.", "encoder.", "net.")
    state = {}
    for key, value in loaded.items():
        while key.startswith(prefixes):
            key = key.split(".", 1)[1]
        if isinstance(value, Tensor):
            state[key] = value
    return state
